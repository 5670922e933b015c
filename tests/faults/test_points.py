"""SIGKILL at every named point: each completed request has one row, each begun one too."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from majordomo_analytics.spool.files import spool_files
from tests.faults.ledger import check, rows_in
from tests.faults.load import Load
from tests.faults.machine import Machine
from tests.faults.points import ADOPTING, CLOSING, DRAINING, PASSING, ROTATION
from tests.faults.provider import Provider
from tests.faults.seams import Seams
from tests.support.upstream import Upstream

SOON_AGAIN = {
    "majordomo_proxy.children:LONGEST_PAUSE_S": 0.5,
    "majordomo_analytics.drain.loop:PAUSE_S": 0.2,
    "majordomo_analytics.drain.loop:REST_S": 0.2,
}
SMALL_SPOOLS = {"spool_rotate_bytes": "12000"}


@contextmanager
def under_load(
    folder: Path, seed: int = 0, **settings: str
) -> Iterator[tuple[Machine, Load, Provider]]:
    """Run a machine under load; its ledger is compared with the lake at the end."""
    seams = Seams.make(folder / "orders", SOON_AGAIN)
    provider = Provider()
    with (
        Upstream(provider) as upstream,
        Machine(folder / "data", seams, openai_base_url=upstream.url, **settings) as machine,
    ):
        machine.start()
        load = Load(machine.key, machine.port, seed=seed)
        with load.running():
            yield machine, load, provider
        machine.stop()
        machine.recover()
    outcomes = check(load.calls, rows_in(machine.data), provider)
    assert outcomes["completed"] > 10
    assert spool_files(machine.data / "spool") == []


def test_a_worker_that_is_killed_while_requests_pass_leaves_each_row_once(tmp_path: Path) -> None:
    """At each point of that way, one after the other."""
    with under_load(tmp_path) as (machine, load, _):
        for point in PASSING:
            load.wait_for(5)
            machine.seams.die_at(point)
            machine.seams.wait_for_death(point)
        load.wait_for(5)


@pytest.mark.slow
@pytest.mark.parametrize("nth", [1, 3])
def test_a_worker_that_is_killed_amid_a_rotation_leaves_each_row_once(
    tmp_path: Path, nth: int
) -> None:
    """At each step of it, with requests begun in the old spool that end in the new one."""
    with under_load(tmp_path, seed=nth, **SMALL_SPOOLS) as (machine, load, _):
        for point in ROTATION:
            load.wait_for(5)
            machine.seams.die_at(point, nth)
            machine.seams.wait_for_death(point, 60)
        load.wait_for(5)


@pytest.mark.slow
@pytest.mark.parametrize("point", CLOSING)
def test_a_worker_that_is_killed_as_it_closes_its_spool_leaves_each_row_once(
    tmp_path: Path, point: str
) -> None:
    """The supervisor ends as ever, and the next start finds everything."""
    with under_load(tmp_path) as (machine, load, _):
        load.wait_for(20)
        machine.seams.die_at(point)
        machine.stop()
        machine.seams.wait_for_death(point)
        machine.start()
        load.port = machine.port
        load.wait_for(5)


@pytest.mark.slow
@pytest.mark.parametrize("nth", [1, 2])
def test_a_drain_that_is_killed_at_a_point_under_load_does_nothing_twice(
    tmp_path: Path, nth: int
) -> None:
    """While workers write on, and begin new spools all the time."""
    with under_load(tmp_path, seed=nth, **SMALL_SPOOLS) as (machine, load, _):
        for point in DRAINING:
            load.wait_for(5)
            machine.seams.die_at(point, nth)
            machine.seams.wait_for_death(point, 60)
        load.wait_for(5)


@pytest.mark.slow
def test_a_drain_that_is_killed_as_it_adopts_a_dead_workers_spool_makes_each_row_once(
    tmp_path: Path,
) -> None:
    """Requests that were under way have rows that say so, however often it begins anew."""
    chance = random.Random(0)
    with under_load(tmp_path) as (machine, load, _):
        for point in ADOPTING:
            load.wait_for(5)
            machine.seams.die_at(point)
            machine.kill_worker(chance)
            machine.seams.wait_for_death(point, 60)
        load.wait_for(5)

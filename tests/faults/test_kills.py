"""SIGKILL of worker, drain and supervisor at any moment, also as they start and stop."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from majordomo_analytics.spool.files import spool_files
from tests.faults.ledger import check, rows_in
from tests.faults.load import Load
from tests.faults.machine import Machine
from tests.faults.provider import Provider
from tests.faults.seams import Seams
from tests.support.postgres import select
from tests.support.upstream import Upstream

QUICK = {"majordomo_proxy.children:LONGEST_PAUSE_S": 0.5}
WAYS = ("worker", "worker", "drain", "supervisor", "all", "as it starts", "as it stops")
SEED = int(os.environ.get("MAJORDOMO_FAULTS_SEED", "0")) or random.SystemRandom().getrandbits(32)
COLUMNS = (
    "id", "outcome", "status_code", "input_tokens", "output_tokens", "response_time_ms",
    "time_to_first_byte_ms", "raw_metadata",
)  # fmt: skip


def kill(way: str, machine: Machine, chance: random.Random) -> None:
    """Kill in one way, and have a proxy again at the end."""
    match way:
        case "worker":
            machine.kill_worker(chance)
            return
        case "drain":
            machine.kill_drain(chance)
            return
        case "supervisor":
            machine.kill_supervisor()
        case "all":
            machine.kill_all()
        case "as it starts":
            machine.kill_all()
            machine.start(wait=False)
            time.sleep(chance.random() * 1.5)
            chance.choice([machine.kill_supervisor, machine.kill_all])()
        case "as it stops":
            os.kill(machine.proxy.supervisor, signal.SIGTERM)
            time.sleep(chance.random() * 1.0)
            chance.choice([machine.kill_supervisor, machine.kill_all])()
    if chance.random() < 0.3:
        machine.recover()  # else the next one finds what its predecessor left
    machine.start()


def rows_in_postgres(dsn: str) -> list[dict[str, Any]]:
    found = select(dsn, f"select {', '.join(COLUMNS)} from llm_requests")
    return [{**dict(zip(COLUMNS, row, strict=True)), "id": str(row[0])} for row in found]


def kill_in_rounds(folder: Path, rounds: int, **settings: str) -> tuple[Machine, Load, Provider]:
    """Kill at random under load, then let everything come to its end."""
    print(f"to see this again: MAJORDOMO_FAULTS_SEED={SEED}")
    chance = random.Random(SEED)
    ways = [chance.choice(WAYS) for _ in range(rounds)]
    provider = Provider()
    with (
        Upstream(provider) as upstream,
        Machine(
            folder / "data",
            Seams.make(folder / "orders", QUICK),
            openai_base_url=upstream.url,
            workers="2",
            spool_rotate_bytes="30000",
            **settings,
        ) as machine,
    ):
        machine.start()
        load = Load(machine.key, machine.port, seed=SEED)
        with load.running():
            for way in ways:
                time.sleep(chance.random() * 1.2)
                print(f"{time.monotonic():.2f} {way}")
                kill(way, machine, chance)
                load.port = machine.port
            load.wait_for(10)
        machine.stop()
        machine.recover(*(("--postgres", settings["postgres"]) if settings else ()))
    assert spool_files(machine.data / "spool") == []
    return machine, load, provider


def test_three_kills_at_any_moment_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    """The short form; the long one goes on for longer."""
    machine, load, provider = kill_in_rounds(tmp_path, 3)
    print(check(load.calls, rows_in(machine.data), provider))


@pytest.mark.slow
def test_trap_23_kills_at_any_moment_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    machine, load, provider = kill_in_rounds(tmp_path, 24)
    print(check(load.calls, rows_in(machine.data), provider))


@pytest.mark.slow
def test_kills_at_any_moment_lose_and_double_nothing_in_postgres_either(
    tmp_path: Path, postgres: str
) -> None:
    machine, load, provider = kill_in_rounds(tmp_path, 20, postgres=postgres)

    rows = rows_in(machine.data)
    print(check(load.calls, rows, provider))
    check(load.calls, rows_in_postgres(postgres), provider)
    assert sorted(row["id"] for row in rows) == sorted(
        row["id"] for row in rows_in_postgres(postgres)
    )

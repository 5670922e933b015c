"""Postgres is stopped, killed, silent or cut off under load, and has every request once.

The callers' own ledger says what there has to be, in the lake and in Postgres alike.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from majordomo_analytics.spool.files import spool_files
from tests.faults.ledger import check, rows_in
from tests.faults.load import Load
from tests.faults.provider import Provider
from tests.faults.test_kills import rows_in_postgres
from tests.support.postgres import Line, Way, select
from tests.support.proxy import RunningProxy, mdm, running_proxy
from tests.support.server import Server, running_server
from tests.support.upstream import Upstream

SEED = int(os.environ.get("MAJORDOMO_FAULTS_SEED", "0")) or random.SystemRandom().getrandbits(32)
LAKE_WITHIN_S = 60.0
"""Postgres is mended only then: any bound shows that the lake does not wait for it."""

POSTGRES_WITHIN_S = 60.0

Step = Callable[[], object]


class Outage:
    """A proxy under load with a Postgres behind it; `check` compares at the end.

    Parameters
    ----------
    folder
        Where the data directory is to be.
    server
        The address of the server itself.
    dsn
        The address that the proxy is given; another one if there is a line between them.
    """

    def __init__(self, folder: Path, server: str, dsn: str | None = None) -> None:
        self.data = folder / "data"
        self.server = server
        self.dsn = dsn or server
        self.provider = Provider()

    def run(self, *rounds: tuple[Step, float, Step]) -> None:
        """Break it off, wait so many seconds, mend it; for each round, under load."""
        print(f"to see this again: MAJORDOMO_FAULTS_SEED={SEED}")
        with (
            Upstream(self.provider) as upstream,
            running_proxy(
                self.data,
                openai_base_url=upstream.url,
                postgres=self.dsn,
                workers="2",
                spool_rotate_bytes="30000",
            ) as proxy,
        ):
            self.load = Load(proxy.key, proxy.port, seed=SEED)
            with self.load.running():
                until(lambda: bool(self.in_postgres()), POSTGRES_WITHIN_S)
                for break_off, outage_s, mend in rounds:
                    self._break_and_mend(proxy, break_off, outage_s, mend)
            assert proxy.stop() == 0
        mdm("drain", "--data", str(self.data), "--once", "--postgres", self.dsn)

    def _break_and_mend(
        self, proxy: RunningProxy, break_off: Step, outage_s: float, mend: Step
    ) -> None:
        begun = time.monotonic()
        break_off()
        self.load.wait_for(20)  # callers notice nothing
        seen = {call.id for call in self.load.completed if call.id}
        until(lambda: seen <= {row["id"] for row in rows_in(proxy.data)}, LAKE_WITHIN_S)
        time.sleep(max(0.0, outage_s - (time.monotonic() - begun)))
        mend()
        self.load.wait_for(10)

    def in_postgres(self) -> set[str]:
        if select(self.server, "select to_regclass('llm_requests')") == [(None,)]:
            return set()
        return {row["id"] for row in rows_in_postgres(self.server)}

    def check(self) -> None:
        """Hold both sinks against the callers' ledger, the registry against the rows."""
        lake, postgres = rows_in(self.data), rows_in_postgres(self.server)
        check(self.load.calls, lake, self.provider)
        check(self.load.calls, postgres, self.provider)
        assert sorted(row["id"] for row in lake) == sorted(row["id"] for row in postgres)
        counted = (
            "select sum(request_count)::int from llm_requests_metadata_keys where key_name = %s"
        )
        assert select(self.server, counted, "Call") == [
            (sum("Call" in row["raw_metadata"] for row in postgres),)
        ]
        assert spool_files(self.data / "spool") == []
        assert not (self.data / "dead_letters.sqlite").exists()


def until(what: Callable[[], bool], within_s: float) -> None:
    deadline = time.monotonic() + within_s
    while not what():
        assert time.monotonic() < deadline, f"it did not become true within {within_s:g} s"
        time.sleep(0.1)


def killed(server: Server) -> tuple[Step, Step]:
    """SIGKILL all of it; the next one recovers on the same directory and port."""
    return server.kill, server.start


def stopped(server: Server) -> tuple[Step, Step]:
    """SIGSTOP all of it: connections stand, new ones are taken too, and nothing answers."""
    return server.pause, server.go_on


@pytest.mark.parametrize("way", [killed, stopped])
def test_a_server_that_dies_or_hangs_for_seconds_has_every_request_once(
    tmp_path: Path, way: Callable[[Server], tuple[Step, Step]]
) -> None:
    """The short form; the long ones last a minute and come again."""
    with running_server() as server:
        break_off, mend = way(server)
        outage = Outage(tmp_path, server.dsn)
        outage.run((break_off, 3, mend))

        outage.check()


@pytest.mark.slow
def test_a_server_that_is_stopped_for_a_minute_has_every_request_once(tmp_path: Path) -> None:
    """Longer than the drain waits for an answer: it gives the connection up meanwhile."""
    with running_server() as server:
        outage = Outage(tmp_path, server.dsn)
        outage.run((server.pause, 65, server.go_on))

        outage.check()


@pytest.mark.slow
def test_trap_22_a_server_that_is_killed_again_and_again_has_every_request_once(
    tmp_path: Path,
) -> None:
    """At any moment of a batch, as it starts too; what it said was committed is there."""
    chance = random.Random(SEED)

    def killed_as_it_starts(server: Server) -> None:
        server.start()
        time.sleep(chance.random())
        server.kill()
        server.start()

    with running_server() as server:
        outage = Outage(tmp_path, server.dsn)
        outage.run(
            *(
                (server.kill, chance.random() * 3, server.start)
                if n % 2
                else (server.kill, chance.random() * 3, lambda: killed_as_it_starts(server))
                for n in range(8)
            )
        )

        outage.check()


@pytest.mark.slow
@pytest.mark.parametrize("way", ["refuse", "black-hole"])
def test_trap_22_postgres_that_is_cut_off_has_every_request_once(
    tmp_path: Path, postgres: str, way: Way
) -> None:
    with Line(postgres) as line:
        outage = Outage(tmp_path, postgres, line.dsn)
        outage.run((lambda: line.break_off(way), 8, lambda: line.break_off("through")))

        outage.check()


def test_trap_22_a_commit_whose_acknowledgement_is_lost_is_not_made_twice(
    tmp_path: Path, postgres: str
) -> None:
    """The server has committed when the line is cut; the drain cannot know."""
    with Line(postgres) as line:

        def cut() -> None:
            line.way = "cut-at-commit"

        def wait_for_the_cut() -> None:
            until(lambda: line.way == "through", POSTGRES_WITHIN_S)

        outage = Outage(tmp_path, postgres, line.dsn)
        outage.run((cut, 0, wait_for_the_cut))

        outage.check()
    assert line.cuts == 1


def test_rows_wait_for_a_postgres_that_was_never_reached(tmp_path: Path, postgres: str) -> None:
    """Also when the next drain is not told of it: the proxy was, before it wrote any."""
    provider = Provider()
    with Upstream(provider) as upstream, Line(postgres) as line:
        line.break_off("black-hole")
        with running_proxy(
            tmp_path / "data", openai_base_url=upstream.url, postgres=line.dsn
        ) as proxy:
            assert proxy.post("/v1/chat/completions?script=json").status_code == 200
            proxy.kill()

    alone = mdm("drain", "--data", str(tmp_path / "data"), "--once")
    mdm("drain", "--data", str(tmp_path / "data"), "--once", "--postgres", postgres)

    assert "1 rows wait in the spool for postgres" in alone.stderr + alone.stdout
    assert len(rows_in(tmp_path / "data")) == len(rows_in_postgres(postgres)) == 1

"""Whatever dies or falls silent, every request is in the lake once and in Postgres once.

The list to compare with is the callers' own: the ids that came with answers they saw.
"""

from __future__ import annotations

import signal
import threading
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from majordomo_analytics.datadir import DataDirectory
from majordomo_analytics.drain import loop
from majordomo_analytics.drain.dead_letters import DeadLetters
from majordomo_analytics.drain.loop import drain_forever, drain_once
from majordomo_analytics.drain.postgres import PostgresSink
from majordomo_analytics.drain.removal import fed_sinks, remember_sink
from majordomo_analytics.drain.sinks import LakeSink
from majordomo_analytics.errors import PostgresUnreachableError
from majordomo_analytics.spool.files import spool_files
from tests.drain.spools import spool
from tests.faults.points import DRAINING, WITH_POSTGRES
from tests.faults.seams import Seams
from tests.support.postgres import select
from tests.support.proxy import (
    children,
    mdm,
    running_proxy,
)
from tests.support.records import a_record
from tests.support.upstream import Upstream, answer_json

DRAIN_WITHIN_S = 10.0
ROWS_PER_COMMIT = 3


def ids_in_lake(data: Path) -> list[str]:
    if not (data / "lake" / "llm_requests" / "_delta_log").exists():
        return []
    return sorted(pl.scan_delta(str(data / "lake" / "llm_requests")).collect()["id"])


def ids_in_postgres(dsn: str) -> list[str]:
    if select(dsn, "select to_regclass('llm_requests')") == [(None,)]:
        return []
    return sorted(str(row[0]) for row in select(dsn, "select id from llm_requests"))


def until(what: Any, within_s: float) -> float:
    """Wait for something to become true; return how long it took."""
    begun = time.monotonic()
    while not what():
        if time.monotonic() - begun > within_s:
            pytest.fail(f"it did not become true within {within_s:g} s")
        time.sleep(0.1)
    return time.monotonic() - begun


@pytest.mark.slow
def test_the_address_of_postgres_is_told_to_the_drain_alone(tmp_path: Path, postgres: str) -> None:
    """In its environment, where only its owner can look, and not in its command."""
    with (
        Upstream(answer_json) as upstream,
        running_proxy(
            tmp_path / "data",
            openai_base_url=upstream.url,
            postgres=f"{postgres} password=s3cr3t",
        ) as proxy,
    ):
        workers = proxy.workers()
        (drain,) = set(children(proxy.supervisor)) - set(workers)
        begun = time.monotonic()
        log_id = proxy.post().headers["x-majordomo-log-id"]
        until(lambda: log_id in ids_in_lake(proxy.data), DRAIN_WITHIN_S)
        until(lambda: log_id in ids_in_postgres(postgres), DRAIN_WITHIN_S)
        took_s = time.monotonic() - begun
        commands = b"".join(Path(f"/proc/{p}/cmdline").read_bytes() for p in (drain, *workers))
        environments = b"".join(Path(f"/proc/{p}/environ").read_bytes() for p in workers)
        told = Path(f"/proc/{drain}/environ").read_bytes()

    assert b"s3cr3t" not in commands + environments
    assert b"s3cr3t" in told
    assert took_s < DRAIN_WITHIN_S


@pytest.mark.slow
@pytest.mark.parametrize("nth", [1, 2])
@pytest.mark.parametrize("point", [*DRAINING, *WITH_POSTGRES])
def test_trap_23_drain_that_is_killed_at_a_point_does_nothing_twice_and_loses_nothing(
    data: DataDirectory, tmp_path: Path, postgres: str, point: str, nth: int
) -> None:
    """Two spools of three batches each, with a row that neither sink can hold."""
    bad = a_record(request_bytes=2**63)
    good = [a_record(metadata={"Feature": "x"}) for _ in range(4 * ROWS_PER_COMMIT)]
    spool(data, *good[:5], bad, *good[5:7])
    spool(data, *good[7:])

    seams = Seams.make(
        tmp_path / "orders", {"majordomo_analytics.drain.passes:ROWS_PER_COMMIT": ROWS_PER_COMMIT}
    )
    seams.die_at(point, nth)
    to_both = ("drain", "--data", str(data.root), "--once", "--postgres", postgres)
    killed = mdm(*to_both, check=False, **seams.environment)
    assert killed.returncode == -signal.SIGKILL
    drain_once(data, (LakeSink(data.lake), PostgresSink(postgres, lake=data.lake)))
    report = drain_once(data, (LakeSink(data.lake), PostgresSink(postgres, lake=data.lake)))

    expected = sorted(record.id for record in good)
    assert (report.rows, report.postgres_rows, report.troubles) == (0, 0, ())
    assert ids_in_lake(data.root) == ids_in_postgres(postgres) == expected
    for sink in ("lake", "postgres"):
        assert [letter.id for letter in DeadLetters(data.dead_letters).of(sink)] == [bad.id]
    assert [path.suffix for path in data.spool.iterdir() if "drain" not in path.name] == [".fed"]
    counts = "select sum(request_count) from llm_requests_metadata_keys"
    # Of the row that was set aside nothing is counted.
    assert select(postgres, counts) == [(len(expected),)]


class Down:
    """A sink that cannot be reached until it is."""

    name = "postgres"
    place = "dbname=down"

    def __init__(self) -> None:
        self.is_up = False

    def open(self) -> bool:
        if not self.is_up:
            raise PostgresUnreachableError("no route")
        return True

    def position(self, spool: str) -> int:
        return 1

    def close(self) -> None:
        pass

    held = with_usage = append = try_out = None


class Pauses(threading.Event):
    """An event that notes how long each thread wants to wait, and does not wait."""

    def __init__(self, sink: Down) -> None:
        super().__init__()
        self.by_thread: dict[str, list[float]] = {}
        self._sink = sink

    def wait(self, timeout: float | None = None) -> bool:
        pauses = self.by_thread.setdefault(threading.current_thread().name, [])
        pauses.append(timeout or 0.0)
        time.sleep(0.01)
        if threading.current_thread().name == "postgres":
            self._sink.is_up = len(pauses) == 8
            if len(pauses) == 10:
                self.set()
        return self.is_set()


def test_a_sink_that_is_down_is_asked_less_and_less_and_soon_again_once_it_is_up(
    data: DataDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its pauses double up to a bound; those of the lake stay as they are."""
    monkeypatch.setattr(loop, "_has_news", lambda *_: True)
    sink: Any = Down()
    pauses = Pauses(sink)
    said: list[str] = []

    drain_forever(data, (LakeSink(data.lake), sink), stop=pauses, on_trouble=said.append)

    assert pauses.by_thread["postgres"] == [2, 4, 8, 16, 30, 30, 30, 30, 2, 4]
    assert set(pauses.by_thread["lake"]) == {loop.PAUSE_S}
    assert said == ["postgres: no route"] * 2  # once for each time that it went down


def test_spools_stay_while_a_sink_has_not_been_reached_yet(
    data: DataDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is noted of it so far: it is in the settings, and that is enough."""

    class Silent(Down):
        def open(self) -> bool:
            time.sleep(3)  # so that the others are done, and it has said nothing
            return super().open()

    uuid = spool(data, a_record()).uuid
    sink: Any = Silent()
    stop = threading.Event()
    stop.set()
    monkeypatch.setattr(loop, "LAST_PASS_S", 1.5)

    drain_forever(data, (LakeSink(data.lake), sink), stop=stop)

    assert ids_in_lake(data.root)
    assert [file.uuid for file in spool_files(data.spool)] == [uuid]
    assert fed_sinks(data) == {"lake"}


def test_a_drain_says_at_its_start_which_sink_it_keeps_rows_for(data: DataDirectory) -> None:
    """It was in the settings once; without a word the disk would fill."""
    remember_sink(data, "postgres", "host=db dbname=llm schema=public")
    stop = threading.Event()
    stop.set()
    said: list[str] = []

    drain_forever(data, stop=stop, on_trouble=said.append)

    (sentence,) = said
    assert "every row for postgres at 'host=db dbname=llm schema=public'" in sentence
    assert "--forget-postgres" in sentence


def test_a_thread_that_dies_ends_the_drain_so_that_a_new_one_begins(
    data: DataDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A panic of a library is no Exception."""

    class Panic(BaseException):
        pass

    class Dying(Down):
        def open(self) -> bool:
            raise Panic

    sink: Any = Dying()
    monkeypatch.setattr(loop, "PAUSE_S", 0.05)
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    with pytest.raises(OSError, match="ended unexpectedly"):
        drain_forever(data, (sink,), stop=threading.Event())


def test_a_proxy_does_not_start_with_an_address_that_cannot_be_read(tmp_path: Path) -> None:
    """Its drain would end over it again and again, and the lake would get nothing."""
    refused = mdm(
        "proxy",
        "--data",
        str(tmp_path / "data"),
        check=False,
        MAJORDOMO_POSTGRES="postgres:/u:s3cr3t@h/d",
    )

    assert refused.returncode == 2
    assert "the address of Postgres cannot be read" in refused.stderr
    assert "s3cr3t" not in refused.stderr

"""What is said to be on its way is what the spools hold beyond what the sinks have."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

from majordomo_analytics.datadir import DataDirectory
from majordomo_analytics.drain.dead_letters import DeadLetter, DeadLetters
from majordomo_analytics.drain.lag import Lag, LagWatch, lag_of
from majordomo_analytics.drain.loop import drain_once
from majordomo_analytics.drain.passes import Pass
from majordomo_analytics.records.request import RequestRecord
from majordomo_analytics.spool.files import spool_files
from tests.drain.spools import spool
from tests.support.records import a_record

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


def finished(minute: int) -> RequestRecord:
    at = NOON + timedelta(minutes=minute)
    return a_record(requested_at=at - timedelta(seconds=9), responded_at=at)


def test_each_sink_is_behind_by_what_it_has_not_got(tmp_path: Path) -> None:
    """Two spools of three rows: the lake has two of the first, Postgres has all of it."""
    data = DataDirectory.create(tmp_path / "data")
    spool(data, *[finished(n) for n in (1, 2, 3)])
    spool(data, *[finished(n) for n in (4, 5, 6)])
    first, _ = (file.uuid for file in spool_files(data.spool))

    lag = lag_of(data, {"lake": {first: 2}, "postgres": {first: 3}})

    lake, postgres = lag.sinks["lake"], lag.sinks["postgres"]
    assert (lake.rows, lake.oldest_at) == (4, NOON + timedelta(minutes=3))
    assert (postgres.rows, postgres.oldest_at) == (3, NOON + timedelta(minutes=4))
    assert (lag.spool.rows, lag.spool.oldest_at) == (4, NOON + timedelta(minutes=3))
    assert lake.age_s(NOON + timedelta(minutes=5)) == 120
    assert lake.age_s(NOON) == 0, "a clock that was set back makes no negative age"


def test_nothing_is_behind_once_everything_is_drained(tmp_path: Path) -> None:
    data = DataDirectory.create(tmp_path / "data")
    writer = spool(data, finished(1), close=False)
    drain_once(data)
    (file,) = spool_files(data.spool)

    lag = lag_of(data, {"lake": {file.uuid: file.last_sequence()}})
    writer.close()

    assert (lag.sinks["lake"].rows, lag.sinks["lake"].age_s(NOON)) == (0, 0)


def test_what_lies_aside_is_counted_by_sink(tmp_path: Path) -> None:
    data = DataDirectory.create(tmp_path / "data")
    DeadLetters(data.dead_letters).write(
        DeadLetter("postgres", str(n), "spool", n, "23514", "why", b"{}") for n in range(3)
    )
    data.quarantine.mkdir()
    for name in ("a.sqlite", "a.sqlite-wal", "b.sqlite"):
        (data.quarantine / name).write_bytes(b"damaged")

    lag = lag_of(data, {"lake": {}, "postgres": {}})

    assert lag.dead_letters == {"lake": 0, "postgres": 3}
    assert lag.quarantined == 2


def test_a_damaged_spool_hides_no_other(tmp_path: Path) -> None:
    data = DataDirectory.create(tmp_path / "data")
    spool(data, finished(1))
    (data.spool / "0damaged.sqlite").write_bytes(b"no database" * 99)

    assert lag_of(data, {"lake": {}}).sinks["lake"].rows == 1


def test_a_sink_that_is_down_is_where_it_was(tmp_path: Path) -> None:
    """It says nothing while it is down; what it had it has."""
    data = DataDirectory.create(tmp_path / "data")
    spool(data, finished(1), finished(2))
    (file,) = spool_files(data.spool)
    told, seen = threading.Event(), list[Lag]()

    def on_lag(lag: Lag) -> None:
        seen.append(lag)
        told.set()

    watch = LagWatch(data, on_lag)
    watch.on_pass("postgres", Pass(positions={file.uuid: 1}))
    watch.on_pass("postgres", Pass(is_down=True))
    with watch:
        assert told.wait(30)

    assert seen[0].sinks["postgres"].rows == 1


def test_nobody_knows_what_a_sink_has_that_was_down_from_the_start(tmp_path: Path) -> None:
    """What lies in the spools may have reached it before this drain began."""
    data = DataDirectory.create(tmp_path / "data")
    spool(data, finished(1), finished(2))
    told, seen = threading.Event(), list[Lag]()

    def on_lag(lag: Lag) -> None:
        seen.append(lag)
        told.set()

    watch = LagWatch(data, on_lag)
    watch.on_pass("lake", Pass())
    watch.on_pass("postgres", Pass(is_down=True))
    with watch:
        assert told.wait(30)

    assert {sink: behind.rows for sink, behind in seen[0].sinks.items()} == {"lake": 2}

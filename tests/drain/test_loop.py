"""From spool to lake: every row once, whatever happened in between."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Collection, Sequence
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from majordomo_analytics.datadir import DataDirectory
from majordomo_analytics.drain import passes, sinks
from majordomo_analytics.drain.loop import DrainReport, drain_forever, drain_once
from majordomo_analytics.drain.sinks import LakeSink
from majordomo_analytics.errors import LakeError
from majordomo_analytics.lake.table import append_once
from majordomo_analytics.records.request import RequestRecord, encode_record
from majordomo_analytics.records.usage import Usage
from majordomo_analytics.spool.database import create_database
from majordomo_analytics.spool.files import SpoolFile, spool_files
from majordomo_analytics.spool.locks import drain_lock
from majordomo_analytics.spool.writer import SpoolWriter
from tests.drain.spools import spool
from tests.support.proxy import lake_rows, mdm
from tests.support.records import a_record


def test_rows_reach_the_lake_with_their_cost_and_the_spool_goes(data: DataDirectory) -> None:
    """gpt-4o-mini: 1,000 input tokens at 0.15 and 100 output at 0.60 a million."""
    record = a_record(metadata={"Feature": "search", "Ticket": "T-1"}, retry_attempt=1)
    spool(data, record)

    assert drain_once(data) == DrainReport(rows=1, spools_removed=1)

    (row,) = lake_rows(data.root)
    assert row["id"] == record.id
    assert row["total_cost"] == Decimal("0.00015") + Decimal("0.00006")
    assert row["requested_date"] == record.requested_at.date()
    assert row["raw_metadata"] == {"Feature": "search", "Ticket": "T-1"}
    assert (row["indexed_Feature"], row["indexed_Team"]) == ("search", None)
    assert row["price_version"].startswith("genai-prices ")
    assert spool_files(data.spool) == []


def test_a_living_spool_is_drained_and_stays(data: DataDirectory) -> None:
    """Its worker goes on writing; what was drained is not drained again."""
    writer = spool(data, a_record(), a_record(), close=False)
    assert drain_once(data) == DrainReport(rows=2)
    assert drain_once(data) == DrainReport()

    async def one_more() -> None:
        writer._loop = None
        record = a_record()
        await writer.append(record.id, encode_record(record))

    asyncio.run(one_more())
    assert drain_once(data) == DrainReport(rows=1)
    writer.close()
    assert drain_once(data) == DrainReport(spools_removed=1)
    assert len({row["id"] for row in lake_rows(data.root)}) == 3


def test_a_commit_whose_confirmation_was_lost_is_not_made_twice(
    data: DataDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The position is read back from the lake, not remembered."""
    spool(data, *[a_record() for _ in range(5)])

    def append_and_lose(*arguments: Any, **named: Any) -> bool:
        append_once(*arguments, **named)
        raise LakeError("the connection broke")

    monkeypatch.setattr(sinks, "append_once", append_and_lose)
    assert drain_once(data).troubles == ("the connection broke",)
    monkeypatch.undo()

    assert drain_once(data) == DrainReport(spools_removed=1)
    assert len(lake_rows(data.root)) == 5


def test_batches_follow_each_other_until_the_spool_is_empty(
    data: DataDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passes, "ROWS_PER_COMMIT", 3)
    spool(data, *[a_record() for _ in range(10)])
    seen: list[int] = []

    assert drain_once(data, on_rows=seen.append).rows == 10
    assert seen == [3, 3, 3, 1]
    assert len(lake_rows(data.root)) == 10


def test_a_row_that_two_spools_hold_is_counted_once(data: DataDirectory) -> None:
    """A commit that failed may have reached the disk: its rows were written again."""
    twice, once = a_record(), a_record()
    spool(data, twice)
    drain_once(data)

    async def rewrite() -> None:
        writer = SpoolWriter(data.spool)
        writer._suspect = True
        await writer.append(twice.id, encode_record(twice))
        writer._suspect = True
        await writer.append(once.id, encode_record(once))
        writer.close()

    asyncio.run(rewrite())

    assert drain_once(data).rows == 1
    assert sorted(row["id"] for row in lake_rows(data.root)) == sorted([twice.id, once.id])


def test_a_commit_that_failed_but_reached_the_disk_is_counted_once(
    data: DataDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows are in both files then; the older one is drained first."""
    insert = SpoolWriter._insert
    failures = iter([True])

    def insert_and_fail_once(self: SpoolWriter, *rows: Any, rewritten: bool) -> None:
        insert(self, *rows, rewritten=rewritten)
        if next(failures, False):
            raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(SpoolWriter, "_insert", insert_and_fail_once)
    record = a_record()
    spool(data, record)
    assert len(spool_files(data.spool)) == 2

    drain_once(data)
    assert [row["id"] for row in lake_rows(data.root)] == [record.id]


def test_rewritten_rows_wait_for_an_older_spool_that_makes_trouble(data: DataDirectory) -> None:
    with closing(create_database(data.spool / "0000.sqlite", "0000")) as newer:
        newer.execute("update spool set version = 99")

    async def rewrite() -> None:
        writer = SpoolWriter(data.spool)
        writer._suspect = True
        record = a_record()
        await writer.append(record.id, encode_record(record))
        writer.close()

    asyncio.run(rewrite())
    assert drain_once(data).rows == 0

    SpoolFile(data.spool / "0000.sqlite").unlink()
    assert drain_once(data).rows == 1


def test_a_spool_whose_worker_died_while_making_it_is_removed(data: DataDirectory) -> None:
    (data.spool / "0000.sqlite").touch()

    assert drain_once(data) == DrainReport(spools_removed=1)
    assert spool_files(data.spool) == []


def test_a_damaged_spool_is_set_aside_and_does_not_hold_up_the_others(
    data: DataDirectory,
) -> None:
    """Nothing of it is removed; the exit status says it once, the next drain is well."""
    damaged = b"this is no database" * 100
    (data.spool / "0000.sqlite").write_bytes(damaged)
    spool(data, a_record())

    ended = mdm("drain", "--data", str(data.root), "--once", check=False)

    assert ended.returncode == 3
    said = " ".join(ended.stderr.split())
    assert "the spool 0000 was damaged: 0 of its rows were saved" in said
    assert len(lake_rows(data.root)) == 1
    assert (data.quarantine / "0000.sqlite").read_bytes() == damaged
    assert spool_files(data.spool) == []
    assert mdm("drain", "--data", str(data.root), "--once").returncode == 0


def test_what_was_begun_with_a_worker_that_is_gone_gets_a_row_that_says_so(
    data: DataDirectory,
) -> None:
    """And what had an end keeps it; the spool goes when the lake has both."""
    ended, cut = a_record(), a_record(outcome="interrupted", model=None)

    async def die_amid_it() -> None:
        writer = SpoolWriter(data.spool)
        await writer.begin(ended.id, b"never seen")
        await writer.begin(cut.id, encode_record(cut))
        await writer.append(ended.id, encode_record(ended))
        writer.close()

    asyncio.run(die_amid_it())
    report = drain_once(data)

    assert (report.rows, report.spools_removed, report.troubles) == (2, 1, ())
    outcomes = {row["id"]: row["outcome"] for row in lake_rows(data.root)}
    assert outcomes == {ended.id: "completed", cut.id: "interrupted"}


def test_what_a_living_worker_has_begun_is_left_to_it(data: DataDirectory) -> None:
    record = a_record()

    async def begin() -> SpoolWriter:
        writer = SpoolWriter(data.spool)
        await writer.begin(record.id, encode_record(record))
        return writer

    living = asyncio.run(begin())
    assert drain_once(data) == DrainReport()
    living.close()
    assert drain_once(data).rows == 1


def test_a_begun_request_in_two_spools_is_one_row_whichever_is_drained_first(
    data: DataDirectory,
) -> None:
    """A worker that dies amid a new file has it in both; the end is in the newer one."""
    record = a_record()
    begun = a_record(id=record.id, outcome="interrupted", requested_at=record.requested_at)

    async def write() -> None:
        for is_end in (False, True):
            writer = SpoolWriter(data.spool)
            await writer.begin(record.id, encode_record(begun))
            if is_end:
                await writer.append(record.id, encode_record(record))
            writer.close()

    asyncio.run(write())
    older, newer = spool_files(data.spool)
    aside = older.path.rename(data.root / older.path.name)
    assert drain_once(data).rows == 1
    assert not newer.path.exists()
    aside.rename(older.path)

    assert drain_once(data) == DrainReport(rows=0, spools_removed=1)
    (row,) = lake_rows(data.root)
    assert (row["id"], row["outcome"]) == (record.id, "completed")


def test_a_spool_that_cannot_be_written_is_drained_all_the_same_and_stays(
    data: DataDirectory,
) -> None:
    """As on a disk that is full; what was begun in it has its row once there is room."""
    finished, begun = a_record(), a_record(outcome="interrupted")

    async def write() -> None:
        writer = SpoolWriter(data.spool)
        await writer.append(finished.id, encode_record(finished))
        await writer.begin(begun.id, encode_record(begun))
        writer.close()

    asyncio.run(write())
    (file,) = spool_files(data.spool)
    with closing(sqlite3.connect(file.path)) as connection:
        connection.execute(
            "create trigger no_room before delete on begun "
            "begin select raise(abort, 'database or disk is full'); end"
        )
    report = drain_once(data)
    assert (report.rows, report.spools_removed) == (1, 0)
    assert "disk is full" in report.troubles[0]

    with closing(sqlite3.connect(file.path)) as connection:
        connection.execute("drop trigger no_room")
    assert drain_once(data) == DrainReport(rows=1, spools_removed=1)
    assert {row["id"] for row in lake_rows(data.root)} == {finished.id, begun.id}


def test_a_record_of_a_newer_version_stays_in_the_spool(data: DataDirectory) -> None:
    spool(data, a_record(version=99))
    report = drain_once(data)

    assert report.rows == 0
    assert "version 99" in report.troubles[0]
    assert "upgrade" in report.troubles[0]
    assert len(spool_files(data.spool)) == 1


def test_draining_nothing_makes_an_empty_lake(data: DataDirectory) -> None:
    assert mdm("drain", "--data", str(data.root), "--once").returncode == 0
    assert lake_rows(data.root) == []


def test_a_drain_waits_for_another_one(
    data: DataDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passes, "LOCK_WAIT_S", 0.1)
    lock = drain_lock(data.spool)
    assert lock.acquire()
    (trouble,) = drain_once(data).troubles
    assert "another drain is at work" in trouble
    assert passes.serve(data, LakeSink(data.lake)).is_down, "it says nothing of the sink"
    lock.release()
    assert drain_once(data) == DrainReport()


@pytest.mark.parametrize(
    ("usage", "model", "status"),
    [
        (Usage(), "gpt-4o-mini", "no_usage"),
        (Usage(input_tokens=5, status="partial"), "gpt-4o-mini", "no_usage"),
        (Usage(input_tokens=5, output_tokens=5, status="reported"), "nobody-knows-me", "unpriced"),
        (
            Usage(input_tokens=5, cached_tokens=9, output_tokens=5, status="reported"),
            "gpt-4o-mini",
            "error",
        ),
    ],
)
def test_a_cost_that_is_not_known_is_null_with_a_reason(
    data: DataDirectory, usage: Usage, model: str, status: str
) -> None:
    """And the tokens stay as they were reported."""
    spool(data, a_record(usage=usage, model=model))
    drain_once(data)

    (row,) = lake_rows(data.root)
    assert row["cost_status"] == status
    costs = ("input_cost", "output_cost", "tool_cost", "total_cost", "price_version")
    assert [row[name] for name in costs] == [None] * 5
    assert row["input_tokens"] == usage.input_tokens


def test_days_are_days_of_utc(data: DataDirectory) -> None:
    late = datetime(2026, 11, 20, 23, 59, 59, 999999, tzinfo=UTC)
    early = datetime(2026, 11, 21, tzinfo=UTC)
    spool(data, a_record(requested_at=late), a_record(requested_at=early))
    drain_once(data)

    assert [str(row["requested_date"]) for row in lake_rows(data.root)] == [
        "2026-11-20",
        "2026-11-21",
    ]


class Stumbling(sinks.LakeSink):
    """A lake that fails in a way that nobody has thought of."""

    fails_at = "open"

    def open(self) -> bool:
        if self.fails_at == "open":
            raise ZeroDivisionError("unforeseen")
        return super().open()

    def position(self, spool: str) -> int:
        if self.fails_at == spool:
            raise ZeroDivisionError("unforeseen")
        return super().position(spool)


def test_an_error_that_nobody_foresaw_is_a_trouble_like_any_other(data: DataDirectory) -> None:
    """For one spool, or for the sink; what can be drained is."""
    first = spool(data, a_record()).uuid
    spool(data, a_record())
    sink = Stumbling(data.lake)

    (trouble,) = drain_once(data, (sink,)).troubles
    assert "lake could not be served: ZeroDivisionError('unforeseen')" in trouble

    sink.fails_at = first
    report = drain_once(data, (sink,))
    assert (report.rows, report.spools_removed) == (1, 1)
    assert f"the spool {first} could not be drained to lake" in report.troubles[0]

    sink.fails_at = ""
    assert drain_once(data, (sink,)) == DrainReport(rows=1, spools_removed=1)


def test_a_spool_that_another_drain_removes_meanwhile_is_no_trouble(
    data: DataDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does so only once every sink has all of it."""
    spool(data, a_record())
    listed = spool_files(data.spool)
    drain_once(data)
    monkeypatch.setattr(passes, "spool_files", lambda _: listed)

    assert drain_once(data) == DrainReport()
    assert {path.name for path in data.spool.iterdir()} == {"drain.lock", "drain-adoption.lock"}


def test_a_spool_that_is_finished_is_not_read_again_while_it_waits_for_another_sink(
    data: DataDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There may be thousands when one sink is away for long; one with a writer may grow."""
    waiting = spool(data, a_record(), a_record()).uuid
    living = spool(data, a_record(), close=False)
    finished: dict[str, int] = {}
    first = passes.serve(data, sinks.LakeSink(data.lake), finished=finished)
    read: list[str] = []
    read_rows = SpoolFile.read

    def watched(self: SpoolFile, after: int, most: int) -> Any:
        read.append(self.uuid)
        return read_rows(self, after, most)

    monkeypatch.setattr(SpoolFile, "read", watched)
    second = passes.serve(data, sinks.LakeSink(data.lake), finished=finished)

    assert finished == {waiting: 2}
    assert read == [living.uuid]
    assert first.positions == second.positions == {waiting: 2, living.uuid: 1}
    living.close()
    spool_files(data.spool)[0].unlink()
    passes.serve(data, sinks.LakeSink(data.lake), finished=finished)
    assert finished == {living.uuid: 1}


class Watched(sinks.LakeSink):
    """A lake that counts how often it is opened."""

    opened = 0

    def open(self) -> bool:
        self.opened += 1
        return super().open()


class Turns(threading.Event):
    """An event that lets the lake's thread look some times, as quick as it can."""

    def __init__(self, turns: int, between: Callable[[int], None]) -> None:
        super().__init__()
        self.pauses: list[float] = []
        self._turns, self._between = turns, between

    def wait(self, timeout: float | None = None) -> bool:
        if threading.current_thread().name != "lake":
            return super().wait()  # spools stay until the end
        self.pauses.append(timeout or 0.0)
        self._between(len(self.pauses))
        if len(self.pauses) == self._turns:
            self.set()
        return self.is_set()


def test_a_lake_is_opened_when_there_is_something_for_it_and_rests_after_rows(
    data: DataDirectory,
) -> None:
    """At the start, for what a living worker wrote, for what one left, and at the end."""
    writers: list[SpoolWriter] = []
    opened: list[int] = []

    def between(turn: int) -> None:
        opened.append(sink.opened)
        if turn == 4:
            writers.append(spool(data, a_record(), close=False))
        if turn == 8:
            writers[0].close()

    sink = Watched(data.lake)
    turns = Turns(11, between)
    drain_forever(data, (sink,), stop=turns)

    assert opened == [0, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3]
    assert sink.opened == 4
    assert turns.pauses == [2, 2, 2, 2, 5, 2, 2, 2, 2, 2, 2]
    assert len(lake_rows(data.root)) == 1


class Remembering:
    """A sink in memory, as quick as can be."""

    place = "memory"

    def __init__(self, name: str) -> None:
        self.name = name
        self.ids: list[str] = []
        self._positions: dict[str, int] = {}

    def open(self) -> bool:
        return False

    def position(self, spool: str) -> int:
        return self._positions.get(spool, 0)

    def held(self, records: Collection[RequestRecord]) -> set[str]:
        return {record.id for record in records} & set(self.ids)

    def with_usage(self, *_: Any, **__: Any) -> set[str]:
        return set()

    def append(self, records: Sequence[RequestRecord], place: sinks.Place | None) -> int:
        self.ids += [record.id for record in records]
        if place is not None:
            self._positions[place.spool] = place.last
        return len(records)

    def try_out(self, records: Sequence[RequestRecord]) -> None:
        pass

    def close(self) -> None:
        pass


def test_what_two_dead_spools_have_begun_is_lost_to_no_sink_that_adopts_at_once(
    tmp_path: Path,
) -> None:
    """Each would leave it to the other; in a round out of two, before there was a lock."""
    for number in range(12):
        data = DataDirectory.create(tmp_path / str(number))
        cut = [a_record(outcome="interrupted") for _ in range(3)]

        async def begin(data: DataDirectory, cut: list[RequestRecord]) -> None:
            for _ in range(2):
                writer = SpoolWriter(data.spool)
                for record in cut:
                    await writer.begin(record.id, encode_record(record))
                writer.close()

        asyncio.run(begin(data, cut))
        both = [Remembering("lake"), Remembering("postgres")]
        for _ in range(2):
            together = threading.Barrier(2)

            def serve(sink: Remembering, data: DataDirectory, together: threading.Barrier) -> None:
                together.wait()
                assert passes.serve(data, sink).troubles == []

            threads = [threading.Thread(target=serve, args=(sink, data, together)) for sink in both]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        expected = sorted(record.id for record in cut)
        assert [sorted(sink.ids) for sink in both] == [expected, expected]


def test_a_spool_that_is_damaged_while_it_waits_for_a_sink_is_set_aside_too(
    data: DataDirectory,
) -> None:
    """The sink that has it gets nothing twice, the other gets what can be read."""
    records = [a_record(metadata={"Feature": "x" * 900}) for _ in range(60)]
    spool(data, *records)
    (file,) = spool_files(data.spool)
    assert passes.serve(data, sinks.LakeSink(data.lake)).rows == 60
    content = bytearray(file.path.read_bytes())
    middle = content.index(records[30].id.encode()) // 4096 * 4096
    content[middle : middle + 4096] = bytes(4096)
    file.path.write_bytes(content)

    other = Remembering("postgres")
    assert passes.serve(data, other).quarantined == 1
    assert passes.serve(data, sinks.LakeSink(data.lake)).rows == 0

    assert 50 <= len(other.ids) < 60
    assert set(other.ids) <= {record.id for record in records}
    assert len(lake_rows(data.root)) == 60
    assert (data.quarantine / file.path.name).read_bytes() == content

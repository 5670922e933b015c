"""What the spool says is durable is on the disk, in order, once."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from majordomo_analytics.errors import SpoolError
from majordomo_analytics.spool.files import SpoolFile, spool_files
from majordomo_analytics.spool.locks import Lock
from majordomo_analytics.spool.writer import SpoolWriter


def rows_on_disk(folder: Path) -> list[tuple[int, str, bytes, bool]]:
    return [
        (row.sequence, row.id, row.record, row.rewritten)
        for file in spool_files(folder)
        for row in file.read(0, 10_000)
    ]


def test_a_row_is_readable_by_another_connection_once_its_future_is_done(tmp_path: Path) -> None:
    async def run() -> None:
        writer = SpoolWriter(tmp_path)
        for number in range(5):
            assert await writer.append(f"id-{number}", b"record %d" % number)
            assert rows_on_disk(tmp_path)[-1] == (
                number + 1,
                f"id-{number}",
                b"record %d" % number,
                False,
            )
        writer.close()

    asyncio.run(run())


def test_rows_handed_over_together_share_commits_and_keep_their_order(tmp_path: Path) -> None:
    async def run() -> None:
        writer = SpoolWriter(tmp_path)
        futures = [writer.append(str(number), b"r") for number in range(1000)]
        await asyncio.gather(*futures)
        writer.close()

    asyncio.run(run())

    assert [(row[0], row[1]) for row in rows_on_disk(tmp_path)] == [
        (number + 1, str(number)) for number in range(1000)
    ]


def test_a_new_file_is_begun_when_one_is_full(tmp_path: Path) -> None:
    """Its lock is free then, so the drain may remove it; no row is in two files."""

    async def run() -> None:
        writer = SpoolWriter(tmp_path, rotate_bytes=1000)
        for number in range(50):
            await writer.append(str(number), b"x" * 100)
        writer.close()

    asyncio.run(run())

    assert len(spool_files(tmp_path)) == 6
    assert sorted(int(row[1]) for row in rows_on_disk(tmp_path)) == list(range(50))


def test_files_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    async def run() -> None:
        writer = SpoolWriter(tmp_path / "spool")
        await writer.append("a", b"r")
        modes = {stat.S_IMODE(p.stat().st_mode) for p in (tmp_path / "spool").iterdir()}
        writer.close()
        assert modes == {0o600}
        assert stat.S_IMODE((tmp_path / "spool").stat().st_mode) == 0o700

    asyncio.run(run())


def test_the_writer_lock_is_held_while_the_writer_lives(tmp_path: Path) -> None:
    async def run() -> None:
        writer = SpoolWriter(tmp_path)
        (file,) = spool_files(tmp_path)
        assert not file.writer_lock.acquire()
        writer.close()
        assert file.writer_lock.acquire()

    asyncio.run(run())


def test_a_stalled_file_delays_its_rows_and_loses_none(tmp_path: Path) -> None:
    async def run() -> None:
        writer = SpoolWriter(tmp_path)
        (file,) = spool_files(tmp_path)
        with closing(sqlite3.connect(file.path, isolation_level=None)) as other:
            other.execute("begin immediate")
            future = writer.append("a", b"r")
            await asyncio.sleep(0.3)
            assert not future.done()
            assert writer.unwritten == 1
            other.execute("rollback")
            assert await asyncio.wait_for(future, 5)
        writer.close()

    asyncio.run(run())

    assert [row[1] for row in rows_on_disk(tmp_path)] == ["a"]


def test_trap_24_file_that_fails_is_left_and_its_rows_go_to_a_fresh_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such rows are marked: whether the old file holds them too is not known."""
    troubles: list[str] = []

    async def run() -> None:
        writer = SpoolWriter(tmp_path, on_trouble=troubles.append)
        await writer.append("before", b"r")
        break_file_of(writer)
        await asyncio.wait_for(writer.append("after", b"r"), 5)
        assert writer.trouble is None
        writer.close()

    asyncio.run(run())

    old, new = sorted(spool_files(tmp_path), key=lambda file: file.path.stat().st_ino)
    assert len(troubles) == 1
    assert "commit to the spool failed" in troubles[0]
    readable = [file for file in (old, new) if _has_rows(file)]
    assert [(row.id, row.rewritten) for row in readable[0].read(0, 10)] == [("after", True)]


def _has_rows(file: SpoolFile) -> bool:
    with closing(sqlite3.connect(file.path)) as connection:
        tables = connection.execute("select name from sqlite_master").fetchall()
    return ("finished",) in tables


def test_trap_24_rows_wait_in_memory_while_nothing_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The trouble is told, and they are written as soon as that can be done."""

    async def run() -> None:
        writer = SpoolWriter(tmp_path)
        full = threading.Event()
        full.set()
        insert = SpoolWriter._insert

        def no_space(self: SpoolWriter, *rows: dict[str, bytes], rewritten: bool) -> None:
            if full.is_set():
                raise sqlite3.OperationalError("database or disk is full")
            insert(self, *rows, rewritten=rewritten)

        monkeypatch.setattr(SpoolWriter, "_insert", no_space)
        future = writer.append("a", b"r")
        while writer.trouble is None:  # noqa: ASYNC110 - set by another thread
            await asyncio.sleep(0.01)
        assert "disk is full" in writer.trouble
        assert not future.done()
        full.clear()
        assert await asyncio.wait_for(future, 5)
        assert writer.trouble is None
        writer.close()

    asyncio.run(run())

    assert [row[1] for row in rows_on_disk(tmp_path)] == ["a"]


@pytest.mark.parametrize("kept", [0, 1, 100, 5000])
def test_a_copy_with_a_cut_wal_recovers_a_prefix_of_the_rows(tmp_path: Path, kept: int) -> None:
    """Whatever a crash leaves of the WAL, no row is garbled and none is skipped."""
    copy = tmp_path / "copy"
    copy.mkdir()

    def copy_as_it_is() -> None:
        (file,) = spool_files(tmp_path / "live")
        (copy / file.path.name).write_bytes(file.path.read_bytes())
        wal = Path(f"{file.path}-wal").read_bytes()
        (copy / f"{file.path.name}-wal").write_bytes(wal[: len(wal) * kept // 5000])

    async def run() -> None:
        writer = SpoolWriter(tmp_path / "live")
        for number in range(20):
            await writer.append(str(number), b"x" * 300)
        copy_as_it_is()
        writer.close()

    asyncio.run(run())

    try:
        ids = [row[1] for row in rows_on_disk(copy)]
    except OSError:  # cut before the table was there: there is no row to lose
        assert kept < 1000
    else:
        assert ids == [str(number) for number in range(len(ids))]
        if kept == 5000:
            assert len(ids) == 20


def test_closing_writes_what_waits(tmp_path: Path) -> None:
    async def run() -> None:
        writer = SpoolWriter(tmp_path)
        for number in range(100):
            writer.append(str(number), b"r")
        writer.close()

    asyncio.run(run())

    assert len(rows_on_disk(tmp_path)) == 100
    assert not any(path.suffix.endswith("-wal") for path in tmp_path.iterdir())


def test_spool_files_come_oldest_first(tmp_path: Path) -> None:
    """Whatever was touched last: closing a file writes to it once more."""

    async def run() -> list[str]:
        writer = SpoolWriter(tmp_path, rotate_bytes=1)
        used = []
        for number in range(5):
            used.append(writer.uuid)
            await writer.append(str(number), b"r")
            while writer.uuid == used[-1]:  # noqa: ASYNC110 - changed by another thread
                await asyncio.sleep(0.001)
        writer.close()
        return used

    used = asyncio.run(run())
    os.utime(tmp_path / f"{used[0]}.sqlite")

    assert [file.uuid for file in spool_files(tmp_path)][:5] == used


def test_more_rows_than_memory_should_hold_are_refused(tmp_path: Path) -> None:
    """While the disk does not take them; what was taken is written when it does."""

    async def run() -> None:
        writer = SpoolWriter(tmp_path, most_waiting_bytes=10_000)
        (file,) = spool_files(tmp_path)
        other = sqlite3.connect(file.path, isolation_level=None)
        other.execute("begin immediate")
        for taken in range(11):
            writer.append(str(taken), b"x" * 1000)
        with pytest.raises(SpoolError, match="wait for the disk"):
            writer.append("one too many", b"x" * 1000)
        other.execute("rollback")
        other.close()
        writer.close()

    asyncio.run(run())

    assert len(rows_on_disk(tmp_path)) == 11


def break_file_of(writer: SpoolWriter) -> None:
    """Let the next commit to its file fail, and none to a new one."""
    assert writer._current is not None
    writer._current.connection.execute("drop table finished")


async def until(holds: Callable[[], bool]) -> None:
    """Wait for what the writer's thread does."""
    while not holds():  # noqa: ASYNC110 - no event of a loop tells of it
        await asyncio.sleep(0.001)


def begun_on_disk(folder: Path) -> list[tuple[str, str, bytes]]:
    """Return spool, id and record of what is begun, as any SQLite reads it."""
    found = []
    for file in spool_files(folder):
        if file.was_never_begun():  # it is being made
            continue
        with closing(sqlite3.connect(file.path)) as connection:
            rows = connection.execute("select id, record from begun order by id")
            found += [(file.uuid, *row) for row in rows]
    return found


def test_a_begun_request_is_on_disk_until_its_end_takes_its_place(tmp_path: Path) -> None:
    async def run() -> None:
        writer = SpoolWriter(tmp_path)
        assert await writer.begin("a", b"begun a")
        assert await writer.begin("b", b"begun b")
        assert begun_on_disk(tmp_path) == [
            (writer.uuid, "a", b"begun a"),
            (writer.uuid, "b", b"begun b"),
        ]
        await writer.append("a", b"ended a")
        assert begun_on_disk(tmp_path) == [(writer.uuid, "b", b"begun b")]
        writer.close()

    asyncio.run(run())

    assert [row[1:3] for row in rows_on_disk(tmp_path)] == [("a", b"ended a")]


def test_a_request_whose_beginning_and_end_share_a_commit_leaves_no_beginning(
    tmp_path: Path,
) -> None:
    async def run() -> None:
        writer = SpoolWriter(tmp_path)
        (file,) = spool_files(tmp_path)
        with closing(sqlite3.connect(file.path, isolation_level=None)) as other:
            other.execute("begin immediate")
            held_up = writer.append("first", b"r")
            await asyncio.sleep(0.1)
            futures = [writer.begin("a", b"begun"), writer.append("a", b"ended")]
            futures.append(writer.begin("b", b"begun"))
            other.execute("rollback")
        assert await asyncio.gather(held_up, *futures) == [True] * 4
        writer.close()

    asyncio.run(run())

    assert [row[1] for row in rows_on_disk(tmp_path)] == ["first", "a"]
    assert [row[1] for row in begun_on_disk(tmp_path)] == ["b"]


def test_what_is_begun_goes_along_into_the_next_file(tmp_path: Path) -> None:
    """In one file at any time, so that nobody takes it for lost while it goes on."""

    async def run() -> None:
        writer = SpoolWriter(tmp_path, rotate_bytes=1)
        first = writer.uuid
        begun = [writer.begin(f"open-{number:03}", b"begun") for number in range(300)]
        await asyncio.gather(*begun)
        await writer.append("a", b"ended")
        await until(lambda: writer.uuid != first)
        await until(lambda: {row[0] for row in begun_on_disk(tmp_path)} == {writer.uuid})
        assert len(begun_on_disk(tmp_path)) == 300
        await writer.append("open-007", b"ended")
        await until(lambda: len(spool_files(tmp_path)) == 3)
        await until(lambda: len(begun_on_disk(tmp_path)) == 299)
        assert {row[0] for row in begun_on_disk(tmp_path)} == {writer.uuid}
        writer.close()

    asyncio.run(asyncio.wait_for(run(), 30))

    assert {row[1] for row in rows_on_disk(tmp_path)} == {"a", "open-007"}


def test_what_is_begun_goes_along_when_a_file_fails(tmp_path: Path) -> None:
    """The old file keeps it too, as nothing more is written there."""

    async def run() -> None:
        writer = SpoolWriter(tmp_path)
        await writer.begin("open", b"begun")
        old = writer.uuid
        break_file_of(writer)
        await asyncio.wait_for(writer.append("a", b"ended"), 5)
        assert begun_on_disk(tmp_path) == [(old, "open", b"begun"), (writer.uuid, "open", b"begun")]
        writer.close()

    asyncio.run(run())


def test_what_a_failed_commit_began_is_in_the_next_file_before_the_old_one_may_be_adopted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commit may have reached the disk: who adopts it would take it for cut short."""
    insert: Callable[..., None] = SpoolWriter._insert
    failures = iter([True, True])
    found: list[set[str]] = []
    release = Lock.release

    def insert_and_fail(self: SpoolWriter, *rows: object, **named: object) -> None:
        insert(self, *rows, **named)
        if next(failures, False):
            raise sqlite3.OperationalError("disk I/O error")

    def look_and_release(self: Lock) -> None:
        found.append(set().union(*(file.known({"a"}) for file in spool_files(tmp_path)[1:])))
        release(self)

    monkeypatch.setattr(SpoolWriter, "_insert", insert_and_fail)
    monkeypatch.setattr(Lock, "release", look_and_release)

    async def run() -> None:
        writer = SpoolWriter(tmp_path)
        assert await writer.begin("a", b"begun")
        writer.close()

    asyncio.run(run())

    assert len(found) >= 3  # two files that failed, and the one that was closed
    assert all(known == {"a"} for known in found)


def test_a_spool_over_its_bound_is_full_until_it_is_drained(tmp_path: Path) -> None:
    """It begins a new file by itself: the one it writes could not go."""

    async def run() -> None:
        writer = SpoolWriter(tmp_path, most_bytes=200_000)
        writer.measure()
        assert writer.full is None
        first = writer.uuid
        for number in range(30):
            await writer.append(str(number), b"x" * 10_000)
        size = writer.measure()
        assert size > 200_000
        assert writer.full is not None
        assert f"{size:,} bytes, and may take 200,000" in writer.full
        await until(lambda: writer.uuid != first)
        # The writer lock of the old one is given back last.
        lock = SpoolFile(tmp_path / f"{first}.sqlite").writer_lock
        await until(lock.acquire)
        SpoolFile(tmp_path / f"{first}.sqlite").unlink()
        lock.release()
        writer.measure()
        assert writer.full is None
        writer.close()

    asyncio.run(asyncio.wait_for(run(), 30))


def test_a_spool_is_full_before_memory_is(tmp_path: Path) -> None:
    """What is under way can still hand its end over."""

    async def run() -> None:
        writer = SpoolWriter(tmp_path, most_waiting_bytes=10_000)
        (file,) = spool_files(tmp_path)
        other = sqlite3.connect(file.path, isolation_level=None)
        other.execute("begin immediate")
        for taken in range(8):
            assert writer.full is None
            writer.append(str(taken), b"x" * 1000)
        assert writer.full is not None
        assert "wait for the disk" in writer.full
        last = writer.append("under way", b"x" * 1000)
        other.execute("rollback")
        other.close()
        assert await last
        assert writer.full is None
        writer.close()

    asyncio.run(run())


def test_what_no_end_will_come_of_stays_in_its_file(tmp_path: Path) -> None:
    """It must not go along from file to file for as long as its worker lives."""

    async def run() -> None:
        writer = SpoolWriter(tmp_path, rotate_bytes=1)
        first = writer.uuid
        await asyncio.gather(writer.begin("open", b"begun"), writer.begin("over", b"begun"))
        writer.forget("over")
        await writer.append("a", b"ended")
        await until(lambda: writer.uuid != first)
        await until(lambda: len(begun_on_disk(tmp_path)) == 2)
        assert sorted(begun_on_disk(tmp_path)) == sorted(
            [(first, "over", b"begun"), (writer.uuid, "open", b"begun")]
        )
        writer.close()

    asyncio.run(asyncio.wait_for(run(), 30))


def test_a_new_file_that_cannot_be_made_is_told_once_and_not_tried_at_every_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    troubles: list[str] = []

    async def run() -> None:
        writer = SpoolWriter(tmp_path, rotate_bytes=1, on_trouble=troubles.append)

        def refuse(_: SpoolWriter) -> None:
            raise OSError("too many open files")

        monkeypatch.setattr(SpoolWriter, "_new_file", refuse)
        for number in range(20):
            await writer.append(str(number), b"r")
        writer.close()

    asyncio.run(run())

    assert len(rows_on_disk(tmp_path)) == 20
    assert troubles == ["no new spool file could be made, the old one goes on: too many open files"]


def test_large_rows_are_read_a_few_at_a_time(tmp_path: Path) -> None:
    """A batch takes many times the memory of its records."""

    async def run() -> None:
        writer = SpoolWriter(tmp_path)
        await asyncio.gather(*(writer.append(str(n), b"x" * 2**20) for n in range(30)))
        writer.close()

    asyncio.run(run())
    (file,) = spool_files(tmp_path)

    read: list[str] = []
    while batch := file.read(len(read), 10_000):
        assert len(batch) <= 9
        read += [row.id for row in batch]
    assert sorted(read, key=int) == [str(number) for number in range(30)]

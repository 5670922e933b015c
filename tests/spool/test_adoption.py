"""The spool of a worker that is gone: nothing begun is forgotten, damage costs little."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from majordomo_analytics.errors import SpoolError
from majordomo_analytics.spool.adoption import Adoption, adopt
from majordomo_analytics.spool.files import SpoolFile, spool_files
from majordomo_analytics.spool.writer import SpoolWriter

PAGE_BYTES = 4096


def write(
    folder: Path, begun: dict[str, bytes], finished: dict[str, bytes], *, rotate_bytes: int = 2**20
) -> None:
    async def run() -> None:
        writer = SpoolWriter(folder, rotate_bytes=rotate_bytes)
        for request_id, record in begun.items():
            await writer.begin(request_id, record)
        await asyncio.gather(*(writer.append(*pair) for pair in finished.items()))
        writer.close()

    asyncio.run(run())


def rows(file: SpoolFile) -> dict[str, bytes]:
    return {row.id: row.record for row in file.read(0, 10_000)}


def test_what_was_begun_has_the_row_that_it_was_begun_with(tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    write(spool, {"a": b"begun a", "b": b"begun b"}, {"b": b"ended b"})
    (file,) = spool_files(spool)

    assert not file.is_adopted()
    assert adopt(file, tmp_path / "quarantine") == Adoption(interrupted=1)

    assert rows(file) == {"a": b"begun a", "b": b"ended b"}
    assert {row.id for row in file.read(0, 9) if row.rewritten} == {"a"}
    assert file.is_adopted()
    assert adopt(file, tmp_path / "quarantine") == Adoption()
    assert len(file.read(0, 9)) == 2


def test_what_a_newer_spool_knows_of_is_left_to_it(tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    write(spool, {"open": b"old", "ended": b"old", "mine": b"old"}, {})
    (older,) = spool_files(spool)
    write(spool, {"open": b"new", "ended": b"new"}, {"ended": b"end"})

    assert adopt(older, tmp_path / "quarantine") == Adoption(interrupted=1)

    assert rows(older) == {"mine": b"old"}


def test_what_a_spool_may_know_of_that_cannot_be_read_now_is_left_for_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may hold the row that the request ended with, which would come second."""
    spool = tmp_path / "spool"
    write(spool, {"ended": b"begun"}, {})
    (older,) = spool_files(spool)
    write(spool, {}, {"ended": b"end"})
    (spool / "0000.sqlite").touch()  # its worker died before it could hold a row

    def fail(*_: object) -> None:
        raise SpoolError("disk I/O error")

    with monkeypatch.context() as patch:
        patch.setattr(SpoolFile, "known", fail)
        with pytest.raises(SpoolError, match="disk I/O error"):
            adopt(older, tmp_path / "quarantine")
    assert rows(older) == {}
    assert older.holds_begun_rows()

    assert adopt(older, tmp_path / "quarantine") == Adoption()
    assert rows(older) == {}


def test_what_a_living_worker_takes_along_meanwhile_is_left_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its next spool is made after the spools were listed, its last one asked too late."""
    spool = tmp_path / "spool"
    write(spool, {"open": b"begun"}, {})
    (older,) = spool_files(spool)
    write(spool, {}, {"other": b"end"})
    known = SpoolFile.known
    moved = iter([True])

    def move_first(self: SpoolFile, ids: set[str]) -> set[str]:
        if next(moved, False):
            write(spool, {"open": b"begun"}, {})
        return known(self, ids)

    monkeypatch.setattr(SpoolFile, "known", move_first)
    assert adopt(older, tmp_path / "quarantine") == Adoption()


def test_a_spool_of_version_1_has_nothing_begun(tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    write(spool, {}, {"a": b"ended"})
    (file,) = spool_files(spool)
    with closing(sqlite3.connect(file.path)) as connection:
        connection.executescript("drop trigger ended; drop table begun; update spool set version=1")

    assert file.known(["a", "b"]) == {"a"}
    assert adopt(file, tmp_path / "quarantine") == Adoption()
    assert file.is_adopted()
    assert rows(file) == {"a": b"ended"}


def test_a_spool_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    write(spool, {"a": b"begun"}, {})
    (file,) = spool_files(spool)
    with closing(sqlite3.connect(file.path)) as connection, connection:
        connection.execute("update spool set version = 99")
    before = file.path.read_bytes()

    with pytest.raises(SpoolError, match="version 99"):
        adopt(file, tmp_path / "quarantine")
    assert file.path.read_bytes() == before


@given(
    length=st.integers(1, 3),
    first=st.integers(0, 10_000),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=25, deadline=None)
def test_damaged_pages_cost_no_row_that_can_still_be_read(
    tmp_path_factory: pytest.TempPathFactory, length: int, first: int, seed: int
) -> None:
    """Pages are overwritten anywhere; what is saved is as it was, and the file is kept."""
    folder = tmp_path_factory.mktemp("damaged")
    written = {f"id-{number:04}": b"record %d " % number * 40 for number in range(200)}
    write(folder / "spool", {"open": b"begun"}, written)
    (file,) = spool_files(folder / "spool")
    content = bytearray(file.path.read_bytes())
    pages = len(content) // PAGE_BYTES
    begin = (first % pages) * PAGE_BYTES
    noise = random.Random(seed).randbytes(length * PAGE_BYTES)
    content[begin : begin + len(noise)] = noise
    del content[pages * PAGE_BYTES :]
    file.path.write_bytes(content)

    adoption = adopt(file, folder / "quarantine")

    if adoption.saved_in is None:  # pages that nothing needs were overwritten
        assert rows(file) == written | {"open": b"begun"}
        return
    saved = rows(adoption.saved_in)
    assert saved.items() <= written.items()
    assert len(saved) == adoption.saved >= len(written) - adoption.missing - 200
    assert (folder / "quarantine" / file.path.name).read_bytes() == content
    assert spool_files(folder / "spool") == [adoption.saved_in]
    assert not file.path.with_suffix(".writer").exists()
    assert all(row.rewritten for row in adoption.saved_in.read(0, 1000))
    adopt(adoption.saved_in, folder / "quarantine")
    assert adoption.saved_in.is_adopted()


def test_rows_on_both_sides_of_the_damage_are_saved(tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    written = {f"id-{number:04}": b"x" * 1000 for number in range(100)}
    write(spool, {"open": b"begun"}, written)
    (file,) = spool_files(spool)
    content = bytearray(file.path.read_bytes())
    middle = content.index(b"id-0050") // PAGE_BYTES * PAGE_BYTES
    content[middle : middle + PAGE_BYTES] = bytes(PAGE_BYTES)
    file.path.write_bytes(content)

    adoption = adopt(file, tmp_path / "quarantine")

    assert adoption.saved_in is not None
    saved = set(rows(adoption.saved_in))
    assert {"id-0000", "id-0040", "id-0060", "id-0099"} <= saved
    assert "id-0050" not in saved
    assert adoption.missing == 100 - adoption.saved
    assert adopt(adoption.saved_in, tmp_path / "quarantine") == Adoption(interrupted=1)
    assert rows(adoption.saved_in)["open"] == b"begun"
    assert stat.S_IMODE((tmp_path / "quarantine").stat().st_mode) == 0o700
    told = adoption.told(file, tmp_path / "quarantine")
    assert f"{adoption.saved} of its rows were saved, {adoption.missing} or more are lost" in told


def test_what_is_begun_goes_where_its_end_is_saved(tmp_path: Path) -> None:
    """A page that was never written may still hold what was begun."""
    spool = tmp_path / "spool"
    write(spool, {"a": b"begun"}, {f"id-{n}": b"x" * 1000 for n in range(20)})
    (file,) = spool_files(spool)
    with closing(sqlite3.connect(file.path)) as connection, connection:
        connection.execute("drop trigger ended")
        connection.execute(
            "insert into finished (id, record, rewritten) values ('a', x'656e64', 0)"
        )
    content = bytearray(file.path.read_bytes())
    middle = content.index(b"id-5") // PAGE_BYTES * PAGE_BYTES
    content[middle : middle + PAGE_BYTES] = bytes(PAGE_BYTES)
    file.path.write_bytes(content)

    saved_in = adopt(file, tmp_path / "quarantine").saved_in

    assert saved_in is not None
    assert adopt(saved_in, tmp_path / "quarantine") == Adoption()
    assert rows(saved_in)["a"] == b"end"

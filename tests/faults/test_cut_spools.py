"""A spool as a crash leaves it, at any instant and cut at any byte, holds what was said."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from majordomo_analytics.spool.files import SpoolFile, spool_files
from majordomo_analytics.spool.writer import SpoolWriter

PAGE_BYTES = 4096
Commit = list[tuple[str, str, int]]
"""Steps of one commit: begin or end, of which request, with how large a record."""


@dataclass(frozen=True)
class State:
    """What a spool holds: begun requests, and ended ones in their order."""

    begun: frozenset[str]
    ended: tuple[str, ...]


@st.composite
def histories(draw: st.DrawFn) -> list[Commit]:
    """Draw commits in which requests begin and end, some without having begun."""
    commits: list[Commit] = []
    open_now: list[str] = []
    fresh = iter(range(1000))
    for _ in range(draw(st.integers(1, 8))):
        commit: Commit = []
        for _ in range(draw(st.integers(1, 5))):
            size = draw(st.sampled_from([0, 10, 300, 5000]))
            step = draw(st.sampled_from(["begin", "end", "at once"]))
            if step == "end" and open_now:
                commit.append(("end", open_now.pop(draw(st.integers(0, len(open_now) - 1))), size))
            elif step == "at once":
                commit.append(("end", f"id-{next(fresh)}", size))
            else:
                open_now.append(f"id-{next(fresh)}")
                commit.append(("begin", open_now[-1], size))
        commits.append(commit)
    return commits


def states_of(commits: list[Commit]) -> list[State]:
    """Return the state before the first commit, and the one after each."""
    begun: set[str] = set()
    ended: list[str] = []
    states = [State(frozenset(), ())]
    for commit in commits:
        for step, request_id, _ in commit:
            if step == "begin":
                begun.add(request_id)
            else:
                begun.discard(request_id)
                ended.append(request_id)
        states.append(State(frozenset(begun), tuple(ended)))
    return states


def record(request_id: str, size: int) -> bytes:
    return request_id.encode() * (1 + size // len(request_id))


def state_of(folder: Path, sizes: dict[tuple[str, str], int]) -> State | None:
    """Return what a spool holds; None for one that has no tables yet."""
    (file,) = spool_files(folder)
    if file.was_never_begun():
        return None
    with closing(sqlite3.connect(file.path)) as connection:
        assert connection.execute("pragma quick_check").fetchall() == [("ok",)]
        begun = dict(connection.execute("select id, record from begun"))
        ended = connection.execute("select id, record from finished order by sequence").fetchall()
    for step, rows in (("begin", begun.items()), ("end", ended)):
        for request_id, content in rows:
            assert content == record(request_id, sizes[step, request_id])
    return State(frozenset(begun), tuple(request_id for request_id, _ in ended))


def copy_as_it_is(file: SpoolFile, to: Path) -> None:
    to.mkdir()
    for path in (file.path, Path(f"{file.path}-wal")):
        shutil.copyfile(path, to / path.name)


@settings(max_examples=15)
@given(
    commits=histories(),
    cuts=st.lists(st.floats(0, 1), min_size=3, max_size=3),
    noise=st.binary(max_size=40),
)
def test_a_wal_cut_at_any_byte_recovers_what_a_number_of_whole_commits_left(
    tmp_path_factory: pytest.TempPathFactory,
    commits: list[Commit],
    cuts: list[float],
    noise: bytes,
) -> None:
    """Copied after every commit; cut, or ending in noise; whole, it has all of them."""
    folder = tmp_path_factory.mktemp("cut")
    sizes = {(step, i): size for commit in commits for step, i, size in commit}

    async def run() -> None:
        writer = SpoolWriter(folder / "live")
        for number, commit in enumerate(commits):
            (file,) = spool_files(folder / "live")
            steps = [
                (writer.begin if step == "begin" else writer.append)(i, record(i, size))
                for step, i, size in commit
            ]
            await asyncio.gather(*steps)
            copy_as_it_is(file, folder / f"after-{number}")
        writer.close()

    asyncio.run(run())

    states = states_of(commits)
    # What is handed over together may share a commit, or be in two that follow each other.
    allowed = {*states_of([[step] for commit in commits for step in commit]), *states}
    for number in range(len(commits)):
        copy = folder / f"after-{number}"
        (wal,) = copy.glob("*-wal")
        whole = wal.read_bytes()
        for at, cut in enumerate(cuts):
            part = folder / f"cut-{number}-{at}"
            shutil.copytree(copy, part)
            (part / wal.name).write_bytes(whole[: int(cut * len(whole))] + noise)
            found = state_of(part, sizes)
            assert found is None or found in allowed
        assert state_of(copy, sizes) == states[number + 1]


@settings(max_examples=10)
@given(rows=st.integers(1, 30), size=st.sampled_from([10, 900, 6000]), done=st.data())
def test_a_checkpoint_cut_off_between_any_pages_loses_nothing(
    tmp_path_factory: pytest.TempPathFactory, rows: int, size: int, done: st.DataObject
) -> None:
    """Any pages may have reached the database; the WAL is whole until all of them have."""
    folder = tmp_path_factory.mktemp("checkpoint")
    sizes = {("end", f"id-{number}"): size for number in range(rows)}

    async def run() -> None:
        writer = SpoolWriter(folder / "live")
        for number in range(rows):
            await writer.append(f"id-{number}", record(f"id-{number}", size))
        copy_as_it_is(spool_files(folder / "live")[0], folder / "before")
        writer.close()

    asyncio.run(run())

    (after,) = (file.path for file in spool_files(folder / "live"))
    (before,) = (file.path for file in spool_files(folder / "before"))
    old, new = before.read_bytes(), after.read_bytes()
    pages = len(new) // PAGE_BYTES
    written = done.draw(st.sets(st.integers(0, pages - 1)))
    mixed = bytearray(old.ljust(len(new), b"\0"))
    for page in written:
        place = slice(page * PAGE_BYTES, (page + 1) * PAGE_BYTES)
        mixed[place] = new[place]
    before.write_bytes(mixed)

    found = state_of(folder / "before", sizes)

    assert found == State(frozenset(), tuple(f"id-{number}" for number in range(rows)))

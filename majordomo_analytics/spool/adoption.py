"""Adopt the spool of a worker that is gone: give what it began rows, set damage aside.

What was begun and never finished was cut short with its worker, unless a newer spool knows
of it: a worker takes along what is open when it begins a new file. A spool that is no sound
database any more goes into quarantine, as it is, and what can still be read of it into a
new spool. Rows that come by either way are marked as rewritten, since a sink may have a row
of the same id: it is asked before it gets them.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from majordomo_analytics.errors import DamagedSpoolError, SpoolError
from majordomo_analytics.records.ids import new_request_id
from majordomo_analytics.spool.database import ADOPTED, BUSY_TIMEOUT_MS, create_database
from majordomo_analytics.spool.files import SIDE_SUFFIXES, SUFFIX, SpoolFile, flush, spool_files
from majordomo_analytics.spool.locks import adopting

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Adoption:
    """What became of a spool without a writer.

    Attributes
    ----------
    interrupted
        Requests that were begun in it and have a row now that says so.
    saved_in
        The spool that has what could be read of it, if it was damaged.
    saved
        Rows that could be read of a damaged one.
    missing
        Rows that have to have been in a damaged one, by their numbers, and could not.
    """

    interrupted: int = 0
    saved_in: SpoolFile | None = None
    saved: int = 0
    missing: int = 0

    def told(self, spool: SpoolFile, quarantine: Path) -> str:
        """Say what happened to a damaged spool."""
        return (
            f"the spool {spool.uuid} was damaged: {self.saved:,} of its rows were saved, "
            f"{self.missing:,} or more are lost; the file is kept in {str(quarantine)!r}"
        )


def adopt(spool: SpoolFile, quarantine: Path) -> Adoption:
    """Let every begun request of a spool have a row; the caller holds its writer lock.

    Raises
    ------
    SpoolError
        If it cannot be read or written now, or a newer version wrote it.
    """
    try:
        if spool.was_never_begun() or spool.is_adopted():
            return Adoption()
        # One at a time in a folder: of two that adopted at once, each would leave to the
        # other what both had begun.
        with adopting(spool.path.parent), spool.told_plainly(), spool.open() as connection:
            version = spool.version(connection)
            _check(spool, connection)
            return Adoption(interrupted=_recover(spool, connection, version))
    except DamagedSpoolError:
        return set_aside(spool, quarantine)


def _check(spool: SpoolFile, connection: sqlite3.Connection) -> None:
    (found,) = connection.execute("pragma quick_check(1)").fetchone()
    if found != "ok":
        message = f"the spool {str(spool.path)!r} is damaged: {found}"
        raise DamagedSpoolError(message)


def _recover(spool: SpoolFile, connection: sqlite3.Connection, version: int) -> int:
    """Turn what is begun into rows, in one transaction, and note that it was done."""
    connection.execute("pragma synchronous = full")
    connection.execute(f"pragma busy_timeout = {BUSY_TIMEOUT_MS}")
    begun: dict[str, bytes] = {}
    if version > 1:
        begun = dict(connection.execute("select id, record from begun"))
    _leave_to_others(spool, begun)
    connection.execute("begin immediate")
    # In the order of their ids, which is that of their beginning.
    connection.executemany(
        "insert into finished (id, record, rewritten) values (?, ?, true)", sorted(begun.items())
    )
    if version > 1:
        connection.execute("delete from begun")
    connection.execute(f"pragma user_version = {ADOPTED}")
    connection.execute("commit")
    return len(begun)


def _leave_to_others(spool: SpoolFile, begun: dict[str, bytes]) -> None:
    """Take out of `begun` what another spool knows of.

    Raises
    ------
    SpoolError
        If another one cannot be read just now: it may hold the row that a request ended
        with, and of two rows of one request the first to come counts.
    """
    asked = {spool}
    # Again until there is no new one: a living worker may have taken them along meanwhile.
    while begun and (others := [s for s in spool_files(spool.path.parent) if s not in asked]):
        for other in others:
            asked.add(other)
            if other.was_never_begun():
                continue
            try:
                known = other.known(begun)
            except DamagedSpoolError:
                continue  # it may be so for good; what is saved of it finds the row there
            except SpoolError:
                if other.path.exists():
                    raise
                continue  # every sink has what it held, and is asked
            for request_id in known:
                del begun[request_id]


def set_aside(spool: SpoolFile, quarantine: Path) -> Adoption:
    """Save what can be read of a damaged spool in a new one, and move it away.

    The caller holds its writer lock.

    Raises
    ------
    SpoolError
        If that cannot be done now; nothing was changed then.
    """
    with adopting(spool.path.parent):
        return _set_aside(spool, quarantine)


def _set_aside(spool: SpoolFile, quarantine: Path) -> Adoption:
    finished, begun = _readable(spool)
    saved_in = SpoolFile(spool.path.with_name(f"{new_request_id()}{SUFFIX}"))
    lock = saved_in.writer_lock
    if not lock.acquire():
        message = f"the new spool {str(saved_in.path)!r} has a writer already"
        raise SpoolError(message)
    try:
        with (
            saved_in.told_plainly(),
            closing(create_database(saved_in.path, saved_in.uuid)) as connection,
        ):
            connection.execute("begin immediate")
            # In this order: what is begun goes where its end is saved, too.
            connection.executemany("insert into begun values (?, ?)", begun.items())
            connection.executemany(
                "insert into finished (id, record, rewritten) values (?, ?, true)",
                (finished[sequence] for sequence in sorted(finished)),
            )
            connection.execute("commit")
        _move(spool, quarantine)
    except BaseException:
        saved_in.unlink()
        raise
    finally:
        lock.release()
    missing = max(finished, default=0) - len(finished)
    return Adoption(saved_in=saved_in, saved=len(finished), missing=missing)


def _readable(spool: SpoolFile) -> tuple[dict[int, tuple[str, bytes]], dict[str, bytes]]:
    """Return what can be read from either end up to the damage."""
    finished: dict[int, tuple[str, bytes]] = {}
    begun: dict[str, bytes] = {}
    for direction in ("asc", "desc"):
        with suppress(sqlite3.Error), spool.open() as connection:
            query = f"select sequence, id, record from finished order by sequence {direction}"  # noqa: S608 - one of two words
            for sequence, request_id, record in connection.execute(query):
                if sequence in finished:
                    break
                finished[sequence] = (request_id, record)
    with suppress(sqlite3.Error), spool.open() as connection:
        begun.update(connection.execute("select id, record from begun"))
    return finished, begun


def _move(spool: SpoolFile, quarantine: Path) -> None:
    quarantine.mkdir(mode=0o700, exist_ok=True)
    # The database itself goes last: whoever dies amid it leaves one that is damaged still.
    for suffix in (*SIDE_SUFFIXES, SUFFIX):
        path = spool.path.with_suffix(suffix)
        with suppress(FileNotFoundError):
            path.replace(quarantine / path.name)
    for folder in (quarantine, spool.path.parent):
        flush(folder)
    spool.path.with_suffix(".writer").unlink(missing_ok=True)

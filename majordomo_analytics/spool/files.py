"""Spool files: their names, layout, locks, and how the drain reads them.

A spool is a SQLite file named by its own UUID, in WAL mode, with a lock file beside it that
its worker holds for as long as it lives. The drain holds a lock on the whole folder for
each sink while it works. The database file itself is never locked by us: closing any
other descriptor to it would drop SQLite's own locks.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from majordomo_analytics.errors import SpoolError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SPOOL_VERSION = 1
SUFFIX = ".sqlite"
SIDE_SUFFIXES = (f"{SUFFIX}-wal", f"{SUFFIX}-shm")

SCHEMA = (
    "create table spool (uuid text not null, version integer not null) strict",
    """create table finished (
        sequence integer primary key autoincrement,
        id text not null,
        record blob not null,
        rewritten integer not null
    ) strict""",
)


@dataclass(frozen=True, slots=True)
class SpooledRow:
    """One finished request in a spool.

    Attributes
    ----------
    sequence
        Its number in this spool, ascending from 1, never used twice.
    id
        The id of the request.
    record
        The bytes of its `RequestRecord`.
    rewritten
        Whether an earlier spool may hold the row too, because a commit to it failed.
    """

    sequence: int
    id: str
    record: bytes
    rewritten: bool


class Lock:
    """An exclusive lock on a file of its own; the kernel frees it when the holder dies."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def acquire(self) -> bool:
        """Take the lock if nobody holds it; return whether it was taken."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        """Give the lock back; it may be taken again afterwards."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


@dataclass(frozen=True, slots=True)
class SpoolFile:
    """One spool on disk.

    Attributes
    ----------
    path
        The SQLite file; the stem of its name is the spool's UUID.
    """

    path: Path

    @property
    def uuid(self) -> str:
        """The UUID of the spool, under which sinks remember how far they are."""
        return self.path.stem

    @property
    def writer_lock(self) -> Lock:
        """Held by the worker that writes this spool."""
        return Lock(self.path.with_suffix(".writer"))

    def read(self, after: int, most: int) -> list[SpooledRow]:
        """Return up to `most` finished rows with a sequence number above `after`.

        Opens and closes its own connection: a reader that stayed would keep the worker's
        WAL from being checkpointed.

        Raises
        ------
        SpoolError
            If the file is damaged, or a newer version of this package wrote it.
        """
        with self._connect() as connection:
            rows = connection.execute(
                "select sequence, id, record, rewritten from finished where sequence > ? "
                "order by sequence limit ?",
                (after, most),
            ).fetchall()
        return [
            SpooledRow(sequence, request_id, record, bool(rewritten))
            for sequence, request_id, record, rewritten in rows
        ]

    def _open(self) -> closing[sqlite3.Connection]:
        address = f"{self.path.absolute().as_uri()}?mode=rw"
        return closing(sqlite3.connect(address, uri=True))

    @contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        try:
            with self._open() as connection:
                connection.execute("pragma query_only = on")
                version = connection.execute("select version from spool").fetchone()[0]
                if version > SPOOL_VERSION:
                    message = (
                        f"the spool {str(self.path)!r} has version {version}, this package "
                        f"reads up to {SPOOL_VERSION}; upgrade majordomo-analytics"
                    )
                    raise SpoolError(message)
                yield connection
        except (sqlite3.Error, TypeError) as error:
            message = f"the spool {str(self.path)!r} cannot be read: {error}"
            raise SpoolError(message) from error

    def was_never_begun(self) -> bool:
        """Return whether its worker died, or is still busy, before it could hold a row."""
        try:
            with self._open() as connection:
                return not connection.execute("select name from sqlite_master").fetchall()
        except sqlite3.Error:
            return False

    def holds_rewritten_rows(self) -> bool:
        """Return whether some of its rows may be in an older spool too."""
        with self._connect() as connection:
            query = "select exists (select 1 from finished where rewritten)"
            return bool(connection.execute(query).fetchone()[0])

    def last_sequence(self) -> int:
        """Return the number of its last finished row, 0 before the first."""
        with self._connect() as connection:
            query = "select coalesce(max(sequence), 0) from finished"
            return int(connection.execute(query).fetchone()[0])

    def rows_after(self, sequence: int) -> int:
        """Return how many finished rows have a sequence number above `sequence`."""
        with self._connect() as connection:
            query = "select count(*) from finished where sequence > ?"
            return int(connection.execute(query, (sequence,)).fetchone()[0])

    def unlink(self) -> None:
        """Remove the spool with its side files; only for a spool without a writer.

        Whoever dies amid it leaves what is seen again: a spool, or files that stand beside
        none. The lock goes first, as only a spool brings it back to mind.
        """
        for suffix in (".writer", SUFFIX, *SIDE_SUFFIXES):
            self.path.with_suffix(suffix).unlink(missing_ok=True)


def spool_files(folder: Path) -> list[SpoolFile]:
    """Return the spools in `folder`, oldest first."""
    return [SpoolFile(path) for path in sorted(folder.glob(f"*{SUFFIX}"))]


def remove_strays(folder: Path) -> None:
    """Remove what an interrupted `unlink` left of spools that are gone."""
    for suffix in SIDE_SUFFIXES:
        for path in folder.glob(f"*{suffix}"):
            if not path.with_suffix(SUFFIX).exists():
                path.unlink(missing_ok=True)


def drain_lock(folder: Path, sink: str = "lake") -> Lock:
    """Return the lock that whoever drains `folder` to a sink holds while at it."""
    return Lock(folder / ("drain.lock" if sink == "lake" else f"drain-{sink}.lock"))

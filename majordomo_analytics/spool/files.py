"""Spool files: their names and locks, and how the drain reads them.

A spool is a SQLite file named by its own UUID, in WAL mode, with a lock file beside it that
its worker holds for as long as it lives. The drain holds a lock on the whole folder for
each sink while it works. The database file itself is never locked by us: closing any
other descriptor to it would drop SQLite's own locks.
"""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from majordomo_analytics.errors import DamagedSpoolError, SpoolError
from majordomo_analytics.spool.database import ADOPTED, SPOOL_VERSION
from majordomo_analytics.spool.locks import Lock

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

SUFFIX = ".sqlite"
SIDE_SUFFIXES = (f"{SUFFIX}-wal", f"{SUFFIX}-shm")
MOST_READ_BYTES = 8 * 2**20
FEW_IDS = 500
"""Ids that one query is asked about."""

DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
PRIMARY_CODE = 0xFF
"""The part of SQLite's error codes that says what kind an error is of."""


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
        Whether a sink may have a row of this id already: another spool may hold it too.
    """

    sequence: int
    id: str
    record: bytes
    rewritten: bool


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

    def has_writer(self) -> bool:
        """Return whether a worker lives that writes it, as far as can be told."""
        lock = self.writer_lock
        try:
            if not lock.acquire():
                return True
        except OSError:  # nobody but its owner can tell
            return True
        try:
            if not self.path.exists():  # a drain has removed it, and the lock has come back
                self.unlink()
        finally:
            lock.release()
        return False

    def read(self, after: int, most: int) -> list[SpooledRow]:
        """Return up to `most` finished rows with a sequence number above `after`.

        Fewer if they are large: a batch takes many times the memory of its records.

        Opens and closes its own connection: a reader that stayed would keep the worker's
        WAL from being checkpointed.

        Raises
        ------
        DamagedSpoolError
            If the file is damaged.
        SpoolError
            If a newer version of this package wrote it, or it cannot be read now.
        """
        rows: list[SpooledRow] = []
        held_bytes = 0
        with self._connect() as (connection, _):
            query = (
                "select sequence, id, record, rewritten from finished where sequence > ? "
                "order by sequence limit ?"
            )
            for sequence, request_id, record, rewritten in connection.execute(query, (after, most)):
                rows.append(SpooledRow(sequence, request_id, record, bool(rewritten)))
                held_bytes += len(record)
                if held_bytes > MOST_READ_BYTES:
                    break
        return rows

    def open(self) -> closing[sqlite3.Connection]:
        """Open the database as it is; whoever writes to it has to hold the writer lock."""
        address = f"{self.path.absolute().as_uri()}?mode=rw"
        return closing(sqlite3.connect(address, uri=True, isolation_level=None))

    @contextmanager
    def _connect(self) -> Iterator[tuple[sqlite3.Connection, int]]:
        with self.told_plainly(), self.open() as connection:
            connection.execute("pragma query_only = on")
            yield connection, self.version(connection)

    def version(self, connection: sqlite3.Connection) -> int:
        """Return the version of the layout.

        Raises
        ------
        SpoolError
            If a newer version of this package wrote it.
        """
        try:
            version = int(connection.execute("select version from spool").fetchone()[0])
        except (sqlite3.OperationalError, TypeError) as error:
            if "no such table" not in str(error) and not isinstance(error, TypeError):
                raise
            message = f"the spool {str(self.path)!r} is none: it lacks its tables"
            raise DamagedSpoolError(message) from error
        if version > SPOOL_VERSION:
            message = (
                f"the spool {str(self.path)!r} has version {version}, this package "
                f"reads up to {SPOOL_VERSION}; upgrade majordomo-analytics"
            )
            raise SpoolError(message)
        return version

    @contextmanager
    def told_plainly(self) -> Iterator[None]:
        """Turn SQLite's errors into ours, and tell damage from what may pass."""
        try:
            yield
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", None)
            kind = SpoolError
            if code is not None and code & PRIMARY_CODE in DAMAGE:
                kind = DamagedSpoolError
            message = f"the spool {str(self.path)!r} cannot be read: {error}"
            raise kind(message) from error

    def was_never_begun(self) -> bool:
        """Return whether its worker died, or is still busy, before it could hold a row."""
        try:
            with self.open() as connection:
                return not connection.execute("select name from sqlite_master").fetchall()
        except sqlite3.Error:
            return False

    def holds_rewritten_rows(self) -> bool:
        """Return whether some of its rows may be in an older spool too."""
        with self._connect() as (connection, _):
            query = "select exists (select 1 from finished where rewritten)"
            return bool(connection.execute(query).fetchone()[0])

    def holds_begun_rows(self) -> bool:
        """Return whether requests are begun in it that have no row yet."""
        with self._connect() as (connection, version):
            query = "select exists (select 1 from begun)"
            return version > 1 and bool(connection.execute(query).fetchone()[0])

    def is_adopted(self) -> bool:
        """Return whether every request begun in it has a row; never with a writer."""
        with self._connect() as (connection, _):
            return bool(connection.execute("pragma user_version").fetchone()[0] == ADOPTED)

    def known(self, ids: Collection[str]) -> set[str]:
        """Return which of `ids` are begun or finished in it."""
        found: set[str] = set()
        listed = sorted(ids)
        with self._connect() as (connection, version):
            for first in range(0, len(listed), FEW_IDS):
                asked = json.dumps(listed[first : first + FEW_IDS])
                for table in ("finished", "begun")[:version]:
                    query = f"select id from {table} where id in (select value from json_each(?))"  # noqa: S608 - a table of ours
                    found.update(row[0] for row in connection.execute(query, (asked,)))
        return found

    def last_sequence(self) -> int:
        """Return the number of its last finished row, 0 before the first."""
        with self._connect() as (connection, _):
            query = "select coalesce(max(sequence), 0) from finished"
            return int(connection.execute(query).fetchone()[0])

    def rows_after(self, sequence: int) -> int:
        """Return how many finished rows have a sequence number above `sequence`."""
        with self._connect() as (connection, _):
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


def spool_bytes(folder: Path) -> int:
    """Return how much room the spools in `folder` take on disk."""
    total = 0
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                try:
                    total += entry.stat(follow_symlinks=False).st_size
                except FileNotFoundError:  # it was removed meanwhile
                    continue
    except FileNotFoundError:
        return 0
    return total


def remove_strays(folder: Path) -> None:
    """Remove what an interrupted `unlink` left of spools that are gone."""
    for suffix in SIDE_SUFFIXES:
        for path in folder.glob(f"*{suffix}"):
            if not path.with_suffix(SUFFIX).exists():
                path.unlink(missing_ok=True)


def flush(path: Path) -> None:
    """Have the disk hold a file, or the entries of a folder."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

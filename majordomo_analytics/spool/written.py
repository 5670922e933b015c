"""The spool file that a worker writes: it holds its lock, and its one connection."""

from __future__ import annotations

import json
import sqlite3
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Self

from majordomo_analytics.errors import SpoolError
from majordomo_analytics.spool.database import create_database
from majordomo_analytics.spool.files import SUFFIX, SpoolFile

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from majordomo_analytics.spool.locks import Lock

MOST_ROWS_PER_STATEMENT = 256


@dataclass(slots=True)
class WrittenSpool:
    """A spool with a writer.

    Attributes
    ----------
    file, lock, connection
        What it is, what says that it has a writer, and how it is written.
    written_bytes
        How much of finished rows was written to it.
    """

    file: SpoolFile
    lock: Lock
    connection: sqlite3.Connection
    written_bytes: int = 0

    @classmethod
    def make(cls, folder: Path, uuid: str) -> Self:
        """Make a new one.

        Raises
        ------
        SpoolError
            If it has a writer already, or the file system takes no database in WAL mode.
        sqlite3.Error, OSError
            If it cannot be written now; nothing of it is left then.
        """
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = SpoolFile(folder / f"{uuid}{SUFFIX}")
        lock = file.writer_lock
        if not lock.acquire():
            message = f"the new spool {str(file.path)!r} has a writer already"
            raise SpoolError(message)
        try:
            connection = create_database(file.path, file.uuid)
        except BaseException:
            file.unlink()
            lock.release()
            raise
        return cls(file, lock, connection)

    def insert(
        self, begun: Mapping[str, bytes], ended: Mapping[str, bytes], *, rewritten: bool
    ) -> None:
        """Write rows in one transaction, and of most batches in one statement.

        One step of SQLite means that the writer's thread gives the interpreter's lock away
        and asks for it back once. With a statement a row it would do so for every row, and
        wait each time until the event loop's thread is made to yield.
        """
        in_two = bool(begun and ended)
        if in_two:
            self.connection.execute("begin immediate")
        try:
            if begun:
                self._insert_begun(begun)
            if ended:
                values = [v for pair in ended.items() for v in (*pair, rewritten)]
                statement = _statement("finished (id, record, rewritten)", len(ended))
                self.connection.execute(statement, values)
            if in_two:
                self.connection.execute("commit")
        except BaseException:
            if in_two:
                with suppress(sqlite3.Error):
                    self.connection.execute("rollback")
            raise
        self.written_bytes += sum(map(len, ended.values()))

    def take_along(self, begun: Mapping[str, bytes]) -> None:
        """Write what was begun in the spool before this one."""
        rest = iter(begun.items())
        while some := dict(islice(rest, MOST_ROWS_PER_STATEMENT)):
            self._insert_begun(some)

    def let_go(self, ids: Collection[str]) -> None:
        """Forget what is begun in the spool after this one."""
        if ids:
            statement = "delete from begun where id in (select value from json_each(?))"
            self.connection.execute(statement, (json.dumps(list(ids)),))

    def close(self, *, checkpoint: bool = False) -> None:
        """Close the connection; the lock stays."""
        if checkpoint:
            self.connection.execute("pragma wal_checkpoint(truncate)")
        self.connection.close()

    def discard(self) -> None:
        """Remove it, with all that is in it."""
        self.connection.close()
        self.file.unlink()
        self.lock.release()

    def _insert_begun(self, rows: Mapping[str, bytes]) -> None:
        values = [value for pair in rows.items() for value in pair]
        self.connection.execute(_statement("begun (id, record)", len(rows)), values)


@lru_cache(maxsize=2 * MOST_ROWS_PER_STATEMENT)
def _statement(table: str, rows: int) -> str:
    row = f"({', '.join('?' * (table.count(',') + 1))})"
    return f"insert into {table} values {', '.join([row] * rows)}"  # noqa: S608 - no value is in it

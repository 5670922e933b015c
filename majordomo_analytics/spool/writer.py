"""Write finished requests durably: one thread, group commits, a fresh file when one fails.

The event loop never runs SQL. It hands rows over and waits for the commit that holds them;
the thread takes everything that waits into one transaction. `synchronous=FULL` in WAL mode
means that a row whose commit returned survives the loss of power.
"""

from __future__ import annotations

import asyncio
import os
import queue
import sqlite3
import threading
import time
from functools import lru_cache
from typing import TYPE_CHECKING

from majordomo_analytics.errors import SpoolError
from majordomo_analytics.records.ids import new_request_id
from majordomo_analytics.spool.files import SCHEMA, SPOOL_VERSION, SUFFIX, Lock, SpoolFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

MOST_ROWS_PER_COMMIT = 256
BUSY_WITHIN_S = 0.02
GATHER_S = 0.008
"""When a row comes this soon after a commit, the next one waits a little for company: a
commit costs about as much CPU as relaying does, and a few rows share one as cheaply."""

BUSY_TIMEOUT_MS = 60_000
RETRY_PAUSE_S = 0.5
WAL_LIMIT_BYTES = 16 * 2**20

_Waiting = tuple[str, bytes, "asyncio.Future[bool]"]


class SpoolWriter:
    """The writer of one worker's spool.

    Parameters
    ----------
    folder
        The spool folder of the data directory.
    rotate_bytes
        A new file is begun once this much was written to one; the old file goes when it
        is drained. Rows that were drained lie in the file until then.
    most_waiting_bytes
        How much may wait in memory for the disk; a row beyond that is refused.
    on_trouble
        Called from the writer's thread with one sentence each time a commit fails.
    """

    def __init__(
        self,
        folder: Path,
        *,
        rotate_bytes: int = 64 * 2**20,
        most_waiting_bytes: int = 64 * 2**20,
        on_trouble: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._folder = folder
        self._rotate_bytes = rotate_bytes
        self._most_waiting_bytes = most_waiting_bytes
        self._on_trouble = on_trouble
        self._waiting: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._trouble: str | None = None
        # Of each pair the first is counted by the event loop's thread only, the second by
        # the writer's thread only.
        self._handed_over = self._written = 0
        self._handed_over_bytes = self._durable_bytes = 0
        self._suspect = False
        self._open_file()
        self._thread = threading.Thread(target=self._run, name="spool-writer", daemon=True)
        self._thread.start()

    @property
    def trouble(self) -> str | None:
        """Why rows cannot be made durable just now, or None."""
        return self._trouble

    @property
    def unwritten(self) -> int:
        """How many rows are held in memory only."""
        return self._handed_over - self._written

    @property
    def uuid(self) -> str:
        """The UUID of the spool that is being written."""
        return self._file.uuid

    def append(self, request_id: str, record: bytes) -> asyncio.Future[bool]:
        """Hand a row over; the future becomes True when the row is durable.

        The row is written in any case: who resolves or cancels the future because he no
        longer waits loses only the knowledge of it.

        Raises
        ------
        SpoolError
            If so much waits for the disk already that memory would not be bounded.
        """
        waiting_bytes = self._handed_over_bytes - self._durable_bytes
        if waiting_bytes > self._most_waiting_bytes:
            message = f"{waiting_bytes:,} bytes wait for the disk already: {self._trouble}"
            raise SpoolError(message)
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        future = self._loop.create_future()
        self._handed_over += 1
        self._handed_over_bytes += len(record)
        self._waiting.put((request_id, record, future))
        return future

    def close(self, timeout_s: float = 10.0) -> None:
        """Write what waits and close the file; call it when no request is in flight.

        Raises
        ------
        SpoolError
            If rows could not be written in time; how many is in the message.
        """
        self._waiting.put(None)
        self._thread.join(timeout_s)
        if self.unwritten:
            message = f"{self.unwritten} rows could not be written to the spool: {self._trouble}"
            raise SpoolError(message)

    # From here on: the writer's thread.

    def _run(self) -> None:
        closing = False
        committed_at = 0.0
        batch: list[_Waiting] = []
        while not (closing and not batch):
            if not batch:
                first = self._waiting.get()
                if first is None:
                    closing = True
                    continue
                batch.append(first)
                if time.monotonic() - committed_at < BUSY_WITHIN_S:
                    time.sleep(GATHER_S)
            while len(batch) < MOST_ROWS_PER_COMMIT:
                try:
                    row = self._waiting.get_nowait()
                except queue.Empty:
                    break
                if row is None:
                    closing = True
                else:
                    batch.append(row)
            if self._commit(batch):
                committed_at = time.monotonic()
                self._wake(batch)
                batch = []
                if self._written_bytes >= self._rotate_bytes:
                    self._begin_next_file()
            else:
                time.sleep(RETRY_PAUSE_S)
        self._close_file()

    def _commit(self, batch: list[_Waiting]) -> bool:
        """Write `batch`, into a fresh file if need be; return whether it is durable.

        A commit that failed is never tried again on the same file: after a failed fsync
        the kernel may call pages clean that never reached the disk. Whether the old file
        holds the rows is then unknown, so the fresh one marks them as rewritten and the
        drain looks their ids up.
        """
        rows = [(request_id, record) for request_id, record, _ in batch]
        try:
            if self._suspect:
                self._rotate()
                self._insert(rows, rewritten=True)
            else:
                self._insert(rows, rewritten=False)
        except (sqlite3.Error, OSError) as error:
            self._report(f"a commit to the spool failed: {error}")
            first_failure = not self._suspect
            self._suspect = True
            return first_failure and self._commit(batch)
        self._suspect = False
        self._trouble = None
        return True

    def _insert(self, rows: list[tuple[str, bytes]], *, rewritten: bool) -> None:
        """Write rows in one statement, which is one transaction.

        One step of SQLite means that this thread gives the interpreter's lock away and
        asks for it back once. With a statement a row it would do so for every row, and
        wait each time until the event loop's thread is made to yield.
        """
        values = [value for request_id, record in rows for value in (request_id, record, rewritten)]
        self._connection.execute(_insert_statement(len(rows)), values)
        self._written_bytes += sum(len(record) for _, record in rows)

    def _wake(self, batch: Iterable[_Waiting]) -> None:
        futures = [future for _, _, future in batch]
        self._written += len(futures)
        self._durable_bytes += sum(len(record) for _, record, _ in batch)
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(_settle, futures)

    def _report(self, sentence: str) -> None:
        self._trouble = sentence
        self._on_trouble(sentence)

    def _begin_next_file(self) -> None:
        try:
            self._rotate()
        except (sqlite3.Error, OSError) as error:
            self._on_trouble(f"no new spool file could be made, the old one goes on: {error}")

    def _rotate(self) -> None:
        old_connection, old_lock = self._connection, self._lock
        self._open_file()
        try:
            old_connection.close()
        except sqlite3.Error as error:
            self._on_trouble(f"an old spool file did not close cleanly: {error}")
        old_lock.release()

    def _open_file(self) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._folder / f"{new_request_id()}{SUFFIX}"  # a UUIDv7: names sort by age
        file = SpoolFile(path)
        lock = file.writer_lock
        if not lock.acquire():
            message = f"the new spool {str(path)!r} has a writer already"
            raise SpoolError(message)
        try:
            connection = _create_database(path, file.uuid)
        except BaseException:
            file.unlink()
            lock.release()
            raise
        self._file: SpoolFile = file
        self._lock: Lock = lock
        self._connection: sqlite3.Connection = connection
        self._written_bytes = 0

    def _close_file(self) -> None:
        try:
            self._connection.execute("pragma wal_checkpoint(truncate)")
            self._connection.close()
        except sqlite3.Error as error:
            self._on_trouble(f"the spool did not close cleanly: {error}")
        self._lock.release()


@lru_cache(maxsize=MOST_ROWS_PER_COMMIT)
def _insert_statement(rows: int) -> str:
    row = "(?, ?, ?)"
    return f"insert into finished (id, record, rewritten) values {', '.join([row] * rows)}"  # noqa: S608 - no value is in it


def _settle(futures: Iterable[asyncio.Future[bool]]) -> None:
    for future in futures:
        if not future.done():
            future.set_result(True)


def _create_database(path: Path, spool_uuid: str) -> sqlite3.Connection:
    # Made by us first, so that it is readable by its owner only; SQLite gives the WAL the
    # same mode.
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    connection = sqlite3.connect(
        path,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=MOST_ROWS_PER_COMMIT,
    )
    try:
        mode = connection.execute("pragma journal_mode = wal").fetchone()[0]
        if mode != "wal":
            message = f"SQLite refused WAL mode for {str(path)!r} (it answered {mode!r})"
            raise SpoolError(message)
        connection.execute("pragma synchronous = full")
        connection.execute(f"pragma busy_timeout = {BUSY_TIMEOUT_MS}")
        connection.execute(f"pragma journal_size_limit = {WAL_LIMIT_BYTES}")
        connection.execute("begin immediate")
        for statement in SCHEMA:
            connection.execute(statement)
        connection.execute("insert into spool values (?, ?)", (spool_uuid, SPOOL_VERSION))
        connection.execute("commit")
    except BaseException:
        connection.close()
        raise
    return connection

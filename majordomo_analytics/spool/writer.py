"""Write requests durably: one thread, group commits, a fresh file when one fails.

The event loop never runs SQL. It hands rows over and waits for the commit that holds them;
the thread takes everything that waits into one transaction. `synchronous=FULL` in WAL mode
means that a row whose commit returned survives the loss of power.

A request may be begun before it is finished: the row it begins with is what is left of it
should this process die. Both rows are in one file at any time, or in a newer one too.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Literal, NamedTuple

from majordomo_analytics.errors import SpoolError
from majordomo_analytics.records.ids import new_request_id
from majordomo_analytics.spool.files import spool_bytes
from majordomo_analytics.spool.written import MOST_ROWS_PER_STATEMENT, WrittenSpool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path


BUSY_WITHIN_S = 0.02
GATHER_S = 0.008
"""When a row comes this soon after a commit, the next one waits a little for company: a
commit costs about as much CPU as relaying does, and a few rows share one as cheaply."""

RETRY_PAUSE_S = 0.5
ROTATE_AGAIN_S = 10.0
MEMORY_LEFT_FOR_OPEN_REQUESTS = 0.25
"""The share of the memory for waiting rows that is left for requests under way, once no new
ones are taken."""


class _Row(NamedTuple):
    is_end: bool
    id: str
    record: bytes
    future: asyncio.Future[bool]


_Told = Literal["close", "rotate"]


class SpoolWriter:
    """The writer of one worker's spool.

    Parameters
    ----------
    folder
        The spool folder of the data directory.
    rotate_bytes
        A new file is begun once this much was written to one; the old file goes when it
        is drained. Rows that were drained lie in the file until then.
    most_bytes
        How much room all spools of the folder may take together before the spool is full.
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
        most_bytes: int = 8 * 2**30,
        most_waiting_bytes: int = 64 * 2**20,
        on_trouble: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._folder = folder
        self._rotate_bytes = rotate_bytes
        self._most_bytes = most_bytes
        self._most_waiting_bytes = most_waiting_bytes
        self._on_trouble = on_trouble
        self._waiting: queue.SimpleQueue[_Row | _Told] = queue.SimpleQueue()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._trouble: str | None = None
        self._too_large: str | None = None
        self._rotated_at = 0.0
        self._next_file_at = 0.0
        # Of each pair the first is counted by the event loop's thread only, the second by
        # the writer's thread only.
        self._handed_over = self._written = 0
        self._handed_over_bytes = self._durable_bytes = 0
        # What is begun in the file and not finished: it goes along into the next file.
        self._begun: dict[str, bytes] = {}
        # But for those of which no end will come; they stay where they are.
        self._forgotten: deque[str] = deque()
        self._suspect = False
        self._newest: str | None = None
        self._current: WrittenSpool | None = None
        self._begin_first_file()
        self._thread = threading.Thread(target=self._run, name="spool-writer", daemon=True)
        self._thread.start()

    @property
    def trouble(self) -> str | None:
        """Why rows cannot be made durable just now, or None."""
        return self._trouble

    @property
    def _why(self) -> str:
        return self._trouble or "it is slow"

    @property
    def full(self) -> str | None:
        """Why no new request should be begun just now, or None."""
        waiting_bytes = self._handed_over_bytes - self._durable_bytes
        if waiting_bytes > self._most_waiting_bytes * (1 - MEMORY_LEFT_FOR_OPEN_REQUESTS):
            return f"{waiting_bytes:,} bytes wait for the disk: {self._why}"
        return self._too_large

    @property
    def unwritten(self) -> int:
        """How many rows are held in memory only."""
        return self._handed_over - self._written

    @property
    def uuid(self) -> str:
        """The UUID of the spool that is being written; empty if none could be made yet."""
        return self._current.file.uuid if self._current else ""

    def measure(self) -> int:
        """Look how much room the spools take, and return it in bytes.

        A spool that is drained goes only when it has no writer: should there be too much,
        this one begins a new file.
        """
        size = spool_bytes(self._folder)
        if size <= self._most_bytes:
            self._too_large = None
            return size
        self._too_large = (
            f"the spool takes {size:,} bytes, and may take {self._most_bytes:,}; it is not "
            "drained, or not fast enough"
        )
        now = time.monotonic()
        if self._written_bytes and now - self._rotated_at > ROTATE_AGAIN_S:
            self._rotated_at = now
            self._waiting.put("rotate")
        return size

    def begin(self, request_id: str, record: bytes) -> asyncio.Future[bool]:
        """Hand over the row that a request has if nothing more is heard of it.

        Its future is as that of `append`, which takes its place.

        Raises
        ------
        SpoolError
            If so much waits for the disk already that memory would not be bounded.
        """
        return self._hand_over(request_id, record, is_end=False)

    def append(self, request_id: str, record: bytes) -> asyncio.Future[bool]:
        """Hand a finished row over; the future becomes True when the row is durable.

        The row is written in any case: who resolves or cancels the future because he no
        longer waits loses only the knowledge of it.

        Raises
        ------
        SpoolError
            If so much waits for the disk already that memory would not be bounded.
        """
        return self._hand_over(request_id, record, is_end=True)

    def _hand_over(self, request_id: str, record: bytes, *, is_end: bool) -> asyncio.Future[bool]:
        waiting_bytes = self._handed_over_bytes - self._durable_bytes
        if waiting_bytes > self._most_waiting_bytes:
            message = f"{waiting_bytes:,} bytes wait for the disk already: {self._why}"
            raise SpoolError(message)
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        future = self._loop.create_future()
        self._handed_over += 1
        self._handed_over_bytes += len(record)
        self._waiting.put(_Row(is_end, request_id, record, future))
        return future

    def forget(self, request_id: str) -> None:
        """Leave a begun request as it is: its end could not be handed over."""
        self._forgotten.append(request_id)

    def close(self, timeout_s: float = 10.0) -> None:
        """Write what waits and close the file; call it when no request is in flight.

        Raises
        ------
        SpoolError
            If rows could not be written in time; how many is in the message.
        """
        self._waiting.put("close")
        self._thread.join(timeout_s)
        if self.unwritten:
            message = f"{self.unwritten} rows could not be written to the spool: {self._why}"
            raise SpoolError(message)

    # From here on: the writer's thread.

    def _run(self) -> None:
        told: set[_Told] = set()
        committed_at = 0.0
        batch: list[_Row] = []
        while not ("close" in told and not batch):
            if not batch:
                try:
                    first = self._waiting.get(timeout=None if self._current else RETRY_PAUSE_S)
                except queue.Empty:
                    self._begin_first_file()
                    continue
                if isinstance(first, str):
                    told.add(first)
                else:
                    batch.append(first)
                    if time.monotonic() - committed_at < BUSY_WITHIN_S:
                        time.sleep(GATHER_S)
            told |= self._take_more(batch)
            if not batch:
                pass
            elif self._commit(batch):
                committed_at = time.monotonic()
                self._wake(batch)
                batch = []
            else:
                time.sleep(RETRY_PAUSE_S)
                continue
            if self._written_bytes >= (1 if "rotate" in told else self._rotate_bytes):
                self._begin_next_file()
            told.discard("rotate")
        self._close_file()

    def _take_more(self, batch: list[_Row]) -> set[_Told]:
        """Let `batch` have what waits, and return what else this thread was told."""
        told: set[_Told] = set()
        while len(batch) < MOST_ROWS_PER_STATEMENT:
            try:
                row = self._waiting.get_nowait()
            except queue.Empty:
                break
            if isinstance(row, str):
                told.add(row)
            else:
                batch.append(row)
        return told

    def _commit(self, batch: list[_Row]) -> bool:
        """Write `batch`, into a fresh file if need be; return whether it is durable.

        A commit that failed is never tried again on the same file: after a failed fsync
        the kernel may call pages clean that never reached the disk. Whether the old file
        holds the rows is then unknown, so the fresh one marks them as rewritten and the
        drain looks their ids up.
        """
        ended = {row.id: row.record for row in batch if row.is_end}
        begun = {row.id: row.record for row in batch if not row.is_end and row.id not in ended}
        try:
            if self._suspect:
                # The failed file may hold what begins here: it goes along with the rest.
                self._begun |= begun
                begun = {}
                self._rotate()
            self._insert(begun, ended, rewritten=self._suspect)
        except (sqlite3.Error, OSError) as error:
            self._report(f"a commit to the spool failed: {error}")
            first_failure = not self._suspect
            self._suspect = True
            return first_failure and self._commit(batch)
        self._begun |= begun
        for request_id in ended:
            self._begun.pop(request_id, None)
        self._suspect = False
        self._trouble = None
        return True

    def _insert(self, begun: dict[str, bytes], ended: dict[str, bytes], *, rewritten: bool) -> None:
        if self._current is None:
            message = "there is no spool file"
            raise SpoolError(message)
        self._current.insert(begun, ended, rewritten=rewritten)

    def _wake(self, batch: Iterable[_Row]) -> None:
        futures = [row.future for row in batch]
        self._written += len(futures)
        self._durable_bytes += sum(len(row.record) for row in batch)
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(_settle, futures)

    def _report(self, sentence: str) -> None:
        self._trouble = sentence
        self._on_trouble(sentence)

    @property
    def _written_bytes(self) -> int:
        return self._current.written_bytes if self._current else 0

    def _begin_first_file(self) -> None:
        """Make the first file, or begin without one: a full disk must not end a worker.

        Whoever died on that disk would be started again and again, while callers wait to
        be let in by nobody.
        """
        try:
            self._current = self._new_file()
        except (sqlite3.Error, SpoolError, OSError) as error:
            self._report(f"no spool file could be made: {error}")
        else:
            self._trouble = None

    def _begin_next_file(self) -> None:
        now = time.monotonic()
        if now < self._next_file_at:
            return
        try:
            self._rotate()
        except (sqlite3.Error, OSError) as error:
            self._next_file_at = now + ROTATE_AGAIN_S
            self._on_trouble(f"no new spool file could be made, the old one goes on: {error}")

    def _rotate(self) -> None:
        """Go on in a new file, and take along what is begun and not finished.

        It is in the new file before it leaves the old one, and it leaves that before its
        lock is free: whoever adopts the old one finds it there no more, or, should this
        process die amid it, in the new one as well.
        """
        for _ in range(len(self._forgotten)):
            request_id = self._forgotten.popleft()
            if self._begun.pop(request_id, None) is None:  # it is on its way still
                self._forgotten.append(request_id)
        old, new = self._current, self._new_file()
        try:
            new.take_along(self._begun)
        except BaseException:
            new.discard()
            raise
        self._current = new
        if old is None:
            return
        try:
            if not self._suspect:
                old.let_go(self._begun)
            old.close()
        except sqlite3.Error as error:
            self._on_trouble(f"an old spool file did not close cleanly: {error}")
        old.lock.release()

    def _new_file(self) -> WrittenSpool:
        self._newest = new_request_id(after=self._newest)  # names sort by age
        return WrittenSpool.make(self._folder, self._newest)

    def _close_file(self) -> None:
        if self._current is None:
            return
        try:
            self._current.close(checkpoint=True)
        except sqlite3.Error as error:
            self._on_trouble(f"the spool did not close cleanly: {error}")
        self._current.lock.release()


def _settle(futures: Sequence[asyncio.Future[bool]]) -> None:
    for future in futures:
        if not future.done():
            future.set_result(True)

"""The rows one request leaves in the spool: one when it has begun, one when it has ended.

The first is the row it has if this process dies. It is handed over once the request was
not answered at once, and is durable before any of the answer leaves: whoever has seen the
beginning of an answer is in some row. The second takes its place.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from majordomo_analytics.errors import SpoolError
from majordomo_analytics.records.request import encode_record
from majordomo_proxy.access import log_access

if TYPE_CHECKING:
    import asyncio

    from majordomo_analytics.records.request import Outcome
    from majordomo_analytics.spool.writer import SpoolWriter
    from majordomo_proxy.exchange import Exchange
    from majordomo_proxy.metrics import Metrics
    from majordomo_proxy.settings import Settings

logger = logging.getLogger("majordomo_proxy")


class Recording:
    """Keeps the rows of one request.

    Attributes
    ----------
    is_finished
        Whether its last row was handed over, or could not be made.
    """

    def __init__(
        self, settings: Settings, spool: SpoolWriter, metrics: Metrics, exchange: Exchange
    ) -> None:
        self._settings = settings
        self._spool = spool
        self._metrics = metrics
        self._exchange = exchange
        self._is_begun = False
        self._begun: asyncio.Future[bool] | None = None
        self._awaited: asyncio.Future[bool] | None = None
        self._awaited_since = 0.0
        self.is_finished = False

    @property
    def is_waiting(self) -> bool:
        """Whether the answer waits for the disk."""
        return self._awaited is not None and not self._awaited.done()

    def begin(self) -> None:
        """Hand the first row over, unless there is one already."""
        if self._is_begun or self.is_finished or not self._exchange.is_recorded:
            return
        self._is_begun = True
        try:
            record = self._exchange.begun_record()
            self._begun = self._spool.begin(record.id, encode_record(record))
        except SpoolError:
            pass  # memory is full of rows that wait; the last row is tried all the same
        except Exception:
            logger.exception("the first row of a request could not be made")

    async def begun(self) -> None:
        """Wait until the first row is durable, or for the time set."""
        self.begin()
        if self._begun is not None and not self._begun.done():
            await self._wait_for(self._begun)

    async def finish(self, outcome: Outcome, message: str | None) -> None:
        """Hand the last row over, and wait as `begun` does."""
        self.is_finished = True
        try:
            record = self._exchange.record(outcome, message)
            self._metrics.count_row(record)
            if self._settings.access_log:
                log_access(record)
            if not self._exchange.is_recorded:
                self._metrics.count_lost_row("spool_full")
                return
            durable = self._spool.append(record.id, encode_record(record))
        except SpoolError as error:
            logger.error("a row is lost: %s", error)
            self._metrics.count_lost_row("memory_full")
            self._forget()
        except Exception:
            logger.exception("a row could not be made")
            self._metrics.count_lost_row("not_made")
            self._forget()
        else:
            await self._wait_for(durable)

    def _forget(self) -> None:
        if self._begun is not None:
            self._spool.forget(self._exchange.id)

    async def _wait_for(self, durable: asyncio.Future[bool]) -> None:
        self._awaited, self._awaited_since = durable, 0.0
        if not await durable:
            self._metrics.late_rows.inc()

    def look(self, now: float) -> None:
        """End a wait for the disk that has taken too long; `now` is the loop's time."""
        if self._awaited is not None and not self._awaited.done():
            self._awaited_since = self._awaited_since or now
            if now - self._awaited_since >= self._settings.spool_wait_s:
                self._awaited.set_result(False)

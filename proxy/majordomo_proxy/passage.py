"""One request's way to its provider and back, and the row it leaves.

The answer's chunks go on as they arrive and are never gathered. The chunk that completes
the HTTP message waits until the row is durable, so whoever saw the end of an answer has a
row; no earlier chunk waits. However the passage ends, it leaves exactly one row.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import aiohttp

from majordomo_analytics.capture.taking import UsageTaker
from majordomo_analytics.records import flags
from majordomo_proxy.callers import CallerLeftError, body_part, has_left
from majordomo_proxy.headers import relay_response_headers
from majordomo_proxy.recording import Recording
from majordomo_proxy.refusals import LOG_ID, send_error
from majordomo_proxy.sweep import Sweep
from majordomo_proxy.troubles import described

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.types import Receive, Send
    from yarl import URL

    from majordomo_analytics.records.request import Outcome
    from majordomo_analytics.spool.writer import SpoolWriter
    from majordomo_proxy.exchange import Exchange
    from majordomo_proxy.headers import RequestHeaders
    from majordomo_proxy.metrics import Metrics
    from majordomo_proxy.settings import Settings

logger = logging.getLogger("majordomo_proxy")

ROUTED_PROVIDER = b"X-Majordomo-Routed-Provider"
ROUTED_MODEL = b"X-Majordomo-Routed-Model"
BODYLESS_STATUS = frozenset({204, 304})
WATCH_AFTER_S = 0.05
PROVIDER_SILENT = "the provider was silent for longer than the time set"


class Shared:
    """What all passages of a worker have in common.

    Attributes
    ----------
    session
        The connections to providers; set when the worker starts.
    sweep
        Looks after the passages that are open.
    abandoned
        How many answers are being read on though their caller left.
    held_bytes
        Of request bodies that are in memory until a provider has taken them.
    """

    def __init__(self, settings: Settings, spool: SpoolWriter, metrics: Metrics) -> None:
        self.settings = settings
        self.spool = spool
        self.metrics = metrics
        self.session: aiohttp.ClientSession
        self.sweep = Sweep()
        self.abandoned = 0
        self.held_bytes = 0

    def let_go(self, exchange: Exchange) -> None:
        """Count the body of a request no more: its provider has it, or nobody will."""
        self.held_bytes -= exchange.held_bytes
        exchange.held_bytes = 0


class Passage:
    """One request between its caller and its provider."""

    def __init__(self, shared: Shared, exchange: Exchange, receive: Receive, send: Send) -> None:
        self._shared = shared
        self._exchange = exchange
        self._receive = receive
        self._send = send
        self._watcher: asyncio.Task[None] | None = None
        self._patience: asyncio.TimerHandle | None = None
        self._asked_at: float | None = None  # when the provider had the whole request
        self._silent_since = 0.0
        self._seen_bytes = -1
        self._is_sending = False
        self._is_silent = False
        self._recording = Recording(shared.settings, shared.spool, shared.metrics, exchange)
        self._started = False
        self._too_large = False
        self._task: asyncio.Task[None] | None = None
        self._is_abandoned = False

    async def run(
        self, url: URL, headers: RequestHeaders, body: list[bytes], *, more: bool
    ) -> None:
        """Call the provider, pass its answer on, and leave a row whatever happens.

        Parameters
        ----------
        url
            Where to.
        headers
            What the caller sent.
        body
            The request body, or its beginning if there is `more`; taken out of the list, so
            that nobody keeps it in memory for as long as the answer takes.
        """
        self._task = asyncio.current_task()
        self._shared.sweep.enter(self)
        try:
            response = await self._call(url, headers, body, more=more)
            self._shared.let_go(self._exchange)
            try:
                await self._pass_on(response)
            except BaseException:
                response.close()
                raise
            response.release()
        except TimeoutError as error:
            await self._fail("timeout", 504, described(error))
        except Exception as error:  # noqa: BLE001 - no way of ending may go without a row
            await self._fail_by(error)
        except asyncio.CancelledError:
            # Patience is at its end, or the server cancels what is open when it stops. The
            # request ends here in either case, with its row: nobody needs to hear of it.
            if self._is_silent:
                await self._fail("timeout", 504, PROVIDER_SILENT)
            elif not self._is_abandoned:
                await self._fail("interrupted", 503, "the proxy was told to stop")
            elif not self._recording.is_finished:
                left = self._exchange.caller_left
                await self._write_row("client_disconnected" if left else "completed")
        finally:
            self._shared.sweep.leave(self)
            for timer_or_task in (self._watcher, self._patience):
                if timer_or_task is not None:
                    timer_or_task.cancel()
            if self._is_abandoned:
                self._shared.abandoned -= 1

    async def _call(
        self, url: URL, headers: RequestHeaders, body: list[bytes], *, more: bool
    ) -> aiohttp.ClientResponse:
        data: bytes | AsyncIterator[bytes] | None
        if more:
            if headers.content_length is not None:
                headers.forward.append(("Content-Length", str(headers.content_length)))
            data = self._stream_body(body)
        else:
            data = body.pop() or None
            self._is_asked()
        return await self._shared.session.request(
            self._exchange.method,
            url,
            headers=headers.forward,
            data=data,
            allow_redirects=False,
        )

    async def _stream_body(self, begun: list[bytes]) -> AsyncIterator[bytes]:
        yield begun.pop()
        self._shared.let_go(self._exchange)  # what comes from here on is never gathered
        more = True
        while more:
            try:
                chunk, more = body_part(await self._receive())
            except CallerLeftError:
                self._caller_left()
                raise
            if not self._exchange.take_request_bytes(
                chunk, self._shared.settings.max_request_bytes
            ):
                self._too_large = True
                raise CallerLeftError
            yield chunk
        self._is_asked()

    def _is_asked(self) -> None:
        self._asked_at = asyncio.get_running_loop().time()
        self._exchange.is_asked = True

    async def _pass_on(self, response: aiohttp.ClientResponse) -> None:
        exchange, send = self._exchange, self._send
        answer_headers = response.headers
        exchange.begin_answer(response.status, answer_headers)
        is_bodyless = response.status in BODYLESS_STATUS
        taker = self._taker(response)
        relayed = relay_response_headers(
            response.raw_headers, without_length=is_bodyless or taker is not None
        )
        relayed.append((LOG_ID, exchange.id.encode("ascii")))
        if exchange.routed_model is not None:
            relayed.append((ROUTED_PROVIDER, exchange.provider.name.encode("ascii")))
            relayed.append((ROUTED_MODEL, exchange.routed_model.encode("utf-8")))
        start = {"type": "http.response.start", "status": response.status, "headers": relayed}
        remaining = _content_length(answer_headers.get("Content-Length"))
        content = response.content
        last = b""
        if exchange.method == "HEAD" or is_bodyless or remaining == 0:
            # These headers complete the message, so they are what waits for the row.
            await self._write_row("completed")
            await send(start)
        elif content.is_eof():
            # All of it is here already, so the headers need not leave before the body.
            last = await content.read()
            exchange.feed(last)
            if taker is not None:
                last = taker.feed(last) + self._end_of(taker)
            await self._write_row("completed")
            await send(start)
        else:
            await self._recording.begun()
            await send(start)
            self._started = True
            while chunk := await content.readany():
                if taker is None:
                    exchange.feed(chunk)
                    passed = chunk
                else:
                    passed = taker.feed(chunk)
                    exchange.feed(chunk, is_plain=taker.was_plain)
                if remaining is not None:
                    remaining -= len(chunk)
                if remaining == 0 or content.at_eof():
                    last = passed
                    break
                if passed:
                    self._is_sending = True
                    await send({"type": "http.response.body", "body": passed, "more_body": True})
                    self._is_sending = False
            if taker is not None:
                last += self._end_of(taker)
            await self._write_row("completed")
        await send({"type": "http.response.body", "body": last, "more_body": False})

    def _taker(self, response: aiohttp.ClientResponse) -> UsageTaker | None:
        """Return what takes the usage out again that the proxy asked for."""
        if not self._exchange.asks_for_usage or response.status != 200:
            return None
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":
            self._exchange.oddities += (flags.USAGE_CHUNK_LEFT,)
            return None
        return UsageTaker()

    def _end_of(self, taker: UsageTaker) -> bytes:
        last = taker.finish()
        if taker.is_left:
            self._exchange.oddities += (flags.USAGE_CHUNK_LEFT,)
        return last

    async def _write_row(self, outcome: Outcome, message: str | None = None) -> None:
        """Make the row durable, or give up waiting for that after the time set."""
        if self._watcher is None and not self._is_abandoned and has_left(self._receive):
            self._caller_left()
        await self._recording.finish(outcome, message)

    async def _fail_by(self, error: Exception) -> None:
        if self._too_large:
            limit = self._shared.settings.max_request_bytes
            message = f"the request body is larger than {limit:,} bytes"
            await self._fail("interrupted", 413, message, "request_too_large")
        else:
            if not isinstance(error, aiohttp.ClientError | OSError):
                logger.error("relaying failed in an unforeseen way", exc_info=error)
            await self._fail("upstream_error", 502, described(error))

    async def _fail(
        self, outcome: Outcome, status: int, message: str, kind: str | None = None
    ) -> None:
        """Leave the row of a passage that broke, and tell the caller if that can be done.

        When the answer has begun there is no way to say it: returning without its end
        makes the server cut the connection, which is what the provider did too.
        """
        if self._recording.is_finished:
            return
        exchange = self._exchange
        tell = not self._started and not exchange.caller_left
        if tell:
            exchange.status = status
        await self._write_row(outcome, message)
        if tell:
            await send_error(self._send, status, kind or outcome, message or "", log_id=exchange.id)

    def look(self, now: float) -> None:
        """Begin to watch for the caller's leaving, and end what has waited too long.

        A task that watches would cost more than the rest of this class, so it begins only
        when the answer takes longer than most cost to relay; before, one look at the end
        tells.
        """
        self._recording.look(now)
        if self._recording.is_finished:
            return
        if (
            self._watcher is None
            and self._asked_at is not None
            and now - self._asked_at >= WATCH_AFTER_S
        ):
            self._watcher = asyncio.get_running_loop().create_task(self._wait_for_disconnect())
        self._look_for_silence(now)

    def look_first(self) -> None:
        """Let the spool know of a request that was not answered at once."""
        self._recording.begin()

    def _look_for_silence(self, now: float) -> None:
        """Give up when nothing has moved for too long, towards the provider or back.

        A caller who takes the answer slowly is no silence; a provider that does not take
        the request, or a caller who does not send it, is.
        """
        moved = self._exchange.request_bytes + self._exchange.response_bytes
        if self._is_sending or self._recording.is_waiting or moved != self._seen_bytes:
            self._seen_bytes = moved
            self._silent_since = now
        elif now - self._silent_since >= self._shared.settings.read_timeout_s:
            if self._task is not None and not self._is_silent:
                self._task.cancel()
            self._is_silent = True

    async def _wait_for_disconnect(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        if not self._recording.is_finished:
            self._caller_left()

    def _caller_left(self) -> None:
        """Read the answer on for its usage, but not for long and not for too many."""
        shared, settings = self._shared, self._shared.settings
        self._exchange.caller_leaves()
        self._is_abandoned = True
        shared.metrics.abandoned.inc()
        patience_s = settings.abandoned_read_s
        reads_on = settings.abandoned_policy == "drain"
        if not reads_on or shared.abandoned >= settings.abandoned_requests:
            patience_s = 0.0
        shared.abandoned += 1
        loop = asyncio.get_running_loop()
        self._patience = loop.call_later(patience_s, self._give_up)

    def _give_up(self) -> None:
        if not self._recording.is_finished and self._task is not None:
            self._task.cancel()


def _content_length(value: str | None) -> int | None:
    return int(value) if value is not None and value.isdigit() else None

"""One request's way to its provider and back, and the row it leaves.

The answer's chunks go on as they arrive and are never gathered. The chunk that completes
the HTTP message waits until the row is durable, so whoever saw the end of an answer has a
row; no earlier chunk waits. However the passage ends, it leaves exactly one row.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import TYPE_CHECKING

import aiohttp

from majordomo_analytics.capture.taking import UsageTaker
from majordomo_analytics.records import flags
from majordomo_analytics.records.request import encode_record
from majordomo_proxy.headers import relay_response_headers
from majordomo_proxy.refusals import LOG_ID, send_error

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.types import Message, Receive, Send
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


class CallerLeftError(Exception):
    """Raised when the caller hangs up before the whole request was read."""


class Shared:
    """What all passages of a worker have in common.

    Attributes
    ----------
    session
        The connections to providers; set when the worker starts.
    abandoned
        How many answers are being read on though their caller left.
    """

    def __init__(self, settings: Settings, spool: SpoolWriter, metrics: Metrics) -> None:
        self.settings = settings
        self.spool = spool
        self.metrics = metrics
        self.session: aiohttp.ClientSession
        self.abandoned = 0


class Passage:
    """One request between its caller and its provider."""

    def __init__(self, shared: Shared, exchange: Exchange, receive: Receive, send: Send) -> None:
        self._shared = shared
        self._exchange = exchange
        self._receive = receive
        self._send = send
        self._watch_later: asyncio.TimerHandle | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._patience: asyncio.TimerHandle | None = None
        self._started = False
        self._recorded = False
        self._too_large = False
        self._task: asyncio.Task[None] | None = None
        self._is_abandoned = False

    async def run(self, url: URL, headers: RequestHeaders, body: bytes, *, more: bool) -> None:
        """Call the provider, pass its answer on, and leave a row whatever happens.

        Parameters
        ----------
        url
            Where to.
        headers
            What the caller sent.
        body
            The request body, or its beginning if there is `more`.
        """
        self._task = asyncio.current_task()
        try:
            await self._call(url, headers, body, more=more)
        except TimeoutError as error:
            await self._fail("timeout", 504, _describe(error))
        except Exception as error:  # noqa: BLE001 - no way of ending may go without a row
            await self._fail_by(error)
        except asyncio.CancelledError:
            # Either patience with an abandoned answer is at its end, or the server cancels
            # what is still open when it stops. The request ends here in both cases, with
            # its row, so there is nobody to pass this on to.
            if not self._is_abandoned:
                await self._fail("interrupted", 503, "the proxy was told to stop")
            elif not self._recorded:
                left = self._exchange.caller_left
                await self._write_row("client_disconnected" if left else "completed")
        finally:
            for timer_or_task in (self._watch_later, self._watcher, self._patience):
                if timer_or_task is not None:
                    timer_or_task.cancel()
            if self._is_abandoned:
                self._shared.abandoned -= 1

    async def _call(self, url: URL, headers: RequestHeaders, body: bytes, *, more: bool) -> None:
        data: bytes | AsyncIterator[bytes] | None = body or None
        if more:
            if headers.content_length is not None:
                headers.forward.append(("Content-Length", str(headers.content_length)))
            data = self._stream_body(body)
        else:
            self._watch()
        response = await self._shared.session.request(
            self._exchange.method,
            url,
            headers=headers.forward,
            data=data,
            allow_redirects=False,
        )
        try:
            await self._pass_on(response)
        except BaseException:
            response.close()
            raise
        response.release()

    async def _stream_body(self, begun: bytes) -> AsyncIterator[bytes]:
        yield begun
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
        self._watch()

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
                last = self._end_of(taker, last)
            await self._write_row("completed")
            await send(start)
        else:
            await send(start)
            self._started = True
            while chunk := await content.readany():
                exchange.feed(chunk)
                if remaining is not None:
                    remaining -= len(chunk)
                if remaining == 0 or content.at_eof():
                    last = chunk
                    break
                if taker is not None and not (chunk := taker.feed(chunk)):
                    continue
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            if taker is not None:
                last = self._end_of(taker, last)
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

    def _end_of(self, taker: UsageTaker, chunk: bytes) -> bytes:
        last = taker.feed(chunk) + taker.finish()
        if taker.is_left:
            self._exchange.oddities += (flags.USAGE_CHUNK_LEFT,)
        return last

    async def _write_row(self, outcome: Outcome, message: str | None = None) -> None:
        """Make the row durable, or give up waiting for that after the time set."""
        if self._watcher is None and not self._is_abandoned and _has_left(self._receive):
            self._caller_left()
        self._recorded = True
        shared = self._shared
        try:
            record = self._exchange.record(outcome, message)
            durable = shared.spool.append(record.id, encode_record(record))
        except Exception:
            logger.exception("a row could not be made")
            shared.metrics.lost_rows.inc()
            return
        shared.metrics.count_row(record)
        patience = asyncio.get_running_loop().call_later(
            shared.settings.spool_wait_s, _resolve, durable
        )
        try:
            if not await durable:
                shared.metrics.late_rows.inc()
        finally:
            patience.cancel()

    async def _fail_by(self, error: Exception) -> None:
        if self._too_large:
            limit = self._shared.settings.max_request_bytes
            message = f"the request body is larger than {limit:,} bytes"
            await self._fail("interrupted", 413, message, "request_too_large")
        else:
            if not isinstance(error, aiohttp.ClientError | OSError):
                logger.error("relaying failed in an unforeseen way", exc_info=error)
            await self._fail("upstream_error", 502, _describe(error))

    async def _fail(
        self, outcome: Outcome, status: int, message: str, kind: str | None = None
    ) -> None:
        """Leave the row of a passage that broke, and tell the caller if that can be done.

        When the answer has begun there is no way to say it: returning without its end
        makes the server cut the connection, which is what the provider did too.
        """
        if self._recorded:
            return
        exchange = self._exchange
        tell = not self._started and not exchange.caller_left
        if tell:
            exchange.status = status
        await self._write_row(outcome, message)
        if tell:
            await send_error(self._send, status, kind or outcome, message or "", log_id=exchange.id)

    def _watch(self) -> None:
        """Look out for the caller's leaving, once the request was read.

        A task for it would cost more than the rest of this class, so it begins only when
        the answer takes longer than most cost to relay; before, one look at the end tells.
        """
        loop = asyncio.get_running_loop()
        self._watch_later = loop.call_later(WATCH_AFTER_S, self._begin_to_watch)

    def _begin_to_watch(self) -> None:
        if not self._recorded:
            self._watcher = asyncio.get_running_loop().create_task(self._wait_for_disconnect())

    async def _wait_for_disconnect(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        if not self._recorded:
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
        if not self._recorded and self._task is not None:
            self._task.cancel()


def body_part(message: Message) -> tuple[bytes, bool]:
    """Return the bytes of an ASGI request message, and whether more come.

    Raises
    ------
    CallerLeftError
        If the caller hung up instead.
    """
    if message["type"] == "http.disconnect":
        raise CallerLeftError
    return message.get("body", b""), message.get("more_body", False)


def _has_left(receive: Receive) -> bool:
    """Return whether a message waits that says the caller hung up; never waits itself.

    Runs the server's `receive` up to the point where it would wait, and no further.
    """
    waiting = receive()
    if not isinstance(waiting, Coroutine):
        return False
    try:
        waiting.send(None)
    except StopIteration as done:
        return bool(done.value["type"] == "http.disconnect")
    waiting.close()
    return False


def _resolve(durable: asyncio.Future[bool]) -> None:
    if not durable.done():
        durable.set_result(False)


def _content_length(value: str | None) -> int | None:
    return int(value) if value is not None and value.isdigit() else None


def _describe(error: Exception) -> str:
    """Say what went wrong with the provider, without a URL: one may carry a credential."""
    match error:
        case aiohttp.ConnectionTimeoutError():
            return "no connection to the provider within the time set"
        case aiohttp.ServerTimeoutError():
            return "the provider was silent for longer than the time set"
        case aiohttp.ClientConnectorDNSError():
            return "the provider's host name cannot be resolved"
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientConnectorSSLError():
            return "the provider's TLS certificate or handshake was refused"
        case aiohttp.ClientConnectorError():
            return f"cannot connect to the provider: {error.os_error.strerror or 'refused'}"
        case aiohttp.ServerDisconnectedError():
            return "the provider closed the connection before it answered"
        case aiohttp.ClientPayloadError():
            return "the provider's answer broke off before its end"
        case OSError(strerror=str(reason)):
            return f"the connection to the provider broke: {reason}"
        case _:
            return f"the provider's answer could not be relayed ({type(error).__name__})"

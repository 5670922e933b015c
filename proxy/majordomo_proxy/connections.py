"""What callers may do to a connection: how large, how many, how slow.

uvicorn bounds none of it but an idle connection. This is its protocol with bounds: sizes
are counted as bytes arrive, times by one look at every connection, twice a second, since a
timer for each would cost more than the rest.
"""

from __future__ import annotations

import asyncio
import logging
from enum import Enum, auto
from typing import TYPE_CHECKING, Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from majordomo_proxy.app import OWN_PATHS
from majordomo_proxy.framing import (
    RestOfMessage,
    Trailers,
    close_delimited,
    framing_fault,
    head_bytes,
)
from majordomo_proxy.refusals import RefusedError, error_response, send_error

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send
    from uvicorn._types import ASGI3Application
    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

    from majordomo_proxy.metrics import Metrics
    from majordomo_proxy.settings import Settings

LOOK_EVERY_S = 0.5
RETRY_AFTER_S = 1
LINGER_S = 2.0
"""How long a connection that was refused is read on: closed at once, with bytes of the
caller's unread, the answer would be lost with it."""

MOST_LINGERING = 128
"""Connections over the bound that get an answer at the same time; more are just cut."""

MOST_PIPELINED = 16
"""Requests that may wait on one connection for an answer to those before them."""

logger = logging.getLogger("majordomo_proxy")

MALFORMED = RefusedError(400, "bad_request", "the request is not valid HTTP")


class Guard:
    """Looks after the connections of one worker.

    Parameters
    ----------
    settings
        The bounds.
    metrics
        What is counted.
    most_connections, most_requests
        Those of the settings, or what the process has descriptors for.
    """

    def __init__(
        self, settings: Settings, metrics: Metrics, *, most_connections: int, most_requests: int
    ) -> None:
        self.settings = settings
        self.metrics = metrics
        self.most_requests = most_requests
        self.open: set[GuardedProtocol] = set()
        self.turned_away: set[GuardedProtocol] = set()
        self._most_connections = most_connections
        self._task: asyncio.Task[None] | None = None
        self.too_many_connections = RefusedError(
            503,
            "too_many_connections",
            f"{most_connections:,} connections are open to this worker, which is the most it "
            "takes (max_connections)",
            retry_after_s=RETRY_AFTER_S,
        )

    @property
    def is_full(self) -> bool:
        """Whether one more connection would be too many."""
        return len(self.open) >= self._most_connections

    async def run(self) -> None:
        """Look after the connections until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            now = loop.time()
            for connection in (*self.open, *self.turned_away):
                try:
                    connection.look(now)
                except Exception:
                    # Without this task no connection of the worker would time out any more.
                    logger.exception("a connection could not be looked after")
            self.metrics.open_connections.set(len(self.open))
            await asyncio.sleep(LOOK_EVERY_S)

    async def busy(self, _: Scope, __: Receive, send: Send) -> None:
        """Answer, as an ASGI application, a request that is one too many."""
        kind = "too_many_requests"
        self.metrics.count_refused(kind)
        message = (
            f"{self.most_requests:,} requests are in flight in this worker, which is the most "
            "it takes (max_requests_in_flight)"
        )
        await send_error(send, 503, kind, message, retry_after_s=RETRY_AFTER_S)


class Phase(Enum):
    """What a connection is waiting for."""

    IDLE = auto()
    HEAD = auto()
    UPLOAD = auto()
    ANSWER = auto()
    PARTING = auto()


class GuardedProtocol(HttpToolsProtocol):
    """One connection of a caller; `guard` is set in a subclass for each worker."""

    guard: Guard

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._refusal: RefusedError | None = None
        self._is_parting = False
        self._fed_bytes = 0  # of the piece that the parser is at
        self._head_bytes = 0  # of a head that is not complete, the pieces before
        self._bodyless_bytes = 0  # of a body, since there was anything of it: trailers
        self._upload_bytes = 0  # of all bodies
        self._phase: Phase | None = None
        self._phase_cycle: RequestResponseCycle | None = None
        self._phase_began_at = 0.0
        self._phase_bytes = 0
        self._moved_at = 0.0
        self._moved_bytes = 0
        self._unsent_bytes = 0
        self._unsent_since = 0.0

    # What the transport calls

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, or turn it away."""
        guard = self.guard
        if guard.is_full:
            self.transport = transport
            guard.metrics.count_refused(guard.too_many_connections.reason)
            if len(guard.turned_away) >= MOST_LINGERING:
                transport.abort()
            else:
                guard.turned_away.add(self)
                self._part_with(guard.too_many_connections)
        else:
            guard.open.add(self)
            super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget a connection."""
        self.guard.open.discard(self)
        self.guard.turned_away.discard(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came, unless it is too much."""
        if self._is_parting:
            return
        self._fed_bytes = size = len(data)
        uploaded = self._upload_bytes
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._read_on(data[upgrade.args[0] :])
            return
        except httptools.HttpParserError:
            self._refuse(self._refusal or MALFORMED)
            return
        cycle = self.cycle
        if self.scope is not None and "path" not in self.scope:
            # What of this piece was of a request before is unknown: then it does not count.
            if self._head_bytes or cycle is None or cycle.response_complete:
                self._head_bytes += size
            else:
                self._head_bytes = 1
            if self._head_bytes > self.guard.settings.max_header_bytes:
                self._refuse(self._too_large())
        else:
            self._head_bytes = 0
            if cycle is not None and cycle.more_body and not cycle.response_complete:
                if self._upload_bytes == uploaded:
                    self._bodyless_bytes += size
                    if self._bodyless_bytes > self.guard.settings.max_header_bytes:
                        self._refuse(self._too_large())
                else:
                    self._bodyless_bytes = 0

    # What the parser calls

    def on_headers_complete(self) -> None:
        """Refuse a head that is too large or ambiguous; begin the request of any other."""
        settings = self.guard.settings
        headers = self.headers
        if (
            self._head_bytes + self._fed_bytes > settings.max_header_bytes
            and head_bytes(self.url, headers) > settings.max_header_bytes
        ) or len(self.url) > settings.max_target_bytes:
            self._stop_parsing(self._too_large())
        if len(headers) > settings.max_headers:
            message = f"the request has more than {settings.max_headers:,} headers"
            self._stop_parsing(RefusedError(431, "too_many_headers", message))
        version = self.parser.get_http_version()
        if version != "1.1" and (fault := framing_fault(version, headers)) is not None:
            self._stop_parsing(fault)
        if len(self.pipeline) >= MOST_PIPELINED:
            message = f"more than {MOST_PIPELINED} requests wait on one connection"
            self._stop_parsing(RefusedError(400, "too_many_pipelined", message))
        super().on_headers_complete()
        if not self.cycle.keep_alive:
            self.cycle.transport = GentlyClosed(self)  # type: ignore[assignment]
        # The request has the list that was: no trailer may become one of its headers.
        self.headers = Trailers()
        # The piece that the head ends in is none of the body; those before count no more.
        self._bodyless_bytes = -self._fed_bytes

    def on_body(self, body: bytes) -> None:
        """Take a piece of a request body."""
        self._upload_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request, unless its body was left unread for an upgrade that is none."""
        if not self.parser.should_upgrade():
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """Go on with the next request: as uvicorn does, without a timer for idleness."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        # The proxy's own pages are answered however much there is to relay.
        if len(self.tasks) >= self.guard.most_requests and cycle.scope["path"] not in OWN_PATHS:
            app = self.guard.busy  # type: ignore[assignment]
        if cycle.scope["http_version"] == "1.0":
            app = close_delimited(cycle, app)
        super()._start_asgi_task(cycle, app)

    def _read_on(self, rest: bytes) -> None:
        # The parser takes a request with Upgrade for the end of HTTP and what follows for
        # bytes of another protocol. There is none that we speak, so it is its body.
        RestOfMessage(self, self.scope["headers"])
        self._bodyless_bytes = 0
        if rest:
            self.data_received(rest)

    def close_gently(self) -> None:
        """End the connection after an answer; read on if its request is not all here."""
        if self.cycle.more_body and not self._is_parting:
            self._part()
        else:
            self.transport.close()

    # Refusing

    def _too_large(self) -> RefusedError:
        settings = self.guard.settings
        if len(self.url) > settings.max_target_bytes:
            message = f"the request target is longer than {settings.max_target_bytes:,} bytes"
            return RefusedError(414, "target_too_long", message)
        message = f"the request headers are larger than {settings.max_header_bytes:,} bytes"
        return RefusedError(431, "headers_too_large", message)

    def _stop_parsing(self, refusal: RefusedError) -> None:
        self._refusal = refusal
        raise refusal

    def _refuse(self, refusal: RefusedError) -> None:
        """Answer with an error and end the connection; just end it if an answer began."""
        self.guard.metrics.count_refused(refusal.reason)
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            if cycle.response_started or self.pipeline:
                self.transport.abort()
                return
            cycle.disconnected = True
            cycle.message_event.set()
        self._part_with(refusal)

    def _part_with(self, refusal: RefusedError) -> None:
        self.transport.write(
            error_response(
                refusal.status,
                refusal.reason,
                str(refusal),
                retry_after_s=refusal.retry_after_s,
            )
        )
        self._part()

    def _part(self) -> None:
        self._is_parting = True
        self.transport.write_eof()
        if self.flow is not None:
            self.flow.resume_reading()

    # What the guard calls

    def look(self, now: float) -> None:
        """End what has waited too long; `now` is the loop's time."""
        settings = self.guard.settings
        unsent = self.transport.get_write_buffer_size()
        if unsent == 0 or unsent != self._unsent_bytes:
            self._unsent_bytes, self._unsent_since = unsent, now
        elif now - self._unsent_since >= settings.stalled_answer_timeout_s:
            self._cut("stalled_answer")
            return
        cycle = self.cycle
        phase = self._phase_now()
        if phase is not self._phase or cycle is not self._phase_cycle:
            self._phase, self._phase_cycle = phase, cycle
            self._phase_began_at = self._moved_at = now
            self._phase_bytes = self._moved_bytes = self._upload_bytes
            return
        waited_s = now - self._phase_began_at
        if phase is Phase.UPLOAD:
            self._look_at_upload(now, waited_s)
        elif phase is Phase.IDLE and waited_s >= settings.idle_timeout_s and not unsent:
            self.transport.close()
        elif phase is Phase.HEAD and waited_s >= settings.headers_timeout_s:
            message = f"the request headers took longer than {settings.headers_timeout_s:g} s"
            self._refuse(RefusedError(408, "headers_timeout", message))
        elif phase is Phase.PARTING and waited_s >= LINGER_S and not unsent:
            self.transport.abort()

    def _phase_now(self) -> Phase:
        cycle = self.cycle
        if self._is_parting:
            return Phase.PARTING
        if cycle is not None and not cycle.response_complete:
            # While nobody reads here, it is not the caller who is slow.
            is_upload = cycle.more_body and not (cycle.response_started or self.flow.read_paused)
            return Phase.UPLOAD if is_upload else Phase.ANSWER
        is_head = self.scope is not None and "path" not in self.scope
        return Phase.HEAD if is_head else Phase.IDLE

    def _look_at_upload(self, now: float, waited_s: float) -> None:
        settings = self.guard.settings
        if self._upload_bytes != self._moved_bytes:
            self._moved_bytes, self._moved_at = self._upload_bytes, now
        idle_s, least = settings.upload_idle_timeout_s, settings.upload_least_bytes_per_s
        if now - self._moved_at >= idle_s:
            message = f"nothing of the request body came for {idle_s:g} s"
        elif waited_s > idle_s and self._upload_bytes - self._phase_bytes < waited_s * least:
            message = f"the request body comes at less than {least:g} bytes a second"
        else:
            return
        self._refuse(RefusedError(408, "upload_timeout", message))

    def _cut(self, cause: str) -> None:
        self.guard.metrics.count_cut_connection(cause)
        self.transport.abort()


class GentlyClosed:
    """The transport as an answer sees it that is the last one of its connection."""

    def __init__(self, protocol: GuardedProtocol) -> None:
        self.write = protocol.transport.write
        self.is_closing = protocol.transport.is_closing
        self.close = protocol.close_gently


def guarded_protocol(guard: Guard) -> type[asyncio.Protocol]:
    """Return the protocol that has `guard` look after its connections."""
    return type("WorkerProtocol", (GuardedProtocol,), {"guard": guard})

"""Where a message of a caller's begins and ends, in cases in which the server errs.

None of it is on the way of an ordinary request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import httptools

from majordomo_proxy.refusals import RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from starlette.types import ASGIApp, Message, Receive, Scope, Send
    from uvicorn._types import ASGI3Application
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

Header = tuple[bytes, bytes]

FRAMING = frozenset({b"content-length", b"transfer-encoding"})
SEPARATORS = len(": \r\n")


class Trailers(list[Header]):
    """Takes the trailers of a chunked request, and keeps none.

    One that became a header could name another provider, another length or a credential
    after whoever is in front of the proxy has looked at the headers.
    """

    def append(self, _: Header) -> None:
        """Let it go."""


class RestOfMessage:
    """Parses the body of a request whose head was parsed already, and what comes after it.

    Parameters
    ----------
    protocol
        Who is told of it; gets the parser that it has to feed from now on.
    headers
        Those of the request; they say how its body is framed.
    """

    def __init__(self, protocol: HttpToolsProtocol, headers: Iterable[Header]) -> None:
        self._protocol = protocol
        self._is_head_told = True
        parser = httptools.HttpRequestParser(self)
        parser.set_dangerous_leniencies(lenient_data_after_close=True)
        lines = [b"POST / HTTP/1.1", *(b"%b: %b" % pair for pair in headers if pair[0] in FRAMING)]
        head = b"\r\n".join([*lines, b"", b""])
        protocol.parser = parser
        parser.feed_data(head)  # without a body, the protocol hears of the end now

    def on_message_begin(self) -> None:
        """Tell of the next message."""
        if not self._is_head_told:
            self._protocol.on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Tell of the next message's target."""
        if not self._is_head_told:
            self._protocol.on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Tell of a header of the next message, or of a trailer."""
        if not self._is_head_told:
            self._protocol.on_header(name, value)

    def on_headers_complete(self) -> None:
        """Tell of it, unless it is the head that was told."""
        if self._is_head_told:
            self._is_head_told = False
        else:
            self._protocol.on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Tell of a piece of a body."""
        self._protocol.on_body(body)

    def on_message_complete(self) -> None:
        """Tell of a message's end."""
        self._protocol.on_message_complete()


def head_bytes(target: bytes, headers: Sequence[Header]) -> int:
    """Return how large the head of a request is, without its method and version."""
    return len(target) + sum(len(name) + len(value) + SEPARATORS for name, value in headers)


def framing_fault(version: str, headers: Sequence[Header]) -> RefusedError | None:
    """Return what is wrong with a request that is not HTTP/1.1, None if nothing is."""
    if version != "1.0":
        message = f"HTTP/{version} is not spoken here; HTTP/1.1 is"
        return RefusedError(505, "http_version", message)
    if any(name == b"transfer-encoding" for name, _ in headers):
        message = "an HTTP/1.0 request cannot have Transfer-Encoding"
        return RefusedError(400, "bad_request", message)
    return None


def close_delimited(cycle: RequestResponseCycle, app: ASGI3Application) -> ASGI3Application:
    """Return `app` for an HTTP/1.0 caller, who knows no chunks.

    Where the length is not known, the end of the connection is the end of the body.
    """

    async def plainly(scope: Scope, receive: Receive, send: Send) -> None:
        is_unbounded = False

        async def send_plainly(message: Message) -> None:
            nonlocal is_unbounded
            if message["type"] == "http.response.start":
                names = [name.lower() for name, _ in message.get("headers", ())]
                is_unbounded = b"content-length" not in names
                if is_unbounded:
                    cycle.chunked_encoding = False
            elif is_unbounded:
                # The server compares with the length that was stated: let it be what comes.
                more = message.get("more_body", False)
                cycle.expected_content_length = len(message.get("body", b"")) + more
            await send(message)

        relayed: ASGIApp = app  # type: ignore[assignment]
        await relayed(scope, receive, send_plainly)

    return plainly  # type: ignore[return-value]

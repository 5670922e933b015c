"""The provider of the fault tests: it knows what it was asked, and answered whole."""

from __future__ import annotations

import asyncio
import json
import threading

from tests.support.upstream import (
    CHAT_ANSWER,
    CHAT_DELTA,
    CHAT_EVENTS,
    LAST_CHUNK,
    Received,
    chunk,
    event,
    head,
)

CALL = "X-Call"
"""The header by which a caller names its call; every provider gets it as it came."""

STREAM = ("Content-Type: text/event-stream", "Transfer-Encoding: chunked")
EVENTS_OF_A_LONG_STREAM = 12
PAUSE_S = 0.1


class Provider:
    """Answers as the query says, `script=NAME`.

    Attributes
    ----------
    asked
        Calls that came in whole.
    answered
        Calls whose answer was written to its end.
    """

    def __init__(self) -> None:
        self.asked: set[str] = set()
        self.answered: set[str] = set()
        self._lock = threading.Lock()

    async def __call__(self, request: Received, writer: asyncio.StreamWriter) -> None:
        """Be the script of an `Upstream`."""
        call = request.header(CALL) or ""
        with self._lock:
            self.asked.add(call)
        size = len(request.body)
        request.body = b""  # `Upstream` keeps every request
        script = request.target.partition("script=")[2] or "json"
        async for piece in _pieces(script, size):
            if piece is LAST:
                with self._lock:
                    self.answered.add(call)
                continue
            if piece is ABORT:
                writer.transport.abort()
                return
            writer.write(piece)
            await writer.drain()

    def known(self) -> tuple[set[str], set[str]]:
        """Return copies of what it was asked and what it answered whole."""
        with self._lock:
            return set(self.asked), set(self.answered)


LAST = b"the next piece is the last"
ABORT = b"reset the connection"


async def _pieces(script: str, size: int):  # type: ignore[no-untyped-def]
    length = f"Content-Length: {len(CHAT_ANSWER)}"
    json_type = "Content-Type: application/json"
    if script == "json":
        yield LAST
        yield head("200 OK", json_type, length) + CHAT_ANSWER
    elif script == "chunked":
        yield head("200 OK", json_type, "Transfer-Encoding: chunked")
        yield chunk(CHAT_ANSWER[:50])
        await asyncio.sleep(0.02)
        yield LAST
        yield chunk(CHAT_ANSWER[50:]) + LAST_CHUNK
    elif script == "stream":
        yield head("200 OK", *STREAM)
        for one in CHAT_EVENTS:
            yield chunk(one)
            await asyncio.sleep(0)
        yield LAST
        yield LAST_CHUNK
    elif script == "long":
        yield head("200 OK", *STREAM)
        for _ in range(EVENTS_OF_A_LONG_STREAM):
            yield chunk(event(CHAT_DELTA))
            await asyncio.sleep(PAUSE_S)
        for one in CHAT_EVENTS[-2:]:
            yield chunk(one)
        yield LAST
        yield LAST_CHUNK
    elif script == "slow-head":
        await asyncio.sleep(1.0)
        yield LAST
        yield head("200 OK", json_type, length) + CHAT_ANSWER
    elif script == "upload":
        body = json.dumps({"bytes": size}).encode()
        yield LAST
        yield head("200 OK", json_type, f"Content-Length: {len(body)}") + body
    elif script == "document":  # a large answer
        yield head("200 OK", json_type, "Transfer-Encoding: chunked")
        yield chunk(CHAT_ANSWER[:-1] + b', "data": "')
        for _ in range(64):
            yield chunk(b"A" * 32_768)
        yield LAST
        yield chunk(b'"}') + LAST_CHUNK
    elif script == "rate-limited":
        body = b'{"error":{"message":"Rate limit reached","type":"requests","code":"rate_limit"}}'
        yield LAST
        yield head("429 Too Many Requests", f"Content-Length: {len(body)}") + body
    elif script == "reset":
        yield ABORT
    elif script == "reset-in-stream":
        yield head("200 OK", *STREAM)
        yield chunk(event(CHAT_DELTA))
        await asyncio.sleep(0.1)
        yield ABORT
    else:
        raise AssertionError(script)

"""A proxy in front of providers that misbehave, for what has cost others their rows.

Each test of this folder is one way in which gateways of LLM calls have lost rows, counted
tokens wrongly or let secrets out; its name says which. The numbers order them: callers who
leave, providers that break, bytes, numbers, texts, headers, slow peers, sinks, crashes.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.proxy import RunningProxy, running_proxy
from tests.support.scripts import SCRIPTS
from tests.support.upstream import LAST_CHUNK, Received, Upstream, chunk, event, head

CHAT = "/v1/chat/completions"
MESSAGES = "/v1/messages"
EVENTS = 5
PAUSE_S = 0.12


def chat_delta(number: int) -> bytes:
    delta = {"index": 0, "delta": {"content": f"word {number} "}, "finish_reason": None}
    return event({"id": "c-1", "model": "gpt-4o-mini", "choices": [delta], "usage": None})


CHAT_USAGE = event(
    {
        "id": "c-1",
        "model": "gpt-4o-mini",
        "choices": [],
        "usage": {"prompt_tokens": 70, "completion_tokens": 50, "total_tokens": 120},
    }
)
MESSAGE_START = event(
    {
        "type": "message_start",
        "message": {
            "id": "msg-1",
            "model": "claude-haiku-4-5",
            "usage": {"input_tokens": 70, "output_tokens": 1},
        },
    }
)
MESSAGE_DELTA = event(
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 50}}
)


async def stream(writer: asyncio.StreamWriter, *events: bytes) -> None:
    """Answer with events, each in a chunk of its own and a pause after it."""
    writer.write(head("200 OK", "Content-Type: text/event-stream", "Transfer-Encoding: chunked"))
    for one in events:
        writer.write(chunk(one))
        await writer.drain()
        await asyncio.sleep(PAUSE_S)
    writer.write(LAST_CHUNK)


async def paced(request: Received, writer: asyncio.StreamWriter) -> None:
    """Stream a chat or a message: five deltas, the usage, the mark of the end, the end."""
    if request.target.startswith(MESSAGES):
        delta = event({"type": "content_block_delta", "delta": {"text": "word "}})
        stop = event({"type": "message_stop"})
        await stream(writer, MESSAGE_START, *[delta] * EVENTS, MESSAGE_DELTA, stop)
    else:
        deltas = [chat_delta(number) for number in range(EVENTS)]
        await stream(writer, *deltas, CHAT_USAGE, b"data: [DONE]\n\n")


async def slow_headers(_: Received, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(0.8)
    await paced(Received("POST", CHAT, []), writer)


async def reset_in_event(_: Received, writer: asyncio.StreamWriter) -> None:
    """Two events and a half, then a reset."""
    writer.write(head("200 OK", "Content-Type: text/event-stream", "Transfer-Encoding: chunked"))
    for one in (MESSAGE_START, chat_delta(1), MESSAGE_DELTA[: len(MESSAGE_DELTA) // 2]):
        writer.write(chunk(one))
        await writer.drain()
        await asyncio.sleep(0.05)
    writer.transport.abort()


async def error_in_stream(_: Received, writer: asyncio.StreamWriter) -> None:
    error = {"message": "Over capacity for sk-proj-planted12345678", "type": "server_error"}
    await stream(writer, chat_delta(0), event({"error": error}), b"data: [DONE]\n\n")


async def failed_response(_: Received, writer: asyncio.StreamWriter) -> None:
    usage = {"input_tokens": 70, "output_tokens": 5, "total_tokens": 75}
    response = {"id": "resp_1", "model": "gpt-5", "status": "failed", "usage": usage}
    response["error"] = {"code": "server_error", "message": "The model broke"}
    await stream(writer, event({"type": "response.failed", "response": response}))


async def much(_: Received, writer: asyncio.StreamWriter) -> None:
    """Answer with 60 MB of events, as fast as they are taken."""
    writer.write(head("200 OK", "Content-Type: text/event-stream", "Transfer-Encoding: chunked"))
    block = chunk(chat_delta(1) * 400)
    for _turn in range(60_000_000 // len(block)):
        writer.write(block)
        await writer.drain()
    writer.write(chunk(CHAT_USAGE + b"data: [DONE]\n\n") + LAST_CHUNK)


async def odd_texts(_: Received, writer: asyncio.StreamWriter) -> None:
    """Answer with NUL, a lone surrogate and broken UTF-8 in every text that is kept."""
    odd = rb"a\u0000b\ud800c" + b"\xff\xe4\xbd" + b"\xe2\x98\x95"
    body = b'{"id":"%b","model":"%b","service_tier":"%b","choices":[],' % (odd, odd, odd)
    body += b'"error":{"message":"%b"},' % odd
    body += (
        b'"usage":{"prompt_tokens":7,"completion_tokens":5,"total_tokens":12,"note":"%b"}}' % odd
    )
    writer.write(head("200 OK", f"Content-Length: {len(body)}") + body)


async def long_model(_: Received, writer: asyncio.StreamWriter) -> None:
    usage = b'{"prompt_tokens":7,"completion_tokens":5,"total_tokens":12}'
    body = b'{"id":"c","model":"%b","choices":[],"usage":%b}' % (b"m" * 300, usage)
    writer.write(head("200 OK", f"Content-Length: {len(body)}") + body)


async def dear(_: Received, writer: asyncio.StreamWriter) -> None:
    """Answer with more tokens than ten thousand dollars buy."""
    usage = b'{"prompt_tokens":90000000000,"completion_tokens":5,"total_tokens":90000000005}'
    body = b'{"id":"c","model":"gpt-4o","choices":[],"usage":%b}' % usage
    writer.write(head("200 OK", f"Content-Length: {len(body)}") + body)


OWN = {
    "odd-texts": odd_texts,
    "long-model": long_model,
    "dear": dear,
    "paced": paced,
    "slow-headers": slow_headers,
    "reset-in-event": reset_in_event,
    "error-in-stream": error_in_stream,
    "failed-response": failed_response,
    "much": much,
}


async def answer(request: Received, writer: asyncio.StreamWriter) -> None:
    name = request.target.partition("script=")[2] or "content-length"
    await (OWN.get(name) or SCRIPTS[name])(request, writer)


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream(answer) as running:
        yield running


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[RunningProxy]:
    data = tmp_path_factory.mktemp("traps") / "data"
    with running_proxy(
        data, openai_base_url=upstream.url, anthropic_base_url=upstream.url, read_timeout_s="5"
    ) as running:
        yield running


class Caller:
    """A caller with a plain socket, who reads only as much as he wants to."""

    def __init__(
        self,
        proxy: RunningProxy,
        target: str,
        body: bytes = b"{}",
        *more: str,
        length: int | None = None,
    ) -> None:
        lines = (
            f"POST {target} HTTP/1.1",
            "Host: proxy",
            f"X-Majordomo-Key: {proxy.key}",
            f"Content-Length: {len(body) if length is None else length}",
            *more,
        )
        self.socket = socket.create_connection(("127.0.0.1", proxy.port), timeout=20)
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode() + body)
        self.seen = b""

    def read_until(self, mark: bytes) -> None:
        while mark not in self.seen:
            part = self.socket.recv(65536)
            assert part, f"the proxy closed before {mark!r}: {self.seen[-300:]!r}"
            self.seen += part

    def leave(self) -> None:
        self.socket.close()

    @property
    def log_id(self) -> str:
        head = self.seen.partition(b"\r\n\r\n")[0].decode("latin-1").lower()
        (line,) = [line for line in head.split("\r\n") if line.startswith("x-majordomo-log-id:")]
        return line.partition(":")[2].strip()


def row_when_there(proxy: RunningProxy, log_id: str) -> dict[str, Any]:
    """Return the row of that id; it may still be on its way."""
    for _ in range(20):
        for row in proxy.rows():
            if row["id"] == log_id:
                return row
        time.sleep(0.3)
    raise AssertionError(f"no row {log_id}")

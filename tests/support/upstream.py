"""A provider of raw bytes: each answer is a script that writes what it likes."""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Self

Script = Callable[["Received", asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Received:
    """One request as the provider got it: raw target, headers in order, whole body."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes = b""

    def header(self, name: str) -> str | None:
        return next((v for n, v in self.headers if n.lower() == name.lower()), None)


@dataclass
class Upstream:
    """Runs in a thread of its own; `received` is every request so far."""

    script: Script
    received: list[Received] = field(default_factory=list)
    tls: ssl.SSLContext | None = None

    def __enter__(self) -> Self:
        started = threading.Event()

        async def run() -> None:
            self._stop = asyncio.Event()
            self._loop = asyncio.get_running_loop()
            server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.tls)
            self.port: int = server.sockets[0].getsockname()[1]
            started.set()
            await self._stop.wait()
            server.close()
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()

        self._thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
        self._thread.start()
        assert started.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                first, *lines = head.split("\r\n")[:-2]
                method, target, _ = first.split(" ")
                pairs = [line.split(":", 1) for line in lines]
                request = Received(method, target, [(n, v.strip()) for n, v in pairs])
                request.body = await _body(reader, request)
                self.received.append(request)
                await self.script(request, writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()


async def _body(reader: asyncio.StreamReader, request: Received) -> bytes:
    if request.header("transfer-encoding") == "chunked":
        body = b""
        while size := int(await reader.readline(), 16):
            body += await reader.readexactly(size)
            await reader.readexactly(2)
        await reader.readexactly(2)
        return body
    return await reader.readexactly(int(request.header("content-length") or 0))


def head(status: str = "200 OK", *headers: str) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", *headers, "", ""]).encode("latin-1")


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


LAST_CHUNK = b"0\r\n\r\n"

CHAT_USAGE = {
    "prompt_tokens": 120,
    "completion_tokens": 30,
    "total_tokens": 150,
    "prompt_tokens_details": {"cached_tokens": 100},
}
CHAT_ANSWER = json.dumps(
    {
        "id": "chatcmpl-7",
        "object": "chat.completion",
        "model": "gpt-4o-mini",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Guten Tag ☕"}}],
        "usage": CHAT_USAGE,
    }
).encode()


def event(data: object) -> bytes:
    return b"data: " + json.dumps(data).encode() + b"\n\n"


CHAT_DELTA = {
    "id": "chatcmpl-7",
    "model": "gpt-4o-mini",
    "choices": [{"index": 0, "delta": {"content": "Guten Tag "}}],
}
CHAT_EVENTS = [
    *[event(CHAT_DELTA)] * 3,
    event({"id": "chatcmpl-7", "model": "gpt-4o-mini", "choices": [], "usage": CHAT_USAGE}),
    b"data: [DONE]\n\n",
]


async def answer_json(_: Received, writer: asyncio.StreamWriter) -> None:
    """Answer with Content-Length framing."""
    length = f"Content-Length: {len(CHAT_ANSWER)}"
    writer.write(head("200 OK", "Content-Type: application/json", length) + CHAT_ANSWER)


async def answer_chunked(_: Received, writer: asyncio.StreamWriter) -> None:
    """Answer the same JSON with chunked framing."""
    writer.write(head("200 OK", "Content-Type: application/json", "Transfer-Encoding: chunked"))
    writer.write(chunk(CHAT_ANSWER[:50]) + chunk(CHAT_ANSWER[50:]) + LAST_CHUNK)


async def answer_stream(_: Received, writer: asyncio.StreamWriter) -> None:
    """Answer with a stream of events."""
    writer.write(head("200 OK", "Content-Type: text/event-stream", "Transfer-Encoding: chunked"))
    for one in CHAT_EVENTS:
        writer.write(chunk(one))
        await writer.drain()
        await asyncio.sleep(0)
    writer.write(LAST_CHUNK)


FRAMINGS: dict[str, Script] = {
    "content-length": answer_json,
    "chunked": answer_chunked,
    "stream": answer_stream,
}

"""What the benchmarks of the proxy share: a provider, the floor, load, and CPU times.

The floor is what relaying costs at the least with these libraries: plain ASGI on uvicorn,
aiohttp to the provider, no API key, no capture, no row. The proxy does all of its work.
Both are processes of their own that relay answers of one local provider.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.types import ASGIApp, Receive, Scope, Send

START_TIMEOUT_S = 20.0
CONTENDERS = ("floor", "proxy")

USAGE = {
    "prompt_tokens": 812,
    "completion_tokens": 301,
    "total_tokens": 1113,
    "prompt_tokens_details": {"cached_tokens": 512, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
}
JSON_ANSWER = json.dumps(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": "gpt-4o-mini-2024-07-18",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "word " * 300}}],
        "usage": USAGE,
    }
).encode()

CHUNK = {
    "id": "chatcmpl-BxT4kq2mQdZ81Yc0vSgHnWr5LuJfE",
    "object": "chat.completion.chunk",
    "created": 1793491200,
    "model": "gpt-4o-mini-2024-07-18",
    "service_tier": "default",
    "system_fingerprint": "fp_8bda4d3a2c",
    "choices": [
        {"index": 0, "delta": {"content": " word"}, "logprobs": None, "finish_reason": None}
    ],
}
DONE = b"data: [DONE]\n\n"


def event(chunk: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(chunk, separators=(",", ":")).encode() + b"\n\n"


async def provider(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer chat completions: JSON, or a stream when the body asks for one.

    The body's member `benchmark` says of how many `chunks`, `interval_ms` apart. If it asks
    for usage, that is null in every chunk and stated at the end, as OpenAI does.
    """
    if scope["type"] != "http":
        return
    body = b""
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    request = json.loads(body)
    if not request.get("stream"):
        length = (b"content-length", str(len(JSON_ANSWER)).encode())
        headers = [(b"content-type", b"application/json"), length]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": JSON_ANSWER})
        return
    is_asked = (request.get("stream_options") or {}).get("include_usage", False)
    one = event({**CHUNK, "usage": None} if is_asked else CHUNK)
    interval_s = request["benchmark"]["interval_ms"] / 1000
    headers = [(b"content-type", b"text/event-stream")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for _ in range(request["benchmark"]["chunks"]):
        await send({"type": "http.response.body", "body": one, "more_body": True})
        await asyncio.sleep(interval_s)  # an event of its own on the wire, as providers send
    if is_asked:
        last = event({**CHUNK, "choices": [], "usage": USAGE})
        await send({"type": "http.response.body", "body": last, "more_body": True})
    await send({"type": "http.response.body", "body": DONE})


def floor(upstream: str) -> ASGIApp:
    """Return the bare pass-through."""
    import aiohttp

    session: aiohttp.ClientSession | None = None
    dropped = {b"host", b"content-length", b"connection", b"transfer-encoding"}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal session
        if scope["type"] != "http":
            return
        if session is None:
            session = aiohttp.ClientSession(
                auto_decompress=False, connector=aiohttp.TCPConnector(limit=0)
            )
        message = await receive()
        headers = [(n.decode(), v.decode()) for n, v in scope["headers"] if n not in dropped]
        url = upstream + scope["raw_path"].decode()
        async with session.request(
            scope["method"], url, data=message["body"], headers=headers
        ) as answer:
            relayed = [(n, v) for n, v in answer.raw_headers if n.lower() not in dropped]
            await send({"type": "http.response.start", "status": answer.status, "headers": relayed})
            async for chunk in answer.content.iter_any():
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    return app


def serve(role: str, listener_fd: int, upstream: str) -> None:
    """Be the provider or the floor, until told to stop."""
    import uvicorn

    app: Any = provider if role == "provider" else floor(upstream)
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, http="httptools", ws="none", lifespan="off"
    )
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(uvicorn.Server(config).serve([socket.socket(fileno=listener_fd)]))


@dataclass(frozen=True, slots=True)
class Stand:
    """The processes that are measured.

    Attributes
    ----------
    ports, processes
        By name: `provider`, `floor` and `proxy`.
    key
        An API key that the proxy takes.
    """

    ports: dict[str, int]
    processes: dict[str, subprocess.Popen[bytes]]
    key: str

    def cpu_seconds(self, name: str) -> float:
        """Return the CPU time that the threads of a process have used so far."""
        tasks = Path(f"/proc/{self.processes[name].pid}/task")
        used = [int((task / "schedstat").read_text().split()[0]) for task in tasks.iterdir()]
        return sum(used) / 1e9

    def request(self, body: bytes) -> bytes:
        """Return a whole HTTP request for a chat completion, tagged as users tag it."""
        return (
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Type: application/json\r\nAccept: */*\r\nUser-Agent: benchmark\r\n"
            b"Authorization: Bearer sk-benchmark\r\nX-Majordomo-Key: "
            + self.key.encode()
            + b"\r\nX-Majordomo-Feature: search\r\nX-Majordomo-Team: growth\r\n"
            b"X-Majordomo-User-Tier: free\r\nContent-Length: "
            + str(len(body)).encode()
            + b"\r\n\r\n"
            + body
        )

    def spent(
        self, name: str, body: bytes, *, connections: int, requests: int
    ) -> tuple[float, int]:
        """Return the CPU seconds that relaying took, and how many chunks came of it."""
        before = self.cpu_seconds(name)
        chunks = asyncio.run(load(self.ports[name], self.request(body), connections, requests))
        return self.cpu_seconds(name) - before, chunks


@contextlib.contextmanager
def stand() -> Iterator[Stand]:
    """Start the provider, the floor and one worker of the proxy; end them at the end."""
    from majordomo_analytics.apikeys import ApiKeyStore
    from majordomo_analytics.datadir import DataDirectory
    from majordomo_proxy.settings import SETTINGS_VARIABLE, load_settings, settings_to_text

    with tempfile.TemporaryDirectory() as folder:
        data = DataDirectory.create(Path(folder) / "data")
        key = ApiKeyStore(data.api_keys).create("benchmark").key
        data.metrics.mkdir(parents=True)
        sockets = {name: _listening() for name in ("provider", *CONTENDERS)}
        ports = {name: listener.getsockname()[1] for name, listener in sockets.items()}
        upstream = f"http://127.0.0.1:{ports['provider']}"
        environment = {"MAJORDOMO_OPENAI_BASE_URL": upstream}
        settings = load_settings(environment=environment, data=data.root)
        # The worker ends when the other end of this pipe is closed, come what may.
        lifeline, _other_end = os.pipe()
        commands = {
            name: [__file__, name, str(sockets[name].fileno()), upstream]
            for name in ("provider", "floor")
        }
        listener_fd = str(sockets["proxy"].fileno())
        commands["proxy"] = ["-m", "majordomo_proxy.worker", listener_fd, str(lifeline)]
        environment = {
            **os.environ,
            SETTINGS_VARIABLE: settings_to_text(settings),
            "PROMETHEUS_MULTIPROC_DIR": str(data.metrics),
        }
        processes = {
            name: subprocess.Popen(
                [sys.executable, *command],
                pass_fds=(sockets[name].fileno(), lifeline),
                env=environment,
            )
            for name, command in commands.items()
        }
        try:
            for port in ports.values():
                _wait_until_up(port)
            yield Stand(ports, processes, key)
        finally:
            for process in processes.values():
                process.terminate()
            for process in processes.values():
                process.wait()


async def load(port: int, request: bytes, connections: int, requests: int) -> int:
    """Send requests over connections that are kept; return how many chunks came back."""
    each = requests // connections
    chunks = await asyncio.gather(
        *(_one_connection(port, request, each) for _ in range(connections))
    )
    return sum(chunks)


async def _one_connection(port: int, request: bytes, times: int) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    chunks = 0
    for _ in range(times):
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise ValueError(head)
        lower = head.lower()
        if b"content-length: " in lower:
            length = int(lower.split(b"content-length: ")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
        else:
            chunks += await _read_chunks(reader)
    writer.close()
    return chunks


async def _read_chunks(reader: asyncio.StreamReader) -> int:
    """Read a chunked body of events; return how many chunks it came in.

    Only a chunk's first event stands behind the line with the chunk's length.
    """
    begin, end = b"\r\ndata: ", b"\r\n0\r\n\r\n"
    chunks, tail = 0, b"\r\n"
    while not tail.endswith(end):
        part = await reader.read(65536)
        if not part:
            raise EOFError
        text = tail + part
        chunks += text.count(begin)
        tail = text[1 - len(begin) :]
    return chunks


def _listening() -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", 0))
    listener.listen(512)
    return listener


def _wait_until_up(port: int) -> None:
    until = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
        else:
            return


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]), sys.argv[3])

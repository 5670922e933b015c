"""CPU per relayed request: the whole proxy beside a bare pass-through, in one run.

The floor is what relaying costs at the least with these libraries: plain ASGI on uvicorn,
aiohttp to the provider, no API key, no capture, no row. The proxy does all of its work:
key, provider, headers, usage, a durable row awaited before the end, metrics. Both relay the
same answers of one local provider to the same client, in turns, and only the CPU time of
the relaying process counts. Cost does not grow with the number of stored rows; it grows
with the number of chunks of an answer, which the second case shows.

    python benchmarks/proxy_overhead.py [--requests 4000] [--rounds 5]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CONNECTIONS = 32
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")

CHAT = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "model": "gpt-4o-mini-2024-07-18",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "word " * 300}}],
    "usage": {
        "prompt_tokens": 812,
        "completion_tokens": 301,
        "total_tokens": 1113,
        "prompt_tokens_details": {"cached_tokens": 512, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    },
}
JSON_ANSWER = json.dumps(CHAT).encode()


def sse_answer(chunks: int) -> list[bytes]:
    delta = {"id": "c", "model": "gpt-4o-mini", "choices": [{"delta": {"content": "word "}}]}
    last = {"id": "c", "model": "gpt-4o-mini", "choices": [], "usage": CHAT["usage"]}
    events = [delta] * chunks + [last]
    return [b"data: " + json.dumps(e).encode() + b"\n\n" for e in events] + [b"data: [DONE]\n\n"]


SSE_ANSWER = sse_answer(40)


async def provider(scope, receive, send):  # type: ignore[no-untyped-def]
    """Answer chat completions: JSON, or a stream when the body asks for one."""
    if scope["type"] != "http":
        return
    message = await receive()
    if b'"stream":true' in message["body"]:
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for event in SSE_ANSWER:
            await send({"type": "http.response.body", "body": event, "more_body": True})
            await asyncio.sleep(0)  # an event of its own on the wire, as a provider sends it
        await send({"type": "http.response.body", "body": b""})
        return
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(JSON_ANSWER)).encode()),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": JSON_ANSWER})


def floor(upstream: str):  # type: ignore[no-untyped-def]
    """Return the bare pass-through."""
    import aiohttp

    session: aiohttp.ClientSession | None = None
    dropped = {b"host", b"content-length", b"connection", b"transfer-encoding"}

    async def app(scope, receive, send):  # type: ignore[no-untyped-def]
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
    import uvicorn

    app = provider if role == "provider" else floor(upstream)
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, http="httptools", ws="none", lifespan="off"
    )
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(uvicorn.Server(config).serve([socket.socket(fileno=listener_fd)]))


async def one_connection(port: int, request: bytes, times: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
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
            await reader.readuntil(b"\r\n0\r\n\r\n")
    writer.close()


async def load(port: int, request: bytes, requests: int) -> None:
    each = requests // CONNECTIONS
    await asyncio.gather(*(one_connection(port, request, each) for _ in range(CONNECTIONS)))


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS


def listening() -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", 0))
    listener.listen(512)
    return listener


def start(command: list[str], listener: socket.socket, **environment: str):  # type: ignore[no-untyped-def]
    return subprocess.Popen(
        command, pass_fds=(listener.fileno(),), env={**os.environ, **environment}
    )


def wait_until_up(port: int) -> None:
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise TimeoutError(port)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--role", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.role:
        serve(arguments.role[0], int(arguments.role[1]), arguments.role[2])
        return

    from majordomo_analytics.apikeys import ApiKeyStore
    from majordomo_analytics.datadir import DataDirectory
    from majordomo_proxy.settings import SETTINGS_VARIABLE, load_settings, settings_to_text

    with tempfile.TemporaryDirectory() as folder:
        data = DataDirectory.create(Path(folder) / "data")
        key = ApiKeyStore(data.api_keys).create("benchmark").key
        data.metrics.mkdir(parents=True)
        sockets = {name: listening() for name in ("provider", "floor", "proxy")}
        ports = {name: s.getsockname()[1] for name, s in sockets.items()}
        upstream = f"http://127.0.0.1:{ports['provider']}"
        me = [sys.executable, __file__, "--role"]
        environment = {"MAJORDOMO_OPENAI_BASE_URL": upstream}
        settings = load_settings(environment=environment, data=data.root)
        lifeline, _other_end = os.pipe()
        os.set_inheritable(lifeline, True)
        processes = {
            name: start([*me, name, str(sockets[name].fileno()), upstream], sockets[name])
            for name in ("provider", "floor")
        }
        worker = [sys.executable, "-m", "majordomo_proxy.worker"]
        processes["proxy"] = subprocess.Popen(
            [*worker, str(sockets["proxy"].fileno()), str(lifeline)],
            pass_fds=(sockets["proxy"].fileno(), lifeline),
            env={
                **os.environ,
                SETTINGS_VARIABLE: settings_to_text(settings),
                "PROMETHEUS_MULTIPROC_DIR": str(data.metrics),
            },
        )
        try:
            compare(arguments, ports, processes, key)
        finally:
            for process in processes.values():
                process.terminate()
            for process in processes.values():
                process.wait()


def compare(arguments, ports, processes, key) -> None:  # type: ignore[no-untyped-def]
    for port in ports.values():
        wait_until_up(port)
    for case, body in (
        ("JSON answer", b'{"model":"gpt-4o-mini","messages":[]}'),
        ("stream of 42 events", b'{"model":"gpt-4o-mini","stream":true,"messages":[]}'),
    ):
        request = (
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Type: application/json\r\nAccept: */*\r\nUser-Agent: benchmark\r\n"
            b"Authorization: Bearer sk-benchmark\r\nX-Majordomo-Key: " + key.encode() + b"\r\n"
            b"X-Majordomo-Feature: search\r\nX-Majordomo-Team: growth\r\n"
            b"X-Majordomo-User-Tier: free\r\nContent-Length: "
            + str(len(body)).encode()
            + b"\r\n\r\n"
            + body
        )
        spent: dict[str, list[float]] = {"floor": [], "proxy": []}
        requests = arguments.requests - arguments.requests % CONNECTIONS
        if "stream" in case:
            requests = requests // 4 - (requests // 4) % CONNECTIONS
        for turn in range(arguments.rounds + 1):
            for name in ("floor", "proxy"):
                before = cpu_seconds(processes[name].pid)
                asyncio.run(load(ports[name], request, requests))
                used = cpu_seconds(processes[name].pid) - before
                if turn:  # the first round warms up
                    spent[name].append(used / requests * 1e6)
        ratios = [p / f for f, p in zip(spent["floor"], spent["proxy"], strict=True)]
        print(
            f"{case}: floor {statistics.median(spent['floor']):.0f} µs, "
            f"proxy {statistics.median(spent['proxy']):.0f} µs CPU per request; "
            f"ratio {statistics.median(ratios):.2f} "
            f"(min {min(ratios):.2f}, max {max(ratios):.2f}, {arguments.rounds} rounds "
            f"of {requests} requests)"
        )


if __name__ == "__main__":
    main()

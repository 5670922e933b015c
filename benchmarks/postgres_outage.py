"""How long callers wait while Postgres is down, stopped or silent, beside while it is up.

A whole proxy (supervisor, worker, drain) relays answers of a local provider at a steady
rate, and the same callers are asked in turns in every state of Postgres:

    up            it works
    down          it was killed, and its port is closed
    stopped       its processes are stopped: connections stand and nothing answers
    hanging       the network swallows what is sent either way
    catching up   it is back, and so many rows wait for it and for the lake

What counts is the 99th percentile of the time from when a call was due to when its answer
was there, and its ratio to that of `up` in the same round. The end is 1 if in one of the
first four states it is more than three times that, and more than 10 ms.

    python benchmarks/postgres_outage.py [--rate 100] [--seconds 15] [--rounds 3]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.catch_up import fill
from benchmarks.relaying import Stand
from majordomo_analytics.datadir import DataDirectory
from tests.support.postgres import Line
from tests.support.proxy import RunningProxy, children, running_proxy
from tests.support.server import Server, running_server

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_TIMES = 3.0
FLOOR_MS = 10.0
OUTAGES = ("down", "stopped", "hanging")
BODY = b'{"model":"gpt-4o-mini","messages":[]}'
CONNECTIONS = 16
SETTLE_S = 3.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rate", type=float, default=100, help="calls in a second")
    parser.add_argument("--seconds", type=float, default=15, help="for each state and round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--waiting", type=int, default=50_000, help="rows to catch up with")
    arguments = parser.parse_args()
    p99s: dict[str, list[float]] = {}
    with scene() as (proxy, server, line):
        ask(proxy, arguments.rate, 5)  # warms up
        for _ in range(arguments.rounds):
            for state in ("up", *OUTAGES):
                with broken(state, server, line):
                    time.sleep(SETTLE_S)
                    answered_ms = ask(proxy, arguments.rate, arguments.seconds)
                note(p99s, state, answered_ms)
            time.sleep(2 * SETTLE_S)  # what had to wait is caught up with
            let_wait(proxy, arguments.waiting)
            note(p99s, "catching up", ask(proxy, arguments.rate, arguments.seconds))
    sys.exit(0 if all(is_kept(p99s, state) for state in OUTAGES) else 1)


def note(p99s: dict[str, list[float]], state: str, answered_ms: list[float]) -> None:
    p50, p99 = (statistics.quantiles(answered_ms, n=100)[n - 1] for n in (50, 99))
    p99s.setdefault(state, []).append(p99)
    ratio = p99 / p99s["up"][-1]
    print(
        f"{state:>12}: p50 {p50:5.1f} ms, p99 {p99:6.1f} ms, {ratio:.2f} times as long as up "
        f"({len(answered_ms):,} answers)",
        flush=True,
    )


def is_kept(p99s: dict[str, list[float]], state: str) -> bool:
    """Say and return whether callers waited no longer than promised, in the median."""
    pairs = list(zip(p99s["up"], p99s[state], strict=True))
    excess = statistics.median(now / max(MOST_TIMES * up, FLOOR_MS) for up, now in pairs)
    ratio = statistics.median(now / up for up, now in pairs)
    print(f"{state}: {ratio:.2f} times as long as up, {excess:.0%} of what is allowed")
    return excess <= 1


@contextmanager
def scene() -> Iterator[tuple[RunningProxy, Server, Line]]:
    """Start the provider, Postgres, a line to it, and the proxy."""
    with tempfile.TemporaryDirectory() as folder, running_server() as server:
        listener = socket.create_server(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        relaying = str(Path(__file__).with_name("relaying.py"))
        provider = subprocess.Popen(
            [sys.executable, relaying, "provider", str(listener.fileno()), ""],
            pass_fds=(listener.fileno(),),
        )
        try:
            with (
                Line(server.dsn) as line,
                running_proxy(
                    Path(folder) / "data",
                    openai_base_url=f"http://127.0.0.1:{port}",
                    postgres=line.dsn,
                    workers="1",
                ) as proxy,
            ):
                yield proxy, server, line
        finally:
            provider.kill()
            provider.wait()
            listener.close()


@contextmanager
def broken(state: str, server: Server, line: Line) -> Iterator[None]:
    """Have Postgres be in one of the states."""
    if state == "down":
        server.kill()
        line.break_off("refuse")  # who is connected hears of it, as without a line between
    elif state == "stopped":
        server.pause()
    elif state == "hanging":
        line.break_off("black-hole")
    try:
        yield
    finally:
        if state == "down":
            server.start()
        elif state == "stopped":
            server.go_on()
        line.break_off("through")


def let_wait(proxy: RunningProxy, rows: int) -> None:
    """Have rows wait in spools whose worker is gone, and the drain begin with them."""
    (drain,) = set(children(proxy.supervisor)) - set(proxy.workers())
    os.kill(drain, signal.SIGSTOP)
    try:
        fill(DataDirectory(proxy.data), rows)
    finally:
        os.kill(drain, signal.SIGCONT)


def ask(proxy: RunningProxy, rate: float, seconds: float) -> list[float]:
    """Return how many ms each call took; the callers are a process of their own."""
    command = [sys.executable, __file__, "call", str(proxy.port), proxy.key]
    asked = subprocess.run(
        [*command, str(rate), str(seconds)], check=True, capture_output=True, text=True
    )
    answered_ms: list[float] = json.loads(asked.stdout)
    return answered_ms


async def call(port: int, key: str, rate: float, seconds: float) -> list[float]:
    """Call at a steady rate, whether answers come or not; each counts from when due."""
    request = Stand({}, {}, key).request(BODY)
    due: asyncio.Queue[float | None] = asyncio.Queue()
    answered_ms: list[float] = []

    async def caller() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while (at := await due.get()) is not None:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                raise ValueError(head)
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            answered_ms.append((time.perf_counter() - at) * 1e3)
        writer.close()

    async with asyncio.TaskGroup() as callers:
        for _ in range(CONNECTIONS):
            callers.create_task(caller())
        begun = time.perf_counter()
        for n in range(round(rate * seconds)):
            at = begun + n / rate
            await asyncio.sleep(max(0.0, at - time.perf_counter()))
            due.put_nowait(at)
        for _ in range(CONNECTIONS):
            due.put_nowait(None)
    return answered_ms


if __name__ == "__main__":
    if sys.argv[1:2] == ["call"]:
        _, _, at_port, with_key, at_rate, for_seconds = sys.argv
        calling = call(int(at_port), with_key, float(at_rate), float(for_seconds))
        print(json.dumps(asyncio.run(calling)))
    else:
        main()

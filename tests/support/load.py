"""Callers who come at a rate of their own, whether or not anybody keeps up with them.

Run as `python -m tests.support.load PORT KEY PER_SECOND SECONDS TARGET…`; prints, as JSON,
how each call ended: its status or what broke, and the id of its row.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Sequence

Outcome = tuple[str, str | None]
PATIENCE_S = 120.0


async def offer(
    port: int, key: str, per_second: float, seconds: float, targets: Sequence[str]
) -> list[Outcome]:
    """Begin a call every 1 / `per_second`, in time or at once if that has passed."""
    began = time.monotonic()
    calls: list[asyncio.Task[Outcome]] = []
    while (number := len(calls)) < per_second * seconds:
        wait = began + number / per_second - time.monotonic()
        if wait > 0:
            await asyncio.sleep(wait)
        target = targets[number % len(targets)]
        calls.append(asyncio.create_task(call(port, key, target)))
        if number % 50 == 0:
            await asyncio.sleep(0)
    return [await one for one in calls]


async def call(port: int, key: str, target: str) -> Outcome:
    """Call once, on a connection of its own."""
    body = b'{"model": "gpt-4o-mini", "messages": []}'
    lines = (
        f"POST {target} HTTP/1.1",
        "Host: proxy",
        "Connection: close",
        f"X-Majordomo-Key: {key}",
        f"Content-Length: {len(body)}",
    )
    writer = None
    try:
        async with asyncio.timeout(PATIENCE_S):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write("\r\n".join([*lines, "", ""]).encode() + body)
            received = await reader.read()
    except TimeoutError:
        return "timeout", None
    except OSError as error:
        return type(error).__name__, None
    finally:
        if writer is not None:
            writer.close()
    return read(received)


def read(received: bytes) -> Outcome:
    """Return the status of a whole answer and the id of its row."""
    head, _, body = received.partition(b"\r\n\r\n")
    fields = {}
    for line in head.decode("latin-1").split("\r\n")[1:]:
        name, _, value = line.partition(":")
        fields[name.lower()] = value.strip()
    if len(body) != int(fields.get("content-length", -1)):
        return "cut short", None
    status = head.split(b" ")[1].decode()
    if status == "503" and ("retry-after" not in fields or b'"error"' not in body):
        return "unclear", None
    return status, fields.get("x-majordomo-log-id")


def main() -> None:
    """Offer what the command line says."""
    port, key, per_second, seconds, *targets = sys.argv[1:]
    outcomes = asyncio.run(offer(int(port), key, float(per_second), float(seconds), targets))
    json.dump(outcomes, sys.stdout)


if __name__ == "__main__":
    main()

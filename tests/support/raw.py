"""Bytes to a proxy as they are written, and the bytes that came back."""

from __future__ import annotations

import json
import socket
import time
from dataclasses import dataclass, field
from typing import Any

from tests.support.proxy import RunningProxy

CHAT = "/v1/chat/completions"


@dataclass
class Answered:
    """All that came on one connection until it was closed."""

    received: bytes
    seconds: float = field(compare=False)

    @property
    def status(self) -> int:
        return int(self.received.split(b" ", 2)[1])

    @property
    def head(self) -> str:
        return self.received.partition(b"\r\n\r\n")[0].decode("latin-1").lower()

    @property
    def body(self) -> bytes:
        return self.received.partition(b"\r\n\r\n")[2]

    @property
    def error(self) -> dict[str, str]:
        """Return the proxy's error, which has to be all of the answer."""
        assert f"content-length: {len(self.body)}" in self.head.split("\r\n")
        error: dict[str, dict[str, str]] = json.loads(self.body)
        assert error.keys() == {"error"}
        assert error["error"].keys() == {"type", "message"}
        return error["error"]


def head(
    proxy: RunningProxy, *lines: str, start: str = f"POST {CHAT} HTTP/1.1", key: bool = True
) -> bytes:
    """Return the head of a request with these lines as they are."""
    with_key = (f"X-Majordomo-Key: {proxy.key}",) if key else ()
    return "\r\n".join([start, "Host: proxy", *with_key, *lines, "", ""]).encode("latin-1")


def connect(proxy: RunningProxy, timeout: float = 30) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=timeout)


def read_to_end(connection: socket.socket) -> Answered:
    """Read until the proxy closes."""
    received, began = b"", time.monotonic()
    while part := connection.recv(65536):
        received += part
    return Answered(received, time.monotonic() - began)


def exchange(proxy: RunningProxy, *pieces: bytes, pause_s: float = 0.0) -> Answered:
    """Send pieces, each in a packet of its own if there is a pause, and read to the end."""
    with connect(proxy) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for number, piece in enumerate(pieces):
            if number and pause_s:
                time.sleep(pause_s)
            connection.sendall(piece)
        return read_to_end(connection)


def metric(text: str, name: str, **labels: Any) -> float:
    """Return the value of one line of Prometheus' text, 0 if it is not there."""
    inner = ",".join(f'{label}="{value}"' for label, value in labels.items())
    start = f"{name}{{{inner}}} " if labels else f"{name} "
    found = [line for line in text.splitlines() if line.startswith(start)]
    return float(found[0].rpartition(" ")[2]) if found else 0.0

"""Callers that keep their own ledger: what each of them has seen of its answer."""

from __future__ import annotations

import asyncio
import random
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.faults.provider import CALL

CALL_WITHIN_S = 90.0
LARGE_BYTES = 600_000


@dataclass(frozen=True, slots=True)
class Kind:
    """A way to call.

    Attributes
    ----------
    script
        What the provider does.
    weight
        How often it is chosen.
    leaves_after
        The caller hangs up after so many pieces of the body; 0 is as soon as the headers
        are there, -1 before them; None is never.
    body_bytes
        How large the request is.
    sends
        The share of the request that is sent before the caller hangs up.
    """

    script: str
    weight: int
    leaves_after: int | None = None
    body_bytes: int = 0
    sends: float = 1.0


KINDS = {
    "json": Kind("json", 8),
    "chunked": Kind("chunked", 4),
    "stream": Kind("stream", 6),
    "long": Kind("long", 5),
    "slow head": Kind("slow-head", 1),
    "upload": Kind("upload", 1, body_bytes=LARGE_BYTES),
    "document": Kind("document", 1),
    "rate-limited": Kind("rate-limited", 1),
    "reset": Kind("reset", 1),
    "reset in stream": Kind("reset-in-stream", 1),
    "left at headers": Kind("long", 1, leaves_after=0),
    "left in stream": Kind("long", 2, leaves_after=4),
    "left before headers": Kind("slow-head", 1, leaves_after=-1),
    "left in upload": Kind("upload", 1, leaves_after=-1, body_bytes=LARGE_BYTES, sends=0.6),
}


@dataclass(slots=True)
class Call:
    """One call as its caller has seen it.

    Attributes
    ----------
    name
        What the caller calls it, to the provider and in its metadata.
    kind
        Its way, from `KINDS`.
    id
        The id of its row, as soon as its headers were seen.
    status
        The status, likewise.
    has_ended
        Whether the caller saw the end of the body.
    has_left
        Whether the caller hung up of its own will.
    """

    kind: str
    name: str = field(default_factory=lambda: uuid.uuid4().hex)
    id: str | None = None
    status: int | None = None
    has_ended: bool = False
    has_left: bool = False


class Load:
    """Callers in an event loop of their own.

    Parameters
    ----------
    key
        The API key.
    port
        Where the proxy listens; may be set to another one at any time.
    callers
        How many there are.
    seed
        Of what is chosen at random.
    pause_s
        How long each rests between its calls, at most.
    kinds
        The ways to call to choose from.
    keep
        Whether the ledger is kept; a long soak only counts.
    """

    def __init__(
        self,
        key: str,
        port: int,
        *,
        callers: int = 8,
        seed: int = 0,
        pause_s: float = 0.05,
        kinds: tuple[str, ...] = tuple(KINDS),
        keep: bool = True,
    ) -> None:
        self.port = port
        self.calls: list[Call] = []
        self.seen: Counter[str] = Counter()
        self._key = key
        self._callers = callers
        self._seed = seed
        self._pause_s = pause_s
        self._kinds = kinds
        self._keep = keep
        self._stop = threading.Event()

    @property
    def completed(self) -> list[Call]:
        """The calls whose end was seen."""
        return [call for call in self.calls if call.has_ended]

    @contextmanager
    def running(self) -> Iterator[None]:
        """Let the callers call until the end; calls that are under way are finished."""
        self._stop.clear()
        failures: list[BaseException] = []

        def run() -> None:
            try:
                asyncio.run(self._run())
            except BaseException as error:  # noqa: BLE001 - raised where it is looked for
                failures.append(error)

        thread = threading.Thread(target=run, name="load")
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join(CALL_WITHIN_S + 30)
        assert not failures, failures
        assert not thread.is_alive(), "a call did not come to an end"

    def wait_for(self, completed: int, within_s: float = 60.0) -> None:
        """Wait until so many more calls were seen to their end."""
        deadline = time.monotonic() + within_s
        wanted = self.seen["completed"] + completed
        while self.seen["completed"] < wanted:
            assert time.monotonic() < deadline, f"only {self.seen} in {within_s:g} s"
            time.sleep(0.02)

    async def _run(self) -> None:
        await asyncio.gather(*(self._caller(n) for n in range(self._callers)))

    async def _caller(self, number: int) -> None:
        chance = random.Random(f"{self._seed}.{number}")
        weights = [KINDS[kind].weight for kind in self._kinds]
        line = Line()
        while not self._stop.is_set():
            (kind,) = chance.choices(self._kinds, weights)
            call = Call(kind)
            if self._keep:
                self.calls.append(call)
            try:
                async with asyncio.timeout(CALL_WITHIN_S):
                    await line.make(call, self.port, self._key)
            except (OSError, asyncio.IncompleteReadError):
                line.drop()
            self.seen["completed" if call.has_ended else "cut"] += 1
            await asyncio.sleep(chance.random() * self._pause_s)
        line.drop()


class Line:
    """One caller's connection; used again as long as it holds."""

    def __init__(self) -> None:
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._port = 0

    def drop(self) -> None:
        """Hang up, at once."""
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None

    async def make(self, call: Call, port: int, key: str) -> None:
        """Make a call, and note in it what is seen, when it is seen."""
        kind = KINDS[call.kind]
        if self._port != port:
            self.drop()
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", port)
            self._port = port
        reader, writer = self._streams
        request = _request(call, kind, key)
        writer.write(request[: round(len(request) * kind.sends)])
        await writer.drain()
        if kind.leaves_after == -1:
            await asyncio.sleep(0.3)
            self._leave(call)
            return
        headers = await _head(reader, call)
        pieces = _pieces(reader, headers)
        count = 0
        while kind.leaves_after is None or count < kind.leaves_after:
            if not await anext(pieces, b""):
                call.has_ended = True
                break
            count += 1
        await pieces.aclose()
        if not call.has_ended:
            self._leave(call)
        elif headers.get("connection", "").lower() == "close":
            self.drop()

    def _leave(self, call: Call) -> None:
        call.has_left = True
        self.drop()


def _request(call: Call, kind: Kind, key: str) -> bytes:
    stream = b',"stream":true' if kind.script in {"stream", "long"} else b""
    text = b'{"model":"gpt-4o-mini"%b,"messages":[{"role":"user","content":"%b"}]}'
    body = text % (stream, b"x" * kind.body_bytes)
    lines = [
        f"POST /v1/chat/completions?script={kind.script} HTTP/1.1",
        "Host: proxy",
        f"X-Majordomo-Key: {key}",
        "Authorization: Bearer sk-upstream",
        f"{CALL}: {call.name}",
        f"X-Majordomo-Call: {call.name}",
        "X-Majordomo-Feature: faults",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "\r\n",
    ]
    return "\r\n".join(lines).encode() + body


async def _head(reader: asyncio.StreamReader, call: Call) -> dict[str, str]:
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[:-2]
    pairs = (line.split(":", 1) for line in lines)
    headers = {name.lower(): value.strip() for name, value in pairs}
    call.id = headers.get("x-majordomo-log-id")
    call.status = int(first.split()[1])
    return headers


async def _pieces(reader: asyncio.StreamReader, headers: dict[str, str]):  # type: ignore[no-untyped-def]
    """Yield the pieces of the body; it ends where the message does, or raises."""
    if headers.get("transfer-encoding") == "chunked":
        while size := int(await reader.readuntil(b"\r\n"), 16):
            yield (await reader.readexactly(size + 2))[:-2]
        await reader.readexactly(2)
        return
    left = int(headers["content-length"])
    while left:
        piece = await reader.read(min(left, 65_536))
        if not piece:
            raise asyncio.IncompleteReadError(b"", left)
        left -= len(piece)
        yield piece

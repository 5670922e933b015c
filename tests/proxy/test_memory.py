"""Answers are relayed, not gathered: their size and number do not show in the worker."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.support.proxy import RunningProxy, running_proxy
from tests.support.upstream import (
    CHAT_EVENTS,
    LAST_CHUNK,
    Received,
    Upstream,
    chunk,
    event,
    head,
)

MIB = 2**20
LIMIT = 150 * MIB
STREAM = ("Content-Type: text/event-stream", "Transfer-Encoding: chunked")


async def long_answer(_: Received, writer: asyncio.StreamWriter) -> None:
    """Send 200 MB of events, then the usage."""
    writer.write(head("200 OK", *STREAM))
    delta = event(
        {"id": "c", "model": "gpt-4o-mini", "choices": [{"delta": {"content": "x" * 900}}]}
    )
    many = chunk(delta * 64)
    for _turn in range(200 * MIB // (len(delta) * 64) + 1):
        writer.write(many)
        await writer.drain()
    for one in CHAT_EVENTS:
        writer.write(chunk(one))
    writer.write(LAST_CHUNK)


async def long_document(_: Received, writer: asyncio.StreamWriter) -> None:
    """Send one JSON object of 200 MB with the usage at its end."""
    writer.write(head("200 OK", "Content-Type: application/json", "Transfer-Encoding: chunked"))
    writer.write(chunk(b'{"id":"c","model":"gpt-4o-mini","data":"'))
    for _turn in range(200):
        writer.write(chunk(b"A" * MIB))
        await writer.drain()
    usage = b'{"prompt_tokens":120,"completion_tokens":30,"total_tokens":150}'
    writer.write(chunk(b'","usage":%b}' % usage) + LAST_CHUNK)


async def slow_answer(_: Received, writer: asyncio.StreamWriter) -> None:
    writer.write(head("200 OK", *STREAM))
    for _turn in range(12):
        writer.write(chunk(event({"id": "c", "choices": [{"delta": {"content": "x" * 2000}}]})))
        await writer.drain()
        await asyncio.sleep(0.5)
    for one in CHAT_EVENTS:
        writer.write(chunk(one))
    writer.write(LAST_CHUNK)


def most_memory(proxy: RunningProxy) -> int:
    """Return the peak resident size of the worker, in bytes."""
    (worker,) = proxy.workers()
    (line,) = [
        line
        for line in Path(f"/proc/{worker}/status").read_text().splitlines()
        if line.startswith("VmHWM")
    ]
    return int(line.split()[1]) * 1024


async def call(proxy: RunningProxy) -> tuple[int, bytes]:
    """Make one streamed call over a bare socket; return its size and its last bytes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    body = b'{"model":"gpt-4o-mini","stream":true}'
    writer.write(
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        b"X-Majordomo-Key: %b\r\nContent-Length: %d\r\n\r\n%b"
        % (proxy.key.encode(), len(body), body)
    )
    received, last = 0, b""
    while part := await reader.read(MIB):
        received += len(part)
        last = (last + part)[-100:]
    writer.close()
    return received, last


@pytest.mark.slow
@pytest.mark.parametrize("script", [long_answer, long_document])
def test_an_answer_of_200_mb_passes_within_150_mb(tmp_path: Path, script: object) -> None:
    with (
        Upstream(script) as upstream,  # type: ignore[arg-type]
        running_proxy(tmp_path / "data", openai_base_url=upstream.url) as proxy,
    ):
        received, last = asyncio.run(call(proxy))
        assert received > 200 * MIB
        assert last.endswith(b"0\r\n\r\n")
        assert most_memory(proxy) < LIMIT
        (row,) = proxy.rows()

    assert (row["input_tokens"], row["output_tokens"]) == (120, 30)
    assert row["response_bytes"] > 200 * MIB


@pytest.mark.slow
def test_500_slow_streams_at_once_pass_within_150_mb(tmp_path: Path) -> None:
    async def all_at_once(proxy: RunningProxy) -> list[tuple[int, bytes]]:
        return await asyncio.gather(*(call(proxy) for _ in range(500)))

    with (
        Upstream(slow_answer) as upstream,
        running_proxy(tmp_path / "data", openai_base_url=upstream.url) as proxy,
    ):
        answers = asyncio.run(all_at_once(proxy))
        assert most_memory(proxy) < LIMIT
        rows = proxy.rows()

    assert all(last.endswith(b"0\r\n\r\n") for _, last in answers)
    assert len(rows) == 500
    assert {(row["outcome"], row["input_tokens"]) for row in rows} == {("completed", 120)}

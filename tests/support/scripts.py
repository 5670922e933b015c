"""Answers of a provider that behaves, and of one that does not, by name."""

from __future__ import annotations

import asyncio
import threading

from tests.support.upstream import (
    FRAMINGS,
    LAST_CHUNK,
    Received,
    chunk,
    head,
)


async def answer_by_path(request: Received, writer: asyncio.StreamWriter) -> None:
    """Do what `script=NAME` in the query names, else answer with JSON."""
    await SCRIPTS[request.target.partition("script=")[2] or "content-length"](request, writer)


async def not_modified(_: Received, writer: asyncio.StreamWriter) -> None:
    writer.write(head("304 Not Modified", 'ETag: "7"', "Content-Length: 1234"))


async def no_content(_: Received, writer: asyncio.StreamWriter) -> None:
    writer.write(head("204 No Content"))


async def headers_only(_: Received, writer: asyncio.StreamWriter) -> None:
    writer.write(head("200 OK", "Content-Length: 4321", "Content-Type: application/json"))


async def odd_headers(_: Received, writer: asyncio.StreamWriter) -> None:
    writer.write(
        head(
            "418 I'm a teapot",
            "Set-Cookie: a=1",
            "Set-Cookie: b=2",
            "X-Odd: Größe".encode().decode("latin-1"),
            "Connection: X-Hop",
            "X-Hop: dropped",
            "Keep-Alive: timeout=5",
            "X-Request-Id: req-upstream-1",
            "Content-Length: 2",
        )
        + b"{}"
    )


async def reset_before_answer(_: Received, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def reset_in_stream(_: Received, writer: asyncio.StreamWriter) -> None:
    writer.write(head("200 OK", "Content-Type: text/event-stream", "Transfer-Encoding: chunked"))
    writer.write(chunk(b'data: {"id":"c","model":"gpt-4o-mini","choices":[]}\n\n'))
    await writer.drain()
    await asyncio.sleep(0.1)
    writer.transport.abort()


async def short_of_its_length(_: Received, writer: asyncio.StreamWriter) -> None:
    writer.write(head("200 OK", "Content-Length: 500") + b'{"id":')
    await writer.drain()
    writer.close()


async def not_json(_: Received, writer: asyncio.StreamWriter) -> None:
    writer.write(head("200 OK", "Content-Type: text/html", "Content-Length: 14"))
    writer.write(b"<h1>sorry</h1>")


async def silent(_: Received, __: asyncio.StreamWriter) -> None:
    await asyncio.sleep(30)


async def silent_in_stream(_: Received, writer: asyncio.StreamWriter) -> None:
    writer.write(head("200 OK", "Content-Type: text/event-stream", "Transfer-Encoding: chunked"))
    writer.write(chunk(b'data: {"id":"c","model":"gpt-4o-mini","choices":[]}\n\n'))
    await writer.drain()
    await asyncio.sleep(30)


async def counted_in_headers(_: Received, writer: asyncio.StreamWriter) -> None:
    counts = ("x-amzn-bedrock-input-token-count: 31", "x-amzn-bedrock-output-token-count: 9")
    body = b'{"generation":"Hello"}'
    writer.write(head("200 OK", *counts, f"Content-Length: {len(body)}") + body)


async def rate_limited(_: Received, writer: asyncio.StreamWriter) -> None:
    body = b'{"error":{"message":"Rate limit reached","type":"requests","code":"rate_limit"}}'
    writer.write(head("429 Too Many Requests", f"Content-Length: {len(body)}") + body)


async def redirect(_: Received, writer: asyncio.StreamWriter) -> None:
    writer.write(head("307 Temporary Redirect", "Location: /elsewhere", "Content-Length: 0"))


async def echo_length(request: Received, writer: asyncio.StreamWriter) -> None:
    body = b'{"bytes": %d}' % len(request.body)
    writer.write(head("200 OK", f"Content-Length: {len(body)}") + body)


async def slow_stream(_: Received, writer: asyncio.StreamWriter) -> None:
    writer.write(head("200 OK", "Content-Type: text/event-stream", "Transfer-Encoding: chunked"))
    for number in range(8):
        writer.write(chunk(b'data: {"id":"c","model":"m","choices":[],"n":%d}\n\n' % number))
        await writer.drain()
        await asyncio.sleep(0.1)
    usage = b'{"prompt_tokens":7,"completion_tokens":5,"total_tokens":12}'
    writer.write(chunk(b'data: {"id":"c","model":"m","choices":[],"usage":%b}\n\n' % usage))
    writer.write(chunk(b"data: [DONE]\n\n") + LAST_CHUNK)


async def large(_: Received, writer: asyncio.StreamWriter) -> None:
    """Answer with 30 MB, as fast as they are taken."""
    block = b"x" * 300_000
    writer.write(head("200 OK", f"Content-Length: {100 * len(block)}"))
    for _turn in range(100):
        writer.write(block)
        await writer.drain()


FIRST_EVENT_SEEN = threading.Event()


async def wait_for_the_reader(_: Received, writer: asyncio.StreamWriter) -> None:
    """Send the rest only when the caller says that the first event is there."""
    writer.write(head("200 OK", "Content-Type: text/event-stream", "Transfer-Encoding: chunked"))
    writer.write(chunk(b'data: {"n":1}\n\n'))
    await writer.drain()
    for _turn in range(1000):
        if FIRST_EVENT_SEEN.is_set():
            writer.write(chunk(b'data: {"n":2}\n\n') + LAST_CHUNK)
            return
        await asyncio.sleep(0.01)
    writer.transport.abort()


SCRIPTS = {
    **FRAMINGS,
    "not-modified": not_modified,
    "no-content": no_content,
    "headers-only": headers_only,
    "odd-headers": odd_headers,
    "reset": reset_before_answer,
    "reset-in-stream": reset_in_stream,
    "short": short_of_its_length,
    "not-json": not_json,
    "silent": silent,
    "silent-in-stream": silent_in_stream,
    "rate-limited": rate_limited,
    "counted-in-headers": counted_in_headers,
    "redirect": redirect,
    "echo-length": echo_length,
    "slow": slow_stream,
    "large": large,
    "wait": wait_for_the_reader,
}

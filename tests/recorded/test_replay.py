"""Recorded calls made again through the proxy: each byte, a row each, usage exact."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from pathlib import Path

import httpx
import pytest

from tests.recorded import oracle, traffic
from tests.recorded.traffic import Exchange
from tests.support.proxy import running_proxy
from tests.support.upstream import LAST_CHUNK, Received, Upstream, chunk, head

PROVIDERS = ("openai", "anthropic", "gemini")
CALLERS = 16

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(traffic.are_absent(), reason=traffic.WHY_ABSENT),
]


async def play_back(request: Received, writer: asyncio.StreamWriter) -> None:
    """Answer with the recorded response, framed by length or, on odd lines, in chunks."""
    line = int(request.header("x-replay") or 0)
    exchange = traffic.exchanges()[line - 1]
    headers = []
    if exchange.content_type is not None:
        headers.append(f"Content-Type: {exchange.content_type}")
    if exchange.response_body.startswith(b"\x1f\x8b"):
        headers.append("Content-Encoding: gzip")
    body = exchange.response_body
    if line % 2:
        writer.write(head(f"{exchange.status} Recorded", *headers, "Transfer-Encoding: chunked"))
        for start in range(0, len(body), 700):
            writer.write(chunk(body[start : start + 700]))
            await writer.drain()
        writer.write(LAST_CHUNK)
    else:
        length = f"Content-Length: {len(body)}"
        writer.write(head(f"{exchange.status} Recorded", *headers, length) + body)


async def call_all(url: str, key: str, exchanges: list[Exchange]) -> dict[int, httpx.Response]:
    answers: dict[int, httpx.Response] = {}
    turn = iter(exchanges)

    async def caller() -> None:
        async with httpx.AsyncClient(timeout=60) as client:
            for exchange in turn:
                async with client.stream(
                    exchange.method,
                    url + exchange.path,
                    content=exchange.request_body,
                    headers={
                        "X-Majordomo-Key": key,
                        "X-Majordomo-Provider": exchange.provider,
                        "X-Majordomo-Line": str(exchange.line),
                        "X-Replay": str(exchange.line),
                        "Content-Type": "application/json",
                    },
                ) as answer:
                    raw = b"".join([part async for part in answer.aiter_raw()])
                    answers[exchange.line] = httpx.Response(answer.status_code, content=raw)

    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    return answers


def test_recorded_calls_replayed_through_the_proxy(tmp_path: Path) -> None:
    """Usage is exact on 995 of 1,000 answers that state it; the rest is listed."""
    exchanges = [each for each in traffic.exchanges() if each.provider in PROVIDERS]
    with (
        Upstream(play_back) as upstream,
        running_proxy(
            tmp_path / "data",
            openai_base_url=upstream.url,
            anthropic_base_url=upstream.url,
            gemini_base_url=upstream.url,
        ) as proxy,
    ):
        answers = asyncio.run(call_all(proxy.url, proxy.key, exchanges))
        rows = {int(row["raw_metadata"]["Line"]): row for row in proxy.rows()}

    assert len(exchanges) > 600
    assert rows.keys() == answers.keys() == {each.line for each in exchanges}
    exact: Counter[str] = Counter()
    others: list[str] = []
    for exchange in exchanges:
        answer, row = answers[exchange.line], rows[exchange.line]
        assert answer.content == exchange.response_body, exchange
        assert answer.status_code == row["status_code"] == exchange.status, exchange
        assert row["outcome"] == "completed", exchange
        expected = oracle.expected_usage(exchange)
        if expected is None:
            continue
        wrong = oracle.differences(row, expected)
        if wrong:
            others.append(f"{exchange}: (the row, the oracle) {wrong}")
        else:
            exact[exchange.provider] += 1
    sys.stdout.write("\n".join(["", str(dict(exact)), *others]))
    assert exact.total() >= 0.995 * (exact.total() + len(others)), others

"""Recorded calls made again through the proxy: each byte, a row each, usage exact."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from pathlib import Path

import httpx
import pytest

from majordomo_analytics.records.providers import PROVIDERS
from tests.recorded import oracle, traffic
from tests.recorded.traffic import Exchange
from tests.support.proxy import running_proxy
from tests.support.upstream import LAST_CHUNK, Received, Upstream, chunk, head

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
                        "X-Majordomo-Provider": named(exchange.provider),
                        "X-Majordomo-Line": str(exchange.line),
                        "X-Replay": str(exchange.line),
                        "Content-Type": "application/json",
                    },
                ) as answer:
                    raw = b"".join([part async for part in answer.aiter_raw()])
                    answers[exchange.line] = httpx.Response(answer.status_code, content=raw)

    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    return answers


SAY_IT_UNASKED = {"ollama-local"}
"""Some of these recorded hosts have `usage` in their streams without being asked."""


def named(provider: str) -> str:
    """Return the name under which a recorded provider is called here."""
    return provider.replace("/", "-")


def settings_for(providers: set[str], url: str) -> str:
    """Return settings in which each of these is at `url`, and in the table or one's own."""
    tables = []
    for name in sorted(map(named, providers)):
        tables.append(f'[providers.{name}]\nbase_url = "{url}"')
        if name not in PROVIDERS:
            tables.append('flavour = "openai"')
        if name in SAY_IT_UNASKED:
            tables.append("ask_for_usage = false")
    return "\n".join(tables)


def test_recorded_calls_replayed_through_the_proxy(tmp_path: Path) -> None:
    """Every pair is a row and every body the same; usage is exact, and priced.

    Usage is exact on 995 of 1,000 answers of OpenAI, Anthropic and Google that state it and
    on 985 of 1,000 of all others; 97 of 100 are priced, where there is a price list.
    """
    exchanges = traffic.exchanges()
    config = tmp_path / "majordomo.toml"
    with Upstream(play_back) as upstream:
        config.write_text(settings_for({each.provider for each in exchanges}, upstream.url))
        with running_proxy(tmp_path / "data", arguments=("--config", str(config))) as proxy:
            answers = asyncio.run(call_all(proxy.url, proxy.key, list(exchanges)))
            rows = {int(row["raw_metadata"]["Line"]): row for row in proxy.rows()}

    assert len(exchanges) > 1300
    assert rows.keys() == answers.keys() == {each.line for each in exchanges}
    counts = Counter[tuple[str, str, str]]()
    others: list[str] = []
    for exchange in exchanges:
        answer, row = answers[exchange.line], rows[exchange.line]
        assert answer.content == exchange.response_body, exchange
        assert answer.status_code == row["status_code"] == exchange.status, exchange
        assert row["outcome"] in {"completed", "upstream_error"}, exchange
        assert (row["outcome"] == "completed") or row["error_message"], exchange
        expected = oracle.expected_usage(exchange)
        if expected is None:
            continue
        form = "streamed" if row["is_streamed"] else "JSON"
        wrong = oracle.differences(row, expected)
        if wrong:
            others.append(f"{exchange}: (the row, the oracle) {wrong}")
        counts[exchange.provider, form, "all"] += 1
        counts[exchange.provider, form, "exact"] += not wrong
        counts[exchange.provider, form, "priced"] += row["cost_status"] in {"priced", "stated"}

    sys.stdout.write("\n".join(["", *table(counts), *others, ""]))
    for largest, least in ((True, 0.995), (False, 0.985)):
        stated = total(counts, "all", largest=largest)
        assert total(counts, "exact", largest=largest) >= least * stated, others
    listed = [key for key in counts if key[0] not in WITHOUT_A_PRICE_LIST]
    with_list = {key: counts[key] for key in listed}
    priced = sum(count for key, count in with_list.items() if key[2] == "priced")
    assert priced >= 0.97 * sum(count for key, count in with_list.items() if key[2] == "all")


LARGEST = {"openai", "anthropic", "gemini", "vertex"}
WITHOUT_A_PRICE_LIST = {"crusoe", "heroku", "ollama/local", "snowflake", "writer"}
"""Of these there are no public prices: a price book would have to have them."""


def total(counts: Counter[tuple[str, str, str]], what: str, *, largest: bool) -> int:
    return sum(
        count for key, count in counts.items() if key[2] == what and (key[0] in LARGEST) is largest
    )


def table(counts: Counter[tuple[str, str, str]]) -> list[str]:
    """Return a line for each provider: how many answers were exact and priced, by form."""
    lines = [
        f"{'provider':14} {'JSON exact':>12} {'priced':>9} {'streamed exact':>16} {'priced':>9}"
    ]
    for provider in sorted({key[0] for key in counts}):
        cells = [
            f"{counts[provider, form, what]}/{counts[provider, form, 'all']}"
            for form in ("JSON", "streamed")
            for what in ("exact", "priced")
        ]
        lines.append(f"{provider:14} {cells[0]:>12} {cells[1]:>9} {cells[2]:>16} {cells[3]:>9}")
    return lines

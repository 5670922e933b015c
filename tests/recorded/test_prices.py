"""Recorded answers that state usage are priced, and cost what a provider says they did.

Counts are read with `capture` where it knows the API, else by hand out of plain JSON.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import unquote

import pytest

from majordomo_analytics.capture.flavours import flavour_of, model_in_path
from majordomo_analytics.capture.reader import UsageReader
from majordomo_analytics.drain.enrich import row_of
from majordomo_analytics.pricing.pricer import Pricer, pricer_in_use
from majordomo_analytics.pricing.recompute import COLUMNS, iterations_of, recompute
from majordomo_analytics.records.money import Cost
from majordomo_analytics.records.providers import PROVIDERS
from majordomo_analytics.records.usage import MISSING, Usage
from tests.recorded import traffic
from tests.recorded.traffic import Exchange
from tests.support.records import a_record

pytestmark = pytest.mark.skipif(traffic.are_absent(), reason=traffic.WHY_ABSENT)

AT = datetime(2026, 11, 20, 12, tzinfo=UTC)
WITHOUT_A_LIST = frozenset({"crusoe", "heroku", "ollama/local", "snowflake", "writer"})
"""Hosts of which genai-prices has no list; what they cost is for a price book to say."""

Answer = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Statement:
    """What an answer said about its use."""

    exchange: Exchange
    usage: Usage
    model: str | None
    requested_model: str | None
    is_by_hand: bool

    def cost(self, pricer: Pricer) -> Cost:
        return pricer.price(
            self.usage,
            provider=self.exchange.provider,
            model=self.model or self.requested_model,
            requested_model=self.requested_model,
            requested_at=self.answered_at,
            request_path=self.exchange.path,
        )

    @property
    def answered_at(self) -> datetime:
        """When it was answered, if it says so: prices have changed since."""
        said = re.search(rb'"created(?:_at)?": ?(1[67]\d{8})\b', self.exchange.text)
        return datetime.fromtimestamp(int(said[1]), UTC) if said else AT


def statements() -> list[Statement]:
    """Return what every recorded answer of a provider with a price list states."""
    found = []
    for exchange in traffic.exchanges():
        if exchange.provider in WITHOUT_A_LIST or exchange.status >= 400:
            continue
        statement = read(exchange) or read_by_hand(exchange)
        if statement is not None:
            found.append(statement)
    return found


def read(exchange: Exchange) -> Statement | None:
    known = PROVIDERS.get(exchange.provider)
    flavour = flavour_of(known.dialect if known else "openai", exchange.method, exchange.path)
    reader = UsageReader(
        flavour,
        content_encoding=exchange.content_encoding,
        adds_reasoning=known.adds_reasoning if known else False,
    )
    reader.feed(exchange.response_body)
    captured = reader.finish(complete=True)
    if captured.usage == MISSING or captured.usage.output_tokens is None:
        return None
    return Statement(exchange, captured.usage, captured.model, requested_model(exchange), False)


def requested_model(exchange: Exchange) -> str | None:
    in_path = model_in_path(exchange.path)
    if in_path is not None:
        return in_path
    try:
        body = json.loads(exchange.request_body)
    except ValueError:
        return None
    named = body.get("model") if isinstance(body, dict) else None
    return named if isinstance(named, str) else None


def read_by_hand(exchange: Exchange) -> Statement | None:
    """Return the last usage object of the answer, as an API of any kind has it."""
    usage: Answer = {}
    model = None
    for answer in documents(exchange.text):
        inner = answer.get("response")
        answer = inner if isinstance(inner, dict) else answer
        places = (answer, answer.get("delta") or {}, answer.get("meta") or {})
        for place in places:
            if not isinstance(place, dict):
                continue
            usage = place.get("usage") or place.get("usageMetadata") or usage
            if "billed_units" in place:
                usage = place
        model = answer.get("model") or answer.get("modelVersion") or model
    counts = counts_of(usage)
    if not counts:
        return None
    return Statement(exchange, Usage(**counts), model, requested_model(exchange), True)


def documents(body: bytes) -> list[Answer]:
    text = body.decode("utf-8-sig", "replace").strip()
    try:
        whole = json.loads(text)
        parts = whole if isinstance(whole, list) else [whole]
    except ValueError:
        parts = []
        for line in text.splitlines():
            data = re.sub(r"^data: ?", "", line)
            if data.startswith("{"):
                try:
                    parts.append(json.loads(data))
                except ValueError:
                    continue
    return [part for part in parts if isinstance(part, dict)]


def counts_of(usage: Answer) -> dict[str, Any]:
    """Return the wholes of a usage object by the names that the APIs have for them."""
    billed = usage.get("billed_units") or {}
    if billed:
        found = {
            "input_tokens": billed.get("input_tokens"),
            "output_tokens": billed.get("output_tokens") or 0,
            "rerank_searches": billed.get("search_units"),
        }
        if found["input_tokens"] is None:
            found["output_tokens"] = None
        return {name: int(count) for name, count in found.items() if count is not None}
    names = {
        "input_tokens": ("prompt_tokens", "inputTokens", "promptTokenCount", "input_tokens"),
        "output_tokens": (
            "completion_tokens", "outputTokens", "candidatesTokenCount", "output_tokens",
        ),
    }  # fmt: skip
    counts = {
        ours: next((usage[name] for name in theirs if isinstance(usage.get(name), int)), None)
        for ours, theirs in names.items()
    }
    if counts["input_tokens"] is None:
        counts["input_tokens"] = usage.get("total_tokens")
    if counts["input_tokens"] is None:
        return {}
    return {"input_tokens": counts["input_tokens"], "output_tokens": counts["output_tokens"] or 0}


def test_nearly_every_stated_usage_has_a_price() -> None:
    """At least 97 of 100; what has none is shown when this fails, and with -s."""
    pricer = Pricer()
    by_status: Counter[str] = Counter()
    missed: Counter[str] = Counter()
    for statement in statements():
        cost = statement.cost(pricer)
        by_status[cost.status] += 1
        if cost.status != "priced":
            model = unquote(str(statement.model or statement.requested_model))
            missed[f"{cost.status} {statement.exchange.provider} {model}"] += 1
    report = "\n".join(f"{count:>4} {name}" for name, count in missed.most_common())
    print(dict(by_status), report, sep="\n")  # noqa: T201
    assert by_status.total() > 800
    assert by_status["priced"] >= 0.97 * by_status.total(), report


def test_a_stated_cost_is_ours() -> None:
    """OpenRouter bills what the list says, within 1 %, where it served nothing besides.

    Two models have become cheaper since, and OpenRouter's list does not have what they
    cost before.
    """
    pricer = Pricer()
    near, far = 0, []
    others: set[str | None] = set()
    for statement in statements():
        stated = Decimal(statement.usage.stated_cost or 0)
        if not stated or has_extras(statement.exchange):
            continue
        cost = statement.cost(pricer)
        if cost.status != "priced" or cost.total_cost is None:
            continue
        if abs(cost.total_cost - stated) <= stated / 100:
            near += 1
        else:
            others.add(statement.model)
            far.append(f"{statement.exchange} {statement.model}: {cost.total_cost}, not {stated}")
    report = "\n".join(far)
    print(near, report, sep="\n")  # noqa: T201
    assert near >= 15
    assert others <= {"openai/gpt-5.6-sol", "google/gemini-3.6-flash"}, report


def test_a_row_of_every_answer_gives_its_cost_again() -> None:
    """From the columns alone, model calls inside an answer included."""
    with_calls = 0
    for statement in statements():
        usage = statement.usage
        record = a_record(
            provider=statement.exchange.provider,
            model=statement.model or statement.requested_model,
            requested_model=statement.requested_model,
            request_path=statement.exchange.path,
            requested_at=statement.answered_at,
            usage=usage,
        )
        row = row_of(record, created_at=AT)
        if usage.iterations and not iterations_of(usage.raw):
            continue  # Groq says beside the usage object which models it called
        cost = recompute({name: row[name] for name in COLUMNS}, pricer_in_use())
        known = (cost.status, cost.total_cost, cost.price_version)
        expected = (row["cost_status"], row["total_cost"], row["price_version"])
        assert known == expected, str(statement.exchange)
        with_calls += bool(usage.iterations)
    assert with_calls >= 5


def has_extras(exchange: Exchange) -> bool:
    """Return whether the host ran a tool or read a file, which it bills besides."""
    asked = exchange.request_body
    return (
        b"server_tool_use_details" in exchange.text
        or b'"file_data"' in asked
        or b'"plugins"' in asked
        or b":online" in asked
    )

"""A row's cost can be worked out again from its columns alone."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from majordomo_analytics.drain.enrich import row_of
from majordomo_analytics.pricing.bookfile import load_price_book
from majordomo_analytics.pricing.pricer import Pricer, pricer_in_use, use_price_book
from majordomo_analytics.pricing.recompute import COLUMNS, iterations_of, recompute
from majordomo_analytics.records.columns import BY_NAME
from majordomo_analytics.records.usage import Iteration, Usage
from tests.pricing.public import sound_usages, usages
from tests.support.records import a_record

AT = datetime(2026, 11, 20, 12, tzinfo=UTC)
NAMES = ("gpt-5", "gpt-4o-mini-2024-07-18", "claude-sonnet-4-6", "claude-opus-4-8", "nobody")
MONEY = ("input_cost", "output_cost", "tool_cost", "total_cost")

call_numbers = st.integers(0, 50_000)


@st.composite
def calls(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Draw Anthropic's list of model calls, as JSON has it."""
    found = []
    for _ in range(draw(st.integers(0, 3))):
        call: dict[str, Any] = {
            "input_tokens": draw(call_numbers),
            "output_tokens": draw(call_numbers),
            "cache_read_input_tokens": draw(call_numbers),
            "cache_creation_input_tokens": 0,
        }
        if draw(st.booleans()):
            call["model"] = draw(st.sampled_from(NAMES))
        found.append(call)
    return found


@st.composite
def whole_usages(draw: st.DrawFn) -> Usage:
    usage = draw(st.one_of(usages(), sound_usages()))
    named = draw(calls())
    served = {
        "service_tier": draw(st.sampled_from([None, "default", "flex", "batch", "golden"])),
        "speed": draw(st.sampled_from([None, "fast"])),
        "traffic_type": draw(st.sampled_from([None, "ON_DEMAND_FLEX"])),
        "stated_cost": draw(st.sampled_from([None, "0.000123456789012", "1e-5"])),
        "raw": json.dumps({"iterations": named}) if named else None,
        "status": "reported",
    }
    known = {name: getattr(usage, name) for name in Usage.__struct_fields__} | served
    return Usage(**(known | {"iterations": tuple(map(as_iteration, named))}))


def as_iteration(call: dict[str, Any]) -> Iteration:
    return Iteration(
        model=call.get("model"),
        input_tokens=call["input_tokens"] + call["cache_read_input_tokens"],
        cached_tokens=call["cache_read_input_tokens"],
        cache_creation_tokens=0,
        output_tokens=call["output_tokens"],
    )


@given(
    usage=whole_usages(),
    model=st.sampled_from(NAMES),
    provider=st.sampled_from(["openai", "anthropic"]),
)
def test_a_rows_columns_give_the_cost_that_it_has(usage: Usage, model: str, provider: str) -> None:
    record = a_record(usage=usage, model=model, provider=provider, requested_model=model)
    row = row_of(record, created_at=AT)

    cost = recompute({name: row[name] for name in COLUMNS}, pricer_in_use())

    assert cost.status == row["cost_status"]
    assert cost.price_version == row["price_version"]
    for name in MONEY:
        assert getattr(cost, name) == row[name]
    assert set(cost.flags) <= set(row["flags"])


def test_every_column_that_is_needed_is_a_column() -> None:
    assert set(COLUMNS) <= BY_NAME.keys()


def test_a_row_can_be_priced_by_another_book(tmp_path: Path) -> None:
    """What it would have cost at 1 dollar a million."""
    file = tmp_path / "prices.toml"
    text = '[[price]]\nprovider = "openai"\nmodel = "*"\ninput_mtok = 1\noutput_mtok = 1\n'
    file.write_text(text, "utf-8")
    row = row_of(a_record(), created_at=AT)
    assert row["total_cost"] == Decimal("0.00021")
    assert recompute(row, Pricer(load_price_book(file))).total_cost == Decimal("0.0011")


def test_the_drain_prices_by_the_book_in_use_and_keeps_its_flags(tmp_path: Path) -> None:
    file = tmp_path / "prices.toml"
    text = '[[price]]\nprovider = "openai"\nmodel = "*"\ninput_mtok = 1\noutput_mtok = 1\n'
    file.write_text(text, "utf-8")
    usage = Usage(
        input_tokens=1000, output_tokens=0, service_tier="golden", flags=("usage_repeated",)
    )
    use_price_book(load_price_book(file))
    try:
        row = row_of(a_record(usage=usage), created_at=AT)
    finally:
        use_price_book(None)
    assert row["total_cost"] == Decimal("0.001")
    assert row["flags"] == ["usage_repeated", "price_tier_unknown"]


@pytest.mark.parametrize(
    "raw",
    [None, "", "{", '{"iterations": 5}', '{"iterations": [5]}', '["iterations"]', '"iterations"'],
)
def test_what_is_no_list_of_model_calls_is_none(raw: str | None) -> None:
    assert iterations_of(raw) == ()


@pytest.mark.parametrize("count", [-1, 1.5, True, "7", 10**30])
def test_a_count_of_a_model_call_that_is_none_is_unknown(count: object) -> None:
    call = {"input_tokens": count, "model": 7, "output_tokens": count}
    assert iterations_of(json.dumps({"iterations": [call]})) == (Iteration(),)


def test_a_call_that_does_not_say_what_it_wrote_makes_no_list_of_calls() -> None:
    told, silent = {"input_tokens": 5, "output_tokens": 1}, {"input_tokens": 5}
    assert iterations_of(json.dumps({"iterations": [told, silent]})) == ()


def test_calls_of_an_agent_are_calls_too() -> None:
    usage = {
        "inputTokens": 10,
        "outputTokens": 3,
        "cacheReadInputTokens": 4,
        "cacheWriteInputTokens": 6,
        "cacheDetails": [{"ttl": "1h", "inputTokens": 6}],
    }
    raw = json.dumps({"modelInvocations": [{"foundationModel": "m", "usage": usage}]})
    assert iterations_of(raw) == (
        Iteration(
            model="m",
            input_tokens=20,
            cached_tokens=4,
            cache_creation_tokens=6,
            cache_creation_1h_tokens=6,
            output_tokens=3,
        ),
    )


def test_calls_of_an_answer_that_was_cut_do_not_count() -> None:
    raw = json.dumps({"iterations": [{"input_tokens": 5, "output_tokens": 1}]})
    usage = Usage(input_tokens=5, status="partial", raw=raw)
    row = row_of(
        a_record(usage=usage, provider="anthropic", model="claude-opus-4-8"), created_at=AT
    )
    assert row["cost_status"] == recompute(row, pricer_in_use()).status == "no_usage"

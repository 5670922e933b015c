"""Many requests priced at once cost what the pricer says of each."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from majordomo_analytics.pricing.pricer import Pricer
from majordomo_analytics.records.usage import Usage
from majordomo_analytics.sampling.models import MODELS
from majordomo_analytics.sampling.prices import Counts, _rounded, costs_of
from tests.pricing.public import MODELS as LISTED

PRICER = Pricer()
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
PLACES = [
    *((model.provider, model.name) for model in MODELS),
    *(
        (provider.id, model.id)
        for provider, model in LISTED
        if provider.id in {"deepseek", "openai", "anthropic", "google", "mistral", "x-ai"}
    ),
]
INSTANTS = st.datetimes(
    datetime(2025, 1, 1), datetime(2027, 6, 1), timezones=st.just(UTC)  # noqa: DTZ001
)  # fmt: skip
TOKENS = st.one_of(st.integers(1, 3000), st.integers(1, 900_000))


@st.composite
def requests(draw: st.DrawFn) -> list[tuple[Usage, datetime]]:
    """Draw requests to one model whose answers say the same kinds of counts."""
    caches, reasons, answers = draw(st.booleans()), draw(st.booleans()), draw(st.booleans())
    tier = draw(st.sampled_from([None, "default", "flex", "priority", "batch"]))
    made = []
    for at in draw(st.lists(INSTANTS, min_size=1, max_size=8)):
        whole, answer = draw(TOKENS), draw(TOKENS)
        read = draw(st.integers(0, whole))
        written = draw(st.integers(0, whole - read))
        hour = draw(st.integers(0, written))
        cached = {
            "cached_tokens": read, "cache_creation_tokens": written,
            "cache_creation_1h_tokens": hour, "cache_creation_5m_tokens": written - hour,
        }  # fmt: skip
        usage = Usage(
            input_tokens=whole,
            output_tokens=answer if answers else None,
            reasoning_tokens=draw(st.integers(0, answer)) if answers and reasons else None,
            **(cached if caches else {}),  # type: ignore[arg-type]
            service_tier=tier,
            status="reported",
        )
        made.append((usage, at))
    return made


def columns(usages: list[Usage]) -> Counts:
    named = (
        "input_tokens", "output_tokens", "cached_tokens", "cache_creation_tokens",
        "cache_creation_5m_tokens", "cache_creation_1h_tokens", "reasoning_tokens",
    )  # fmt: skip
    given_ = {name: [getattr(usage, name) for usage in usages] for name in named}
    known: dict[str, Any] = {
        name: np.array(values) for name, values in given_.items() if values[0] is not None
    }
    return Counts(**known)


@given(place=st.sampled_from(PLACES), asked=requests())
def test_each_request_costs_what_the_pricer_says(
    place: tuple[str, str], asked: list[tuple[Usage, datetime]]
) -> None:
    """Across price changes, times of day, tiers of length and service tiers."""
    provider, model = place
    named: dict[str, Any] = {"provider": provider, "model": model, "requested_model": model}
    single = [PRICER.price(usage, requested_at=at, **named) for usage, at in asked]
    at_us = np.array([(at - EPOCH) // timedelta(microseconds=1) for _, at in asked])
    try:
        many = costs_of(
            PRICER.card(asked[0][0], **named), columns([usage for usage, _ in asked]), at_us
        )
    except ValueError:
        assert "error" in {cost.status for cost in single}
        return
    flags: list[tuple[str, ...]] = [()] * len(asked)
    for rows, odd in many.flagged:
        for flagged in rows:
            flags[flagged] = odd
    for row, cost in enumerate(single):
        assert many.priced[row] == (cost.status == "priced")
        if cost.status == "priced":
            parts = (many.input[row], many.output[row], many.tools[row], many.total[row])
            assert [Decimal(int(part)).scaleb(-10) for part in parts] == [
                cost.input_cost, cost.output_cost, cost.tool_cost, cost.total_cost
            ]  # fmt: skip
            assert flags[row] == cost.flags


@given(
    amounts=st.lists(st.integers(0, 10**9), min_size=1),
    denominator=st.sampled_from([1, 3, 7, 10**6, 3 * 10**9, 2 * 10**11, 10**12, 7 * 10**12]),
)
def test_fractions_are_rounded_half_even_to_ten_places(
    amounts: list[int], denominator: int
) -> None:
    exact = Context(prec=80, rounding=ROUND_HALF_EVEN)
    if max(amounts) * 10**10 > 2**62:
        amounts = [amount % 10**8 for amount in amounts]
    rounded = _rounded(np.array(amounts), denominator)

    for amount, steps in zip(amounts, rounded, strict=True):
        quotient = exact.divide(Decimal(amount), Decimal(denominator))
        assert Decimal(int(steps)).scaleb(-10) == quotient.quantize(Decimal("1e-10"), context=exact)


def test_a_half_is_rounded_to_the_even_neighbour() -> None:
    assert _rounded(np.array([1, 3, 5]), 2 * 10**10).tolist() == [0, 2, 2]


def test_what_64_bits_do_not_hold_is_refused_not_wrapped() -> None:
    model = next(model for model in MODELS if model.name == "claude-opus-4-8")
    card = PRICER.card(
        Usage(), provider=model.provider, model=model.name, requested_model=model.name
    )
    counts = Counts(np.array([2**61]), np.array([1]))

    with pytest.raises(OverflowError, match="64 bits"):
        costs_of(card, counts, np.array([0]))

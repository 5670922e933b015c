"""A compiled plan says what genai-prices says, for every model, exactly."""

from __future__ import annotations

import random
from datetime import datetime
from decimal import Decimal
from fractions import Fraction

import pytest
from genai_prices.types import ModelInfo, Provider, Tier, TieredPrices
from hypothesis import given, settings
from hypothesis import strategies as st

from majordomo_analytics.pricing.cards import CardMaker
from majordomo_analytics.pricing.lists import ListedModel, current_prices
from majordomo_analytics.pricing.plans import Plan, make_plan
from majordomo_analytics.pricing.units import UNITS_OF
from majordomo_analytics.records.usage import Usage
from tests.pricing.public import (
    CONTEXTS,
    MODELS,
    THEIR_NAMES,
    instants,
    moments_of,
    sound_usages,
    their_price,
    usages,
)

FIXED = (
    Usage(input_tokens=1000, output_tokens=100),
    Usage(input_tokens=0, output_tokens=0),
    Usage(
        input_tokens=300_000,
        cached_tokens=70_001,
        cache_creation_tokens=3000,
        cache_creation_5m_tokens=1000,
        cache_creation_1h_tokens=2000,
        output_tokens=9000,
        reasoning_tokens=8000,
        web_searches=3,
        storage_searches=2,
    ),
    Usage(
        input_tokens=5000,
        input_audio_tokens=700,
        input_image_tokens=300,
        input_video_tokens=11,
        cached_tokens=600,
        cached_audio_tokens=500,
        cached_image_tokens=40,
        cached_video_tokens=0,
        tool_prompt_tokens=7,
        output_tokens=3000,
        output_audio_tokens=100,
        output_image_tokens=200,
    ),
    Usage(input_audio_ms=1234, input_characters=77, rerank_searches=5),
    Usage(input_tokens=10, cached_tokens=11, output_tokens=1),
)


def our_price(
    listed: ListedModel, usage: Usage, at: datetime, context: dict[str, str]
) -> tuple[Fraction, Fraction, Fraction] | None:
    rates, _ = listed.rates(at, tuple(context.items()))
    plan = make_plan(rates, least_audio_ms=listed.least_audio_ms)
    return amounts(plan, usage)


def amounts(plan: Plan, usage: Usage) -> tuple[Fraction, Fraction, Fraction] | None:
    try:
        parts = plan.amounts(plan.read(usage))
    except ValueError:
        return None
    of_input, of_output, of_tools = (Fraction(part, plan.denominator) for part in parts)
    return of_input, of_output, of_input + of_output + of_tools


def same(ours: tuple[Fraction, ...] | None, theirs: tuple[Fraction, ...] | None) -> bool:
    """Compare to a billionth of a billionth: they divide seconds by 3,600 in decimals."""
    if ours is None or theirs is None:
        return ours is theirs
    return all(abs(a - b) < Fraction(1, 10**60) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.slow
def test_every_model_at_every_date_in_every_context_costs_the_same() -> None:
    """All models of all lists; the usages of one model are fixed, so none is left out."""
    chance = random.Random(20261124)
    checked = 0
    for provider, model in MODELS:
        listed = ListedModel(provider, model)
        moments = list(dict.fromkeys(moments_of(model)))
        contexts = CONTEXTS if model.price_variants else CONTEXTS[:2]
        for at in moments:
            for context in contexts:
                for usage in chance.sample(FIXED, 3):
                    ours = our_price(listed, usage, at, context)
                    theirs = their_price(provider, model, usage, at, context)
                    assert same(ours, theirs), (provider.id, model.id, at, context, usage)
                    checked += 1
    assert checked > 15_000


@settings(max_examples=400)
@given(
    place=st.sampled_from(MODELS),
    usage=st.one_of(usages(), sound_usages()),
    context=st.sampled_from(CONTEXTS),
    at=instants,
)
def test_any_usage_costs_the_same_or_is_refused_by_both(
    place: tuple[Provider, ModelInfo], usage: Usage, context: dict[str, str], at: datetime
) -> None:
    provider, model = place
    ours = our_price(ListedModel(provider, model), usage, at, context)
    assert same(ours, their_price(provider, model, usage, at, context))


RICH = [
    (provider, model)
    for provider, model in MODELS
    if model.price_variants or "audio" in str(model.prices) or "image" in str(model.prices)
]


@settings(max_examples=300)
@given(
    place=st.sampled_from(RICH),
    usage=st.one_of(usages(), sound_usages()),
    context=st.sampled_from(CONTEXTS),
)
def test_models_with_many_units_and_variants_cost_the_same(
    place: tuple[Provider, ModelInfo], usage: Usage, context: dict[str, str]
) -> None:
    provider, model = place
    for at in moments_of(model):
        ours = our_price(ListedModel(provider, model), usage, at, context)
        assert same(ours, their_price(provider, model, usage, at, context))


@settings(max_examples=200)
@given(data=st.data())
def test_a_card_finds_the_price_of_any_instant_whatever_was_asked_before(
    data: st.DataObject,
) -> None:
    """Periods are kept by the first instant asked for; every later one must fit them."""
    dated = [place for place in MODELS if isinstance(place[1].prices, list)]
    provider, model = data.draw(st.sampled_from(dated))
    listed = ListedModel(provider, model)
    prices = current_prices()
    prices.first = lambda places: listed  # type: ignore[method-assign]
    card = CardMaker(prices, None).card(provider.id, model.id, None, "", ())
    usage = Usage(input_tokens=1000, output_tokens=1000)
    moments = st.one_of(instants, st.sampled_from(list(moments_of(model))))
    for at in data.draw(st.lists(moments, min_size=1, max_size=8)):
        entry = card.at(at)
        assert entry is not None
        assert same(amounts(entry.plan, usage), their_price(provider, model, usage, at, {}))


def test_each_count_answers_the_unit_that_another_table_says() -> None:
    ours = {count: units[0] for count, units in UNITS_OF.items() if count != "input_audio_ms"}
    assert ours == THEIR_NAMES


def test_a_tier_is_a_cliff_for_every_token_of_the_request() -> None:
    """200,000 tokens at 1 dollar a million, 200,001 at 3."""
    rate = TieredPrices(base=Decimal(1), tiers=[Tier(start=200_000, price=Decimal(3))])
    plan = make_plan({"input_mtok": rate, "output_mtok": Decimal(10)})

    at_the_edge = amounts(plan, Usage(input_tokens=200_000, output_tokens=1))
    beyond = amounts(plan, Usage(input_tokens=200_001, output_tokens=1))

    assert at_the_edge is not None
    assert beyond is not None
    assert at_the_edge[0] == Fraction(200_000, 10**6)
    assert beyond[0] == Fraction(200_001 * 3, 10**6)
    assert at_the_edge[1] == beyond[1] == Fraction(10, 10**6)


def test_cached_tokens_are_billed_once() -> None:
    """1,000 tokens, 400 of them from a cache: 600 at 2 dollars and 400 at 0.5."""
    rates = {"input_mtok": Decimal(2), "cache_read_mtok": Decimal("0.5")}
    plan = make_plan({**rates, "output_mtok": Decimal(0)})
    price = amounts(plan, Usage(input_tokens=1000, cached_tokens=400, output_tokens=0))
    assert price is not None
    assert price[0] == Fraction(600 * 2 + 200, 10**6)


def test_cached_tokens_without_a_price_cost_what_the_prompt_does() -> None:
    plan = make_plan({"input_mtok": Decimal(2), "output_mtok": Decimal(0)})
    price = amounts(plan, Usage(input_tokens=1000, cached_tokens=400, output_tokens=0))
    assert price is not None
    assert price[0] == Fraction(2000, 10**6)


def test_rates_that_leave_open_what_some_tokens_cost_are_refused() -> None:
    """A price of cached tokens, none of the prompt: what the others cost is open."""
    with pytest.raises(ValueError, match="Missing ancestor price"):
        make_plan({"cache_read_mtok": Decimal(1), "output_mtok": Decimal(1)})


@pytest.mark.parametrize(
    ("rate", "is_missed"),
    [("output_video_mtok", True), ("output_image_mtok", False), ("input_image_mtok", False)],
)
def test_output_of_a_kind_that_is_not_counted_is_known_to_be_missed(
    rate: str, is_missed: bool
) -> None:
    """Video tokens among the output have a price, but which they are is not known."""
    plan = make_plan({"input_mtok": Decimal(1), "output_mtok": Decimal(2), rate: Decimal(9)})
    some, none = Usage(input_tokens=5, output_tokens=3), Usage(input_tokens=5, output_tokens=0)
    assert plan.leaves_out(plan.read(some)) is is_missed
    assert not plan.leaves_out(plan.read(none))

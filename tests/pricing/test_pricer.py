"""What a request costs: every rule with numbers worked out by hand or by genai-prices."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import ROUND_HALF_EVEN, Context, Decimal, localcontext
from fractions import Fraction
from typing import Any

import pytest
from genai_prices.data_snapshot import DataSnapshot, get_snapshot, set_custom_snapshot
from genai_prices.types import ClauseEquals, ModelInfo, ModelPrice, Provider
from hypothesis import given
from hypothesis import strategies as st

from majordomo_analytics.pricing.pricer import Pricer, stated_cost
from majordomo_analytics.records.money import Cost
from majordomo_analytics.records.usage import Iteration, Usage
from tests.pricing.public import MODELS, sound_usages, their_price

AT = datetime(2026, 11, 20, 12, tzinfo=UTC)
PRICER = Pricer()


def price(usage: Usage, model: str, provider: str = "openai", **fields: Any) -> Cost:
    known: dict[str, Any] = {"requested_model": None, "requested_at": AT, **fields}
    return PRICER.price(usage, provider=provider, model=model, **known)


def dollars(*products: tuple[int, str]) -> Decimal:
    """Return tokens times dollars a million, added up."""
    return sum((tokens * Decimal(rate) / 10**6 for tokens, rate in products), Decimal(0))


def rounded(amount: Fraction) -> Decimal:
    wide = Context(prec=60, rounding=ROUND_HALF_EVEN)
    quotient = wide.divide(Decimal(amount.numerator), Decimal(amount.denominator))
    return wide.quantize(quotient, Decimal("1e-10"))


THOUSAND = Usage(input_tokens=1000, output_tokens=100)


@given(usage=sound_usages(), place=st.sampled_from(MODELS))
def test_a_priced_row_has_the_rounded_parts_of_the_public_price(usage: Usage, place: Any) -> None:
    """By the list's own name for the model, through names, cards, plans and rounding."""
    provider, model = place
    theirs = their_price(provider, model, usage, AT, {})
    # A custom provider of the list's name has no rules for names of its own.
    cost = price(usage, model.id, provider.id)
    listed = provider.find_model(model.id)
    if listed is not model or theirs is None or cost.status != "priced":
        return
    assert cost.input_cost == rounded(theirs[0])
    assert cost.output_cost == rounded(theirs[1])
    assert cost.tool_cost == rounded(theirs[2] - theirs[0] - theirs[1])


def test_cache_writes_of_both_ages_have_their_own_price() -> None:
    """Claude Sonnet 4.6: 3.75 for five minutes, 6 for an hour, 0.30 read, 3 fresh."""
    usage = Usage(
        input_tokens=1000,
        cached_tokens=200,
        cache_creation_tokens=300,
        cache_creation_5m_tokens=100,
        cache_creation_1h_tokens=200,
        output_tokens=50,
    )
    cost = price(usage, "claude-sonnet-4-6", "anthropic")
    assert cost.input_cost == dollars((500, "3"), (200, "0.30"), (100, "3.75"), (200, "6"))
    assert cost.output_cost == dollars((50, "15"))


def test_web_searches_are_a_fee_of_their_own() -> None:
    """Three searches at 10 dollars a thousand."""
    usage = Usage(input_tokens=1000, output_tokens=100, web_searches=3)
    cost = price(usage, "claude-sonnet-4-6", "anthropic")
    assert (cost.tool_cost, cost.flags) == (Decimal("0.03"), ())


def test_a_fee_without_a_price_is_flagged_and_the_tokens_are_priced() -> None:
    usage = Usage(input_tokens=1000, output_tokens=100, social_searches=2, code_executions=1)
    cost = price(usage, "gpt-4o-mini")
    assert cost.total_cost == dollars((1000, "0.15"), (100, "0.60"))
    assert cost.flags == ("price_incomplete",)


@pytest.mark.parametrize(
    ("served", "input_rate", "output_rate", "flags"),
    [
        ({}, "1.25", "10", ()),
        ({"service_tier": "default"}, "1.25", "10", ()),
        ({"service_tier": "auto"}, "1.25", "10", ()),
        ({"service_tier": "scale"}, "1.25", "10", ()),
        ({"service_tier": ""}, "1.25", "10", ()),
        ({"service_tier": "flex"}, "0.625", "5", ()),
        ({"service_tier": "priority"}, "2.5", "20", ()),
        ({"service_tier": "batch"}, "0.625", "5", ()),
        ({"service_tier": "golden"}, "1.25", "10", ("price_tier_unknown",)),
        ({"speed": "fast"}, "1.25", "10", ("price_tier_unknown",)),
        ({"inference_geo": "us"}, "1.25", "10", ("price_tier_unknown",)),
        ({"inference_geo": "global"}, "1.25", "10", ()),
    ],
)
def test_the_tier_that_the_answer_names_decides(
    served: dict[str, Any], input_rate: str, output_rate: str, flags: tuple[str, ...]
) -> None:
    """GPT-5, half for flex and batch, double for priority; without a price: standard."""
    usage = Usage(input_tokens=1000, output_tokens=100, **served)
    cost = price(usage, "gpt-5")
    assert cost.total_cost == dollars((1000, input_rate), (100, output_rate))
    assert cost.flags == flags


def test_a_tier_counts_from_the_day_on_that_it_has_a_price() -> None:
    """Flex has one from 12 October 2026; before, the standard price is flagged."""
    usage = Usage(input_tokens=1000, output_tokens=0, service_tier="flex")
    day = datetime(2026, 10, 12, tzinfo=UTC)
    before = price(usage, "gpt-5", requested_at=day - timedelta(microseconds=1))
    since = price(usage, "gpt-5", requested_at=day)
    assert (before.total_cost, before.flags) == (dollars((1000, "1.25")), ("price_tier_unknown",))
    assert (since.total_cost, since.flags) == (dollars((1000, "0.625")), ())


def test_fast_mode_costs_double() -> None:
    usage = Usage(input_tokens=1000, output_tokens=100, service_tier="standard", speed="fast")
    cost = price(usage, "claude-opus-4-8", "anthropic")
    assert cost.total_cost == dollars((1000, "10"), (100, "50"))


@pytest.mark.parametrize(
    ("traffic_type", "is_half"),
    [
        ("ON_DEMAND", False),
        ("ON_DEMAND_FLEX", True),
        ("PROVISIONED_THROUGHPUT", False),
        ("TRAFFIC_TYPE_UNSPECIFIED", False),
    ],
)
def test_vertex_names_its_tier_as_traffic(traffic_type: str, is_half: bool) -> None:
    """Capacity bought by the hour has no price a token: what it would have cost counts."""
    model = next(
        model
        for provider, model in MODELS
        if provider.id == "google"
        and any(v.when == {"service_tier": "flex"} for v in model.price_variants or [])
    )
    at = datetime(2027, 6, 1, tzinfo=UTC)
    plain = price(THOUSAND, model.id, "vertex", requested_at=at)
    served = Usage(input_tokens=1000, output_tokens=100, traffic_type=traffic_type)
    cost = price(served, model.id, "vertex", requested_at=at)
    assert plain.total_cost is not None
    assert cost.total_cost == plain.total_cost / (2 if is_half else 1)
    assert cost.flags == ()


def test_another_providers_tiers_are_no_promise_of_a_reseller() -> None:
    """Azure falls back on OpenAI's list; OpenAI's flex price is not Azure's."""
    usage = Usage(input_tokens=1000, output_tokens=0, service_tier="flex")
    cost = price(usage, "gpt-5-2025-08-07", "azure")
    assert (cost.total_cost, cost.flags) == (dollars((1000, "1.25")), ("price_tier_unknown",))


def test_the_price_of_the_instant_counts() -> None:
    """o3 was 10 and 40 dollars until 10 June 2025, 2 and 8 from then on."""
    day = datetime(2025, 6, 10, tzinfo=UTC)
    before = price(THOUSAND, "o3", requested_at=day - timedelta(seconds=1))
    since = price(THOUSAND, "o3", requested_at=day)
    assert before.total_cost == dollars((1000, "10"), (100, "40"))
    assert since.total_cost == dollars((1000, "2"), (100, "8"))


def test_an_instant_is_the_same_in_every_zone() -> None:
    east = timezone(timedelta(hours=9))
    local = datetime(2025, 6, 10, 8, 59, tzinfo=east)  # still 9 June in UTC
    cost = price(THOUSAND, "o3", requested_at=local)
    assert cost.total_cost == dollars((1000, "10"), (100, "40"))


def test_each_model_call_is_priced_by_its_own_model() -> None:
    """An adviser's Opus at 5 and 25 in a Sonnet's 3 and 15; the fee is the request's."""
    usage = Usage(
        input_tokens=3000,
        output_tokens=300,
        web_searches=1,
        iterations=(
            Iteration(input_tokens=1000, output_tokens=100),
            Iteration(model="claude-opus-4-8", input_tokens=2000, output_tokens=200),
        ),
    )
    cost = price(usage, "claude-sonnet-4-6", "anthropic")
    assert cost.input_cost == dollars((1000, "3"), (2000, "5"))
    assert cost.output_cost == dollars((100, "15"), (200, "25"))
    assert cost.tool_cost == Decimal("0.01")


def test_one_model_call_without_a_price_leaves_the_whole_without_one() -> None:
    known = Iteration(input_tokens=1000, output_tokens=100)
    unknown = Iteration(model="claude-nobody", input_tokens=1, output_tokens=1)
    usage = Usage(input_tokens=1001, output_tokens=101, iterations=(known, unknown))
    assert price(usage, "claude-sonnet-4-6", "anthropic") == Cost("unpriced")


def test_a_model_call_of_unknown_length_leaves_the_whole_without_a_price() -> None:
    half = Iteration(input_tokens=1000)
    usage = Usage(input_tokens=1000, output_tokens=100, iterations=(half,))
    assert price(usage, "claude-sonnet-4-6", "anthropic") == Cost("no_usage")


def test_speech_is_billed_by_characters_alone() -> None:
    cost = price(Usage(input_characters=2000), "tts-1")
    assert (cost.status, cost.total_cost) == ("priced", Decimal("0.03"))


def test_transcription_is_billed_by_time_alone() -> None:
    """Ninety seconds of whisper-1 at 0.36 an hour."""
    cost = price(Usage(input_audio_ms=90_000), "whisper-1")
    assert (cost.status, cost.input_cost) == ("priced", Decimal("0.009"))


def test_a_host_bills_short_audio_as_ten_seconds() -> None:
    short = price(Usage(input_audio_ms=1500), "whisper-large-v3", "groq")
    ten = price(Usage(input_audio_ms=10_000), "whisper-large-v3", "groq")
    assert short.total_cost == ten.total_cost == rounded(Fraction("0.111") * 10 / 3600)


def test_an_embedding_is_priced_by_its_prompt() -> None:
    """text-embedding-3-small, 0.02 dollars a million."""
    cost = price(Usage(input_tokens=1000, output_tokens=0), "text-embedding-3-small")
    assert cost.total_cost == dollars((1000, "0.02"))


@pytest.mark.parametrize(
    ("usage", "model", "status"),
    [
        (Usage(), "gpt-4o", "no_usage"),
        (Usage(), "nobody", "no_usage"),
        (Usage(input_tokens=5), "gpt-4o", "no_usage"),
        (Usage(output_tokens=5), "gpt-4o", "no_usage"),
        (Usage(web_searches=2), "gpt-4o", "no_usage"),
        (Usage(input_tokens=5, output_tokens=1), "nobody", "unpriced"),
        (Usage(rerank_searches=1), "nobody", "unpriced"),
        (Usage(input_characters=5), "gpt-4o-mini-tts", "no_usage"),
        (Usage(input_tokens=5, output_tokens=1), "whisper-1", "unpriced"),
        (Usage(input_tokens=5, output_tokens=1), "text-embedding-3-small", "unpriced"),
        (Usage(input_tokens=5, cached_tokens=6, output_tokens=1), "gpt-4o", "error"),
        (Usage(input_tokens=2**62, output_tokens=0), "gpt-4o", "error"),
    ],
)
def test_half_a_price_is_none(usage: Usage, model: str, status: str) -> None:
    assert price(usage, model) == Cost(status)  # type: ignore[arg-type]


def test_a_free_model_costs_nothing() -> None:
    """An entry without prices is free, which is known; a model not listed is not."""
    cost = price(THOUSAND, "deepseek/deepseek-chat:free", "openrouter")
    assert (cost.status, cost.total_cost) == ("priced", Decimal(0))


def test_a_stated_cost_counts_where_there_is_no_price() -> None:
    usage = Usage(input_tokens=5, output_tokens=1, stated_cost="0.00012345678951")
    cost = price(usage, "nobody/nothing", "openrouter")
    assert cost == Cost("stated", total_cost=Decimal("0.0001234568"))
    assert stated_cost(usage) == cost.total_cost


def test_a_stated_cost_goes_before_the_price_of_the_model_asked_for() -> None:
    usage = Usage(input_tokens=1_000_000, output_tokens=1, stated_cost="0.5")
    cost = price(usage, "nobody/new", "openrouter", requested_model="openai/gpt-4o")
    assert cost == Cost("stated", total_cost=Decimal("0.5"))
    free = price(usage, "openai/gpt-4o", "openrouter", requested_model="openai/gpt-4o:free")
    assert free == Cost("stated", total_cost=Decimal("0.5"))


def test_output_that_is_not_counted_by_kind_is_flagged() -> None:
    """Video tokens have a dearer price; how many the answer has is not known."""
    cost = price(THOUSAND, "gemini-omni-1.1-flash", "gemini")
    assert (cost.status, cost.flags) == ("priced", ("price_incomplete",))


SEARCHING = [
    ("openai", "gpt-4o-search-preview", None),
    ("openai", "gpt-4o-search-preview-2025-03-11", "gpt-4o-search-preview"),
    ("openai", "gpt-5-search-api", None),
    ("openrouter", "openai/gpt-4o-mini", "openai/gpt-4o-mini:online"),
]


@pytest.mark.parametrize(("provider", "model", "asked"), SEARCHING)
def test_a_search_that_each_request_pays_for_is_missed_or_stated(
    provider: str, model: str, asked: str | None
) -> None:
    cost = price(THOUSAND, model, provider, requested_model=asked)
    assert (cost.status, cost.flags) == ("priced", ("price_incomplete",))
    stated = Usage(input_tokens=1000, output_tokens=100, stated_cost="0.016")
    cost = price(stated, model, provider, requested_model=asked)
    assert cost == Cost("stated", total_cost=Decimal("0.016"))


@pytest.mark.parametrize(
    ("provider", "model"),
    [("gemini", "gemini-2.5-flash"), ("anthropic", "claude-sonnet-4-6"), ("openai", "nobody")],
)
def test_usage_that_was_cut_has_no_cost(provider: str, model: str) -> None:
    """Gemini counts as it writes: there are counts, but they are not all that is billed."""
    calls = (Iteration(input_tokens=1000, output_tokens=100),)
    for more in ({}, {"stated_cost": "0.5"}, {"iterations": calls}):
        fields: dict[str, Any] = {"input_tokens": 1000, "output_tokens": 100, **more}
        assert price(Usage(status="partial", **fields), model, provider) == Cost("no_usage")


@pytest.mark.parametrize("text", ["NaN", "-1", "1e12", "Infinity", "much", ""])
def test_a_stated_cost_that_is_none_is_none(text: str) -> None:
    usage = Usage(input_tokens=5, output_tokens=1, stated_cost=text)
    assert price(usage, "nobody") == Cost("unpriced")


def test_the_precision_a_caller_has_set_changes_no_price() -> None:
    usage = Usage(input_tokens=123_456_789, output_tokens=987_654_321)
    with localcontext() as narrow:
        narrow.prec = 3
        cost = Pricer().price(
            usage, provider="openai", model="gpt-4o", requested_model=None, requested_at=AT
        )
    assert cost.input_cost == Decimal("308.6419725")
    assert cost.output_cost == Decimal("9876.54321")


def test_names_that_callers_invent_are_not_kept() -> None:
    """Neither here nor in genai-prices, which would keep each one for good."""
    snapshot = get_snapshot()
    for number in range(5000):
        price(THOUSAND, f"invented-{number}")
    price(THOUSAND, "x" * 10_000)
    assert PRICER._card.cache_info().currsize <= 4096
    assert PRICER._prices.find.cache_info().currsize <= 4096
    assert not any("invented" in str(kept) for kept in snapshot._provider_cache)
    assert not any("invented" in str(kept) for kept in snapshot._lookup_cache)


def test_fetched_prices_that_contradict_each_other_lose_no_row() -> None:
    """A list with a price of cached tokens and none of the prompt."""
    broken = ModelInfo(
        id="m", match=ClauseEquals("m"), prices=ModelPrice(cache_read_mtok=Decimal(1))
    )
    provider = Provider(id="openai", name="OpenAI", api_pattern="", models=[broken])
    calls = (Iteration(input_tokens=1, output_tokens=1),)
    summed = Usage(input_tokens=1, output_tokens=1, iterations=calls)
    pricer = Pricer()
    fields: dict[str, Any] = {"model": "m", "requested_model": None, "requested_at": AT}
    set_custom_snapshot(DataSnapshot([provider], from_auto_update=True))
    try:
        costs = [pricer.price(usage, provider="openai", **fields) for usage in (THOUSAND, summed)]
    finally:
        set_custom_snapshot(None)
    assert costs == [Cost("error"), Cost("error")]


def test_prices_that_were_fetched_later_count_and_name_themselves() -> None:
    snapshot = get_snapshot()
    fetched = datetime(2026, 11, 24, 6, tzinfo=UTC)
    openai = [provider for provider in snapshot.providers if provider.id == "openai"]
    pricer = Pricer()
    fields: dict[str, Any] = {"requested_model": None, "requested_at": AT}
    set_custom_snapshot(DataSnapshot(openai, from_auto_update=True, timestamp=fetched))
    try:
        of_openai = pricer.price(THOUSAND, provider="openai", model="gpt-4o", **fields)
        of_others = pricer.price(THOUSAND, provider="deepseek", model="deepseek-chat", **fields)
    finally:
        set_custom_snapshot(None)
    assert of_openai.price_version == f"{PRICER.version} of 2026-11-24T06:00:00Z"
    assert of_others == Cost("unpriced")
    again = pricer.price(THOUSAND, provider="deepseek", model="deepseek-chat", **fields)
    assert (again.status, again.price_version) == ("priced", PRICER.version)

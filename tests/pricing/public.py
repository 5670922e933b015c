"""genai-prices asked directly, as the other road to a public price."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any

from genai_prices import Usage as TheirUsage
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import (
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    PriceVariant,
    Provider,
    StartDateConstraint,
)
from hypothesis import strategies as st

from majordomo_analytics.records.usage import Usage

THEIR_NAMES = {
    "input_tokens": "input_tokens",
    "output_tokens": "output_tokens",
    "cached_tokens": "cache_read_tokens",
    "cache_creation_tokens": "cache_write_tokens",
    "cache_creation_5m_tokens": "cache_write_5m_tokens",
    "cache_creation_1h_tokens": "cache_write_1h_tokens",
    "tool_prompt_tokens": "input_tool_tokens",
    "input_audio_tokens": "input_audio_tokens",
    "input_image_tokens": "input_image_tokens",
    "input_video_tokens": "input_video_tokens",
    "cached_audio_tokens": "cache_audio_read_tokens",
    "cached_image_tokens": "cache_image_read_tokens",
    "cached_video_tokens": "cache_video_read_tokens",
    "reasoning_tokens": "output_reasoning_tokens",
    "output_audio_tokens": "output_audio_tokens",
    "output_image_tokens": "output_image_tokens",
    "web_searches": "web_searches",
    "social_searches": "social_searches",
    "storage_searches": "storage_searches",
    "code_executions": "code_executions",
    "rerank_searches": "rerank_searches",
    "input_characters": "input_characters",
}

MODELS: list[tuple[Provider, ModelInfo]] = [
    (provider, model) for provider in get_snapshot().providers for model in provider.models
]

CONTEXTS: tuple[dict[str, str], ...] = (
    {},
    {"service_tier": "flex"},
    {"service_tier": "priority"},
    {"service_tier": "fast"},
    {"processing": "batch"},
    {"speed": "fast"},
    {"inference_geo": "us"},
    {"processing": "batch", "speed": "fast"},
)


def their_price(
    provider: Provider,
    model: ModelInfo,
    usage: Usage,
    at: datetime,
    context: dict[str, str],
) -> tuple[Fraction, Fraction, Fraction] | None:
    """Return input, output and total as genai-prices has them, None if it refuses."""
    given = {theirs: getattr(usage, ours) for ours, theirs in THEIR_NAMES.items()}
    known: dict[str, int | Decimal] = {k: count for k, count in given.items() if count is not None}
    if usage.input_audio_ms is not None:
        seconds = Decimal(usage.input_audio_ms) / 1000
        known |= {"audio_seconds": seconds, "input_audio_seconds": seconds}
    with localcontext() as exact:
        exact.prec = 200
        try:
            price = model.calc_price(
                TheirUsage(**known),
                provider,
                genai_request_timestamp=at,
                price_context=context or None,
            )
        except ValueError:
            return None
    return Fraction(price.input_price), Fraction(price.output_price), Fraction(price.total_price)


def moments_of(model: ModelInfo) -> Iterator[datetime]:
    """Yield every instant at which a price of a model begins, and the one just before."""
    prices = model.prices
    standard = [] if isinstance(prices, ModelPrice) else prices
    yield datetime(2026, 11, 20, 12, tzinfo=UTC)
    yield datetime(2027, 6, 1, 2, 30, tzinfo=UTC)
    both: list[ConditionalPrice | PriceVariant] = [*standard, *(model.price_variants or [])]
    for price in both:
        constraint = price.constraint
        moments: list[datetime] = []
        if isinstance(constraint, StartDateConstraint):
            moments = [datetime.combine(constraint.start_date, time(), UTC)]
        elif constraint is not None:
            day = datetime(2026, 11, 20, tzinfo=UTC).date()
            ends = (constraint.start_time, constraint.end_time)
            moments = [datetime.combine(day, end.replace(tzinfo=UTC)) for end in ends]
        for moment in moments:
            yield moment
            yield moment - timedelta(microseconds=1)


# Hypothesis wants its bounds without the zone that it puts on what it draws.
instants = st.datetimes(
    datetime(2023, 1, 1),  # noqa: DTZ001
    datetime(2027, 12, 31),  # noqa: DTZ001
    timezones=st.just(UTC),
)
counts = st.one_of(
    st.integers(0, 5), st.integers(0, 2_000_000), st.sampled_from([199_999, 200_000, 272_001])
)


@st.composite
def usages(draw: st.DrawFn, names: Iterable[str] = (*THEIR_NAMES, "input_audio_ms")) -> Usage:
    """Draw counts of any kind; about half of them contradict each other."""
    chosen = draw(st.sets(st.sampled_from(sorted(names)), max_size=6))
    some: dict[str, Any] = {name: draw(counts) for name in sorted(chosen)}
    return Usage(**some)


@st.composite
def sound_usages(draw: st.DrawFn) -> Usage:
    """Draw counts as a provider would report them: wholes, and parts within them."""
    fresh, read, for_5m, for_1h, audio = (draw(counts) for _ in range(5))
    said, thought = draw(counts), draw(counts)
    return Usage(
        input_tokens=fresh + read + for_5m + for_1h + audio,
        cached_tokens=read,
        cache_creation_tokens=for_5m + for_1h,
        cache_creation_5m_tokens=for_5m,
        cache_creation_1h_tokens=for_1h,
        input_audio_tokens=audio,
        cached_audio_tokens=0,
        output_tokens=said + thought,
        reasoning_tokens=thought,
        web_searches=draw(st.none() | st.integers(0, 30)),
        storage_searches=draw(st.none() | st.integers(0, 30)),
    )

"""From token counts to money; the only place that knows genai-prices.

Prices are looked up as they were when the request was made. Nothing here raises for an
unknown model or for counts that contradict each other: a cost that cannot be worked out is
null with a status, and the row keeps its tokens.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from functools import lru_cache
from importlib.metadata import version
from typing import TYPE_CHECKING

from genai_prices import Usage as PricedUsage
from genai_prices.data_snapshot import get_snapshot

from majordomo_analytics.records.money import Cost, round_money

if TYPE_CHECKING:
    from datetime import datetime

    from genai_prices.types import ModelInfo, Provider

    from majordomo_analytics.records.usage import Usage

PRICE_LIST_OF: dict[str, str] = {"gemini": "google"}
"""Our provider name to the name of its price list, where they differ."""

USAGE_KEYS: dict[str, str] = {
    "input_tokens": "input_tokens",
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
    "output_tokens": "output_tokens",
    "reasoning_tokens": "output_reasoning_tokens",
    "output_audio_tokens": "output_audio_tokens",
    "output_image_tokens": "output_image_tokens",
    "web_searches": "web_searches",
}
"""Our count to the usage key of genai-prices."""

PRICED_TIERS = frozenset({"flex", "priority", "fast"})


def price(
    usage: Usage,
    *,
    provider: str,
    models: tuple[str | None, ...],
    requested_at: datetime,
) -> Cost:
    """Return what `usage` cost in US dollars.

    Parameters
    ----------
    usage
        Token counts; both wholes must be known for a price.
    provider
        Who was called, by our name.
    models
        Names of the model, the one that answered first; the first that has a price counts.
    requested_at
        When the request was made; prices of that instant are used.

    Returns
    -------
    Cost
        ``priced``; ``stated`` if there is no price of ours but the provider named its cost
        (the total only: its parts are not known); else ``unpriced``, ``no_usage`` or
        ``error`` with null costs.
    """
    if usage.input_tokens is None or usage.output_tokens is None:
        return _stated_or(usage, Cost("no_usage"))
    found = next(filter(None, (find_model(provider, name) for name in models if name)), None)
    if found is None:
        return _stated_or(usage, Cost("unpriced"))
    price_list, model = found
    counts = {key: getattr(usage, name) for name, key in USAGE_KEYS.items()}
    try:
        amount = model.calc_price(
            PricedUsage(**{key: count for key, count in counts.items() if count}),
            price_list,
            genai_request_timestamp=requested_at,
            price_context=price_context(usage),
        )
    except Exception:  # noqa: BLE001 - counts that contradict each other raise many kinds
        return _stated_or(usage, Cost("error"))
    return Cost.priced(
        input_cost=amount.input_price,
        output_cost=amount.output_price,
        tool_cost=amount.total_price - amount.input_price - amount.output_price,
        price_version=price_version(),
    )


def price_context(usage: Usage) -> dict[str, str]:
    """Return what else a price depends on, as the answer stated it.

    OpenAI and Google name a `service_tier`; Anthropic names `batch` as one and has a
    `speed` beside it.
    """
    context: dict[str, str] = {}
    tier = (usage.service_tier or "").lower()
    if tier in PRICED_TIERS:
        context["service_tier"] = tier
    elif tier == "batch":
        context["processing"] = "batch"
    if usage.speed == "fast":
        context["speed"] = "fast"
    return context


@lru_cache(maxsize=4096)
def find_model(provider: str, model: str) -> tuple[Provider, ModelInfo] | None:
    """Return the price list and the priced model for a name, or None.

    Bounded and asked of the provider itself: the cache of genai-prices keeps every name it
    was ever asked for, and names come from callers.
    """
    snapshot = get_snapshot()
    try:
        price_list = snapshot.find_provider(None, PRICE_LIST_OF.get(provider, provider), None)
    except LookupError:
        return None
    name = model.removeprefix("models/").lower()
    found = price_list.find_model(name, all_providers=snapshot.providers)
    return None if found is None else (price_list, found)


@lru_cache(maxsize=1)
def price_version() -> str:
    """Return the name and version of the price list in use."""
    return f"genai-prices {version('genai-prices')}"


def _stated_or(usage: Usage, otherwise: Cost) -> Cost:
    stated = stated_cost(usage)
    return otherwise if stated is None else Cost("stated", total_cost=stated)


def stated_cost(usage: Usage) -> Decimal | None:
    """Return the cost the provider itself named, rounded to ten places, or None."""
    if usage.stated_cost is None:
        return None
    try:
        stated = Decimal(usage.stated_cost)
    except InvalidOperation:
        return None
    if not stated.is_finite() or stated < 0 or stated >= 10**9:
        return None
    return round_money(stated)

"""Units that are billed, and which of our counts says how many of them were used.

A unit is what genai-prices calls so: a price key, how many one price buys, and dimensions
that say which other unit it is a part of.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from itertools import combinations
from typing import TYPE_CHECKING, TypeAlias

from genai_prices.data_units import unit_data
from genai_prices.types import TieredPrices
from genai_prices.units import UnitRegistry
from genai_prices.validation import validate_model_price

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from decimal import Decimal

    from genai_prices.units import UnitDef

UNITS_OF: dict[str, tuple[str, ...]] = {
    "input_tokens": ("input_tokens",),
    "output_tokens": ("output_tokens",),
    "cached_tokens": ("cache_read_tokens",),
    "cache_creation_tokens": ("cache_write_tokens",),
    "cache_creation_5m_tokens": ("cache_write_5m_tokens",),
    "cache_creation_1h_tokens": ("cache_write_1h_tokens",),
    "tool_prompt_tokens": ("input_tool_tokens",),
    "input_audio_tokens": ("input_audio_tokens",),
    "input_image_tokens": ("input_image_tokens",),
    "input_video_tokens": ("input_video_tokens",),
    "cached_audio_tokens": ("cache_audio_read_tokens",),
    "cached_image_tokens": ("cache_image_read_tokens",),
    "cached_video_tokens": ("cache_video_read_tokens",),
    "reasoning_tokens": ("output_reasoning_tokens",),
    "output_audio_tokens": ("output_audio_tokens",),
    "output_image_tokens": ("output_image_tokens",),
    "web_searches": ("web_searches",),
    "social_searches": ("social_searches",),
    "storage_searches": ("storage_searches",),
    "code_executions": ("code_executions",),
    "rerank_searches": ("rerank_searches",),
    "input_audio_ms": ("audio_seconds", "input_audio_seconds"),
    "input_characters": ("input_characters",),
}
"""Each of our counts and the usage keys of genai-prices that it answers."""

COUNT_OF = {unit: count for count, units in UNITS_OF.items() for unit in units}
COUNTS_PER_UNIT = {"input_audio_ms": 1000}
"""How many of our counts make one unit, where that is not one."""

MEASURES = ("input_audio_ms", "input_characters", "rerank_searches")
"""Counts that are billed instead of tokens."""

FEES = ("web_searches", "social_searches", "storage_searches", "code_executions")
"""Counts that are billed beside tokens."""

MISSED = ("web_searches", "social_searches", "storage_searches", "rerank_searches")
"""Counts that cost something wherever they occur, so that a missing price shows.

Code that ran is not among them: most providers bill its time, or nothing.
"""

EACH_REQUEST = "requests"

Rate: TypeAlias = "Decimal | TieredPrices"
Rates: TypeAlias = "Mapping[str, Rate]"
"""A price for each price key; what has none is billed as what it is a part of."""


@dataclass(frozen=True, slots=True)
class Tiers:
    """The price of one count of a unit, in US dollars, by the length of the whole prompt.

    Attributes
    ----------
    starts
        Numbers of input tokens, rising; over one of them the next price is that of every
        token.
    prices
        One more than `starts`.
    """

    starts: tuple[int, ...]
    prices: tuple[Fraction, ...]

    def over(self, input_tokens: int) -> Fraction:
        """Return the price of a prompt that is one token longer than `input_tokens`."""
        return self.prices[sum(start <= input_tokens for start in self.starts)]


@cache
def registry() -> UnitRegistry:
    """Return every unit that genai-prices knows."""
    return UnitRegistry(unit_data)


@cache
def price_keys() -> tuple[str, ...]:
    """Return every name under which a price can stand."""
    return tuple(unit.price_key for unit in registry().units.values())


@cache
def counted_price_keys() -> tuple[str, ...]:
    """Return the names of prices that we have counts for, or that such prices call for.

    Prices of two crossing units, such as audio and reasoning, need one of what is both.
    """
    units = registry().units
    counted = [units[key] for key in COUNT_OF]
    crossing = (registry().find_join(one, other) for one, other in combinations(counted, 2))
    wanted = {unit.usage_key for unit in crossing if unit is not None}
    wanted |= {*COUNT_OF, EACH_REQUEST}
    return tuple(unit.price_key for key, unit in units.items() if key in wanted)


def unit_of(price_key: str) -> UnitDef:
    """Return the unit that a price key is for."""
    return registry().unit_for_price_key(price_key)


def check_together(keys: Collection[str]) -> None:
    """Raise ValueError if prices under these keys leave open what some tokens cost."""
    validate_model_price(set(keys), registry())


def in_price_keys(message: str) -> str:
    """Return a message of genai-prices with the names of prices for those of units."""
    units = registry().units
    return re.sub(r"\w+", lambda m: units[m[0]].price_key if m[0] in units else m[0], message)


def tiers_of(price_key: str, rate: Rate) -> Tiers:
    """Return what one count of ours costs at `rate`."""
    unit = unit_of(price_key)
    counts = unit.per * COUNTS_PER_UNIT.get(COUNT_OF.get(unit.usage_key, ""), 1)
    if isinstance(rate, TieredPrices):
        # Of two tiers with one start, the later in the list counts.
        by_start = {tier.start: tier.price for tier in rate.tiers}
        prices = (rate.base, *by_start.values())
        return Tiers(tuple(by_start), tuple(Fraction(price) / counts for price in prices))
    return Tiers((), (Fraction(rate) / counts,))


@cache
def hiding(usage_key: str) -> tuple[tuple[str, ...], ...]:
    """Return the counts that make it wrong to take a missing unit for zero.

    Each entry is counts of ours that, all over zero, mean that there is some of the unit:
    a part of it, or two units whose common part it is.
    """
    wanted = registry().units[usage_key]
    known = [registry().units[key] for key in COUNT_OF if key != usage_key]
    parts = [(COUNT_OF[unit.usage_key],) for unit in known if _is_part(unit, wanted)]
    crossing = [
        (COUNT_OF[one.usage_key], COUNT_OF[other.usage_key])
        for one, other in combinations(known, 2)
        if one.is_compatible_with(other)
        and not _is_part(one, other)
        and not _is_part(other, one)
        and wanted.dimensions == {**one.dimensions, **other.dimensions}
    ]
    return tuple(dict.fromkeys((*parts, *crossing)))


def is_part(usage_key: str, whole: str) -> bool:
    """Return whether one unit is a part of another."""
    units = registry().units
    return usage_key != whole and _is_part(units[usage_key], units[whole])


def _is_part(unit: UnitDef, whole: UnitDef) -> bool:
    return whole.dimensions.items() <= unit.dimensions.items()

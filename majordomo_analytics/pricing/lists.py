"""The public price lists, as genai-prices has them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import genai_prices
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import (
    ClauseContains,
    ClauseEquals,
    ClauseOr,
    ClauseStartsWith,
    ConditionalPrice,
    ModelPrice,
    StartDateConstraint,
)

from majordomo_analytics.pricing.names import LONGER_NAMES, ROUTER, is_fine_tuned
from majordomo_analytics.pricing.units import price_keys

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from genai_prices.data_snapshot import DataSnapshot
    from genai_prices.types import ModelInfo, PriceVariant, Provider, TimeOfDateConstraint

    from majordomo_analytics.pricing.context import Context
    from majordomo_analytics.pricing.names import Candidate
    from majordomo_analytics.pricing.units import Rates

LEAST_AUDIO_MS: dict[tuple[str, str], int] = {
    ("groq", "whisper-large-v3"): 10_000,
    ("groq", "whisper-large-v3-turbo"): 10_000,
}
"""Models that bill audio as at least so long; genai-prices has this in its code."""

MAX_NAMES = 4096


@dataclass(frozen=True, slots=True, eq=False)
class ListedModel:
    """A model of a price list.

    Attributes
    ----------
    price_list
        The list it was looked for in.
    model
        Its entry, there or in a list that this one falls back on.
    """

    price_list: Provider
    model: ModelInfo

    @property
    def least_audio_ms(self) -> int:
        """What shorter audio is billed as."""
        return LEAST_AUDIO_MS.get((self.price_list.id, self.model.id), 0)

    @property
    def instants(self) -> set[datetime]:
        """When its prices change for good."""
        return {
            datetime.combine(constraint.start_date, time(), UTC)
            for constraint in self._constraints()
            if isinstance(constraint, StartDateConstraint)
        }

    @property
    def times(self) -> set[time]:
        """When, on each UTC day, its prices may change."""
        return {
            _utc(moment)
            for constraint in self._constraints()
            if constraint is not None and not isinstance(constraint, StartDateConstraint)
            for moment in (constraint.start_time, constraint.end_time)
        }

    def rates(self, at: datetime, context: Context) -> tuple[Rates, Context]:
        """Return the prices at an instant, and what of `context` had none of its own."""
        asked = dict(context)
        variants = [
            variant for variant in self._variants() if _is_active(variant, at)
            and all(asked.get(key) == value for key, value in variant.when.items())
        ]  # fmt: skip
        met = {key for variant in variants for key in variant.when}
        # In the context of what has no price there would be none at all to ask for.
        prices = self.model.get_prices(at, {key: asked[key] for key in met} or None)
        known = set(price_keys())
        rates = {
            key: rate for key, rate in prices.__dict__.items() if rate is not None and key in known
        }
        return rates, tuple(pair for pair in context if pair[0] not in met)

    def _variants(self) -> Iterable[PriceVariant]:
        # Another provider's tiers are no promise of the one that falls back on its list.
        if not any(model is self.model for model in self.price_list.models):
            return ()
        return self.model.price_variants or ()

    def _constraints(self) -> Iterable[StartDateConstraint | TimeOfDateConstraint | None]:
        prices = self.model.prices
        standard = [] if isinstance(prices, ModelPrice) else prices
        both: list[ConditionalPrice | PriceVariant] = [*standard, *self._variants()]
        return [price.constraint for price in both]


class PublicPrices:
    """One state of the public price lists.

    Attributes
    ----------
    version
        Name and version of the lists, and when they were fetched if that was later.
    """

    def __init__(self, snapshot: DataSnapshot) -> None:
        self._snapshot = snapshot
        self._lists = {provider.id: provider for provider in snapshot.providers}
        self.version = f"genai-prices {version('genai-prices')}"
        if snapshot.from_auto_update:
            self.version += f" of {snapshot.timestamp.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
        # The names come from callers. genai-prices would keep every one, for good.
        self.find = lru_cache(maxsize=MAX_NAMES)(self._find)

    @property
    def since(self) -> datetime:
        """When they came to this machine: fetched, or installed with their package."""
        if self._snapshot.from_auto_update:
            return self._snapshot.timestamp.astimezone(UTC)
        return datetime.fromtimestamp(Path(genai_prices.__file__).stat().st_mtime, UTC)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the lists."""
        return tuple(self._lists)

    def models(self, price_list: str) -> tuple[str, ...]:
        """Return the models of a list, none for a list that there is not."""
        provider = self._lists.get(price_list)
        return tuple(model.id for model in provider.models) if provider else ()

    def lists_of(self, price_list: str) -> tuple[str, ...]:
        """Return the lists that hold a list's prices, of a router those of its hosts."""
        provider = self._lists.get(price_list)
        if provider is not None:
            return (price_list, *(provider.fallback_model_providers or ()))
        hosts = (name for name in self._lists if name.startswith(f"{ROUTER}_"))
        return tuple(hosts) if price_list == ROUTER else ()

    def likely(self, price_list: str) -> Iterator[str]:
        """Yield patterns of the names by which models of a list may be found in it."""
        yield from LONGER_NAMES.get(price_list, ())
        provider = self._lists.get(price_list)
        for model in provider.models if provider else ():
            yield f"{model.id.lower()}*"
            yield from _likely(model.match)

    def first(self, places: Iterable[Candidate]) -> ListedModel | None:
        """Return the first model that is listed, or None."""
        return next(filter(None, (self.find(*place) for place in places)), None)

    def is_current(self) -> bool:
        """Return whether no newer state was fetched since."""
        return get_snapshot() is self._snapshot

    def _find(self, price_list: str, name: str) -> ListedModel | None:
        provider = self._lists.get(price_list)
        if provider is None or not name:
            return None
        model = provider.find_model(name, all_providers=self._snapshot.providers)
        if model is None or (is_fine_tuned(name) and not is_fine_tuned(model.id)):
            return None
        return ListedModel(provider, model)


def current_prices() -> PublicPrices:
    """Return the public price lists as they are now."""
    return PublicPrices(get_snapshot())


def _likely(clause: object) -> Iterator[str]:
    """Yield patterns of what a clause matches, for the kinds of clause that say a text."""
    if isinstance(clause, ClauseOr):
        for each in clause.or_:
            yield from _likely(each)
    elif isinstance(clause, ClauseEquals):
        yield clause.equals.lower()
    elif isinstance(clause, ClauseStartsWith):
        yield f"{clause.starts_with.lower()}*"
    elif isinstance(clause, ClauseContains):
        # It may stand anywhere; but a pattern of another beginning is likelier a mistake.
        yield f"{clause.contains.lower()}*"


def _is_active(variant: PriceVariant, at: datetime) -> bool:
    return variant.constraint is None or variant.constraint.active(at)


def _utc(moment: time) -> time:
    if moment.tzinfo is None:
        return moment
    return datetime.combine(datetime(1970, 1, 1, tzinfo=UTC), moment).astimezone(UTC).time()

"""A card: everything that one model costs in one context, whenever it is asked for."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from datetime import UTC, datetime, time
from typing import TYPE_CHECKING

from majordomo_analytics.pricing.names import (
    always_searches,
    book_names,
    candidates,
    names_of,
)
from majordomo_analytics.pricing.plans import Plan, make_plan
from majordomo_analytics.records import flags

if TYPE_CHECKING:
    from collections.abc import Callable

    from majordomo_analytics.pricing.book import Entry, PriceBook
    from majordomo_analytics.pricing.context import Context
    from majordomo_analytics.pricing.lists import ListedModel, PublicPrices


@dataclass(frozen=True, slots=True)
class CardEntry:
    """The price of a time in which it does not change.

    Attributes
    ----------
    plan
        The rates.
    flags
        What was odd about finding them.
    flags_if_short
        The same, when something was used that the plan does not price.
    lacks_fee
        Whether each request has a fee besides that the public list does not name.
    """

    plan: Plan
    flags: tuple[str, ...]
    flags_if_short: tuple[str, ...]
    lacks_fee: bool = False


@dataclass(frozen=True, slots=True)
class Card:
    """The prices of one model in one context, by time.

    Attributes
    ----------
    instants
        When they change for good, rising.
    times
        When, on each UTC day, they may change, rising.
    find
        Looks up the entry of an instant; None if there is no price then.
    """

    instants: tuple[datetime, ...]
    times: tuple[time, ...]
    find: Callable[[datetime], CardEntry | None]
    _found: dict[tuple[int, int], CardEntry | None] = field(default_factory=dict)

    def at(self, instant: datetime) -> CardEntry | None:
        """Return the entry of an instant, None if there is no price then."""
        of_day = bisect_right(self.times, instant.astimezone(UTC).time()) if self.times else 0
        period = bisect_right(self.instants, instant), of_day
        # One entry for each period: as many as the price list has dates for the model.
        if period not in self._found:
            self._found[period] = self.find(instant)
        return self._found[period]


class CardMaker:
    """Makes cards from the public prices and a price book."""

    def __init__(self, prices: PublicPrices, book: PriceBook | None) -> None:
        self._prices = prices
        self._book = book

    def card(
        self,
        provider: str,
        model: str | None,
        requested_model: str | None,
        host: str,
        context: Context,
    ) -> Card:
        """Return what a model costs, in a context, by the names of answer and request."""
        listed = self._prices.first(candidates(provider, model, requested_model, host))
        own: tuple[Entry, ...] = ()
        if self._book is not None:
            names = book_names(provider, model, requested_model, host)
            own = self._book.fitting(provider, names, context)
        searches = any(map(always_searches, names_of(provider, model, requested_model)))
        bases = [(entry, self._base(entry, listed)) for entry in own]
        models = [base for _, base in (*bases, (None, listed)) if base is not None]

        def find(at: datetime) -> CardEntry | None:
            for entry, base in bases:
                if entry.is_valid(at) and (entry.rates or base is not None):
                    return _by_book(entry, base, at, context, searches=searches)
            return None if listed is None else _by_list(listed, at, context, searches=searches)

        validity = [moment for entry in own for moment in (entry.valid_from, entry.valid_until)]
        ends = {moment for moment in validity if moment is not None}
        return Card(
            instants=tuple(sorted(ends.union(*(model.instants for model in models)))),
            times=tuple(sorted(set[time]().union(*(model.times for model in models)))),
            find=find,
        )

    def _base(self, entry: Entry, listed: ListedModel | None) -> ListedModel | None:
        """Return the public model whose price an entry changes, None if it has its own."""
        if entry.rates:
            return None
        return self._prices.first(entry.like) if entry.like else listed


def _by_list(listed: ListedModel, at: datetime, context: Context, *, searches: bool) -> CardEntry:
    rates, unmet = listed.rates(at, context)
    plan = make_plan(rates, least_audio_ms=listed.least_audio_ms)
    return _entry(plan, unmet, lacks_fee=searches and not plan.bills_each_request)


def _by_book(
    entry: Entry, base: ListedModel | None, at: datetime, context: Context, *, searches: bool
) -> CardEntry:
    rates, unmet, least_audio_ms = entry.rates, context, 0
    if base is not None:
        rates, unmet = base.rates(at, context)
        least_audio_ms = base.least_audio_ms
    unmet = tuple(pair for pair in unmet if pair not in entry.context)
    plan = make_plan(rates, share=entry.share, least_audio_ms=least_audio_ms)
    # Rates of a book are taken to be all that is paid.
    lacks_fee = base is not None and searches and not plan.bills_each_request
    return _entry(plan, unmet, lacks_fee=lacks_fee)


def _entry(plan: Plan, unmet: Context, *, lacks_fee: bool) -> CardEntry:
    odd = (flags.PRICE_TIER_UNKNOWN,) if unmet else ()
    return CardEntry(plan, odd, (*odd, flags.PRICE_INCOMPLETE), lacks_fee)

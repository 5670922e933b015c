"""What a request cost: public prices, or those of a price book, at the request's time.

Nothing here raises for an unknown model or for counts that contradict each other: a cost
that cannot be worked out is null with a status, and the row keeps its tokens. What a
model costs when is looked up once and kept; after that a row takes microseconds.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from functools import lru_cache
from math import lcm
from operator import attrgetter
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from majordomo_analytics.pricing.cards import Card, CardMaker
from majordomo_analytics.pricing.context import context_of
from majordomo_analytics.pricing.lists import PublicPrices, current_prices
from majordomo_analytics.pricing.names import ROUTER, routed_host
from majordomo_analytics.pricing.plans import counted
from majordomo_analytics.pricing.units import FEES
from majordomo_analytics.records import flags
from majordomo_analytics.records.money import Cost, CostStatus, round_money
from majordomo_analytics.records.usage import Iteration, Usage

if TYPE_CHECKING:
    from majordomo_analytics.pricing.book import PriceBook
    from majordomo_analytics.pricing.plans import Plan

MAX_CARDS = 4096

_served = attrgetter("service_tier", "speed", "inference_geo", "traffic_type")

Amounts: TypeAlias = tuple[Fraction, Fraction, Fraction]


class Pricer:
    """Prices requests.

    Parameters
    ----------
    book
        Prices that go before the public ones.

    Attributes
    ----------
    version
        What the prices are taken from: equal versions give equal costs.
    """

    version: str

    def __init__(self, book: PriceBook | None = None) -> None:
        self._book = book
        self._use(current_prices())

    def _use(self, prices: PublicPrices) -> None:
        self._prices = prices
        self.version = prices.version
        if self._book is not None:
            self.version += f", price book {self._book.version}"
        self._make = CardMaker(prices, self._book)
        self._card = lru_cache(maxsize=MAX_CARDS)(self._new_card)

    def price(
        self,
        usage: Usage,
        *,
        provider: str,
        model: str | None,
        requested_model: str | None,
        requested_at: datetime,
        request_path: str = "",
    ) -> Cost:
        """Return what a request cost in US dollars.

        Parameters
        ----------
        usage
            What it used, and with which service tier.
        provider
            Who was called, by our name.
        model, requested_model
            The model that answered, and the one asked for.
        requested_at
            When it was made; prices of that instant count.
        request_path
            Names the host behind a router.

        Returns
        -------
        Cost
            ``priced``; ``stated`` if there is no whole price of ours but the provider named
            its cost (the total only: its parts are not known); else ``unpriced``,
            ``no_usage`` or ``error`` with null costs.
        """
        if not self._prices.is_current():
            self._use(current_prices())
        if requested_at.tzinfo is None:
            requested_at = requested_at.replace(tzinfo=UTC)
        host = routed_host(request_path) if provider == ROUTER else ""
        if usage.status == "partial":  # how much of it came is not what is billed
            return Cost("no_usage")
        if usage.iterations:
            try:
                return self._sum(usage, provider, model, requested_model, host, requested_at)
            except ValueError:
                return _stated_or(usage, "error")
        card = self._card(provider, model, requested_model, host, *_served(usage))
        try:
            entry = card.at(requested_at)
            if entry is None:
                return _stated_or(usage, "unpriced" if counted(usage) else "no_usage")
            plan = entry.plan
            counts = plan.read(usage)
            verdict = plan.verdict(counts)
            if verdict != "priceable":
                return _stated_or(usage, verdict)
            amounts = plan.amounts(counts)
        except ValueError:  # counts that contradict each other, or fetched prices that do
            return _stated_or(usage, "error")
        is_short = plan.leaves_out(counts)
        if entry.lacks_fee and (is_short or not usage.web_searches):
            if stated_cost(usage) is not None:
                return _stated_or(usage, "unpriced")
            is_short = True
        return Cost.priced(
            *amounts,
            denominator=plan.denominator,
            price_version=self.version,
            flags=entry.flags_if_short if is_short else entry.flags,
        )

    def card(
        self,
        usage: Usage,
        *,
        provider: str,
        model: str | None,
        requested_model: str | None,
        request_path: str = "",
    ) -> Card:
        """Return the prices that `price` takes for requests like this, at any time.

        For whoever has many of one kind to price together; of `usage` only what it was
        served with counts.
        """
        host = routed_host(request_path) if provider == ROUTER else ""
        return self._card(provider, model, requested_model, host, *_served(usage))

    def _sum(
        self,
        usage: Usage,
        provider: str,
        model: str | None,
        requested_model: str | None,
        host: str,
        requested_at: datetime,
    ) -> Cost:
        """Price each model call by its own model, fees by the request's; all or none."""
        served = _served(usage)
        own = self._card(provider, model, requested_model, host, *served).at(requested_at)
        amounts: Amounts = (Fraction(0), Fraction(0), Fraction(0))
        found: list[str] = []
        for iteration in usage.iterations:
            entry = own
            if iteration.model is not None:
                card = self._card(provider, iteration.model, None, host, *served)
                entry = card.at(requested_at)
            if entry is None:
                return _stated_or(usage, "unpriced")
            counts = entry.plan.read(_usage_of(iteration))
            verdict = entry.plan.verdict(counts)
            if verdict != "priceable":
                return _stated_or(usage, verdict)
            amounts = _added(amounts, entry.plan, counts, each_request=0)
            found += entry.flags_if_short if entry.plan.leaves_out(counts) else entry.flags
        fees = Usage(**{name: getattr(usage, name) for name in FEES})
        if own is None:
            if counted(fees):
                return _stated_or(usage, "unpriced")
        else:
            counts = own.plan.read(fees)
            amounts = _added(amounts, own.plan, counts, each_request=1)
            if own.plan.leaves_out(counts):
                found.append(flags.PRICE_INCOMPLETE)
        denominator = lcm(*(amount.denominator for amount in amounts))
        of_input, of_output, of_tools = (int(amount * denominator) for amount in amounts)
        return Cost.priced(
            of_input,
            of_output,
            of_tools,
            denominator=denominator,
            price_version=self.version,
            flags=tuple(dict.fromkeys(found)),
        )

    def _new_card(
        self,
        provider: str,
        model: str | None,
        requested_model: str | None,
        host: str,
        *served: str | None,
    ) -> Card:
        context = context_of(*served)
        return self._make.card(provider, model, requested_model, host, context)


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


def _stated_or(usage: Usage, status: CostStatus) -> Cost:
    stated = stated_cost(usage)
    return Cost(status) if stated is None else Cost("stated", total_cost=stated)


def _usage_of(iteration: Iteration) -> Usage:
    fields = msgspec.structs.asdict(iteration)
    del fields["model"]
    return Usage(**fields)


def _added(
    amounts: Amounts, plan: Plan, counts: tuple[int | None, ...], *, each_request: int
) -> Amounts:
    parts = plan.amounts(counts, each_request=each_request)
    in_input, in_output, in_tools = (
        amount + Fraction(part, plan.denominator)
        for amount, part in zip(amounts, parts, strict=True)
    )
    return in_input, in_output, in_tools


_in_use: list[Pricer] = []


def use_price_book(book: PriceBook | None) -> None:
    """Price by `book` in this process from now on, None for public prices alone."""
    _in_use[:] = [Pricer(book)]


def pricer_in_use() -> Pricer:
    """Return the pricer of this process."""
    if not _in_use:
        use_price_book(None)
    return _in_use[0]

"""Read one entry of a price book, or say what in it cannot be used, and where.

An entry has rates of its own, or it changes a public price; it says for whom, and when.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NoReturn

from genai_prices.types import Tier, TieredPrices

from majordomo_analytics.errors import PriceBookError, did_you_mean, nearest
from majordomo_analytics.pricing.book import ANY, Entry, Pattern
from majordomo_analytics.pricing.context import CONTEXT_KEYS, can_meet, context_for
from majordomo_analytics.pricing.names import (
    MAX_NAME_CHARACTERS,
    candidates,
    price_list_of,
)
from majordomo_analytics.pricing.plans import make_plan
from majordomo_analytics.pricing.units import counted_price_keys, in_price_keys
from majordomo_analytics.records.providers import PROVIDERS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from majordomo_analytics.pricing.context import Context
    from majordomo_analytics.pricing.lines import Lines
    from majordomo_analytics.pricing.lists import PublicPrices
    from majordomo_analytics.pricing.names import Candidate
    from majordomo_analytics.pricing.units import Rate

ENTRIES = "price"
OWN_PROVIDERS = "providers"
PLAIN_KEYS = ("provider", "model", "from", "until", "discount", "like")
MOST_DOLLARS = Decimal(1_000_000_000)
LEAST_DOLLARS = Decimal("1e-12")


@dataclass(frozen=True, slots=True)
class EntryReader:
    """Reads one entry.

    Attributes
    ----------
    path, lines
        The file, for what is said about it.
    place
        Which of its entries this is, counted from 0.
    given
        What stands in the entry.
    providers
        Every name that a provider can have.
    prices
        The public prices, which an entry can refer to.
    """

    path: str
    lines: Lines
    place: int
    given: dict[str, Any]
    providers: tuple[str, ...]
    prices: PublicPrices

    def entry(self) -> Entry:
        """Return the entry.

        Raises
        ------
        PriceBookError
            If it cannot be used.
        """
        self._check_names()
        provider = self._provider()
        model = self._model()
        valid_from, valid_until = self._instant("from"), self._instant("until")
        if valid_from and valid_until and valid_from >= valid_until:
            self._refuse(
                "until",
                f"until = {self.given['until']} is not after from = {self.given['from']}; the "
                "price counts from the one to just before the other",
            )
        rates = {key: self._rate(key) for key in self.given if key in counted_price_keys()}
        like = self._like()
        discount = self._discount()
        if rates and ("discount" in self.given or like):
            self._refuse(
                "like" if like else "discount",
                f"{next(iter(rates))} is a price of its own; beside one there is no "
                f"{'like' if like else 'discount'}: keep either",
            )
        if not rates and not like and "discount" not in self.given:
            self._refuse(
                None,
                "has no price; give rates such as input_mtok, a discount, or like = "
                '"PROVIDER/MODEL" (rates of 0 make it free)',
            )
        if rates:
            self._check_rates(rates)
        elif not like:
            self._check_public(provider, model)
        return Entry(
            line=self.lines.of_entry(self.place),
            provider=provider,
            model=model,
            valid_from=valid_from,
            valid_until=valid_until,
            context=self._context(),
            rates=rates,
            like=like,
            share=1 - discount,
        )

    def _check_names(self) -> None:
        known = (*PLAIN_KEYS, *CONTEXT_KEYS, *counted_price_keys())
        for name in self.given:
            if name not in known:
                suggestions = (
                    ("requests_kcount",) if name == "per_request" else nearest(name, known)
                )
                tail = did_you_mean(suggestions, known)
                self._refuse(name, f"nothing is named {name!r} in a price{tail}")

    def _provider(self) -> str:
        name = self._text_of("provider", "the provider's name, or * for any")
        if name != ANY and name not in self.providers:
            tail = did_you_mean(nearest(name, self.providers), self.providers)
            stop = "" if tail.endswith("?") else "."
            self._refuse(
                "provider",
                f"no provider is named {name!r}{tail}{stop} One of your own is declared in the "
                f'first line: {OWN_PROVIDERS} = ["{name}"]',
            )
        return name

    def _model(self) -> Pattern:
        name = self._text_of("model", "a model's name, or a pattern such as gpt-4o*")
        return Pattern(name.removeprefix("models/"))

    def _context(self) -> Context:
        context: dict[str, str] = {}
        for key, what in CONTEXT_KEYS.items():
            if key not in self.given:
                continue
            value = self._text_of(key, what)
            meant = context_for(key, value)
            if not meant and key == "processing":
                self._refuse(key, f'{key} = {value!r} is no processing; write {key} = "batch"')
            if not meant:
                self._refuse(key, f"{key} = {value!r} is the standard price; leave {key} out")
            if not can_meet(tuple(context.items()), meant):
                self._refuse(
                    key, "no request is in a batch and has a service tier; name only one of them"
                )
            context.update(meant)
        return tuple(context.items())

    def _instant(self, key: str) -> datetime | None:
        value = self.given.get(key)
        if value is None:
            return None
        if isinstance(value, datetime):
            if value.tzinfo is None:
                self._refuse(key, f"{key} = {value} has no offset; end it with Z for UTC")
            try:
                return value.astimezone(UTC)
            except OverflowError:
                self._refuse(
                    key, f"{key} = {value} is out of the calendar; leave it out for always"
                )
        if isinstance(value, date):
            return datetime.combine(value, time(), UTC)
        return self._refuse(
            key, f"{key} = {value!r} is no date; write {key} = 2026-07-01, unquoted"
        )

    def _number(self, key: str, value: object, shown: str) -> Decimal:
        if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
            self._refuse(key, f"{shown} = {value!r} is no number; write {shown} = 0.15, unquoted")
        number = Decimal(value)
        if not number.is_finite():
            self._refuse(key, f"{shown} = {value} is no price; write a number")
        if number < 0:
            self._refuse(key, f"{shown} = {value} is negative; a price is 0 or more")
        # An exponent is quickly written; a whole number of that length takes for ever.
        if number and not MOST_DOLLARS >= number >= LEAST_DOLLARS:
            self._refuse(
                key,
                f"{shown} = {value} is no price; it is between {LEAST_DOLLARS} and {MOST_DOLLARS}",
            )
        return number

    def _discount(self) -> Fraction:
        if "discount" not in self.given:
            return Fraction(0)
        value = self._number("discount", self.given["discount"], "discount")
        if value > 1:
            self._refuse("discount", f"discount = {value} is more than all; 15 percent off is 0.15")
        return Fraction(value)

    def _rate(self, key: str) -> Rate:
        value = self.given[key]
        if not isinstance(value, dict):
            return self._number(key, value, key)
        tiers = value.get("tiers")
        if set(value) != {"base", "tiers"} or not isinstance(tiers, list):
            self._refuse(
                key,
                f"{key} is no price by length; write {key} = {{ base = 1.25, tiers = "
                "[{ start = 200000, price = 2.5 }] }",
            )
        read = [self._tier(key, tier) for tier in tiers]
        starts = [tier.start for tier in read]
        for start in starts:
            if starts.count(start) > 1:
                self._refuse(key, f"{key} has two tiers that start at {start} tokens; keep one")
        return TieredPrices(base=self._number(key, value["base"], f"{key}.base"), tiers=read)

    def _tier(self, key: str, tier: object) -> Tier:
        start = tier.get("start") if isinstance(tier, dict) else None
        if not isinstance(tier, dict) or set(tier) != {"start", "price"} or type(start) is not int:
            self._refuse(key, f"a tier of {key} is {{ start = TOKENS, price = DOLLARS }}")
        if start < 0:
            self._refuse(key, f"{key} has a tier that starts at {start} tokens; 0 is the least")
        return Tier(start=start, price=self._number(key, tier["price"], f"{key}.tiers.price"))

    def _like(self) -> tuple[Candidate, ...]:
        if "like" not in self.given:
            return ()
        name = self._text_of("like", "a public model, as PROVIDER/MODEL")
        provider, slash, model = name.partition("/")
        if not slash:
            self._refuse("like", f'like = "{name}" names no provider; write "openai/{name}"')
        places = candidates(provider, model, None)
        lists = {place for place, _ in places}
        if not lists & set(self.prices.names):
            known = sorted({*PROVIDERS, *self.prices.names})
            tail = did_you_mean(nearest(provider, known), known)
            self._refuse("like", f'like = "{name}": no price list is named {provider!r}{tail}')
        if self.prices.first(places) is None:
            self._refuse("like", f'like = "{name}": {self._unlisted(lists, model)}')
        return places

    def _check_public(self, provider: str, model: Pattern) -> None:
        """Refuse a discount on a price that there is not."""
        if not model.is_exact:
            self._check_pattern(provider, model)
            return
        asked = self.providers if provider == ANY else (provider,)
        places = [place for name in asked for place in candidates(name, model.text, None)]
        if self.prices.first(places) is None:
            lists = {place for place, _ in places}
            self._refuse(
                "model",
                f"there is no public price to take a discount off: "
                f"{self._unlisted(lists, model.text)}; give rates of its own, or like",
            )

    def _check_pattern(self, provider: str, model: Pattern) -> None:
        asked = self.providers if provider == ANY else (provider,)
        lists = {each: self.prices.lists_of(price_list_of(each)) for each in asked}
        if not any(lists.values()):
            self._refuse(
                "discount",
                f"there is no public price list of {provider!r} to take a discount off; give "
                "rates of its own, or like",
            )
        for each, price_lists in lists.items():
            # What a name is looked up as, a pattern of names is too.
            spelled = {name for _, name in candidates(each, model.text, None)}
            patterns = [Pattern(name) for name in spelled] or [model]
            names = (name for price_list in price_lists for name in self.prices.likely(price_list))
            if any(pattern.meets(Pattern(name)) for name in names for pattern in patterns):
                return
        self._refuse(
            "model",
            f"there is no public price to take a discount off: no model like {model.text!r} is "
            "listed; give rates of its own, or like",
        )

    def _unlisted(self, lists: Iterable[str], model: str) -> str:
        known = [name for price_list in lists for name in self.prices.models(price_list)]
        close = nearest(model, known)
        return f"no model {model!r} is listed{did_you_mean(close, close)}"

    def _check_rates(self, rates: dict[str, Rate]) -> None:
        try:
            plan = make_plan(rates)
        except ValueError as error:
            said = in_price_keys(str(error))
            self._refuse(next(iter(rates)), f"the rates leave open what some tokens cost: {said}")
        if plan.needs_output and not (plan.needs_input or plan.measures):
            self._refuse(
                "output_mtok",
                "output_mtok alone prices no request, for each has a prompt; give input_mtok too "
                "(0 if the prompt is free)",
            )

    def _text_of(self, key: str, what: str) -> str:
        value = self.given.get(key)
        if value is None:
            self._refuse(None, f"has no {key}; give {what}")
        if not isinstance(value, str) or not 0 < len(value.strip()) <= MAX_NAME_CHARACTERS:
            self._refuse(key, f"{key} = {value!r} is no name; give {what}")
        return value.strip().lower()

    def _refuse(self, key: str | None, problem: str) -> NoReturn:
        place = self.place
        line = self.lines.of_entry(place) if key is None else self.lines.of_key(place, key)
        raise PriceBookError(self.path, line, problem)

"""The stand-ins' own price card: US dollars per million tokens, as published."""

from __future__ import annotations

from dataclasses import dataclass, fields
from decimal import Decimal

PER = 1_000_000


@dataclass(frozen=True, slots=True)
class Tokens:
    """What one answer used; the whole counts include their parts.

    Attributes
    ----------
    input, output
        The whole prompt and the whole answer.
    cached, written_5m, written_1h
        Parts of the prompt that were read from and written to a cache.
    reasoning
        Part of the answer.
    """

    input: int = 0
    cached: int = 0
    written_5m: int = 0
    written_1h: int = 0
    output: int = 0
    reasoning: int = 0

    @property
    def written(self) -> int:
        """Tokens written to a cache, for however long."""
        return self.written_5m + self.written_1h

    @property
    def fresh(self) -> int:
        """Tokens of the prompt that no cache had anything to do with."""
        return self.input - self.cached - self.written

    def __add__(self, other: Tokens) -> Tokens:
        return Tokens(
            *(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)),
        )


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per million tokens of one model."""

    input: Decimal
    output: Decimal
    cached: Decimal
    written_5m: Decimal = Decimal(0)
    written_1h: Decimal = Decimal(0)


def _price(*dollars: str) -> Price:
    return Price(*map(Decimal, dollars))


PRICES: dict[str, Price] = {
    "gpt-4o-mini": _price("0.15", "0.60", "0.075"),
    "gpt-4.1": _price("2.00", "8.00", "0.50"),
    "gpt-5-mini": _price("0.25", "2.00", "0.025"),
    "claude-haiku-4-5": _price("1.00", "5.00", "0.10", "1.25", "2.00"),
    "claude-sonnet-4-6": _price("3.00", "15.00", "0.30", "3.75", "6.00"),
    "gemini-2.5-flash": _price("0.30", "2.50", "0.03"),
    "gemini-2.5-flash-lite": _price("0.10", "0.40", "0.01"),
}
"""Models with one flat price, whatever the length of the prompt or the service tier."""


def cost(model: str, tokens: Tokens) -> Decimal | None:
    """Return what `tokens` cost in US dollars, None for a model that has no price."""
    price = PRICES.get(model)
    if price is None:
        return None
    dollars = (
        tokens.fresh * price.input
        + tokens.cached * price.cached
        + tokens.written_5m * price.written_5m
        + tokens.written_1h * price.written_1h
        + tokens.output * price.output
    )
    return dollars / PER

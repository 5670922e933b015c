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
    input_image, output_image
        Parts of the prompt and the answer that are images.
    searches
        Searches that are billed one by one.
    """

    input: int = 0
    cached: int = 0
    written_5m: int = 0
    written_1h: int = 0
    output: int = 0
    reasoning: int = 0
    input_image: int = 0
    output_image: int = 0
    searches: int = 0

    @property
    def written(self) -> int:
        """Tokens written to a cache, for however long."""
        return self.written_5m + self.written_1h

    @property
    def fresh(self) -> int:
        """Tokens of the prompt, images included, that no cache had anything to do with."""
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
    input_image: Decimal = Decimal(0)


def _price(
    fresh: str,
    output: str,
    cached: str | None = None,
    written_5m: str = "0",
    written_1h: str = "0",
    *,
    input_image: str = "0",
) -> Price:
    """Return a price; a cached token costs what a fresh one does unless it has its own."""
    dollars = (fresh, output, cached or fresh, written_5m, written_1h, input_image)
    return Price(*map(Decimal, dollars))


PRICES: dict[str, dict[str, Price]] = {
    "openai": {
        "gpt-4o-mini": _price("0.15", "0.60", "0.075"),
        "gpt-4.1": _price("2.00", "8.00", "0.50"),
        "gpt-5-mini": _price("0.25", "2.00", "0.025"),
        "gpt-3.5-turbo-instruct": _price("1.50", "2.00"),
        "text-embedding-3-small": _price("0.02", "0"),
        "gpt-image-1-mini": _price("2.00", "8.00", input_image="2.50"),
        "gpt-image-2": _price("5.00", "30.00", input_image="8.00"),
    },
    "anthropic": {
        "claude-haiku-4-5": _price("1.00", "5.00", "0.10", "1.25", "2.00"),
        "claude-sonnet-4-6": _price("3.00", "15.00", "0.30", "3.75", "6.00"),
        "claude-opus-4-8": _price("5.00", "25.00", "0.50", "6.25", "10.00"),
    },
    "gemini": {
        "gemini-2.5-flash": _price("0.30", "2.50", "0.03"),
        "gemini-2.5-flash-lite": _price("0.10", "0.40", "0.01"),
        "gemini-3.5-flash-lite": _price("0.30", "2.50", "0.03"),
    },
    "gemini-openai": {"gemini-2.5-flash": _price("0.30", "2.50", "0.03")},
    "xai": {"grok-3-mini": _price("0.30", "0.50", "0.075")},
    "cohere": {
        "command-r7b-12-2024": _price("0.0375", "0.15"),
        "embed-v4.0": _price("0.12", "0"),
    },
    "deepseek": {"deepseek-v3.1-terminus": _price("0.27", "0.95", "0.13")},
    "mistral": {
        "mistral-small-latest": _price("0.15", "0.60", "0.015"),
        "mistral-embed": _price("0.10", "0.10"),
    },
    "groq": {
        "llama-3.1-8b-instant": _price("0.05", "0.08"),
        "openai/gpt-oss-20b": _price("0.075", "0.30", "0.0375"),
    },
    "fireworks": {"accounts/fireworks/models/glm-5p3": _price("1.40", "4.40", "0.26")},
    "together": {"zai-org/GLM-5.3": _price("1.40", "4.40", "0.26")},
    "baseten": {"zai-org/GLM-5.3": _price("1.40", "4.40", "0.14")},
    "bedrock": {
        "us.anthropic.claude-haiku-4-5-20251001-v1:0": _price(
            "1.10", "5.50", "0.11", "1.375", "2.20"
        ),
        "us.meta.llama4-scout-17b-instruct-v1:0": _price("0.17", "0.66"),
    },
}
"""Models with one flat price, whatever the length of the prompt or the service tier."""


def cost(provider: str, model: str, tokens: Tokens) -> Decimal | None:
    """Return what `tokens` cost in US dollars, None for a model that has no price."""
    price = PRICES.get(provider, {}).get(model)
    if price is None:
        return None
    dollars = (
        (tokens.fresh - tokens.input_image) * price.input
        + tokens.input_image * price.input_image
        + tokens.cached * price.cached
        + tokens.written_5m * price.written_5m
        + tokens.written_1h * price.written_1h
        + tokens.output * price.output
    )
    return dollars / PER

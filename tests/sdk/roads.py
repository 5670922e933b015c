"""The two roads of every SDK call: straight to the stand-ins, and through the proxy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from majordomo_analytics.cli.standins.hosts import HOSTS
from majordomo_analytics.cli.standins.process import RunningStandIns
from majordomo_analytics.cli.standins.truth import PAUSE_HEADER

DEFAULTS = {"X-Majordomo-Feature": "sdk-tests", "X-Majordomo-User-Tier": "free"}
OVERRIDES = {"X-Majordomo-User-Tier": "enterprise", "x-majordomo-REQUEST-id": "r-1"}

QUESTION = "Summarise the contract in one sentence. " * 150
TURNS: Any = [{"role": "user", "content": QUESTION}]
SYSTEM = "You are a careful lawyer who answers briefly. " * 120

SLOWLY = {PAUSE_HEADER: "60"}
"""Sent by a caller who wants to leave a stream before its end."""


class Part(BaseModel):
    """A part of a clause."""

    words: int
    sure: bool


class Clause(BaseModel):
    """What structured answers are asked for as."""

    title: str
    notice_days: int
    parts: list[Part]


@dataclass(frozen=True)
class Usage:
    """What an SDK reported, in whole counts; None is what it does not report."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    cache_creation_tokens: int | None = None
    cache_creation_5m_tokens: int | None = None
    cache_creation_1h_tokens: int | None = None
    input_image_tokens: int | None = None
    rerank_searches: int | None = None


LEFT = Usage()
"""The caller hung up after the first event and knows nothing."""


@dataclass(frozen=True)
class Road:
    """Where an SDK sends its calls, and with which headers on every one.

    Attributes
    ----------
    url
        The proxy's address, or that of the stand-ins.
    is_straight
        Whether there is no proxy.
    """

    url: str
    headers: dict[str, str]
    is_straight: bool

    def to(self, provider: str) -> str:
        """Return the address at which a provider's own paths begin."""
        if not self.is_straight:
            return self.url
        variable = f"MAJORDOMO_{provider.upper().replace('-', '_')}_BASE_URL"
        return RunningStandIns(self.url).environment[variable]

    def to_openai_of(self, provider: str) -> str:
        """Return the base address for OpenAI's SDK; of the proxy it is the root."""
        return self.to(provider) + (HOSTS[provider].root if self.is_straight else "")


Call = Callable[[Road, dict[str, str]], Usage]


def other_case(headers: dict[str, str]) -> dict[str, str]:
    """Spell names unlike the defaults; google-genai and groq would send both spellings."""
    return {name.swapcase(): value for name, value in headers.items()}


def called(provider: str) -> dict[str, str]:
    """Return the header that names whom the proxy shall call."""
    return {"X-Majordomo-Provider": provider}

"""Hosts that speak OpenAI's API: where it begins there, and how they state usage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

    from majordomo_analytics.cli.standins.prices import Tokens

Json = dict[str, Any]

UsageInStream = Literal["on_request", "always", "x_groq"]
"""`on_request`: in a chunk of its own, to those who ask; `always`: in the last chunk that
has a choice; `x_groq`: there too, in a place of its own, and on request besides."""


def with_details(tokens: Tokens) -> Json:
    """Return usage as OpenAI states it: parts in objects of their own."""
    return {
        **_wholes(tokens),
        "prompt_tokens_details": {"cached_tokens": tokens.cached, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": tokens.reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _with_cached_at_the_top(tokens: Tokens) -> Json:
    return {**_wholes(tokens), "cached_tokens": tokens.cached}


def _with_num_cached_tokens(tokens: Tokens) -> Json:
    return {**_wholes(tokens), "num_cached_tokens": tokens.cached}


def _with_hits_and_misses(tokens: Tokens) -> Json:
    return {
        **_wholes(tokens),
        "prompt_tokens_details": {"cached_tokens": tokens.cached},
        "completion_tokens_details": {"reasoning_tokens": tokens.reasoning},
        "prompt_cache_hit_tokens": tokens.cached,
        "prompt_cache_miss_tokens": tokens.input - tokens.cached,
    }


def _with_times(tokens: Tokens) -> Json:
    return {
        "queue_time": 0.01,
        "prompt_time": 0.002,
        "completion_time": 0.05,
        "total_time": 0.052,
        **_wholes(tokens),
        "prompt_tokens_details": {"cached_tokens": tokens.cached},
        "completion_tokens_details": {"reasoning_tokens": tokens.reasoning},
    }


def _with_reasoning_on_top(tokens: Tokens) -> Json:
    usage = with_details(tokens)
    return usage | {"completion_tokens": tokens.output - tokens.reasoning}


def _with_reasoning_in_the_total_only(tokens: Tokens) -> Json:
    return {
        **_wholes(tokens),
        "completion_tokens": tokens.output - tokens.reasoning,
        "prompt_tokens_details": {"cached_tokens": tokens.cached},
    }


def _wholes(tokens: Tokens) -> Json:
    return {
        "prompt_tokens": tokens.input,
        "completion_tokens": tokens.output,
        "total_tokens": tokens.input + tokens.output,
    }


@dataclass(frozen=True, slots=True)
class Host:
    """One host.

    Attributes
    ----------
    root
        What stands before ``/chat/completions`` there.
    usage_in_stream
        Where a stream states usage.
    usage
        Writes the usage object.
    """

    root: str = "/v1"
    usage_in_stream: UsageInStream = "on_request"
    usage: Callable[[Tokens], Json] = with_details


OPENAI = Host()
HOSTS = {
    "openai": OPENAI,
    "fireworks": Host(root="/inference/v1"),
    "baseten": OPENAI,
    "together": Host(usage_in_stream="always", usage=_with_cached_at_the_top),
    "mistral": Host(usage_in_stream="always", usage=_with_num_cached_tokens),
    "deepseek": Host(usage_in_stream="always", usage=_with_hits_and_misses),
    "groq": Host(root="/openai/v1", usage_in_stream="x_groq", usage=_with_times),
    "xai": Host(usage_in_stream="always", usage=_with_reasoning_on_top),
    "gemini-openai": Host(root="/v1beta/openai", usage=_with_reasoning_in_the_total_only),
}

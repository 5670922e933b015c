"""Token counts of one request: wholes, their parts, and how much of them is known.

The totals are inclusive, as in OpenTelemetry and genai-prices: ``input_tokens`` is the
whole prompt with cache reads, cache writes and tool prompts, ``output_tokens`` the whole
answer with reasoning. Unknown is ``None``, known to be zero is ``0``.
"""

from __future__ import annotations

from operator import attrgetter
from typing import Literal

import msgspec

UsageStatus = Literal["reported", "partial", "estimated", "missing"]
"""`reported`: the final counts were seen; `partial`: a stream was cut before them."""

UsageSource = Literal["body", "stream_final", "stream_partial", "header", "request"]
"""Where the counts stood: in the provider's answer, or what the request itself held."""

MAX_COUNT = 2**63 - 1

WHOLE_OF: dict[str, str] = {
    "cached_tokens": "input_tokens",
    "cache_creation_tokens": "input_tokens",
    "cache_creation_5m_tokens": "cache_creation_tokens",
    "cache_creation_1h_tokens": "cache_creation_tokens",
    "tool_prompt_tokens": "input_tokens",
    "input_audio_tokens": "input_tokens",
    "input_image_tokens": "input_tokens",
    "input_video_tokens": "input_tokens",
    "cached_audio_tokens": "cached_tokens",
    "cached_image_tokens": "cached_tokens",
    "cached_video_tokens": "cached_tokens",
    "reasoning_tokens": "output_tokens",
    "output_audio_tokens": "output_tokens",
    "output_image_tokens": "output_tokens",
}
"""Each part and the count that contains it."""

_counts_of_parts = attrgetter(*WHOLE_OF)


class Iteration(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One of the model calls that a request was made of, billed by a model of its own.

    Attributes
    ----------
    model
        The model of this call, None for the request's own.
    input_tokens, output_tokens
        The wholes of this call; the others are parts of them.
    """

    model: str | None = None
    input_tokens: int | None = None
    cached_tokens: int | None = None
    cache_creation_tokens: int | None = None
    cache_creation_5m_tokens: int | None = None
    cache_creation_1h_tokens: int | None = None
    output_tokens: int | None = None


class Usage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one request used, as its provider reported it.

    Attributes
    ----------
    input_tokens, output_tokens
        The wholes; the other token counts are parts of them (`WHOLE_OF`).
    web_searches, social_searches, storage_searches, code_executions, rerank_searches
        What the provider ran on its side and bills one by one: counts, not tokens.
    input_audio_ms
        Milliseconds of audio that were read, where that is what is billed.
    input_characters
        Characters that were read, where that is what is billed.
    stated_cost
        The cost in US dollars that the provider itself named, as decimal text.
    service_tier, speed, inference_geo, traffic_type
        What the answer says it was served with; prices depend on it.
    status, source
        How much is known, and where it stood.
    raw
        The provider's own usage object, verbatim JSON text.
    flags
        What was odd about it, from the closed list in `records.flags`.
    iterations
        The model calls it is the sum of, where they are billed by models of their own;
        no column, as `raw` has them too.
    """

    input_tokens: int | None = None
    cached_tokens: int | None = None
    cache_creation_tokens: int | None = None
    cache_creation_5m_tokens: int | None = None
    cache_creation_1h_tokens: int | None = None
    tool_prompt_tokens: int | None = None
    input_audio_tokens: int | None = None
    input_image_tokens: int | None = None
    input_video_tokens: int | None = None
    cached_audio_tokens: int | None = None
    cached_image_tokens: int | None = None
    cached_video_tokens: int | None = None
    output_tokens: int | None = None
    reasoning_tokens: int | None = None
    output_audio_tokens: int | None = None
    output_image_tokens: int | None = None
    web_searches: int | None = None
    social_searches: int | None = None
    storage_searches: int | None = None
    code_executions: int | None = None
    rerank_searches: int | None = None
    input_audio_ms: int | None = None
    input_characters: int | None = None
    stated_cost: str | None = None
    service_tier: str | None = None
    speed: str | None = None
    inference_geo: str | None = None
    traffic_type: str | None = None
    status: UsageStatus = "missing"
    source: UsageSource | None = None
    raw: str | None = None
    flags: tuple[str, ...] = ()
    iterations: tuple[Iteration, ...] = ()


MISSING = Usage()


def count_or_none(value: object) -> int | None:
    """Return `value` if it is a count (a whole number from 0 to 2^63 - 1), else None.

    Booleans, floats, text, negative and oversized numbers are no counts: a provider that
    sends one has told us nothing.
    """
    if type(value) is int and 0 <= value <= MAX_COUNT:
        return value
    return None


def add_counts(*values: int | None) -> int | None:
    """Return the sum of the known values, or None when none is known or it overflows."""
    known = [value for value in values if value is not None]
    return count_or_none(sum(known)) if known else None


def parts_over_whole(usage: Usage) -> tuple[str, ...]:
    """Return the names of parts that are larger than the count that contains them."""
    over = []
    for part, count in zip(WHOLE_OF, _counts_of_parts(usage), strict=True):
        if count:  # no whole is smaller than zero
            whole_count = getattr(usage, WHOLE_OF[part])
            if whole_count is not None and count > whole_count:
                over.append(part)
    return tuple(over)

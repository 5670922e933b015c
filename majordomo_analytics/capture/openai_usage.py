"""OpenAI's shape of usage, which most hosts copy: what it says, and where they differ.

The prompt includes what was cached, the completion includes reasoning. Counts of tools are
taken only where the provider bills by call and says how many calls there were: xAI's
`num_sources_used`, say, are pages that were found, and no searches.
"""

from __future__ import annotations

from decimal import Decimal, localcontext
from typing import TYPE_CHECKING

import msgspec

from majordomo_analytics.capture.accumulator import Accumulator
from majordomo_analytics.capture.values import ABSENT, Counts, is_present
from majordomo_analytics.records import flags
from majordomo_analytics.records.usage import Usage, add_counts

if TYPE_CHECKING:
    from majordomo_analytics.capture.scanner import Kept

TICKS_PLACES = 10
"""xAI states its cost in ticks, of which a dollar has ten to the power of this."""

FINAL_STATUSES = frozenset(
    {b'"completed"', b'"incomplete"', b'"failed"', b'"cancelled"', b'"expired"'}
)
"""Of responses and runs: nothing more will be used."""

KEPT_OF_ANSWER: Kept = {
    b"id": None,
    b"model": None,
    b"usage": None,
    b"error": None,
    b"service_tier": None,
}


class Answer(msgspec.Struct):
    """What every answer of OpenAI's APIs can have."""

    id: msgspec.Raw = ABSENT
    model: msgspec.Raw = ABSENT
    usage: msgspec.Raw = ABSENT
    error: msgspec.Raw = ABSENT
    service_tier: msgspec.Raw = ABSENT


class OpenAIShape(Accumulator):
    """Merges answers of OpenAI's shape: the last usage that is an object counts."""

    _service_tier = ABSENT

    def merge(self, answer: Answer) -> bool:
        """Merge what all answers have; return whether there was usage."""
        if self.model is None:
            self.model = self.text(answer.model)
        if self.response_id is None:
            self.response_id = self.text(answer.id)
        tier = answer.service_tier
        if tier and tier != self._service_tier and is_present(tier):
            self._service_tier = tier.copy()
        if answer.error:
            self.note_error(answer.error)
        usage = answer.usage
        return bool(usage) and is_present(usage) and self.replace_usage(usage)

    def read(self, counts: Counts, *, is_final: bool) -> Usage:
        """Return the counts of the merged usage object."""
        return read_usage(counts, service_tier=self.text(self._service_tier))


def read_usage(
    counts: Counts, *, service_tier: str | None = None, adds_reasoning: bool = False
) -> Usage:
    """Return what a usage object of this shape says.

    Parameters
    ----------
    counts
        The usage object.
    service_tier
        What the answer says beside it.
    adds_reasoning
        Whether the completion leaves reasoning out.
    """
    prompt = counts.inside(
        "prompt_tokens_details",
        "input_tokens_details",
        "prompt_token_details",
        "input_token_details",
    )
    completion = counts.inside(
        "completion_tokens_details",
        "output_tokens_details",
        "completion_token_details",
        "output_token_details",
    )
    cached = prompt.count("cached_tokens")
    if cached is None:
        cached = counts.count("cached_tokens", "num_cached_tokens", "prompt_cache_hit_tokens")
    created = prompt.count("cache_write_tokens")
    input_tokens = counts.count("prompt_tokens", "input_tokens")
    output_tokens = counts.count("completion_tokens", "output_tokens")
    reasoning = completion.count("reasoning_tokens")
    total = counts.count("total_tokens")
    if adds_reasoning and output_tokens is not None:
        output_tokens, reasoning = _with_reasoning(input_tokens, output_tokens, reasoning, total)
    if input_tokens is not None:
        if (
            output_tokens is not None
            and total is not None
            and total != input_tokens + output_tokens
        ):
            counts.flags.append(flags.USAGE_TOTAL_MISMATCH)
        if (cached or 0) + (created or 0) > input_tokens:
            counts.flags.append(flags.USAGE_PART_OVER_WHOLE)
    web, social, storage, code = _tools(counts)
    return Usage(
        input_tokens=input_tokens,
        cached_tokens=cached,
        cache_creation_tokens=created,
        input_audio_tokens=prompt.count("audio_tokens"),
        input_image_tokens=prompt.count("image_tokens"),
        input_video_tokens=prompt.count("video_tokens"),
        output_tokens=output_tokens,
        reasoning_tokens=reasoning,
        output_audio_tokens=completion.count("audio_tokens"),
        output_image_tokens=completion.count("image_tokens"),
        web_searches=web,
        social_searches=social,
        storage_searches=storage,
        code_executions=code,
        input_audio_ms=counts.milliseconds("prompt_audio_seconds"),
        stated_cost=stated_cost(counts),
        service_tier=service_tier,
    )


def _tools(counts: Counts) -> tuple[int | None, int | None, int | None, int | None]:
    """Return the searches of the web, of social media and of files, and the code runs."""
    if counts.has("server_side_tool_usage_details"):
        calls = counts.inside("server_side_tool_usage_details")
        return (
            calls.count("web_search_calls"),
            calls.count("x_search_calls"),
            calls.count("file_search_calls"),
            calls.count("code_interpreter_calls"),
        )
    for name in ("server_tool_use_details", "server_tool_use"):
        if counts.has(name):
            return counts.inside(name).count("web_search_requests"), None, None, None
    return None, None, None, None


def _with_reasoning(
    input_tokens: int | None, completion: int, reasoning: int | None, total: int | None
) -> tuple[int | None, int | None]:
    """Return the whole output and the reasoning in it, of a completion without it.

    The total says whether the completion really leaves reasoning out, and how much that
    is where nothing else does. Reasoning that is stated is believed before it.
    """
    beyond = None
    if input_tokens is not None and total is not None and total >= input_tokens + completion:
        beyond = total - input_tokens - completion
    if reasoning is None:
        return add_counts(completion, beyond), beyond
    if beyond == 0:
        return completion, reasoning
    return add_counts(completion, reasoning), reasoning


def stated_cost(counts: Counts) -> str | None:
    """Return the US dollars that a host says its answer cost, as decimal text."""
    ticks = counts.count("cost_in_usd_ticks")
    if ticks is not None:
        return f"{Decimal(ticks).scaleb(-TICKS_PLACES):f}"
    if not counts.has("cost"):
        return counts.money("estimated_cost")
    if counts.inside("cost").has("total_cost"):
        return counts.money("cost", "total_cost")
    cost = counts.money("cost")
    if cost is None or counts.value("is_byok") is not True:
        return cost
    # With a key of the caller's own the cost is a router's fee, and the model comes on top.
    upstream = counts.money("cost_details", "upstream_inference_cost")
    if upstream is None:
        return cost
    with localcontext(prec=100):
        return str(Decimal(cost) + Decimal(upstream))

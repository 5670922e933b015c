"""Anthropic messages: the input excludes what was cached, the output includes thinking.

A stream states usage twice, in `message_start` and, cumulatively, in `message_delta`. What
the delta does not repeat (time to live of the cache, tier, region) stays as it was. Where
a message was made by several calls (compaction, an adviser, another model after a refusal)
each call is billed by its own model, and the message's own counts leave some of them out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import msgspec

from majordomo_analytics.capture.accumulator import Accumulator
from majordomo_analytics.capture.openai_usage import stated_cost
from majordomo_analytics.capture.values import (
    ABSENT,
    Counts,
    decode_document,
    is_present,
    members,
)
from majordomo_analytics.records import flags
from majordomo_analytics.records.usage import Iteration, Usage, add_counts

if TYPE_CHECKING:
    from majordomo_analytics.capture.scanner import Kept


class _Event(msgspec.Struct):
    """A body of the messages API, or an event of its stream."""

    type: msgspec.Raw = ABSENT
    id: msgspec.Raw = ABSENT
    model: msgspec.Raw = ABSENT
    usage: msgspec.Raw = ABSENT
    error: msgspec.Raw = ABSENT
    message: msgspec.Raw = ABSENT


_event_decoder = msgspec.json.Decoder(_Event)


class Messages(Accumulator):
    """``/messages``: a body, or events whose usage replaces what was before, by name."""

    _MESSAGE: ClassVar[Kept] = {b"id": None, b"model": None, b"usage": None}
    ends_with_an_event = True
    kept: ClassVar[Kept] = {**_MESSAGE, b"type": None, b"error": None, b"message": _MESSAGE}

    def take(self, document: bytes) -> bool:
        """Merge one document."""
        event = decode_document(_event_decoder, document)
        if event is None:
            return False
        kind = bytes(event.type)
        if kind.startswith(b'"content_block'):
            return True
        if is_present(event.message):
            message = members(event.message)
            self._merge(
                message.get("id", ABSENT),
                message.get("model", ABSENT),
                message.get("usage", ABSENT),
            )
        has_usage = self._merge(event.id, event.model, event.usage)
        self.is_final |= has_usage and kind == b'"message_delta"'
        if event.error:
            self.note_error(event.error)
        return True

    def _merge(self, response_id: msgspec.Raw, model: msgspec.Raw, usage: msgspec.Raw) -> bool:
        if self.model is None:
            self.model = self.text(model)
        if self.response_id is None:
            self.response_id = self.text(response_id)
        return bool(usage) and self.merge_usage(usage)

    def read(self, counts: Counts, *, is_final: bool) -> Usage:
        """Return the counts of the merged usage object, or the sums over its calls."""
        entries = counts.each("iterations")
        if not all(entry.has("output_tokens") for entry in entries):
            counts.flags.append(flags.USAGE_BAD_NUMBER)
            entries = []
        calls = tuple(_call(entry) for entry in entries)
        whole = _sum(calls) if calls else _call(counts)
        # The message leaves out calls, so it can say less than they do, but never more.
        if whole.output_tokens is not None and (
            (counts.count("output_tokens") or 0) > whole.output_tokens
        ):
            counts.flags.append(flags.USAGE_TOTAL_MISMATCH)
        return Usage(
            input_tokens=whole.input_tokens,
            cached_tokens=whole.cached_tokens,
            cache_creation_tokens=whole.cache_creation_tokens,
            cache_creation_5m_tokens=whole.cache_creation_5m_tokens,
            cache_creation_1h_tokens=whole.cache_creation_1h_tokens,
            # The count in message_start is a seed, not what was written so far.
            output_tokens=whole.output_tokens if is_final else None,
            reasoning_tokens=counts.inside("output_tokens_details").count("thinking_tokens"),
            web_searches=counts.inside("server_tool_use").count("web_search_requests"),
            stated_cost=stated_cost(counts),
            service_tier=counts.text("service_tier"),
            speed=counts.text("speed"),
            inference_geo=counts.text("inference_geo"),
            iterations=calls if is_final else (),
        )


def _call(counts: Counts) -> Iteration:
    """Return what one call used; the message itself has the same members."""
    creation = counts.count("cache_creation_input_tokens")
    by_age = counts.inside("cache_creation")
    for_5m = by_age.count("ephemeral_5m_input_tokens")
    for_1h = by_age.count("ephemeral_1h_input_tokens")
    if None not in (for_5m, for_1h, creation) and add_counts(for_5m, for_1h) != creation:
        counts.flags.append(flags.USAGE_TOTAL_MISMATCH)
    return Iteration(
        model=counts.text("model"),
        input_tokens=counts.total(
            "input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"
        ),
        cached_tokens=counts.count("cache_read_input_tokens"),
        cache_creation_tokens=creation,
        cache_creation_5m_tokens=for_5m,
        cache_creation_1h_tokens=for_1h,
        output_tokens=counts.count("output_tokens"),
    )


def _sum(calls: tuple[Iteration, ...]) -> Iteration:
    """Return the counts of several calls together."""
    creation = [call.cache_creation_tokens for call in calls]
    # The age of nothing is known: a call that wrote nothing to the cache need not state it.
    writers = [call for call in calls if call.cache_creation_tokens] or calls
    return Iteration(
        input_tokens=_added([call.input_tokens for call in calls]),
        cached_tokens=add_counts(*(call.cached_tokens for call in calls)),
        cache_creation_tokens=add_counts(*creation),
        cache_creation_5m_tokens=_added([call.cache_creation_5m_tokens for call in writers]),
        cache_creation_1h_tokens=_added([call.cache_creation_1h_tokens for call in writers]),
        output_tokens=_added([call.output_tokens for call in calls]),
    )


def _added(values: list[int | None]) -> int | None:
    """Return the sum, unless one of the values is not known."""
    return None if None in values else add_counts(*values)

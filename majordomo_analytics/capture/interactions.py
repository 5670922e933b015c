"""Gemini's interactions: thoughts and tools on top, as with `generateContent`, other names.

A stream may state usage so far beside its events; the interaction that ends it says all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import msgspec

from majordomo_analytics.capture.accumulator import Accumulator
from majordomo_analytics.capture.gemini import billed_searches, by_modality
from majordomo_analytics.capture.values import (
    ABSENT,
    Counts,
    decode_document,
    is_present,
    members,
)
from majordomo_analytics.records import flags
from majordomo_analytics.records.usage import Usage, add_counts

if TYPE_CHECKING:
    from majordomo_analytics.capture.scanner import Kept

UNFINISHED = frozenset(
    {b'"interaction.created"', b'"interaction.start"', b'"interaction.status_update"'}
)
"""Events whose interaction has only begun."""


class _Event(msgspec.Struct):
    """An interaction, or an event of its stream with the interaction inside."""

    id: msgspec.Raw = ABSENT
    model: msgspec.Raw = ABSENT
    usage: msgspec.Raw = ABSENT
    service_tier: msgspec.Raw = ABSENT
    error: msgspec.Raw = ABSENT
    event_type: msgspec.Raw = ABSENT
    interaction: msgspec.Raw = ABSENT
    metadata: msgspec.Raw = ABSENT


_event_decoder = msgspec.json.Decoder(_Event)


class Interactions(Accumulator):
    """``/interactions``: a body, or events of which the last has the whole interaction."""

    ends_with_an_event = True
    _INTERACTION: ClassVar[Kept] = {
        b"id": None,
        b"model": None,
        b"usage": None,
        b"service_tier": None,
        b"error": None,
    }
    kept: ClassVar[Kept] = {
        **_INTERACTION,
        b"event_type": None,
        b"interaction": _INTERACTION,
        b"metadata": {b"usage": None},
    }

    _service_tier: str | None = None

    def take(self, document: bytes) -> bool:
        """Merge one document."""
        event = decode_document(_event_decoder, document)
        if event is None:
            return False
        so_far = members(event.metadata).get("usage", ABSENT) if event.metadata else ABSENT
        if is_present(so_far) and not self.is_final:
            self.replace_usage(so_far)
        if not event.event_type:
            self._merge(event)
            return True
        self.note_error(event.error)
        if not is_present(event.interaction):
            return True
        interaction = decode_document(_event_decoder, bytes(event.interaction))
        if interaction is None:
            return False
        has_usage = self._merge(interaction)
        self.is_final |= has_usage and bytes(event.event_type) not in UNFINISHED
        return True

    def _merge(self, interaction: _Event) -> bool:
        if self.model is None and (model := self.text(interaction.model)):
            self.model = model.removeprefix("models/")
        if self.response_id is None:
            self.response_id = self.text(interaction.id)
        self._service_tier = self.text(interaction.service_tier) or self._service_tier
        self.note_error(interaction.error)
        return is_present(interaction.usage) and self.replace_usage(interaction.usage)

    def read(self, counts: Counts, *, is_final: bool) -> Usage:
        """Return the counts of the usage object."""
        input_tokens = counts.total("total_input_tokens", "total_tool_use_tokens")
        output_tokens = counts.total("total_output_tokens", "total_thought_tokens")
        total = counts.count("total_tokens")
        if None not in (input_tokens, output_tokens, total) and total != add_counts(
            input_tokens, output_tokens
        ):
            counts.flags.append(flags.USAGE_TOTAL_MISMATCH)
        put_in = by_modality(
            counts, "input_tokens_by_modality", "tool_use_tokens_by_modality", tokens="tokens"
        )
        cached = by_modality(counts, "cached_tokens_by_modality", tokens="tokens")
        written = by_modality(counts, "output_tokens_by_modality", tokens="tokens")
        return Usage(
            input_tokens=input_tokens,
            cached_tokens=counts.count("total_cached_tokens"),
            tool_prompt_tokens=counts.count("total_tool_use_tokens"),
            input_audio_tokens=put_in.get("audio"),
            input_image_tokens=put_in.get("image"),
            input_video_tokens=put_in.get("video"),
            cached_audio_tokens=cached.get("audio"),
            cached_image_tokens=cached.get("image"),
            cached_video_tokens=cached.get("video"),
            output_tokens=output_tokens,
            reasoning_tokens=counts.count("total_thought_tokens"),
            output_audio_tokens=written.get("audio"),
            output_image_tokens=written.get("image"),
            web_searches=self._searches(counts),
            service_tier=self._service_tier,
        )

    def _searches(self, counts: Counts) -> int | None:
        found = None
        for entry in counts.each("grounding_tool_count"):
            if entry.text("type") == "google_search":
                found = add_counts(found, entry.count("count"))
        return None if found is None else billed_searches(self.model, found)

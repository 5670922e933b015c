"""Chat completions, OpenAI's and those of the many hosts that copy them.

Streams state usage once, or again and again with the last one true; hosts differ in where
they put it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import msgspec

from majordomo_analytics.capture.openai_usage import KEPT_OF_ANSWER, Answer, OpenAIShape, read_usage
from majordomo_analytics.capture.values import (
    ABSENT,
    Counts,
    decode,
    decode_document,
    is_present,
    members,
)
from majordomo_analytics.records.usage import Iteration, Usage, add_counts

if TYPE_CHECKING:
    from majordomo_analytics.capture.scanner import Kept


class _Choice(msgspec.Struct):
    finish_reason: msgspec.Raw = ABSENT
    usage: msgspec.Raw = ABSENT
    error: msgspec.Raw = ABSENT


class _AnyChunk(Answer):
    """A body of chat completions, or a chunk of its stream, but for the choices."""

    x_groq: msgspec.Raw = ABSENT
    usage_breakdown: msgspec.Raw = ABSENT
    message: msgspec.Raw = ABSENT


class _Chunk(_AnyChunk):
    choices: tuple[_Choice, ...] = ()


class _OddChunk(_AnyChunk):
    """A chunk whose choices may be anything."""

    choices: msgspec.Raw = ABSENT


class _Glance(msgspec.Struct):
    """What a chunk can have beside a piece of the answer."""

    choices: tuple[_Choice, ...] = ()
    usage: msgspec.Raw = ABSENT
    error: msgspec.Raw = ABSENT
    x_groq: msgspec.Raw = ABSENT


_glance_decoder = msgspec.json.Decoder(_Glance)
_chunk_decoder = msgspec.json.Decoder(_Chunk)
_odd_chunk_decoder = msgspec.json.Decoder(_OddChunk)
_choices_decoder = msgspec.json.Decoder(tuple[_Choice, ...])


class ChatCompletions(OpenAIShape):
    """``/chat/completions`` and ``/completions``: of a stream the last usage counts."""

    _BREAKDOWN: ClassVar[Kept] = {b"models": {b"model": None, b"usage": None}}
    kept: ClassVar[Kept] = {
        **KEPT_OF_ANSWER,
        b"choices": {b"finish_reason": None, b"usage": None, b"error": None},
        b"x_groq": {b"usage": None, b"error": None, b"usage_breakdown": _BREAKDOWN},
        b"usage_breakdown": _BREAKDOWN,
        b"message": None,
    }

    _has_finished = False
    _breakdown = ABSENT

    def take(self, document: bytes) -> bool:
        """Merge one document."""
        if self.model is not None and self.response_id is not None and _is_plain(document):
            return True
        chunk: _Chunk | _OddChunk | None = decode(_chunk_decoder, document)
        if chunk is None:
            chunk = decode_document(_odd_chunk_decoder, document)
        if chunk is None:
            return False
        choices = chunk.choices
        if isinstance(choices, msgspec.Raw):
            choices = decode(_choices_decoder, choices) or ()
        has_usage = self.merge(chunk)
        if choices:
            for choice in choices:
                if is_present(choice.finish_reason):
                    self._has_finished = True
                if choice.error:
                    self.note_error(choice.error)
            if choices[0].usage:
                has_usage |= self.replace_usage(choices[0].usage)
        elif not has_usage and bytes(chunk.message).startswith(b'"'):
            self.note_error(chunk.message)  # some hosts have an error's message at the root
        if chunk.x_groq:
            beside = members(chunk.x_groq)
            self.note_error(beside.get("error", ABSENT))
            self._note_breakdown(beside.get("usage_breakdown", ABSENT))
            if not has_usage:
                has_usage = self.replace_usage(beside.get("usage", ABSENT))
        if has_usage:
            self._note_breakdown(chunk.usage_breakdown)
            # Some hosts state usage in every chunk: it is final once the answer is.
            self.is_final |= self._has_finished or not choices
        return True

    def _note_breakdown(self, breakdown: msgspec.Raw) -> None:
        if is_present(breakdown):
            self._breakdown = breakdown.copy()

    def read(self, counts: Counts, *, is_final: bool) -> Usage:
        """Return the counts of the merged usage object."""
        usage = read_usage(
            counts,
            service_tier=self.text(self._service_tier),
            adds_reasoning=self.adds_reasoning,
        )
        if self._breakdown:
            calls = _calls_by_model(Counts(self._breakdown, counts.flags), usage)
            usage = msgspec.structs.replace(usage, iterations=calls)
        return usage


def _calls_by_model(breakdown: Counts, usage: Usage) -> tuple[Iteration, ...]:
    """Return the model calls that a system of models consists of (Groq's compound ones).

    Streams repeat the whole under the name of each model; such a breakdown is none. What
    its tools cost depends on their kind and depth, which no count tells.
    """
    calls = []
    for entry in breakdown.each("models"):
        part = read_usage(entry.inside("usage"))
        calls.append(
            Iteration(
                model=entry.text("model"),
                input_tokens=part.input_tokens,
                cached_tokens=part.cached_tokens,
                output_tokens=part.output_tokens,
            )
        )
    totals = (
        add_counts(*(call.input_tokens for call in calls)),
        add_counts(*(call.output_tokens for call in calls)),
    )
    return tuple(calls) if totals == (usage.input_tokens, usage.output_tokens) else ()


def _is_plain(document: bytes) -> bool:
    """Return whether a chunk has nothing but a piece of the answer, as most have."""
    glance = decode(_glance_decoder, document)
    if glance is None or not glance.choices or glance.error or glance.x_groq:
        return False
    if is_present(glance.usage):
        return False
    for choice in glance.choices:
        if choice.error or is_present(choice.usage) or is_present(choice.finish_reason):
            return False
    return True

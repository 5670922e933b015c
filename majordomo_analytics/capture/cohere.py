"""Cohere: what is billed comes first, and rerankings, of which others have the same path.

Version 2 says `usage` and ends a stream with `message-end`; version 1 says `meta`, streams
lines, and repeats the whole answer in the last of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import msgspec

from majordomo_analytics.capture.accumulator import Accumulator
from majordomo_analytics.capture.values import (
    ABSENT,
    Counts,
    decode_document,
    is_present,
    text_or_none,
)
from majordomo_analytics.records.usage import Usage

if TYPE_CHECKING:
    from majordomo_analytics.capture.scanner import Kept


class _Answer(msgspec.Struct):
    """A body, or an event or a line of a stream, or the answer inside one."""

    id: msgspec.Raw = ABSENT
    response_id: msgspec.Raw = ABSENT
    model: msgspec.Raw = ABSENT
    type: msgspec.Raw = ABSENT
    usage: msgspec.Raw = ABSENT
    meta: msgspec.Raw = ABSENT
    delta: msgspec.Raw = ABSENT
    response: msgspec.Raw = ABSENT
    error: msgspec.Raw = ABSENT
    message: msgspec.Raw = ABSENT
    detail: msgspec.Raw = ABSENT


_answer_decoder = msgspec.json.Decoder(_Answer)


class CohereChat(Accumulator):
    """``/chat`` of both versions and ``/generate``: billed units, if need be all tokens."""

    _ANSWER: ClassVar[Kept] = {
        b"id": None,
        b"response_id": None,
        b"model": None,
        b"usage": None,
        b"meta": None,
        b"error": None,
    }
    kept: ClassVar[Kept] = {**_ANSWER, b"type": None, b"delta": _ANSWER, b"response": _ANSWER}

    def take(self, document: bytes) -> bool:
        """Merge one document."""
        answer = decode_document(_answer_decoder, document)
        if answer is None:
            return False
        self._merge(answer)
        self.note_error(answer.detail)
        if text_or_none(answer.message):  # of an answer it is the message itself, an object
            self.note_error(answer.message)
        inside = ABSENT
        if is_present(answer.response):
            inside = answer.response
        elif bytes(answer.type) == b'"message-end"':
            inside = answer.delta
        last = decode_document(_answer_decoder, bytes(inside)) if inside else None
        if last is not None:
            self.is_final |= self._merge(last)
        return True

    def _merge(self, answer: _Answer) -> bool:
        """Merge what an answer says wherever it stands; return whether there was usage."""
        if self.response_id is None:
            self.response_id = self.text(answer.response_id) or self.text(answer.id)
        if self.model is None:
            self.model = self.text(answer.model)
        self.note_error(answer.error)
        usage = answer.usage if is_present(answer.usage) else answer.meta
        return is_present(usage) and self.replace_usage(usage)

    def read(self, counts: Counts, *, is_final: bool) -> Usage:
        """Return the counts of `usage` or `meta`."""
        units = counts.inside("billed_units")
        if not any(map(units.has, ("input_tokens", "image_tokens", "output_tokens"))):
            units = counts.inside("tokens")
        parts = [name for name in ("input_tokens", "image_tokens") if units.has(name)]
        return Usage(
            input_tokens=units.total(*parts) if parts else None,
            cached_tokens=counts.count("cached_tokens"),
            input_image_tokens=units.count("image_tokens"),
            output_tokens=units.count("output_tokens"),
            rerank_searches=counts.inside("billed_units").count("search_units"),
        )


class Embed(CohereChat):
    """``/embed``: text and images are counted apart, and nothing is written."""

    def read(self, counts: Counts, *, is_final: bool) -> Usage:
        """Return the counts of `meta`."""
        return _writing_nothing(super().read(counts, is_final=is_final))


class Rerank(CohereChat):
    """``/rerank``: Cohere bills searches, Voyage and Together the tokens of all texts."""

    def read(self, counts: Counts, *, is_final: bool) -> Usage:
        """Return the counts of `meta` or `usage`."""
        usage = super().read(counts, is_final=is_final)
        if usage.input_tokens is None:
            read_tokens = counts.count("total_tokens", "prompt_tokens")
            usage = msgspec.structs.replace(usage, input_tokens=read_tokens)
        return _writing_nothing(usage)


def _writing_nothing(usage: Usage) -> Usage:
    """Return usage that says anything with an output of zero, which is known to be so."""
    if usage.input_tokens is None and usage.rerank_searches is None:
        return usage
    return msgspec.structs.replace(usage, output_tokens=0)

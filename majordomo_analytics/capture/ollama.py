"""Ollama's own API: counts stand beside the answer, in the last line of a stream.

A prompt that was still in memory is not counted: then its length is unknown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import msgspec

from majordomo_analytics.capture.accumulator import Accumulator
from majordomo_analytics.capture.values import ABSENT, Counts, decode_document, is_present
from majordomo_analytics.records.usage import Usage

if TYPE_CHECKING:
    from majordomo_analytics.capture.scanner import Kept

COUNTED = (
    *("total_duration", "load_duration", "prompt_eval_count", "prompt_eval_duration"),
    *("eval_count", "eval_duration"),
)
"""The members that say what a call took."""


class _Answer(msgspec.Struct):
    """A body, or a line of a stream."""

    model: msgspec.Raw = ABSENT
    done: msgspec.Raw = ABSENT
    error: msgspec.Raw = ABSENT
    total_duration: msgspec.Raw = ABSENT
    load_duration: msgspec.Raw = ABSENT
    prompt_eval_count: msgspec.Raw = ABSENT
    prompt_eval_duration: msgspec.Raw = ABSENT
    eval_count: msgspec.Raw = ABSENT
    eval_duration: msgspec.Raw = ABSENT


_answer_decoder = msgspec.json.Decoder(_Answer)


class Ollama(Accumulator):
    """``/api/chat``, ``/api/generate`` and ``/api/embed``."""

    kept: ClassVar[Kept] = {name.encode(): None for name in _Answer.__struct_fields__}

    _is_embedding = False

    def take(self, document: bytes) -> bool:
        """Merge one document."""
        answer = decode_document(_answer_decoder, document)
        if answer is None:
            return False
        if self.model is None:
            self.model = self.text(answer.model)
        self.note_error(answer.error)
        if is_present(answer.prompt_eval_count) or is_present(answer.eval_count):
            stated = {name: getattr(answer, name) for name in COUNTED}
            found = {name: value for name, value in stated.items() if value}
            self.replace_usage(msgspec.json.encode(found))
        # Only an embedding does not say whether it is done: it never comes in pieces.
        self._is_embedding = not answer.done
        self.is_final |= bytes(answer.done) == b"true"
        return True

    def read(self, counts: Counts, *, is_final: bool) -> Usage:
        """Return the counts of the last line."""
        input_tokens = counts.count("prompt_eval_count")
        output_tokens = counts.count("eval_count")
        if self._is_embedding and output_tokens is None and not counts.has("eval_count"):
            output_tokens = 0 if input_tokens is not None else None
        return Usage(input_tokens=input_tokens, output_tokens=output_tokens)

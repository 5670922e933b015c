"""OpenAI's smaller APIs of text: embeddings and assistants."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import msgspec

from majordomo_analytics.capture.openai_usage import (
    FINAL_STATUSES,
    KEPT_OF_ANSWER,
    Answer,
    OpenAIShape,
)
from majordomo_analytics.capture.values import ABSENT, Counts, decode_document, is_present

if TYPE_CHECKING:
    from majordomo_analytics.capture.scanner import Kept
    from majordomo_analytics.records.usage import Usage


class _Run(Answer):
    """A run of an assistant, or another object of its stream."""

    object: msgspec.Raw = ABSENT
    status: msgspec.Raw = ABSENT
    last_error: msgspec.Raw = ABSENT
    message: msgspec.Raw = ABSENT


_answer_decoder = msgspec.json.Decoder(Answer)
_run_decoder = msgspec.json.Decoder(_Run)


class Embeddings(OpenAIShape):
    """``/embeddings``: a prompt, sometimes only as the total, and never any output."""

    kept: ClassVar[Kept] = KEPT_OF_ANSWER

    def take(self, document: bytes) -> bool:
        """Merge one document."""
        answer = decode_document(_answer_decoder, document)
        if answer is None:
            return False
        self.merge(answer)
        return True

    def read(self, counts: Counts, *, is_final: bool) -> Usage:
        """Return the counts of the usage object; that there is no output is known."""
        usage = super().read(counts, is_final=is_final)
        input_tokens = usage.input_tokens
        if input_tokens is None and not counts.has("prompt_tokens"):
            input_tokens = counts.count("total_tokens")
        output_tokens = usage.output_tokens
        if input_tokens is not None and not counts.has("completion_tokens"):
            output_tokens = 0
        return msgspec.structs.replace(
            usage, input_tokens=input_tokens, output_tokens=output_tokens
        )


class Assistants(OpenAIShape):
    """``/threads/…/runs``: the run has the usage of its steps, which is not added."""

    kept: ClassVar[Kept] = {
        **KEPT_OF_ANSWER,
        b"object": None,
        b"status": None,
        b"last_error": None,
        b"message": None,
    }

    def take(self, document: bytes) -> bool:
        """Merge one document, if it is a run."""
        run = decode_document(_run_decoder, document)
        if run is None:
            return False
        if bytes(run.object) == b'"thread.run"':
            has_usage = self.merge(run)
            self.note_error(run.last_error)
            self.is_final |= has_usage and bytes(run.status) in FINAL_STATUSES
        elif not run.object:
            self.note_error(run.error if is_present(run.error) else run.message)
        return True

"""What one response has said so far: the part that all API flavours share.

A subclass says which members it wants, merges the documents of a stream into one usage
object, and reads that object. Nothing is summed over the documents of a stream, but for
an agent's, which tell of several calls.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

import msgspec

from majordomo_analytics.capture.credentials import without_credentials
from majordomo_analytics.capture.values import ABSENT, Counts, is_present, members, text_or_none
from majordomo_analytics.records import flags
from majordomo_analytics.records.metadata import clean_text
from majordomo_analytics.records.usage import MISSING, Usage, parts_over_whole

if TYPE_CHECKING:
    from majordomo_analytics.capture.scanner import Kept
    from majordomo_analytics.records.usage import UsageSource, UsageStatus

MAX_ERROR_CHARACTERS = 500

MAX_USAGE_BYTES = 64 * 1024
"""Most that is kept of a usage object; one that is larger is not read."""

BILLED = ("input_tokens", "output_tokens", "input_audio_ms", "input_characters", "rerank_searches")
"""What an answer can be billed by; one that states none of it has told nothing."""


class Accumulator(ABC):
    """Merges the documents of one response.

    Parameters
    ----------
    adds_reasoning
        Whether this provider's chat completions leave reasoning out of the completion.

    Attributes
    ----------
    kept
        The members wanted of each document.
    ends_with_an_event
        Whether a stream that did not say that it ends has not ended, whatever its framing.
    may_be_no_json
        Whether an answer can be something else than JSON, with nothing to read in it.
    model, response_id
        As the answer says.
    error_message
        What the provider says went wrong.
    is_final
        Whether what ends the stream has been seen, with the usage that comes with it.
    documents
        How many documents could be read.
    flags
        Oddities of the texts; those of the counts are in the usage.
    """

    kept: ClassVar[Kept]
    may_be_no_json: ClassVar[bool] = False
    ends_with_an_event: ClassVar[bool] = False

    model: str | None = None
    response_id: str | None = None
    error_message: str | None = None
    is_final = False
    documents = 0
    _usage_json: bytes | None = None
    _merged_json = b""

    def __init__(self, *, adds_reasoning: bool = False) -> None:
        self.adds_reasoning = adds_reasoning
        self.flags: list[str] = []
        self._usage_flags: list[str] = []

    @abstractmethod
    def take(self, document: bytes) -> bool:
        """Merge one document; return False if it cannot be read."""

    @abstractmethod
    def read(self, counts: Counts, *, is_final: bool) -> Usage:
        """Return the counts of the merged usage object.

        Parameters
        ----------
        counts
            The usage object.
        is_final
            Whether it is the provider's last word.
        """

    def offer(self, document: bytes) -> bool:
        """Merge one document, or the mark of the end; return False if it is neither."""
        if document.startswith(b"[DONE]"):
            self.is_final = True
        elif not self.take(document):
            return False
        self.documents += 1
        return True

    def usage(self, *, is_streamed: bool, is_complete: bool) -> Usage:
        """Return what was used, and how much of it is known."""
        if self._usage_json is None:
            return Usage(flags=_once(self._usage_flags)) if self._usage_flags else MISSING
        # An end without the event that goes before it is somebody else's: it was cut.
        has_ended = is_complete and self.error_message is None and not self.ends_with_an_event
        is_final = self.is_final or not is_streamed or has_ended
        counts = Counts(self._usage_json, self._usage_flags)
        usage = self.read(counts, is_final=is_final)
        if parts_over_whole(usage):
            self._usage_flags.append(flags.USAGE_PART_OVER_WHOLE)
        status: UsageStatus = "reported" if is_final else "partial"
        source: UsageSource | None = "stream_final" if is_final else "stream_partial"
        if not is_streamed:
            source = "body"
        if all(getattr(usage, name) is None for name in BILLED):
            status, source = "missing", None
        return msgspec.structs.replace(
            usage,
            status=status,
            source=source,
            raw=self._usage_json.decode("utf-8", "replace"),
            flags=_once(self._usage_flags),
        )

    def replace_usage(self, value: bytes | msgspec.Raw) -> bool:
        """Let `value` be the usage object; return False if it is none."""
        usage_json = bytes(value)
        if not usage_json.startswith(b"{"):
            if usage_json not in (b"", b"null"):
                self._usage_flags.append(flags.USAGE_BAD_NUMBER)
            return False
        if len(usage_json) > MAX_USAGE_BYTES:
            self.flags.append(flags.BODY_TOO_LARGE)
            return False
        self._usage_json = usage_json
        return True

    def merge_usage(self, value: msgspec.Raw) -> bool:
        """Let the members of `value` that are not null replace those of the same name."""
        usage_json = bytes(value)  # a copy: the members must not hold the whole document
        if usage_json.startswith(b"{"):
            if self._merged_json:
                before, merged = members(self._merged_json), members(usage_json)
                kept = {n: before[n] for n in before if not is_present(merged.get(n, ABSENT))}
                if kept:
                    usage_json = msgspec.json.encode(merged | kept)
            self._merged_json = usage_json
        return self.replace_usage(usage_json)

    def note_error(self, value: msgspec.Raw) -> None:
        """Take the message of an error: an object that has one, or the text itself."""
        if self.error_message is not None or not is_present(value):
            return
        inside = members(value)
        if bytes(inside.get("message", ABSENT)) == b'""':
            return  # some hosts have an error in every answer, mostly an empty one
        text = text_or_none(inside.get("message", value))
        if text is None and inside:
            text = bytes(value).decode("utf-8", "replace")
        if text:
            self.error_message = without_credentials(self._clean(text))[:MAX_ERROR_CHARACTERS]

    def text(self, value: msgspec.Raw) -> str | None:
        """Return a member that is text, without characters that no database takes."""
        text = text_or_none(value)
        return self._clean(text) if text else None

    def _clean(self, text: str) -> str:
        cleaned = clean_text(text)
        if cleaned != text:
            self.flags.append(flags.TEXT_CLEANED)
        return cleaned


def _once(found: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(found)) if found else ()

"""OpenAI's APIs of images and sound, and the hosts that copy them.

Their answers are large and often no JSON at all: pictures, audio, subtitles. None of it is
held; what an answer does not say about its usage stays unknown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import msgspec

from majordomo_analytics.capture.openai_usage import KEPT_OF_ANSWER, Answer, OpenAIShape
from majordomo_analytics.capture.values import ABSENT, Counts, decode_document, is_present
from majordomo_analytics.records.usage import MISSING, Usage, count_or_none

if TYPE_CHECKING:
    from majordomo_analytics.capture.scanner import Kept


class _Event(Answer):
    """A body, or an event of a stream."""

    type: msgspec.Raw = ABSENT
    message: msgspec.Raw = ABSENT
    duration: msgspec.Raw = ABSENT


_event_decoder = msgspec.json.Decoder(_Event)


class _Media(OpenAIShape):
    """Bodies with usage at the root, or events of which the last has it."""

    kept: ClassVar[Kept] = {**KEPT_OF_ANSWER, b"type": None, b"message": None}

    def take(self, document: bytes) -> bool:
        """Merge one document."""
        event = decode_document(_event_decoder, document)
        if event is None:
            return False
        self.take_event(event)
        return True

    def take_event(self, event: _Event) -> None:
        """Merge a body or an event."""
        if bytes(event.type) == b'"error"' and not is_present(event.error):
            self.note_error(event.message)
        # Usage comes with the event that ends the answer, and with no other.
        self.is_final |= self.merge(event) and bool(event.type)


class Images(_Media):
    """``/images``: tokens of the newer models; the older ones state nothing."""

    def read(self, counts: Counts, *, is_final: bool) -> Usage:
        """Return the counts of the usage object; all output is image if not split."""
        usage = super().read(counts, is_final=is_final)
        if counts.has("output_tokens_details"):
            return usage
        return msgspec.structs.replace(usage, output_image_tokens=usage.output_tokens)


class Transcriptions(_Media):
    """``/audio/transcriptions`` and ``translations``: tokens, or the length of the audio.

    The answer may be plain text or subtitles, which say nothing about usage.
    """

    may_be_no_json = True
    kept: ClassVar[Kept] = {**_Media.kept, b"duration": None}

    def take_event(self, event: _Event) -> None:
        """Merge a body or an event."""
        super().take_event(event)
        if self._usage_json is None and is_present(event.duration):
            self.replace_usage(b'{"duration": ' + bytes(event.duration) + b"}")

    def read(self, counts: Counts, *, is_final: bool) -> Usage:
        """Return the counts of the usage object."""
        usage = super().read(counts, is_final=is_final)
        length_ms = usage.input_audio_ms
        if length_ms is None:
            length_ms = counts.milliseconds("seconds", "duration")
        return msgspec.structs.replace(usage, input_audio_ms=length_ms)


class Speech(_Media):
    """``/audio/speech``: audio that is passed over, or events with usage in the last."""

    may_be_no_json = True

    def read(self, counts: Counts, *, is_final: bool) -> Usage:
        """Return the counts of the usage object; all output is audio."""
        usage = super().read(counts, is_final=is_final)
        return msgspec.structs.replace(usage, output_audio_tokens=usage.output_tokens)


def usage_of_speech(characters: int | None) -> Usage:
    """Return what speech used whose answer says nothing: the characters to be spoken.

    >>> usage_of_speech(12).input_characters
    12
    """
    characters = count_or_none(characters)
    if characters is None:
        return MISSING
    return Usage(input_characters=characters, status="estimated", source="request")

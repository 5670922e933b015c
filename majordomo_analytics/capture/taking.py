"""Takes usage that the caller did not ask for out of a stream, as it passes.

A stream that was asked for usage differs in two things from one that was not: each chunk
has a member `usage`, mostly null, and before the end comes one more chunk, with the usage
and no choices. Both go; every other byte stays.
"""

from __future__ import annotations

import re
from bisect import bisect_right

import msgspec

from majordomo_analytics.capture.places import members_in, places_to_cut
from majordomo_analytics.capture.values import ABSENT, decode, decode_document, is_present

MAX_HELD_BYTES = 256 * 1024
"""An event longer than this is passed on as it comes, with its usage."""

_USAGE = b'"usage"'  # a name, or a whole string: within one the quotes are escaped
_TELLING = re.compile(rb'"error"|"finish_reason": ?"')
_USAGE_KINDS = (b"{", b"null")
_COLON = re.compile(rb"[ \t\r\n]*+:[ \t\r\n]*+")
_NULL = msgspec.Raw(b"null")
_NO_CHOICES = re.compile(rb"\[[ \t\r\n]*+\]")
_LINE_ENDS = (b"\n", b"\r\n", b"\r")
_ENDS_OF_EVENT = (b"\n\n", b"\r\n\r\n")
_BEFORE_TEXT = b"\xef\xbb\xbf \t\r\n"  # a byte order mark, and blank lines


class _Chunk(msgspec.Struct):
    usage: msgspec.Raw = ABSENT
    choices: msgspec.Raw = ABSENT


_chunk_decoder = msgspec.json.Decoder(_Chunk)


class UsageTaker:
    """Hands on a stream of chat completions without the usage in it.

    Whole events go on at once, what came of an event waits for its end, within a bound. A
    body that is not made of events goes on as it is. Bad bytes never raise.

    Attributes
    ----------
    is_left
        Whether usage may have been left in: an event was too long to look into, or its data
        were mingled with other lines.
    was_plain
        Whether the chunk fed last was one whole event that said nothing of usage, of an
        error or of the end. A reader of the same stream that has heard which model answers
        can do without it, which saves decoding every event twice.
    """

    def __init__(self) -> None:
        self.is_left = False
        self.was_plain = False
        self._has_begun = False
        self._is_other = False  # a body not made of events
        self._is_between = False  # two events, with nothing held
        self._held = bytearray()  # what came of an event
        self._in_line = False
        self._ended_with_cr = False
        self._has_dropped = False  # the last event
        self._is_passing = False  # the rest of an event that is too long
        self._was_null = False  # the usage of the line read last

    def feed(self, chunk: bytes) -> bytes:
        """Take the next bytes of the body; return what goes on now."""
        self.was_plain = False
        if self._is_between and chunk.endswith(_ENDS_OF_EVENT):
            at = chunk.find(_USAGE)
            if at < 0:
                return chunk
            if len(chunk) <= MAX_HELD_BYTES and _is_line_of_data(chunk):
                passed = self._in_one_line(chunk, at)
                self.was_plain = self._was_null and not _TELLING.search(passed)
                return passed
        if self._has_begun:
            return chunk if self._is_other else self._in_events(chunk)
        text = chunk.lstrip(_BEFORE_TEXT)
        if not text:
            return chunk
        self._has_begun = True
        self._is_other = text.startswith((b"{", b"["))
        return chunk[: len(chunk) - len(text)] + self.feed(text)

    def finish(self) -> bytes:
        """Take note that no more bytes come; return what goes on of those held back."""
        event = bytes(self._held)
        self._held.clear()
        return self._in_event(event)

    def _in_events(self, chunk: bytes) -> bytes:
        passed: list[bytes] = []
        held = self._held
        if self._ended_with_cr and chunk.startswith(b"\n"):  # the other half of a line end
            chunk = chunk[1:]
            self._ended_with_cr = False
            if held:
                held += b"\n"
            elif not self._has_dropped:
                passed.append(b"\n")
        if chunk:
            self._ended_with_cr = chunk.endswith(b"\r")
        for line in chunk.splitlines(keepends=True):
            is_blank = not self._in_line and line in _LINE_ENDS
            self._in_line = not line.endswith(_LINE_ENDS)
            if self._is_passing:
                passed.append(line)
                self._is_passing = not is_blank
            elif not is_blank:
                held += line
            elif held:
                kept = self._in_event(bytes(held) + line)
                held.clear()
                passed.append(kept)
                self._has_dropped = not kept
            else:
                passed.append(line)
                self._has_dropped = False
        if len(held) > MAX_HELD_BYTES:
            self._is_passing = self.is_left = True
            self._has_dropped = False
            passed.append(bytes(held))
            held.clear()
        self._is_between = not (held or self._is_passing or self._ended_with_cr)
        return b"".join(passed)

    def _in_event(self, event: bytes) -> bytes:
        """Return an event without its usage, nothing of one that is there for the usage."""
        if len(event) > MAX_HELD_BYTES:
            self.is_left = True
            return event
        at = event.find(_USAGE)
        if at < 0:
            return event
        return self._in_one_line(event, at) if _is_line_of_data(event) else self._in_lines(event)

    def _in_one_line(self, event: bytes, at: int) -> bytes:
        """Do the same for one line of data, quickly if nothing about it is odd.

        Parameters
        ----------
        at
            Where the name first stands.
        """
        self._was_null = False
        chunk = decode(_chunk_decoder, event[5:])
        # With escapes about, a name may be another than it looks.
        if chunk is None or (b"\\" in event and b"\\u00" in event):
            return self._in_lines(event)
        if not chunk.usage:
            return event
        before, after = event[:at].rstrip(), event[at + len(_USAGE) :]
        if not before.endswith(b",") or _USAGE in after:
            return self._in_lines(event)
        # Only one has that name, so it is the one that was read.
        self._was_null = chunk.usage == _NULL
        if after.startswith(b":null"):
            return before[:-1].rstrip() + after[5:]
        if _is_for_usage(chunk):
            return b""
        value = bytes(chunk.usage)
        colon = _COLON.match(after)
        if colon is None or not value.startswith(_USAGE_KINDS):
            return self._in_lines(event)
        return before[:-1].rstrip() + after[colon.end() + len(value) :]

    def _in_lines(self, event: bytes) -> bytes:
        """Do the same whatever the lines of the event are, and however it is written."""
        values: list[bytes] = []  # of the lines of data
        places: list[int] = []  # where in the event they stand
        starts: list[int] = []  # and where in the data
        length = place = 0
        for line in event.splitlines(keepends=True):
            text = line.rstrip(b"\r\n")
            if text.startswith(b"data:"):
                values.append(text[5:])
                places.append(place + 5)
                starts.append(length)
                length += len(values[-1]) + 1
            place += len(line)
        data = b"\n".join(values)
        chunk = decode_document(_chunk_decoder, data)
        if chunk is None or not chunk.usage:
            return event
        if _is_for_usage(chunk):
            return b""
        members = members_in(data)
        usage = {
            index
            for index, member in enumerate(members)
            if member.name == b"usage" and data.startswith(_USAGE_KINDS, member.value_start)
        }
        parts: list[bytes] = []
        passed = 0
        for start, end in places_to_cut(data, members, usage) if usage else ():
            first, last = (bisect_right(starts, at) - 1 for at in (start, end))
            begin = places[first] + start - starts[first]
            parts.append(event[passed:begin])
            passed = places[last] + end - starts[last]
            if len(event[begin:passed].splitlines()) > last - first + 1:
                self.is_left = True  # a line of another kind stands in between
                return event
        return b"".join(parts) + event[passed:]


def _is_line_of_data(event: bytes) -> bool:
    return event.startswith(b"data:") and len(event.rstrip(b"\r\n").splitlines()) == 1


def _is_for_usage(chunk: _Chunk) -> bool:
    return is_present(chunk.usage) and _NO_CHOICES.fullmatch(bytes(chunk.choices)) is not None

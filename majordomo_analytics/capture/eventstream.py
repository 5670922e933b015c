"""AWS event streams: binary frames with names of events beside JSON, as Bedrock sends them.

A frame is its length, the length of its headers and a checksum of both, then headers,
payload and a checksum of it all. Each frame is offered as a JSON document of one member:
the event's name and its payload, or ``error`` for an exception that ends the stream.
"""

from __future__ import annotations

import re
from binascii import Error, a2b_base64
from struct import Struct
from typing import TYPE_CHECKING, Final
from zlib import crc32

import msgspec

from majordomo_analytics.capture.scanner import Scanner
from majordomo_analytics.capture.values import ABSENT, decode, members, text_or_none

if TYPE_CHECKING:
    from collections.abc import Callable

    from majordomo_analytics.capture.scanner import Kept

PRELUDE_BYTES = 12
CHECKSUM_BYTES = 4

MAX_HEADER_BYTES = 128 * 1024
"""Most that AWS allows for the headers of a frame."""

_PRELUDE = Struct(">III")
_CHECKSUM = Struct(">I")
_TEXT_TYPE = 7
# Bytes of the values of each type; those of bytes and of text say their length themselves.
_BYTES_OF_TYPE = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}

_NOT_WANTED: Final = b"{}"
_NESTED: Final = b"chunk"  # the event whose payload is another document, in base64
_BEFORE_BYTES = re.compile(rb'\{.*?"bytes"\s*:\s*"', re.DOTALL)
_MAX_BEFORE_BYTES = 4096


class _Chunk(msgspec.Struct):
    """A payload with another document inside, as those of InvokeModel are."""

    inside: bytes = msgspec.field(name="bytes", default=b"")


_chunk_decoder = msgspec.json.Decoder(_Chunk)


class _Event(msgspec.Struct, frozen=True):
    """What the headers of a frame say: the name of an event, or what went wrong."""

    name: bytes = b""
    failure: str = ""


def is_prelude(head: bytes) -> bool:
    """Return whether these bytes begin a frame, as the checksum of the first eight says."""
    if len(head) < PRELUDE_BYTES:
        return False
    total, header_bytes, checksum = _PRELUDE.unpack_from(head)
    has_room = total >= PRELUDE_BYTES + header_bytes + CHECKSUM_BYTES
    is_sound: bool = crc32(head[:8]) == checksum
    return is_sound and has_room and header_bytes <= MAX_HEADER_BYTES


class Frames:
    """The frames of an event stream, each one a document.

    Attributes
    ----------
    is_streamed
        Always true.
    is_damaged
        Whether a frame was not what its checksums say; nothing is read after it.
    is_too_large
        Whether an event was dropped because too much of it was wanted.
    """

    is_streamed = True

    def __init__(self, kept: Kept, take: Callable[[bytes], bool], max_held_bytes: int) -> None:
        self.is_damaged = False
        self.is_too_large = False
        self._kept = kept
        self._take = take
        self._max_held_bytes = max_held_bytes
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._needed_bytes = PRELUDE_BYTES  # before anything more can be read
        self._total_bytes = 0  # of the frame whose prelude was read, else 0
        self._header_bytes = 0
        self._headers = b""
        self._event = _Event()
        self._large: _LargeFrame | None = None

    @property
    def is_whole(self) -> bool:
        """Whether nothing was damaged, and it ended between two frames."""
        return not (self.is_damaged or self._held_bytes or self._large is not None)

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the body."""
        if self.is_damaged:
            return
        if self._large is not None:
            chunk = self._feed_large(self._large, chunk)
            if not chunk:
                return
        self._held.append(chunk)
        self._held_bytes += len(chunk)
        if self._held_bytes >= self._needed_bytes:
            data = b"".join(self._held)
            rest = data[self._read(data) :]
            self._held = [rest]
            self._held_bytes = len(rest)

    def finish(self) -> None:
        """Drop what came of a last frame: without its checksum nothing in it is sure."""
        self._held.clear()

    def _read(self, data: bytes) -> int:
        """Read the frames in `data`; return where the first begins that is not whole."""
        start = 0
        while len(data) - start >= self._needed_bytes and not self.is_damaged:
            if not self._total_bytes:
                self._read_prelude(data[start : start + PRELUDE_BYTES])
            elif self._total_bytes > self._max_held_bytes:
                payload_at = start + self._needed_bytes
                self._large = self._begin_large(data[start:payload_at])
                rest = self._feed_large(self._large, data[payload_at:])
                if self._large is not None:
                    return len(data)
                start = len(data) - len(rest)
            else:
                self._read_frame(data, start)
                start += self._total_bytes
                self._await_prelude()
        return start

    def _await_prelude(self) -> None:
        self._total_bytes = 0
        self._needed_bytes = PRELUDE_BYTES

    def _read_prelude(self, prelude: bytes) -> None:
        if not is_prelude(prelude):
            self.is_damaged = True
            return
        self._total_bytes, self._header_bytes, _ = _PRELUDE.unpack(prelude)
        self._needed_bytes = self._total_bytes
        if self._total_bytes > self._max_held_bytes:
            self._needed_bytes = PRELUDE_BYTES + self._header_bytes

    def _read_frame(self, data: bytes, start: int) -> None:
        end = start + self._total_bytes - CHECKSUM_BYTES
        payload_at = start + PRELUDE_BYTES + self._header_bytes
        if crc32(memoryview(data)[start:end]) != _CHECKSUM.unpack_from(data, end)[0]:
            self.is_damaged = True
            return
        event = self._read_headers(data[start + PRELUDE_BYTES : payload_at])
        self._offer(event, data[payload_at:end])

    def _read_headers(self, headers: bytes) -> _Event:
        if headers != self._headers:  # most frames of a stream have those of the one before
            self._headers, self._event = headers, _event_of(headers)
        return self._event

    def _offer(self, event: _Event, payload: bytes) -> None:
        document = _NOT_WANTED
        if event.failure:
            document = _failure(event, payload)
        elif event.name in self._kept:
            if event.name == _NESTED:
                chunk = decode(_chunk_decoder, payload)
                payload = (chunk and chunk.inside) or payload
            document = b'{"%b":%b}' % (event.name, payload)
        if not self._take(document):
            Scanner(self._kept, self._take).feed(document)

    def _begin_large(self, head: bytes) -> _LargeFrame:
        event = self._read_headers(head[PRELUDE_BYTES:])
        payload_bytes = self._total_bytes - len(head) - CHECKSUM_BYTES
        scanner = None
        if not event.failure and event.name in self._kept:
            scanner = Scanner(self._kept, self._take)
            scanner.feed(b'{"%b":' % event.name)
        return _LargeFrame(event, crc32(head), payload_bytes, scanner)

    def _feed_large(self, frame: _LargeFrame, data: bytes) -> bytes:
        """Hand `data` to the frame that is being read; return what comes after it."""
        rest = frame.feed(data)
        if not frame.is_complete:
            return b""
        self._large = None
        self._await_prelude()
        if not frame.is_sound:
            self.is_damaged = True
            return b""
        if frame.scanner is None:
            self._take(_failure(frame.event, b"") if frame.event.failure else _NOT_WANTED)
        else:
            frame.scanner.feed(b"}")  # only now: a document that is damaged never ends
            self.is_too_large |= frame.scanner.is_too_large or frame.is_unread
        return rest


class _LargeFrame:
    """A frame too large to hold: its payload is scanned as it comes.

    Attributes
    ----------
    event
        What its headers say.
    scanner
        Reads the payload, None if it is not wanted; who made it has to close the document.
    """

    def __init__(
        self, event: _Event, checksum: int, payload_bytes: int, scanner: Scanner | None
    ) -> None:
        self.event = event
        self.scanner = scanner
        self._checksum = checksum
        self._left_bytes = payload_bytes
        self._end = b""
        self._inside = None
        if scanner is not None and event.name == _NESTED:
            self._inside = _Inside(scanner.feed)

    @property
    def is_complete(self) -> bool:
        return len(self._end) == CHECKSUM_BYTES

    @property
    def is_sound(self) -> bool:
        return self._end == _CHECKSUM.pack(self._checksum)

    @property
    def is_unread(self) -> bool:
        """Whether there should be a document inside, and none was found."""
        return self._inside is not None and not self._inside.is_found

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes; return those that come after this frame."""
        payload = data[: self._left_bytes]
        self._left_bytes -= len(payload)
        self._checksum = crc32(payload, self._checksum)
        if self._inside is not None:
            self._inside.feed(payload)
        elif self.scanner is not None:
            self.scanner.feed(payload)
        if self._left_bytes:
            return b""
        after = len(payload) + CHECKSUM_BYTES - len(self._end)
        self._end += data[len(payload) : after]
        return data[after:]


class _Inside:
    """Decodes the document inside a payload ``{"bytes": "<base64>"}`` as it comes."""

    def __init__(self, emit: Callable[[bytes], None]) -> None:
        self.is_found = False
        self._emit = emit
        self._before = b""
        self._is_over = False
        self._group = b""  # what has come of a group of four characters

    def feed(self, payload: bytes) -> None:
        if self._is_over:
            return
        if not self.is_found:
            self._before += payload
            match = _BEFORE_BYTES.match(self._before, 0, _MAX_BEFORE_BYTES)
            if match is None:
                self._is_over = len(self._before) >= _MAX_BEFORE_BYTES
                return
            self.is_found = True
            payload = self._before[match.end() :]
        text, quote, _ = payload.partition(b'"')
        self._is_over = bool(quote)
        text = self._group + text.replace(b"\\", b"")  # a slash may be written escaped
        whole = len(text) - len(text) % 4
        self._group = text[whole:]
        try:
            self._emit(a2b_base64(text[:whole]))
        except Error:
            self._is_over = True


def _event_of(headers: bytes) -> _Event:
    """Return what the headers of a frame say; those that cannot be read say nothing."""
    texts: dict[bytes, bytes] = {}
    at = 0
    try:
        while at < len(headers):
            name_end = at + 1 + headers[at]
            name, kind = headers[at + 1 : name_end], headers[name_end]
            at = name_end + 1
            size = _BYTES_OF_TYPE.get(kind)
            if size is None:  # bytes or text
                size = int.from_bytes(headers[at : at + 2], "big")
                at += 2
            if kind == _TEXT_TYPE:
                texts[name] = headers[at : at + size]
            at += size
    except IndexError:
        return _Event()
    if texts.get(b":message-type", b"event") == b"event":
        return _Event(texts.get(b":event-type", b""))
    failures = (texts.get(name) for name in (b":error-message", b":exception-type", b":error-code"))
    found = next(filter(None, failures), b"unknown")
    return _Event(failure=found.decode("utf-8", "replace"))


def _failure(event: _Event, payload: bytes) -> bytes:
    """Return the document of an exception: its message, or else its kind."""
    said = members(payload)
    message = text_or_none(said.get("message", ABSENT)) or text_or_none(said.get("Message", ABSENT))
    return msgspec.json.encode({"error": {"message": message or event.failure}})

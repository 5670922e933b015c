"""Content encodings: from the bytes on the wire to the text inside, piece by piece.

Servers lie about encodings, so the first bytes decide and the header only helps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from majordomo_analytics.capture.decompressors import ERRORS, MAGIC_BYTES, codec_of, is_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from majordomo_analytics.capture.decompressors import Codec, Member

SLICE_BYTES = 32 * 1024
"""Most that a decompressor is given at once: it copies what is left when a member ends."""

MAX_DECODED_BYTES = 512 * 1024 * 1024
"""Most that is decompressed of one body; what comes after is not read."""

# Honest bodies were seen to shrink 204 times at most: a long stream of tokens in Azure's
# envelope of filter results, compressed as a whole. A server that streams flushes after
# each event, and stays below 64 times even if all events are equal.
MAX_RATIO = 500
"""Most that the bytes inside may outnumber the compressed ones, beyond `FREE_BYTES`."""

FREE_BYTES = 8 * 1024 * 1024
"""What may come out however little went in."""

MAX_MEMBERS = 10_000
"""Most members of one body: each costs microseconds, even one with nothing in it."""

MAX_LAYERS = 2

_HEAD_BYTES = 16
_PLAIN = {"", "identity", "gzip", "x-gzip"}  # gzip without its magic bytes is plain text


class Decoder:
    """Undoes the content encoding of one body and hands on what is inside.

    Attributes
    ----------
    feed
        Takes the next bytes of the body: one function until the encoding is known, then
        the one that undoes it.
    """

    def __init__(
        self,
        content_encoding: str | None,
        emit: Callable[[bytes], object],
        *,
        layers: int = MAX_LAYERS,
    ) -> None:
        outer, _, last = (content_encoding or "").rpartition(",")
        self._encoding = last.strip().lower()
        self._outer_encodings = outer
        self._emit = emit
        self._layers = layers
        self._head = b""
        self._layer: _Layer | None = None
        self._inner: Decoder | None = None
        self._is_readable = True
        self.feed: Callable[[bytes], object] = self._decide

    @property
    def passes_on(self) -> bool:
        """Whether the body is known to be plain: its bytes are handed on as they are."""
        return self.feed is self._emit

    def finish(self) -> None:
        """Take note that no more bytes come."""
        if self._head:
            self._choose()
        if self._inner is not None:
            self._inner.finish()

    @property
    def is_readable(self) -> bool:
        """Whether the encoding is one that can be undone here."""
        return self._is_readable and (self._inner is None or self._inner.is_readable)

    @property
    def is_whole(self) -> bool:
        """Whether no compressed data were damaged, cut short or over a bound."""
        if self._layer is None or self._inner is None:
            return True
        return self._layer.is_whole and self._inner.is_whole

    @property
    def is_too_large(self) -> bool:
        """Whether more was inside than is read of one body."""
        if self._layer is None or self._inner is None:
            return False
        return self._layer.is_too_large or self._inner.is_too_large

    def _decide(self, chunk: bytes) -> None:
        self._head += chunk
        if len(self._head) >= _HEAD_BYTES:
            self._choose()

    def _choose(self) -> None:
        head, self._head = self._head, b""
        codec = codec_of(head[:_HEAD_BYTES], self._encoding)
        if codec is not None and self._layers:
            self._inner = Decoder(self._outer_encodings, self._emit, layers=self._layers - 1)
            self._layer = _Layer(codec, self._inner)
            self.feed = self._layer.feed
        elif codec is None and (self._encoding in _PLAIN or is_text(head[:_HEAD_BYTES])):
            self.feed = self._emit
        else:
            self._is_readable = False
            self.feed = _ignore
        self.feed(head)


class _Layer:
    """Decompresses one layer: every member, within bounds, tolerant of a bad end."""

    def __init__(self, codec: Codec, inner: Decoder) -> None:
        self._codec = codec
        self._inner = inner
        self._member: Member | None = codec.begin()
        self._members = 0  # that have ended
        self._between = b""  # what came after a member, until it is seen to be another
        self._taken_bytes = 0
        self._given_bytes = 0
        self._is_damaged = False
        self._is_closed = False
        self.is_too_large = False

    @property
    def is_whole(self) -> bool:
        # What follows a whole member and is no other is padding, not a loss.
        return self._members > 0 and self._member is None and not self._is_damaged

    def feed(self, chunk: bytes) -> None:
        if len(chunk) <= SLICE_BYTES:
            self._undo(chunk)
            return
        for start in range(0, len(chunk), SLICE_BYTES):
            self._undo(chunk[start : start + SLICE_BYTES])

    def _undo(self, data: bytes) -> None:
        self._taken_bytes += len(data)
        while not self._is_closed:
            member = self._member
            if member is None:
                data = self._next_member(data)
                if self._member is None:
                    return
                continue
            try:
                piece = member.take(data)
            except ERRORS:
                self._is_damaged = self._is_closed = True
                return
            if piece:
                self._given_bytes += len(piece)
                if self._is_too_much():
                    self._close_as_too_large()
                    return
                self._inner.feed(piece)
            if member.is_over:
                self._end_member()
                data = member.rest
            elif member.has_more:
                data = b""
            else:
                return

    def _is_too_much(self) -> bool:
        given = self._given_bytes
        return given > MAX_DECODED_BYTES or (
            given > FREE_BYTES and given > MAX_RATIO * self._taken_bytes
        )

    def _close_as_too_large(self) -> None:
        self.is_too_large = self._is_damaged = self._is_closed = True

    def _end_member(self) -> None:
        self._member = None
        self._members += 1
        if not self._codec.has_members:
            self._is_closed = True
        elif self._members >= MAX_MEMBERS:
            self._close_as_too_large()

    def _next_member(self, data: bytes) -> bytes:
        """Begin another member if `data` are one; return what is to be read of it."""
        data = self._between + data
        self._between = b""
        if len(data) < MAGIC_BYTES:
            self._between = data
        elif self._codec.begins(data):
            self._member = self._codec.begin()
        else:
            self._is_closed = True
        return data


def decoded_whole(body: bytes, content_encoding: str | None, most: int) -> bytes | None:
    """Return what is inside a body that is small and has come whole.

    Parameters
    ----------
    content_encoding
        The header of that name. It is a hint: the first bytes decide.
    most
        Bytes that may be inside. None is returned if there are more, or if the encoding
        cannot be undone to the last byte.
    """
    text = bytearray()
    decoder = Decoder(content_encoding, text.extend)
    for start in range(0, len(body), SLICE_BYTES):
        decoder.feed(body[start : start + SLICE_BYTES])
        if len(text) > most:
            return None
    decoder.finish()
    is_whole = decoder.is_readable and decoder.is_whole and len(text) <= most
    return bytes(text) if is_whole else None


def _ignore(chunk: bytes) -> None:
    """Drop `chunk`."""

"""Content encodings: from the bytes on the wire to the text inside, piece by piece.

Servers lie about encodings, so the first bytes decide and the header only helps.
"""

from __future__ import annotations

import re
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

PIECE_BYTES = 64 * 1024
"""Most that is decompressed at once, so that a small chunk cannot fill the memory."""

MAX_DECODED_BYTES = 512 * 1024 * 1024
"""Most that is decompressed of one body; what comes after is not read."""

MAX_LAYERS = 2

_HEAD_BYTES = 16
_GZIP = b"\x1f\x8b"
_PLAIN = {"", "identity", "gzip", "x-gzip"}  # gzip without its magic bytes is plain text
_TEXT = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:[{\[]\s*(?:[\"{}\[\]]|\Z)|(?:data|event|id|retry)?:)")


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
        self._inflater: _Inflater | None = None
        self._inner: Decoder | None = None
        self._is_readable = True
        self.feed: Callable[[bytes], object] = self._decide

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
        """Whether no compressed data were damaged, cut short or over the bound."""
        if self._inflater is None or self._inner is None:
            return True
        return self._inflater.is_whole and self._inner.is_whole

    @property
    def is_too_large(self) -> bool:
        """Whether the body was over `MAX_DECODED_BYTES`."""
        if self._inflater is None or self._inner is None:
            return False
        return self._inflater.is_too_large or self._inner.is_too_large

    def _decide(self, chunk: bytes) -> None:
        self._head += chunk
        if len(self._head) >= _HEAD_BYTES:
            self._choose()

    def _choose(self) -> None:
        head, self._head = self._head, b""
        window_bits = self._window_bits(head)
        if window_bits is not None and self._layers:
            self._inner = Decoder(self._outer_encodings, self._emit, layers=self._layers - 1)
            self._inflater = _Inflater(window_bits, self._inner.feed)
            self.feed = self._inflater.feed
        elif self._encoding in _PLAIN or _TEXT.match(head):
            self.feed = self._emit
        else:
            self._is_readable = False
            self.feed = _ignore
        self.feed(head)

    def _window_bits(self, head: bytes) -> int | None:
        """Return what zlib needs to know to inflate `head`, None if it is plain."""
        if head.startswith(_GZIP):
            return 16 + zlib.MAX_WBITS
        if self._encoding != "deflate":
            return None
        if head[0] & 0x0F == 8 and int.from_bytes(head[:2], "big") % 31 == 0:
            return zlib.MAX_WBITS
        # "deflate" means zlib, but some servers send the raw kind, or plain text.
        return None if _TEXT.match(head) else -zlib.MAX_WBITS


class _Inflater:
    """Decompresses one layer: every gzip member, within a bound, tolerant of a bad end."""

    def __init__(self, window_bits: int, emit: Callable[[bytes], object]) -> None:
        self._window_bits = window_bits
        self._emit = emit
        self._zlib = zlib.decompressobj(window_bits)
        self._members = 0
        self._member_bytes = 0
        self._bytes = 0
        self._is_damaged = False
        self._is_closed = False
        self.is_too_large = False

    @property
    def is_whole(self) -> bool:
        # What follows a whole member and does not inflate is padding, not a loss.
        return not self._is_damaged and self._members > 0 and self._member_bytes == 0

    def feed(self, chunk: bytes) -> None:
        while not self._is_closed:
            try:
                piece = self._zlib.decompress(chunk, PIECE_BYTES)
            except zlib.error:
                self._is_damaged = not self.is_whole
                self._is_closed = True
                return
            self._member_bytes += len(piece)
            self._bytes += len(piece)
            if self._bytes > MAX_DECODED_BYTES:
                self.is_too_large = self._is_damaged = self._is_closed = True
                return
            if piece:
                self._emit(piece)
            chunk = self._next_member() if self._zlib.eof else self._zlib.unconsumed_tail
            # A full piece may have left more inside zlib, even when all input is taken.
            if not chunk and len(piece) < PIECE_BYTES:
                return

    def _next_member(self) -> bytes:
        rest = self._zlib.unused_data
        self._members += 1
        self._member_bytes = 0
        self._is_closed = self._window_bits <= zlib.MAX_WBITS  # only gzip has members
        self._zlib = zlib.decompressobj(self._window_bits)
        return rest


def _ignore(chunk: bytes) -> None:
    """Drop `chunk`."""

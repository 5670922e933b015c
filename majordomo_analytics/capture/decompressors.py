"""Decompressors: what a compressed body begins with, and what undoes one member of it.

The libraries differ in how they say that there is more, that the end was reached and what
came after it; here all of them say it as `Member` does.
"""

from __future__ import annotations

import codecs
import re
import sys
import zlib
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

import brotli

if sys.version_info >= (3, 14):
    from compression.zstd import DecompressionParameter, ZstdDecompressor, ZstdError
else:
    from backports.zstd import DecompressionParameter, ZstdDecompressor, ZstdError

if TYPE_CHECKING:
    from collections.abc import Callable

PIECE_BYTES = 64 * 1024
"""Most that is decompressed at once, so that a small chunk cannot fill the memory."""

MAGIC_BYTES = 4
"""As many bytes tell whether another member begins."""

ERRORS: Final = (zlib.error, ZstdError, brotli.error, EOFError)
"""What `Member.take` raises on damaged data."""

_ZSTD_WINDOW_LOG = 23  # RFC 9659: no body on the web needs a window of more than 8 MB
_BROTLI_BYTES = 32_000  # the library rounds up to its own blocks, and stays below a piece
_GZIP, _ZLIB, _RAW = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS


class Member(Protocol):
    """Decompresses one member: a gzip member, a zstd frame, a whole deflate or br body."""

    def take(self, data: bytes) -> bytes:
        """Return the next piece; `data` has to be empty as long as there is more."""

    @property
    def has_more(self) -> bool:
        """Whether more may come out although nothing more goes in."""

    @property
    def is_over(self) -> bool:
        """Whether the member has ended."""

    @property
    def rest(self) -> bytes:
        """What came after its end."""


class _Inflate:
    def __init__(self, window_bits: int) -> None:
        self._zlib = zlib.decompressobj(window_bits)
        self.has_more = False

    @property
    def is_over(self) -> bool:
        return self._zlib.eof

    @property
    def rest(self) -> bytes:
        return self._zlib.unused_data

    def take(self, data: bytes) -> bytes:
        piece = self._zlib.decompress(data or self._zlib.unconsumed_tail, PIECE_BYTES)
        # A full piece may have left more inside zlib, even when all input is taken.
        self.has_more = len(piece) == PIECE_BYTES or bool(self._zlib.unconsumed_tail)
        return piece


class _Zstd:
    def __init__(self) -> None:
        self._zstd = ZstdDecompressor(
            options={DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG}
        )

    @property
    def has_more(self) -> bool:
        return not self._zstd.needs_input

    @property
    def is_over(self) -> bool:
        return self._zstd.eof

    @property
    def rest(self) -> bytes:
        return self._zstd.unused_data

    def take(self, data: bytes) -> bytes:
        return self._zstd.decompress(data, PIECE_BYTES)


class _Brotli:
    rest = b""  # bytes after the end are an error to the library

    def __init__(self) -> None:
        self._brotli = brotli.Decompressor()
        self.has_more = False

    @property
    def is_over(self) -> bool:
        return bool(self._brotli.is_finished())

    def take(self, data: bytes) -> bytes:
        piece: bytes = self._brotli.process(data, output_buffer_limit=_BROTLI_BYTES)
        # It asks for input once all is taken, though a full piece leaves output behind.
        self.has_more = len(piece) >= _BROTLI_BYTES or not self._brotli.can_accept_more_data()
        return piece


@dataclass(frozen=True, slots=True)
class Codec:
    """One way to compress.

    Attributes
    ----------
    begin
        Makes what decompresses the next member.
    magic
        What a member begins with; None matches anything.
    has_members
        Whether a body can be several members, one after another.
    """

    begin: Callable[[], Member]
    magic: re.Pattern[bytes] | None = None
    has_members: bool = False

    def begins(self, data: bytes) -> bool:
        """Return whether `data` may be the beginning of a member."""
        return self.magic is None or self.magic.match(data) is not None


_ZLIB_HEADER = b"|".join(  # the method in the low bits of a byte, and a check of both bytes
    re.escape(number.to_bytes(2, "big"))
    for number in range(0, 0x8000, 31)
    if number >> 8 & 0x0F == zlib.DEFLATED
)

_CERTAIN = (
    Codec(partial(_Inflate, _GZIP), re.compile(rb"\x1f\x8b\x08"), has_members=True),
    # A frame of data, or one to be skipped.
    Codec(_Zstd, re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18"), has_members=True),
    Codec(partial(_Inflate, _ZLIB), re.compile(rb"\x78[\x01\x9c\xda]")),
)
"""Those whose first bytes are no text and say enough, whatever the header says."""

_FIRST_OF_CERTAIN = b"\x1f\x28\x78" + bytes(range(0x50, 0x60))

_NAMED = {
    # "deflate" means zlib, but some servers send the raw kind.
    "deflate": (
        Codec(partial(_Inflate, _ZLIB), re.compile(_ZLIB_HEADER)),
        Codec(partial(_Inflate, _RAW)),
    ),
    "br": (Codec(_Brotli),),
}
"""Those that only the header tells, by its name for them."""

_TEXT = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:[{\[]\s*(?:[\"{}\[\]]|\Z)|(?:data|event|id|retry)?:)")
_CONTROL = re.compile(r"[\0-\x08\x0e-\x1f\x7f]")


def codec_of(head: bytes, encoding: str) -> Codec | None:
    """Return how a body that begins with `head` is compressed, None if it is not.

    Parameters
    ----------
    head
        16 bytes of it, or all if it is shorter.
    encoding
        What the header calls it.
    """
    if head[:1] in _FIRST_OF_CERTAIN:
        for codec in _CERTAIN:
            if codec.begins(head):
                return codec
    named = _NAMED.get(encoding)
    if named is None or is_text(head):
        return None
    return next((codec for codec in named if codec.begins(head)), None)


def is_text(head: bytes) -> bool:
    """Return whether a body that begins with `head` is JSON or events as it stands.

    Brotli may well begin with `[`, hence the look at all of `head`.
    """
    if _TEXT.match(head) is None:
        return False
    try:
        text, _ = codecs.utf_8_decode(head)  # its last character may be cut
    except UnicodeDecodeError:
        return False
    return _CONTROL.search(text) is None

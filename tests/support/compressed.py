"""Every way to compress a body that can be undone, for tests that go through them all."""

from __future__ import annotations

import gzip
import sys
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import brotli

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


@dataclass(frozen=True)
class Encoding:
    """One way to compress.

    Attributes
    ----------
    header
        What `content-encoding` calls it.
    compress
        Compresses a whole body.
    flushed
        Compresses the beginning of a body as far as a reader needs it, without the end.
    """

    header: str
    compress: Callable[[bytes], bytes]
    flushed: Callable[[bytes], bytes]


def _flushed_zlib(body: bytes, window_bits: int) -> bytes:
    compressor = zlib.compressobj(wbits=window_bits)
    return compressor.compress(body) + compressor.flush(zlib.Z_SYNC_FLUSH)


def _raw_deflate(body: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(body) + compressor.flush()


def _brotli(body: bytes) -> bytes:
    return bytes(brotli.compress(body, quality=5))


def _flushed_brotli(body: bytes) -> bytes:
    compressor = brotli.Compressor(quality=5)
    return bytes(compressor.process(body) + compressor.flush())


def _flushed_zstd(body: bytes) -> bytes:
    return zstd.ZstdCompressor().compress(body, zstd.ZstdCompressor.FLUSH_BLOCK)


ENCODINGS = {
    "gzip": Encoding("gzip", gzip.compress, lambda body: _flushed_zlib(body, 31)),
    "deflate": Encoding("deflate", zlib.compress, lambda body: _flushed_zlib(body, 15)),
    "raw deflate": Encoding("deflate", _raw_deflate, lambda body: _flushed_zlib(body, -15)),
    "br": Encoding("br", _brotli, _flushed_brotli),
    "zstd": Encoding("zstd", zstd.compress, _flushed_zstd),
}


def skippable_frame(content: bytes, kind: int = 0) -> bytes:
    """Return a zstd frame that says nothing, as RFC 8878 lays it down."""
    return (0x184D2A50 + kind).to_bytes(4, "little") + len(content).to_bytes(4, "little") + content


def wide_zstd(body: bytes, window_log: int) -> bytes:
    """Return zstd that wants a window of 2 ** `window_log` bytes, of a size not stated."""
    options: dict[int, int] = {zstd.CompressionParameter.window_log: window_log}
    compressor = zstd.ZstdCompressor(options=options)
    return compressor.compress(body) + compressor.flush()

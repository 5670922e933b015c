"""Compression is undone as the bytes say; damage loses no more than it must."""

from __future__ import annotations

import gzip
import random
import zlib

import pytest

from majordomo_analytics.capture import encodings
from majordomo_analytics.capture.encodings import Decoder
from majordomo_analytics.records import flags
from tests.capture.bodies import CASES, CHAT_COUNTS, known, read

CASE = CASES[0]
NOISE = random.Random(7).randbytes(200_000)


def raw_deflate(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(data) + compressor.flush()


def decoded(*chunks: bytes, content_encoding: str | None = None) -> tuple[bytes, Decoder]:
    pieces: list[bytes] = []
    decoder = Decoder(content_encoding, pieces.append)
    for chunk in chunks:
        decoder.feed(chunk)
    decoder.finish()
    return b"".join(pieces), decoder


@pytest.mark.parametrize(
    ("body", "header"),
    [
        (CASE.body, None),
        (CASE.body, "identity"),
        (CASE.body, "gzip"),
        (CASE.body, "br"),
        (CASE.body, "deflate"),
        (gzip.compress(CASE.body), None),
        (gzip.compress(CASE.body), "gzip"),
        (gzip.compress(CASE.body), "X-GZIP"),
        (gzip.compress(CASE.body), "br"),
        (zlib.compress(CASE.body), "deflate"),
        (raw_deflate(CASE.body), "deflate"),
        (gzip.compress(gzip.compress(CASE.body)), "gzip, gzip"),
        (gzip.compress(gzip.compress(CASE.body)), "gzip"),
        (gzip.compress(zlib.compress(CASE.body)), "deflate, gzip"),
        (gzip.compress(CASE.body[:70]) + gzip.compress(CASE.body[70:]), "gzip"),
        (gzip.compress(CASE.body) + bytes(512), "gzip"),
        (gzip.compress(CASE.body) + b"trailing", "gzip"),
        (zlib.compress(CASE.body) + b"trailing", "deflate"),
    ],
)
def test_the_bytes_say_how_they_are_encoded(body: bytes, header: str | None) -> None:
    """Whatever the header claims, a body that can be read is read."""
    captured = read("chat", body, content_encoding=header)
    assert known(captured) == CHAT_COUNTS
    assert captured.flags == ()


@pytest.mark.parametrize("header", ["br", "zstd", "compress", "gzip, br", "nonsense"])
def test_unknown_encoding_is_flagged(header: str) -> None:
    """A body in an encoding that cannot be undone has no usage, and the row says why."""
    captured = read("chat", b"\x28\xb5\x2f\xfd" + NOISE[:100], content_encoding=header)
    assert captured.usage.status == "missing"
    assert captured.flags == (flags.BODY_NOT_READ,)


def test_one_byte_is_enough_to_decide() -> None:
    """A body shorter than what decides about encodings is read at its end."""
    assert decoded(b"{")[0] == b"{"
    assert decoded()[0] == b""


def test_truncated_gzip_is_not_whole() -> None:
    """Compressed data that end early give what came, and are known to be cut."""
    body = gzip.compress(NOISE)
    text, decoder = decoded(body[:-2000])
    assert NOISE.startswith(text)
    assert len(text) > 150_000
    assert not decoder.is_whole
    assert decoded(body)[1].is_whole


def test_truncated_gzip_stream_is_partial() -> None:
    """A compressed stream cut before its end is partial, though the message ended well."""
    body = next(case for case in CASES if case.name == "messages stream").body
    compressor = zlib.compressobj(wbits=31)
    start = body[: body.index(b"event: message_delta")]
    cut = compressor.compress(start) + compressor.flush(zlib.Z_SYNC_FLUSH)
    captured = read("messages", cut)
    assert captured.usage.status == "partial"
    assert captured.usage.source == "stream_partial"


def test_damaged_gzip_keeps_what_came_before() -> None:
    """Damage inside compressed data ends the reading there."""
    body = bytearray(gzip.compress(b"a" * 100 + NOISE))
    body[-1000] ^= 0xFF
    text, decoder = decoded(bytes(body), b"more")
    assert text.startswith(b"a" * 100)
    assert not decoder.is_whole


def test_three_layers_are_not_undone() -> None:
    """Compression inside compression is undone twice, so that no body unfolds for ever."""
    body = gzip.compress(gzip.compress(gzip.compress(CASE.body)))
    assert read("chat", body).flags == (flags.BODY_NOT_READ,)


def test_bomb_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """What decompresses to more than the bound is read up to it, and the row says so."""
    monkeypatch.setattr(encodings, "MAX_DECODED_BYTES", 1_000_000)
    bomb = gzip.compress(b'{"pad": "' + bytes(5_000_000))
    text, decoder = decoded(bomb)
    assert len(text) <= 1_000_000
    assert decoder.is_too_large
    assert read("chat", bomb, b"more").flags == (flags.BODY_TOO_LARGE,)
    assert not decoded(CASE.body)[1].is_too_large


def test_small_chunk_comes_out_in_pieces() -> None:
    """A chunk that decompresses to much is handed on in pieces of bounded size."""
    pieces: list[bytes] = []
    decoder = Decoder(None, pieces.append)
    decoder.feed(gzip.compress(bytes(3_000_000)))
    decoder.finish()
    assert b"".join(pieces) == bytes(3_000_000)
    assert max(map(len, pieces)) <= encodings.PIECE_BYTES

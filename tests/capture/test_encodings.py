"""Compression is undone as the bytes say; damage loses no more than it must."""

from __future__ import annotations

import random
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from majordomo_analytics.capture import decompressors, encodings
from majordomo_analytics.capture.encodings import Decoder, decoded_whole
from majordomo_analytics.records import flags
from tests.capture.bodies import CASES, CHAT_COUNTS, known, read
from tests.support.compressed import ENCODINGS, skippable_frame, wide_zstd

CASE = CASES[0]
NOISE = random.Random(7).randbytes(200_000)
MEGABYTE = 1024 * 1024

gzipped = ENCODINGS["gzip"].compress
deflated = ENCODINGS["deflate"].compress
zstd = ENCODINGS["zstd"].compress
br = ENCODINGS["br"].compress

each_encoding = pytest.mark.parametrize("name", ENCODINGS)


def decoded(*chunks: bytes, content_encoding: str | None = None) -> tuple[bytes, Decoder]:
    pieces: list[bytes] = []
    decoder = Decoder(content_encoding, pieces.append)
    for chunk in chunks:
        decoder.feed(chunk)
    decoder.finish()
    return b"".join(pieces), decoder


@each_encoding
def test_whole_body_is_read(name: str) -> None:
    """A body comes out as it went in, of any size and in any chunks, and is whole."""
    encoding = ENCODINGS[name]
    for body in (b"{", CASE.body, b'{"a": "' + NOISE.hex().encode() + b'"}', b"x" * 300_000):
        sent = encoding.compress(body)
        for size in (1, 7, 1000, len(sent)):
            chunks = [sent[at : at + size] for at in range(0, len(sent), size)]
            text, decoder = decoded(*chunks, content_encoding=encoding.header)
            assert text == body
            assert decoder.is_whole
            assert decoder.is_readable
            assert not decoder.is_too_large


@each_encoding
@pytest.mark.parametrize("header", ["{0}", " {0} ", "identity,{0}", "{0},gzip", "{0}, br, zstd"])
def test_header_is_read_in_any_form(name: str, header: str) -> None:
    """The header's last name counts, in any case; two layers in it are undone."""
    encoding = ENCODINGS[name]
    body = encoding.compress(CASE.body)
    if header.endswith("gzip"):
        body = gzipped(body)
    elif header.endswith("zstd"):
        body = zstd(body)
        header = "{0}, zstd"
    written = header.format(encoding.header)
    for value in (written, written.upper()):
        assert known(read("chat", body, content_encoding=value)) == CHAT_COUNTS


@pytest.mark.parametrize(
    ("body", "header"),
    [
        *((CASE.body, header) for header in (None, "identity", "gzip", "x-gzip")),
        *((CASE.body, header) for header in ("br", "zstd", "deflate", "gzip, br", "nonsense")),
        (b"[" + CASE.body + b"]", "br"),
        ('{"ü": "日本語", '.encode() + CASE.body[1:], "br"),
        *((gzipped(CASE.body), header) for header in (None, "identity", "br", "zstd", "deflate")),
        *((zstd(CASE.body), header) for header in (None, "identity", "br", "gzip", "deflate")),
        *((deflated(CASE.body), header) for header in (None, "gzip", "zstd", "nonsense")),
        (gzipped(CASE.body), "X-GZIP"),
        (skippable_frame(b"padding") + zstd(CASE.body), None),
    ],
)
def test_mislabelled_body_is_read(body: bytes, header: str | None) -> None:
    """Whatever the header claims, the first bytes decide."""
    captured = read("chat", body, content_encoding=header)
    assert known(captured) == CHAT_COUNTS
    assert captured.flags == ()


@pytest.mark.parametrize("outer", ENCODINGS)
@pytest.mark.parametrize("inner", ENCODINGS)
def test_double_encoded_body_is_read(inner: str, outer: str) -> None:
    """A body that was compressed twice is read, if the header names both or bytes do."""
    body = ENCODINGS[outer].compress(ENCODINGS[inner].compress(CASE.body))
    header = f"{ENCODINGS[inner].header}, {ENCODINGS[outer].header}"
    assert known(read("chat", body, content_encoding=header)) == CHAT_COUNTS
    if inner in {"gzip", "deflate", "zstd"}:
        header = ENCODINGS[outer].header
        assert known(read("chat", body, content_encoding=header)) == CHAT_COUNTS


def test_three_layers_are_not_undone() -> None:
    """Compression inside compression is undone twice, so that no body unfolds for ever."""
    body = gzipped(zstd(gzipped(CASE.body)))
    assert read("chat", body).flags == (flags.BODY_NOT_READ,)
    assert not decoded(body)[1].is_readable


@pytest.mark.parametrize(
    "parts",
    [
        [gzipped(CASE.body[:70]), gzipped(CASE.body[70:])],
        [gzipped(CASE.body[:70]), gzipped(b""), gzipped(CASE.body[70:])],
        [zstd(CASE.body[:70]), zstd(CASE.body[70:])],
        [zstd(CASE.body[:70]), skippable_frame(b"x" * 100, 15), zstd(CASE.body[70:])],
        [skippable_frame(b""), zstd(b""), zstd(CASE.body), skippable_frame(b"end", 7)],
    ],
)
def test_every_member_is_read(parts: list[bytes]) -> None:
    """Gzip members and zstd frames follow one another, wherever they are cut."""
    body = b"".join(parts)
    for cut in range(len(body) + 1):
        text, decoder = decoded(body[:cut], body[cut:])
        assert text == CASE.body, f"cut at {cut}"
        assert decoder.is_whole


@pytest.mark.parametrize("name", ["gzip", "zstd", "deflate", "raw deflate"])
@pytest.mark.parametrize("padding", [b"\0", bytes(512), b"trailing", b"\x1f\x8b", b"\n"])
def test_padding_after_the_end_is_no_loss(name: str, padding: bytes) -> None:
    """What comes after compressed data and is none is dropped, and the body is whole."""
    encoding = ENCODINGS[name]
    body = encoding.compress(CASE.body) + padding
    for cut in (len(body), len(body) - 1, len(body) - len(padding)):
        text, decoder = decoded(body[:cut], body[cut:], content_encoding=encoding.header)
        assert text == CASE.body
        assert decoder.is_whole


@pytest.mark.parametrize("name", ["gzip", "zstd"])
def test_member_that_is_cut_is_a_loss(name: str) -> None:
    """A second member that breaks off is seen, even where nothing of it came out."""
    member = ENCODINGS[name].compress(CASE.body)
    for end in range(4, len(member)):
        text, decoder = decoded(member + member[:end])
        assert text.startswith(CASE.body)
        assert not decoder.is_whole, f"{end} bytes of the second"


@each_encoding
def test_truncated_body_keeps_what_came(name: str) -> None:
    """Compressed data that end early give what could be read, and are known to be cut."""
    encoding = ENCODINGS[name]
    body = NOISE.hex().encode()
    sent = encoding.compress(body)
    end = len(sent) * 4 // 5
    text, decoder = decoded(sent[:end], content_encoding=encoding.header)
    assert body.startswith(text)
    assert len(text) > len(body) // 2
    assert not decoder.is_whole
    assert not decoder.is_too_large
    for end in range(1, 40):
        assert not decoded(sent[:-end], content_encoding=encoding.header)[1].is_whole


@pytest.mark.parametrize("window_bits", [31, 15, -15])
def test_whatever_can_be_read_is_handed_on(window_bits: int) -> None:
    """Wherever compressed data break off, all comes out that zlib has in one go."""
    compressor = zlib.compressobj(wbits=window_bits)
    sent = compressor.compress(b"{" + b"x" * 65_700) + compressor.flush()
    header = {31: "gzip", 15: "deflate", -15: "deflate"}[window_bits]
    for cut in range(16, len(sent)):
        expected = zlib.decompressobj(window_bits).decompress(sent[:cut])
        assert decoded(sent[:cut], content_encoding=header)[0] == expected, f"cut at {cut}"


@each_encoding
def test_nothing_flushed_is_held_back(name: str) -> None:
    """What a server has flushed has been handed on, although the end has not come."""
    encoding = ENCODINGS[name]
    for body in (b"", b"x" * 31_900, b"y" * 65_436, NOISE):
        begun = NOISE[:100] + body
        pieces: list[bytes] = []
        decoder = Decoder(encoding.header, pieces.append)
        decoder.feed(encoding.flushed(begun))
        assert b"".join(pieces) == begun


@each_encoding
def test_truncated_stream_is_partial(name: str) -> None:
    """A compressed stream cut before its end is partial, though the message ended well."""
    encoding = ENCODINGS[name]
    body = next(case for case in CASES if case.name == "messages stream").body
    cut = encoding.flushed(body[: body.index(b"event: message_delta")])
    captured = read("messages", cut, content_encoding=encoding.header)
    assert captured.usage.status == "partial"
    assert captured.usage.source == "stream_partial"


@pytest.mark.parametrize("name", ["gzip", "deflate", "br", "zstd"])
def test_damaged_body_keeps_what_came_before(name: str) -> None:
    """Damage inside compressed data ends the reading there; the raw kind cannot tell."""
    encoding = ENCODINGS[name]
    body = b"a" * 100 + NOISE.hex().encode()
    sent = bytearray(encoding.compress(body))
    for at in range(len(sent) - 1000, len(sent) - 960):
        sent[at] ^= 0xFF
    text, decoder = decoded(bytes(sent), b"more", content_encoding=encoding.header)
    assert text.startswith(body[:100_000])
    assert not decoder.is_whole


@pytest.mark.parametrize("header", ["br", "zstd", "compress", "gzip, br", "nonsense", "deflate"])
def test_unreadable_body_is_flagged(header: str) -> None:
    """A body that no way of decompressing fits has no usage, and the row says why."""
    captured = read("chat", b"\xff" + NOISE[:100], content_encoding=header)
    assert captured.usage.status == "missing"
    assert captured.flags == (flags.BODY_NOT_READ,)
    assert read("chat", zstd(b"")[:4] + NOISE[:100], content_encoding=header).flags == (
        flags.BODY_NOT_READ,
    )


def test_one_byte_is_enough_to_decide() -> None:
    """A body shorter than what decides about encodings is read at its end."""
    assert decoded(b"{")[0] == b"{"
    assert decoded()[0] == b""
    assert decoded(b"", b"", content_encoding="br")[0] == b""


@pytest.mark.parametrize("second", range(256))
def test_brotli_that_looks_like_text_is_told_from_it(second: int) -> None:
    """Brotli can begin with `[` and a quote: only text throughout is taken for text."""
    head = b"[" + bytes((second,)) + bytes(range(14))
    codec = decompressors.codec_of(head, "br")
    assert codec is not None
    assert codec.magic is None
    assert decompressors.codec_of(b'["text", "more"]', "br") is None


@each_encoding
def test_bomb_is_bounded(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What decompresses to more than the bound is read up to it, and the row says so."""
    encoding = ENCODINGS[name]
    monkeypatch.setattr(encodings, "MAX_DECODED_BYTES", 1_000_000)
    bomb = encoding.compress(b'{"pad": "' + bytes(5_000_000))
    text, decoder = decoded(bomb, content_encoding=encoding.header)
    assert 900_000 < len(text) <= 1_000_000
    assert decoder.is_too_large
    assert not decoder.is_whole
    captured = read("chat", bomb, b"more", content_encoding=encoding.header)
    assert captured.flags == (flags.BODY_TOO_LARGE,)
    assert not decoded(CASE.body)[1].is_too_large


@each_encoding
def test_bomb_is_stopped_by_its_ratio(name: str) -> None:
    """A small body that holds a huge one is closed early, in little memory."""
    encoding = ENCODINGS[name]
    bomb = encoding.compress(bytes(60 * MEGABYTE))
    given = 0

    def count(piece: bytes) -> None:
        nonlocal given
        given += len(piece)

    decoder = Decoder(encoding.header, count)
    tracemalloc.start()
    try:
        decoder.feed(bomb)
        decoder.finish()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    most = max(encodings.FREE_BYTES, encodings.MAX_RATIO * len(bomb))
    assert encodings.FREE_BYTES - MEGABYTE < given <= most < 60 * MEGABYTE
    assert decoder.is_too_large
    assert peak < MEGABYTE


@pytest.mark.parametrize("outer", ["gzip", "br", "zstd"])
def test_bomb_inside_a_bomb_is_stopped(outer: str) -> None:
    """Each layer has its bounds: what unfolds twice is closed as soon."""
    bomb = ENCODINGS[outer].compress(gzipped(bytes(60 * MEGABYTE)))
    text, decoder = decoded(bomb, content_encoding=ENCODINGS[outer].header)
    assert len(text) <= encodings.MAX_RATIO * len(gzipped(bytes(60 * MEGABYTE)))
    assert decoder.is_too_large


@each_encoding
def test_long_repetitive_stream_is_no_bomb(name: str) -> None:
    """Many megabytes of small changes in a large envelope are read to their end."""
    encoding = ENCODINGS[name]
    envelope = b'data: {"filter": {' + b'"kind": {"filtered": false}, ' * 20 + b'"text": "%d"}}\n\n'
    body = b"".join(envelope % number for number in random.Random(3).choices(range(5000), k=20_000))
    assert len(body) > encodings.FREE_BYTES
    text, decoder = decoded(encoding.compress(body), content_encoding=encoding.header)
    assert text == body
    assert decoder.is_whole


@pytest.mark.parametrize(
    "member", [gzipped(b""), zstd(b""), skippable_frame(b"")], ids=["gzip", "zstd", "skippable"]
)
def test_members_without_end_are_bounded(member: bytes) -> None:
    """A body of nothing but empty members is closed after so many."""
    text, decoder = decoded(member * (encodings.MAX_MEMBERS + 1))
    assert text == b""
    assert decoder.is_too_large
    assert decoded(member * (encodings.MAX_MEMBERS - 1))[1].is_whole


@pytest.mark.parametrize(
    "member",
    [gzipped(b"{}"), zstd(b"{}"), skippable_frame(b"{}")],
    ids=["gzip", "zstd", "skippable"],
)
def test_work_grows_as_the_body_does(member: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a chunk of many members no more than a slice is copied at the end of each."""
    work = 0
    begins = decompressors.Codec.begins

    def counted(codec: decompressors.Codec, data: bytes) -> bool:
        nonlocal work
        work += len(data)
        return begins(codec, data)

    monkeypatch.setattr(decompressors.Codec, "begins", counted)
    for members in (1000, 8000):
        work = 0
        assert decoded(member * members)[1].is_whole
        assert 0 < work <= members * encodings.SLICE_BYTES


@each_encoding
def test_chunk_comes_out_in_pieces(name: str) -> None:
    """A chunk that decompresses to much is handed on in pieces of bounded size."""
    encoding = ENCODINGS[name]
    pieces: list[bytes] = []
    decoder = Decoder(encoding.header, pieces.append)
    decoder.feed(encoding.compress(bytes(3_000_000)))
    decoder.finish()
    assert b"".join(pieces) == bytes(3_000_000)
    assert max(map(len, pieces)) <= decompressors.PIECE_BYTES


def test_zstd_window_is_that_of_the_web() -> None:
    """A frame that asks for a window of more than 8 MB does not get the memory."""
    assert decoded(wide_zstd(CASE.body, 23))[0] == CASE.body
    text, decoder = decoded(wide_zstd(CASE.body, 24))
    assert text == b""
    assert not decoder.is_whole


@given(
    body=st.binary(max_size=300),
    name=st.sampled_from([None, *ENCODINGS]),
    header=st.sampled_from([None, "gzip", "deflate", "br", "zstd", "br, zstd"]),
    data=st.data(),
)
def test_any_bytes_are_survived(
    body: bytes, name: str | None, header: str | None, data: st.DataObject
) -> None:
    """Nothing raises, and the same comes out however the bytes are cut."""
    sent = bytearray(body if name is None else ENCODINGS[name].compress(body))
    for _ in range(data.draw(st.integers(0, 3)) if sent else 0):
        sent[data.draw(st.integers(0, len(sent) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(sent)))
    text, decoder = decoded(bytes(sent), content_encoding=header)
    parts, other = decoded(bytes(sent[:cut]), bytes(sent[cut:]), content_encoding=header)
    assert decoder.is_whole == other.is_whole
    assert text == parts if decoder.is_whole else True


@each_encoding
def test_small_body_is_decoded_at_once(name: str) -> None:
    """A body within the bound comes out whole; one over it, cut or damaged does not."""
    encoding = ENCODINGS[name]
    sent = encoding.compress(CASE.body)
    length = len(CASE.body)
    assert decoded_whole(sent, encoding.header, length) == CASE.body
    assert decoded_whole(sent, encoding.header, length - 1) is None
    assert decoded_whole(sent[:-1], encoding.header, length) is None
    assert decoded_whole(encoding.compress(bytes(60 * MEGABYTE)), encoding.header, 1000) is None
    damaged = sent[:20] + bytes(20) + sent[40:]
    assert decoded_whole(damaged, encoding.header, length) != CASE.body


def test_plain_body_is_decoded_as_it_is() -> None:
    """A body that is not compressed is what it is, within the bound."""
    assert decoded_whole(b"", None, 0) == b""
    assert decoded_whole(CASE.body, None, len(CASE.body)) == CASE.body
    assert decoded_whole(CASE.body, "br", len(CASE.body)) == CASE.body
    assert decoded_whole(CASE.body, None, len(CASE.body) - 1) is None
    assert decoded_whole(NOISE, "compress", len(NOISE)) is None
    assert decoded_whole(gzipped(gzipped(gzipped(b"{}"))), None, 1000) is None

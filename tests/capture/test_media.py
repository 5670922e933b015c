"""Images and sound: what is not said is unknown, and what is no JSON is passed over."""

from __future__ import annotations

import gzip
import os
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from majordomo_analytics.capture.media import usage_of_speech
from majordomo_analytics.capture.reader import Captured, UsageReader
from majordomo_analytics.records import flags
from majordomo_analytics.records.usage import MISSING
from tests.capture.bodies import known, read, sse
from tests.capture.bodies_openai import (
    AUDIO_COUNTS,
    AUDIO_USAGE,
    IMAGE_COUNTS,
    IMAGE_USAGE,
    as_json,
)

MP3 = b"ID3\x04\x00\x00\x00\x00\x00\x23TSSE" + bytes(range(256)) * 8
WAV = b"RIFF\x24\x08\x00\x00WAVEfmt " + bytes(512)
FLAC = b"fLaC\x00\x00\x00\x22" + bytes(range(255, 0, -1))
SUBTITLES = b"1\n00:00:00,000 --> 00:00:02,000\nBonjour {tous}\n\n"
WEB_SUBTITLES = b"WEBVTT\n\n00:00.000 --> 00:02.000\ndata: no\n\n"


@pytest.mark.parametrize(
    "body", [MP3, WAV, FLAC, b"\xff\xf3\xe4", b"OggS\x00", b"data", b"{", b"["]
)
def test_audio_says_nothing_and_is_not_odd(body: bytes) -> None:
    """Speech that comes as audio has no usage, and there is nothing wrong with that."""
    assert read("speech", body).usage == MISSING
    assert read("speech", body).flags == ()
    for cut in range(min(len(body), 40)):
        assert read("speech", body[:cut], body[cut:]) == read("speech", body)
    assert read("speech", gzip.compress(body), content_encoding="br").flags == ()


@given(st.binary(max_size=200), st.sampled_from(["speech", "transcriptions"]))
def test_any_audio_and_any_text_is_survived(body: bytes, flavour: str) -> None:
    """Whatever an answer of sound holds, it is not flagged as one that cannot be read."""
    captured = read(flavour, body, content_encoding="br")  # type: ignore[arg-type]
    assert flags.BODY_NOT_READ not in captured.flags


def test_audio_is_not_held() -> None:
    """However long the audio, none of it stays in memory."""
    piece = os.urandom(64 * 1024).replace(b"\n", b" ").replace(b"\r", b" ")
    reader = UsageReader("speech")
    reader.feed(b"ID3" + piece)
    tracemalloc.start()
    try:
        for _ in range(500):
            reader.feed(piece)
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert max(held, peak) < 16 * 1024
    assert reader.finish(complete=True) == Captured()


@pytest.mark.parametrize(
    "body",
    [
        SUBTITLES,
        WEB_SUBTITLES,
        b"Bonjour.\n",
        b"[Musique] Oui.",
        b"{rires} Oui.",
        b"data: oui",
        b"",
    ],
)
def test_text_and_subtitles_are_missing_and_not_odd(body: bytes) -> None:
    """A transcription that is no JSON has no usage, and nothing is wrong with that."""
    captured = read("transcriptions", body)
    assert captured.usage == MISSING
    assert captured.flags == ()
    assert captured.error_message is None


@pytest.mark.parametrize(
    ("seconds", "length_ms"),
    [
        ("0", 0),
        ("3", 3000),
        ("9.3454", 9345),
        ("8.470000267028809", 8470),
        ("1e2", 100_000),
        ("1e-9", 0),
        ("0.0005", 0),
        ("0.0015", 2),
    ],
)
def test_length_is_in_whole_milliseconds(seconds: str, length_ms: int) -> None:
    """Seconds, however they are written, become milliseconds, half to even."""
    body = f'{{"usage": {{"type": "duration", "seconds": {seconds}}}}}'
    captured = read("transcriptions", body.encode())
    assert known(captured) == {"input_audio_ms": length_ms}
    assert (captured.usage.status, captured.usage.flags) == ("reported", ())


@pytest.mark.parametrize(
    "seconds", ["-1", '"9"', "true", "NaN", "1e99", "9223372036854775.808", "[9]", "{}"]
)
@pytest.mark.parametrize("template", ['{"usage": {"seconds": %s}}', '{"duration": %s}'])
def test_length_that_is_none_is_unknown_and_flagged(template: str, seconds: str) -> None:
    """A length that is no amount, or too long to be one, is not known."""
    captured = read("transcriptions", (template % seconds).encode())
    assert known(captured) == {}
    assert captured.usage.status == "missing"
    assert captured.usage.flags == (flags.USAGE_BAD_NUMBER,)


def test_usage_is_believed_before_the_length_beside_it() -> None:
    """An answer that states usage is billed by that, whatever its length."""
    captured = read("transcriptions", as_json({"duration": 60.0, "usage": AUDIO_USAGE}))
    assert known(captured) == AUDIO_COUNTS


def test_length_is_kept_as_it_was_written() -> None:
    """The length of an answer without a usage object is what its count was read from."""
    captured = read("transcriptions", b'{"duration": 8.470000267028809, "text": "oui"}')
    assert captured.usage.raw == '{"duration": 8.470000267028809}'


def test_image_of_many_megabytes_has_usage() -> None:
    """Usage that comes after a picture too large to hold is found."""
    picture = "iVBORw0KGgo" * 300_000
    assert known(
        read("images", as_json({"data": [{"b64_json": picture}], "usage": IMAGE_USAGE}))
    ) == (IMAGE_COUNTS)
    event = {"type": "image_edit.completed", "b64_json": picture, "usage": IMAGE_USAGE}
    assert known(read("images", sse(event), complete=False)) == IMAGE_COUNTS


def test_images_without_usage_are_missing() -> None:
    """The older models state nothing, and a cost alone is no count."""
    assert read("images", as_json({"created": 1, "data": []})).usage == MISSING
    ticks = {"data": [], "usage": {"cost_in_usd_ticks": 200_000_000}}
    captured = read("images", as_json(ticks))
    assert (captured.usage.status, captured.usage.stated_cost) == ("missing", "0.0200000000")


@pytest.mark.parametrize("flavour", ["images", "transcriptions", "speech"])
@pytest.mark.parametrize(
    "error", [{"error": {"message": "No"}}, {"type": "error", "message": "No"}]
)
def test_errors_of_media_are_read(flavour: str, error: dict[str, object]) -> None:
    """A refusal is JSON or an event, whatever the answer would have been."""
    for body in (as_json(error), sse(error)):
        captured = read(flavour, body)  # type: ignore[arg-type]
        assert captured.error_message == "No"


def test_speech_is_billed_by_what_was_asked() -> None:
    """Where the answer says nothing, the characters of the request are an estimate."""
    usage = usage_of_speech(120)
    assert (usage.input_characters, usage.status, usage.source) == (120, "estimated", "request")
    assert usage.output_tokens is None
    assert usage_of_speech(None) is usage_of_speech(-1) is MISSING

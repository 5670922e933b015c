"""A request body says which model it asks for and whether it wants a stream."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from majordomo_analytics.capture import streams
from majordomo_analytics.capture.requests import RequestFacts, RequestReader
from tests.support.compressed import ENCODINGS

BODY = {
    "messages": [{"role": "user", "content": '"model": "no", "stream": false, 日本語'}],
    "model": "gpt-5",
    "stream": True,
    "stream_options": {"include_usage": True, "model": "no"},
}
FACTS = RequestFacts(model="gpt-5", stream=True, include_usage=True)


FORM = (
    b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
    b'\x00{"model": "no"}'
    b'\r\n--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1'
    b'\r\n--b\r\nContent-Disposition: form-data; name="stream"\r\n\r\nTrue\r\n--b--\r\n'
)
FORM_TYPE = "multipart/form-data; boundary=b"


def facts(
    *chunks: bytes, content_encoding: str | None = None, content_type: str | None = None
) -> RequestFacts:
    reader = RequestReader(content_encoding=content_encoding, content_type=content_type)
    for chunk in chunks:
        reader.feed(chunk)
    return reader.finish()


def test_plain_body_says_the_same_wherever_it_is_cut() -> None:
    body = json.dumps(BODY).encode()
    for cut in range(len(body) + 1):
        assert facts(body[:cut], body[cut:]) == FACTS


@pytest.mark.parametrize("name", ENCODINGS)
def test_compressed_body_says_the_same_wherever_it_is_cut(name: str) -> None:
    """The facts of a body that a caller compressed, zstd among others, are found in it."""
    encoding = ENCODINGS[name]
    body = encoding.compress(json.dumps(BODY).encode())
    for cut in range(len(body) + 1):
        assert facts(body[:cut], body[cut:], content_encoding=encoding.header) == FACTS


@pytest.mark.parametrize("name", [None, *ENCODINGS])
def test_form_says_the_same_wherever_it_is_cut(name: str | None) -> None:
    """A form's fields name the model and the stream; its files say nothing."""
    expected = RequestFacts(model="whisper-1", stream=True)
    body = FORM if name is None else ENCODINGS[name].compress(FORM)
    header = None if name is None else ENCODINGS[name].header
    for cut in range(len(body) + 1):
        said = facts(body[:cut], body[cut:], content_encoding=header, content_type=FORM_TYPE)
        assert said == expected


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (b"whisper-1", b"a\x00b", RequestFacts(model="ab", stream=True)),
        (b"whisper-1", b"m" * 3000, RequestFacts(model="m" * 1000, stream=True)),
        (b"whisper-1", b"", RequestFacts(stream=True)),
        (b"True", b"false", RequestFacts(model="whisper-1", stream=False)),
        (b"True", b"yes", RequestFacts(model="whisper-1")),
    ],
)
def test_fields_of_a_form_are_as_members_of_json(
    before: bytes, after: bytes, expected: RequestFacts
) -> None:
    """What a form says is bounded and fit for a database, and nothing is guessed."""
    assert facts(FORM.replace(before, after), content_type=FORM_TYPE) == expected


def test_form_needs_its_boundary() -> None:
    """Without the header that says what divides its parts a form says nothing."""
    assert facts(FORM) == facts(FORM, content_type="multipart/form-data") == RequestFacts()


@pytest.mark.parametrize(
    ("written", "characters"),
    [
        (b'"Hello"', 5),
        (b'""', 0),
        ('"日本語 😀"'.encode(), 5),
        (b'"\\u65e5\\ud83d\\ude00\\n\\""', 4),
        (b'"half \\ud83d"', 6),
        (b'"NaN"', 3),
        (b'["Hello"]', None),
        (b"5", None),
        (b"null", None),
        (b'"a\xff"', None),
    ],
)
def test_text_to_be_spoken_is_counted_in_characters(written: bytes, characters: int | None) -> None:
    """Characters are code points of the text, not bytes and not as it is escaped."""
    body = b'{"model": "tts-1", "input": ' + written + b"}"
    for cut in range(len(body) + 1):
        said = facts(body[:cut], body[cut:])
        assert said == RequestFacts(model="tts-1", input_characters=characters)


def test_input_too_large_to_hold_is_not_counted() -> None:
    """Beyond the bound the length is unknown, and the model is known still."""
    for length, expected in ((60_000, 60_000), (streams.MAX_HELD_BYTES, None), (3_000_000, None)):
        body = json.dumps({"model": "m", "input": "x" * length}).encode()
        said = facts(*(body[at : at + 9999] for at in range(0, len(body), 9999)))
        assert said == RequestFacts(model="m", input_characters=expected)


def test_body_of_megabytes_is_read() -> None:
    """A body with a large picture in it is read to its end."""
    image = {"type": "image_url", "image_url": "data:image/png;base64," + "A" * 3_000_000}
    body = json.dumps({"input": [image], **BODY}).encode()
    assert facts(*(body[at : at + 9999] for at in range(0, len(body), 9999))) == FACTS


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", RequestFacts()),
        (b"{}", RequestFacts()),
        (b"[1, 2]", RequestFacts()),
        (b"not json", RequestFacts()),
        (b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper', RequestFacts()),
        (b'{"model": "m", "stream"', RequestFacts()),
        (b'{"model": 5, "stream": "yes", "stream_options": true}', RequestFacts()),
        (b'{"model": "m", "stream": false}', RequestFacts(model="m", stream=False)),
        (b'{"model": "a\\u0000b\\ud800c"}', RequestFacts(model="ab\ufffdc")),
        (b'{"stream_options": {"include_usage": false}}', RequestFacts()),
        (b'{"stream_options": null, "model": null, "stream": null}', RequestFacts()),
    ],
)
def test_what_is_not_said_is_not_known(body: bytes, expected: RequestFacts) -> None:
    """Members of a wrong kind, and bodies that are no JSON object, say nothing."""
    assert facts(body) == expected


@pytest.mark.parametrize("header", ["zstd", "compress", None])
def test_body_that_cannot_be_decoded_is_not_read(header: str | None) -> None:
    """A body in an encoding that cannot be undone says nothing, and nothing breaks."""
    body = ENCODINGS["zstd"].compress(b"")[:4] + bytes(40)
    assert facts(body, content_encoding=header) == RequestFacts()


@given(
    st.binary(max_size=300),
    st.sampled_from([None, "gzip", "deflate", "br", "zstd"]),
    st.sampled_from([None, "application/json", FORM_TYPE]),
)
def test_any_bytes_are_survived(
    body: bytes, content_encoding: str | None, content_type: str | None
) -> None:
    """No body makes the reader raise."""
    facts(body, content_encoding=content_encoding, content_type=content_type)

"""A request body says which model it asks for and whether it wants a stream."""

from __future__ import annotations

import gzip
import json
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from majordomo_analytics.capture.requests import RequestFacts, RequestReader

BODY = {
    "messages": [{"role": "user", "content": '"model": "no", "stream": false, 日本語'}],
    "model": "gpt-5",
    "stream": True,
    "stream_options": {"include_usage": True, "model": "no"},
}
FACTS = RequestFacts(model="gpt-5", stream=True, include_usage=True)


def facts(*chunks: bytes, content_encoding: str | None = None) -> RequestFacts:
    reader = RequestReader(content_encoding=content_encoding)
    for chunk in chunks:
        reader.feed(chunk)
    return reader.finish()


@pytest.mark.parametrize("encode", [bytes, gzip.compress, zlib.compress])
def test_one_cut_anywhere_changes_nothing(encode: type[bytes]) -> None:
    """The facts are the same wherever the body is cut, compressed or not."""
    body = encode(json.dumps(BODY).encode())
    header = "deflate" if encode is zlib.compress else None
    for cut in range(len(body) + 1):
        assert facts(body[:cut], body[cut:], content_encoding=header) == FACTS


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


def test_unknown_encoding_is_not_read() -> None:
    """A body in an encoding that cannot be undone says nothing, and nothing breaks."""
    assert facts(b"\x28\xb5\x2f\xfd" + bytes(40), content_encoding="zstd") == RequestFacts()


@given(st.binary(max_size=300), st.sampled_from([None, "gzip", "deflate", "br"]))
def test_any_bytes_are_survived(body: bytes, content_encoding: str | None) -> None:
    """No body makes the reader raise."""
    facts(body, content_encoding=content_encoding)

"""A request is asked to state usage; but for that, it stays as it was written."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from majordomo_analytics.capture.asking import asking_for_usage
from majordomo_analytics.capture.requests import RequestReader

NAMES = st.text(max_size=6) | st.sampled_from(["model", "messages", "include_usage"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=10,
)
OPTIONS = st.dictionaries(NAMES, VALUES, max_size=3)
SEPARATORS = st.sampled_from([(",", ":"), (", ", ": "), (" ,\n\t", " : ")])


@st.composite
def bodies(draw: st.DrawFn) -> tuple[bytes, dict[str, Any]]:
    """Return a body that streams and does not ask, in some order and spelling."""
    members = draw(st.dictionaries(NAMES, VALUES, max_size=5))
    members["stream"] = True
    kind = draw(st.sampled_from(["absent", "null", "empty", "other", "false", "none"]))
    if kind == "null":
        members["stream_options"] = None
    elif kind != "absent":
        options = {} if kind == "empty" else draw(OPTIONS)
        options.pop("include_usage", None)
        if kind in {"false", "none"}:
            options["include_usage"] = False if kind == "false" else None
        members["stream_options"] = dict(draw(st.permutations(list(options.items()))))
    members = dict(draw(st.permutations(list(members.items()))))
    separators, indent = draw(SEPARATORS), draw(st.sampled_from([None, 2]))
    text = json.dumps(
        members, separators=separators, indent=indent, ensure_ascii=draw(st.booleans())
    )
    space = draw(st.sampled_from(["", " ", "\n"]))
    return (space + text + space).encode(), members


@given(bodies())
def test_result_is_the_body_with_the_option(case: tuple[bytes, dict[str, Any]]) -> None:
    """Decoded, only the option differs; and what asks already is not asked again."""
    body, members = case
    asking = asking_for_usage(body)
    assert asking is not None
    options = {**(members.get("stream_options") or {}), "include_usage": True}
    assert json.loads(asking) == {**members, "stream_options": options}
    assert asking_for_usage(asking) is None
    reader = RequestReader()
    reader.feed(asking)
    facts = reader.finish()
    assert facts.stream is True
    assert facts.include_usage is True


@given(bodies())
def test_nothing_else_is_touched(case: tuple[bytes, dict[str, Any]]) -> None:
    """One piece of text was put in, at most in place of `null` or `false`."""
    body, _ = case
    asking = asking_for_usage(body)
    assert asking is not None
    kept = 0
    while kept < len(body) and body[kept] == asking[kept]:
        kept += 1
    pieces = {
        b"": [
            b',"stream_options":{"include_usage":true}',
            b',"include_usage":true',
            b'"include_usage":true',
        ],
        b"null": [b'{"include_usage":true}', b"true"],
        b"false": [b"true"],
    }
    # The first byte that differs may be some bytes into the piece, where they are alike.
    assert any(
        asking == body[:at] + piece + body[at + len(gone) :]
        for at in range(max(0, kept - 45), kept + 1)
        for gone, put_in in pieces.items()
        for piece in put_in
        if body.startswith(gone, at)
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b'{"stream":true}', b'{"stream":true,"stream_options":{"include_usage":true}}'),
        (
            b'{\n  "stream": true,\n  "temperature": 1.0\n}\n',
            b'{\n  "stream": true,\n  "temperature": 1.0'
            b',"stream_options":{"include_usage":true}\n}\n',
        ),
        (
            b'{"stream_options": null, "stream": true}',
            b'{"stream_options": {"include_usage":true}, "stream": true}',
        ),
        (
            b'{"stream_options":{ },"stream":true}',
            b'{"stream_options":{"include_usage":true },"stream":true}',
        ),
        (
            b'{"stream_options":{"include_obfuscation":false},"stream":true}',
            b'{"stream_options":{"include_obfuscation":false,"include_usage":true},"stream":true}',
        ),
        (
            b'{"stream_options":{"include_usage" : false, "x":1},"stream":true}',
            b'{"stream_options":{"include_usage" : true, "x":1},"stream":true}',
        ),
        (
            b'{"n":[1.0,1e400,-0,12345678901234567890123],"s":"\\u00e9\\ud83d \xff","stream":true}',
            b'{"n":[1.0,1e400,-0,12345678901234567890123],"s":"\\u00e9\\ud83d \xff","stream":true'
            b',"stream_options":{"include_usage":true}}',
        ),
        (
            b'{"\\u0073tream":true,"x":{"stream":false,"stream_options":5}}',
            b'{"\\u0073tream":true,"x":{"stream":false,"stream_options":5}'
            b',"stream_options":{"include_usage":true}}',
        ),
        (
            b'{"user":"a","user":"b","stream":true}',
            b'{"user":"a","user":"b","stream":true,"stream_options":{"include_usage":true}}',
        ),
    ],
)
def test_body_that_asks(before: bytes, after: bytes) -> None:
    """Numbers, escapes, bytes that are no UTF-8, spaces and repeated names stay."""
    assert asking_for_usage(before) == after


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"null",
        b"true",
        b"[]",
        b'[{"stream":true}]',
        b"\xff\xfe",
        b'{"stream":true',
        b'{"stream":true,}',
        b'{"stream":true} {}',
        b'{"stream":true}}',
        b"{'stream':true}",
        b'{"stream":tru}',
        b'\xef\xbb\xbf{"stream":true}',
        '{"stream":true}'.encode("utf-16"),
        b'{"stream":false}',
        b'{"stream":null}',
        b'{"stream":"true"}',
        b'{"stream":1}',
        b'{"messages":[{"stream":true}]}',
        b'{"text":"\\"stream\\":true"}',
        b'{"stream":true,"stream_options":{"include_usage":true}}',
        b'{"stream":true,"stream_options":{"include_usage":"yes"}}',
        b'{"stream":true,"stream_options":{"include_usage":1}}',
        b'{"stream":true,"stream_options":[]}',
        b'{"stream":true,"stream_options":true}',
        b'{"stream":true,"stream_options":"null"}',
        b'{"stream":false,"stream":true}',
        b'{"stream":true,"stream":true}',
        b'{"str\\u0065am":false,"stream":true}',
        b'{"stream":true,"stream_options":{},"stream_options":null}',
        b'{"stream":true,"stream_options":{"include_usage":true,"include_usage":false}}',
        b'{"stream":true,"stream_options":{"include_usage":false,"include_usage":false}}',
        b'{"stream":true,"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
)
def test_body_that_is_left_alone(body: bytes) -> None:
    """What does not stream, asks already, is unclear or no JSON goes out as it came."""
    assert asking_for_usage(body) is None


@given(
    st.binary(max_size=80)
    | st.lists(
        st.sampled_from(
            ['"stream"', '"stream_options"', '"include_usage"', *'{}[]:,"\\', "true", "null"]
        ),
        max_size=24,
    ).map(lambda tokens: "".join(tokens).encode())
)
def test_any_bytes_are_survived(body: bytes) -> None:
    """Nothing raises, and what comes of it is JSON that asks."""
    asking = asking_for_usage(body)
    if asking is not None:
        assert json.loads(asking.decode("utf-8", "replace"))["stream_options"]["include_usage"]


def test_body_of_megabytes_is_asked() -> None:
    """A picture in the body, or very many small members, make no difference."""
    members = {
        "image": "data:image/png;base64," + "A" * 3_000_000,
        "tools": [{"function": {"parameters": {"properties": {}}}}] * 20_000,
        "stream": True,
    }
    body = json.dumps(members).encode()
    asking = asking_for_usage(body)
    assert asking == body[:-1] + b',"stream_options":{"include_usage":true}}'


def test_body_that_only_looks_like_json_is_not_asked() -> None:
    """Not-a-number is let pass as a value, as some callers send it, and as nothing else."""
    assert asking_for_usage(b'{"stream":true,"a":NaN}') is not None
    assert asking_for_usage(b'{"stream":true,NaN:"a"}') is None
    assert asking_for_usage(b'{"stream":true} {}') is None

"""Server-sent events as the standard has them, and every form that JSON comes in."""

from __future__ import annotations

import json
import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from majordomo_analytics.capture import streams
from majordomo_analytics.capture.scanner import Scanner
from majordomo_analytics.capture.streams import Documents, Events, Form
from majordomo_analytics.records import flags
from tests.capture.bodies import CHAT_CHUNK, CHAT_COUNTS, CHAT_USAGE, known, read, sse

KEPT = {b"a": None}
USAGE_CHUNK = CHAT_CHUNK | {"choices": [], "usage": CHAT_USAGE}


def events(*chunks: bytes) -> list[bytes]:
    """Return the data of the events in these chunks."""
    found: list[bytes] = []

    def take(data: bytes) -> bool:
        found.append(data)
        return True

    reader = Events(KEPT, take)
    for chunk in chunks:
        reader.feed(chunk)
    reader.finish()
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"data: 1\n\ndata: 2\n\n", [b"1", b"2"]),
        (b"data: 1\r\n\r\ndata: 2\r\n\r\n", [b"1", b"2"]),
        (b"data: 1\r\rdata: 2\r\r", [b"1", b"2"]),
        (b"data: 1\n\r\n\rdata: 2\r\n\n", [b"1", b"2"]),
        (b"data:1\n\n", [b"1"]),
        (b"data:  1\n\n", [b" 1"]),
        (b"data: 1\ndata: 2\n\n", [b"1\n2"]),
        (b"data: 1\ndata\ndata:\ndata: 2\n\n", [b"1\n\n\n2"]),
        (b": a comment\ndata: 1\n: another\n\n", [b"1"]),
        (b"event: x\nid: 7\nretry: 10\ndata: 1\n\n", [b"1"]),
        (b"event: x\n\n\n\n", []),
        (b"data:\n\n", []),
        (b"data: 1", [b"1"]),
        (b"data: 1\n", [b"1"]),
        (b"datas: 1\ndat: 2\n data: 3\n\n", []),
        ("data: \u2028\x0b\x0c\x1c\x85é\n\n".encode(), ["\u2028\x0b\x0c\x1c\x85é".encode()]),
        (b"", []),
    ],
)
def test_grammar_of_events(text: bytes, expected: list[bytes]) -> None:
    """Lines end with LF, CR or CRLF and nothing else; data lines of an event are joined."""
    assert events(text) == expected
    for cut in range(len(text) + 1):
        assert events(text[:cut], text[cut:]) == expected, cut
    assert events(*(text[at : at + 1] for at in range(len(text)))) == expected


def by_the_standard(text: bytes) -> list[bytes]:
    """Return the data of the events in `text` as HTML's section on event streams has it.

    All at once, from the end of the stream; an event without data is none.
    """
    found = []
    data: list[bytes] = []
    for line in [*re.split(rb"\r\n|\r|\n", text), b""]:
        name, _, value = line.partition(b":")
        if not line:
            found.append(b"\n".join(data))
            data.clear()
        elif name == b"data":
            data.append(value.removeprefix(b" "))
    return [one for one in found if one]


PARTS = st.sampled_from(
    [
        *(b"data", b":", b" ", b"\n", b"\r", b"\r\n", b"x", b"\xef\xbb\xbf", "\u2028é".encode()),
        *(b"data: 1", b"data:\n", b"event: e\r\n", b": c\r", b"id", b'data: {"a": 1}\n\n'),
    ]
)


@given(text=st.lists(PARTS, max_size=25).map(b"".join), data=st.data())
def test_events_are_those_of_the_standard(text: bytes, data: st.DataObject) -> None:
    """Whatever lines come, and however they are cut, the events are the same."""
    cuts = data.draw(st.lists(st.integers(0, len(text)), max_size=6).map(sorted))
    chunks = [text[start:end] for start, end in pairwise([0, *cuts, len(text)])]
    assert events(*chunks) == by_the_standard(text)


@pytest.mark.parametrize("start", [b"\xef\xbb\xbf", b"\n\n", b" \r\n\xef\xbb\xbf\n", b": hi\n\n"])
@pytest.mark.parametrize(
    "body",
    [
        sse(USAGE_CHUNK),
        b'{"usage": {"prompt_tokens": 1200}}',
        b'[{"usage": {"prompt_tokens": 1200}}]',
        b'{"usage": {"prompt_tokens": 1}}\r\n\r\n{"usage": {"prompt_tokens": 1200}}\r\n',
    ],
)
def test_what_comes_before_the_body_is_skipped(start: bytes, body: bytes) -> None:
    """A byte order mark, blank lines or comments before the body change nothing."""
    if start.startswith(b":") and not body.startswith(b"data"):
        return
    text = start + body
    for cut in range(len(text) + 1):
        assert read("chat", text[:cut], text[cut:]).usage.input_tokens == 1200


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("length", [65_000, 100_000, 8_000_000])
def test_long_data_line_is_read(end: str, length: int) -> None:
    """A line of 100 KB or 8 MB, far longer than what is held, is read to its last byte."""
    large = USAGE_CHUNK | {"choices": [{"delta": {"content": "x" * length}}]}
    body = sse(CHAT_CHUNK, large, CHAT_CHUNK, "[DONE]", end=end)
    for size in (1000, 65_536, len(body)):
        chunks = [body[at : at + size] for at in range(0, len(body), size)]
        captured = read("chat", *chunks)
        assert known(captured) == CHAT_COUNTS
        assert captured.flags == ()


def test_event_of_many_lines_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """An event of many data lines is read as one document, long or short."""
    lines = b'{\n"usage":\n{"prompt_tokens":\n7\n,\n"completion_tokens":\n8}\n,\n"choices":[]}'
    body = b"".join(b"data: " + line + b"\n" for line in lines.split(b"\n")) + b"\n"
    for held in (8, 30, 10_000):
        monkeypatch.setattr(streams, "MAX_HELD_BYTES", held)
        assert known(read("chat", body)) == {"input_tokens": 7, "output_tokens": 8}


@pytest.mark.parametrize("start", [b"", b"data: "])
@pytest.mark.parametrize("size", [100, 1000, 50_000])
def test_work_grows_as_the_body_does(
    start: bytes, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each byte of a long line or document is looked at once, however small the chunks."""
    looked_at = 0
    feed = Scanner.feed

    def counted(scanner: Scanner, data: bytes) -> None:
        nonlocal looked_at
        looked_at += len(data)
        feed(scanner, data)

    monkeypatch.setattr(Scanner, "feed", counted)
    for length in (200_000, 800_000):
        looked_at = 0
        large = USAGE_CHUNK | {"choices": [{"delta": {"content": "x" * length}}]}
        body = start + json.dumps(large).encode()
        captured = read("chat", *(body[at : at + size] for at in range(0, len(body), size)))
        assert known(captured) == CHAT_COUNTS
        assert 0 <= looked_at - len(body) + len(start) <= 1


def test_long_lines_that_are_no_data_are_dropped() -> None:
    """A comment of megabytes, before data or between data lines, is not read as data."""
    noise = b": " + b'{"usage": {"prompt_tokens": 1}}' * 50_000
    body = noise + b"\ndata: {\n" + noise + b"\n" + sse(USAGE_CHUNK).replace(b"data: {", b"data: ")
    chunks = [body[at : at + 10_000] for at in range(0, len(body), 10_000)]
    assert known(read("chat", *chunks)) == CHAT_COUNTS
    large = b"data: {" + b" " * 100_000 + b"\n" + noise + b"\n"
    chunks.clear()
    body = large + sse(USAGE_CHUNK).replace(b"data: {", b"data: ")
    chunks = [body[at : at + 10_000] for at in range(0, len(body), 10_000)]
    assert known(read("chat", *chunks)) == CHAT_COUNTS


def test_broken_events_do_not_hide_others() -> None:
    """An event that is no JSON is passed over, and the rest of the stream is read."""
    body = sse("{broken", '"text"', "[1, 2]", USAGE_CHUNK, '{"usage": ')
    assert known(read("chat", body)) == CHAT_COUNTS


def test_event_that_needs_too_much_is_dropped_alone() -> None:
    """An event that wants too much memory is lost and flagged, and no other with it."""
    body = sse({"error": "x" * 400_000}, USAGE_CHUNK)
    captured = read("chat", body)
    assert known(captured) == CHAT_COUNTS
    assert captured.flags == (flags.BODY_TOO_LARGE,)


@pytest.mark.parametrize(
    ("body", "expected", "is_streamed"),
    [
        (b'{"a": 1}', [{"a": 1}], False),
        (b'[{"a": 1}]', [{"a": 1}], True),
        (b'[{"a": 1}, {"b": 2}]', [{"a": 1}, {}], True),
        (b'{"a": 1}\n{"a": 2}\n', [{"a": 1}, {"a": 2}], True),
        (b'{"a": 1} trailing', [{"a": 1}], False),
        (b'{"a": 1', [], False),
        (b"[]", [], True),
    ],
)
def test_forms_of_json(body: bytes, expected: list[object], *, is_streamed: bool) -> None:
    """One object is a body; an array of objects, or several, are a stream."""
    found: list[object] = []

    def take(document: bytes) -> bool:
        try:
            found.append(json.loads(document))
        except ValueError:
            return False
        return True

    form = Form(KEPT, take)
    form.feed(body)
    reader = form.finish()
    assert isinstance(reader, Documents)
    assert found == expected
    assert reader.is_streamed == is_streamed

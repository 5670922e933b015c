"""A stream loses the usage that was asked for in its caller's stead, and nothing else."""

from __future__ import annotations

import json
import tracemalloc
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from majordomo_analytics.capture import taking
from majordomo_analytics.capture.taking import MAX_HELD_BYTES, UsageTaker
from tests.capture.bodies import CHAT_USAGE, RESPONSE, read, sse

MEGABYTE = 1024 * 1024


def taken(*chunks: bytes) -> bytes:
    """Return what a taker hands on of a body that comes in these chunks."""
    taker = UsageTaker()
    passed = b"".join([taker.feed(chunk) for chunk in chunks]) + taker.finish()
    assert not taker.is_left
    return passed


@dataclass(frozen=True)
class Event:
    """One event as a provider sends it when it is asked for usage, and when it is not."""

    asked: bytes
    not_asked: bytes


TEXTS = st.text(max_size=12) | st.sampled_from(
    ["usage", '"usage":null', ',"usage":{"a":1}}', '\\"usage\\"', "[DONE]", "\n\n", "Grüße 👋"]
)
USAGES = st.fixed_dictionaries(
    {"prompt_tokens": st.integers(0, 10**6), "completion_tokens": st.integers(0, 10**6)},
    optional={"prompt_tokens_details": st.just({"cached_tokens": 0, "usage": None})},
)
TOOL_CALL = {"index": 0, "function": {"name": "usage", "arguments": '{"usage":null,"choices":[]}'}}
CHOICES = st.fixed_dictionaries(
    {"delta": st.fixed_dictionaries({"content": TEXTS})},
    optional={
        "usage": st.none() | USAGES,
        "logprobs": st.just({"content": [{"token": "a", "usage": {"b": [1, {}]}}]}),
        "tool_calls": st.just([TOOL_CALL]),
        "finish_reason": st.none() | st.just("stop"),
    },
)
OTHERS = st.fixed_dictionaries(
    {},
    optional={
        "id": TEXTS,
        "model": st.just("m"),
        "object": st.just("usage"),
        "x_groq": st.fixed_dictionaries({"usage": USAGES}),
        "created": st.integers() | st.floats(allow_nan=False, allow_infinity=False),
        "obfuscation": TEXTS,
    },
)
FIELD_LINES = st.lists(
    st.sampled_from([": ping", 'event: "usage"', "id: 7", "retry: 3", "usage", "data", ":"]),
    max_size=2,
)


class Streams:
    """Draws streams: one spelling of JSON and of lines for each, and any events."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.end = draw(st.sampled_from(["\n", "\r\n", "\r"]))
        self.data = draw(st.sampled_from(["data: ", "data:"]))
        self.separators = draw(st.sampled_from([(",", ":"), (", ", ": "), (" , ", "\t: ")]))
        self.is_ascii = draw(st.booleans())
        self.indent = draw(st.sampled_from([None, None, None, 1]))
        self.usage_everywhere = draw(st.booleans())

    def dumps(self, members: dict[str, Any]) -> list[str]:
        text = json.dumps(
            members, separators=self.separators, ensure_ascii=self.is_ascii, indent=self.indent
        )
        return [self.data + line for line in text.split("\n")]

    def lines(self, *lines: str) -> bytes:
        return self.end.join([*lines, "", ""]).encode()

    def chunk(self) -> Event:
        """Return a chunk of the answer; its usage is null, or the usage up to here."""
        draw = self.draw
        choices = draw(st.lists(CHOICES, max_size=2))
        others = draw(OTHERS)
        members = [*others.items(), ("choices", choices)] if draw(st.booleans()) else []
        members = draw(st.permutations(members))
        usage = draw(USAGES) if self.usage_everywhere and choices else None
        at = draw(st.integers(0, len(members)))
        asked = dict([*members[:at], ("usage", usage), *members[at:]])
        before, after = draw(FIELD_LINES), draw(FIELD_LINES)
        return Event(
            self.lines(*before, *self.dumps(asked), *after),
            self.lines(*before, *self.dumps(dict(members)), *after),
        )

    def usage(self, usage: dict[str, Any]) -> Event:
        """Return the chunk that is only there because usage was asked for."""
        draw = self.draw
        members = [*draw(OTHERS).items(), ("choices", []), ("usage", usage)]
        members = draw(st.permutations(members))
        before, after = draw(FIELD_LINES), draw(FIELD_LINES)
        return Event(self.lines(*before, *self.dumps(dict(members)), *after), b"")

    def other(self) -> Event:
        """Return what stands between chunks: comments, marks, texts, blank lines."""
        draw = self.draw
        lines = draw(
            st.sampled_from(
                [
                    [": OPENROUTER PROCESSING"],
                    ["data: [DONE]"],
                    ["event: done", "data: [DONE]"],
                    ["data: the usage"],
                    ['data: {"usage":null'],
                    ['data: {"usage":null}}'],
                    ["data: {'usage':null,\"usage\":null}"],
                    ['data: ["usage",null]'],
                    ['data: "usage"'],
                    ['data: {"error":{"usage":null}}'],
                    ['datum: {"choices":[],"usage":{}}'],
                    ['usage: {"choices":[],"usage":{}}'],
                    [': {"choices":[],"usage":{}}'],
                    ["data"],
                    [],
                ]
            )
            | FIELD_LINES
        )
        event = self.lines(*lines) if lines else self.end.encode()
        return Event(event, event)


@st.composite
def streams(draw: st.DrawFn) -> tuple[list[Event], dict[str, Any]]:
    """Return the events of a stream, and the usage that it states at its end."""
    streams = Streams(draw)
    events = [
        streams.chunk() if draw(st.booleans()) else streams.other()
        for _ in range(draw(st.integers(0, 6)))
    ]
    usage = draw(USAGES)
    events.append(streams.usage(usage))
    events += [streams.other() for _ in range(draw(st.integers(0, 2)))]
    if draw(st.booleans()):
        mark = b"\xef\xbb\xbf"
        events[0] = Event(mark + events[0].asked, mark + events[0].not_asked)
    return events, usage


def cut(data: st.DataObject, body: bytes) -> list[bytes]:
    cuts = data.draw(st.lists(st.integers(0, len(body)), max_size=12))
    return [body[a:b] for a, b in pairwise([0, *sorted(cuts), len(body)])]


@given(case=streams(), data=st.data())
def test_caller_sees_the_stream_it_asked_for(
    case: tuple[list[Event], dict[str, Any]], data: st.DataObject
) -> None:
    """However it is written and cut, the stream is that of a caller who did not ask."""
    events, _ = case
    asked = b"".join([event.asked for event in events])
    not_asked = b"".join([event.not_asked for event in events])
    assert taken(asked) == not_asked
    assert taken(*cut(data, asked)) == not_asked
    assert taken(*[bytes((byte,)) for byte in asked]) == not_asked
    assert taken(*[event.asked for event in events]) == not_asked
    assert taken(not_asked) == not_asked


@given(case=streams(), data=st.data())
def test_whole_events_go_on_at_once(
    case: tuple[list[Event], dict[str, Any]], data: st.DataObject
) -> None:
    """What has come of a stream is handed on up to the event that has not ended."""
    events, _ = case
    asked = b"".join([event.asked for event in events])
    taker, passed, came = UsageTaker(), b"", 0
    for chunk in cut(data, asked):
        passed += taker.feed(chunk)
        came += len(chunk)
        ended, due = 0, b""
        for event in events:
            ended += len(event.asked)
            if ended > came:
                break
            due += event.not_asked
        assert passed.startswith(due)


@given(streams())
def test_usage_is_read_from_the_stream_as_it_came(
    case: tuple[list[Event], dict[str, Any]],
) -> None:
    """Of the bytes before they were filtered a reader finds the usage stated at the end."""
    events, usage = case
    captured = read("chat", b"".join([event.asked for event in events]))
    assert captured.usage.input_tokens == usage["prompt_tokens"]
    assert captured.usage.output_tokens == usage["completion_tokens"]


@given(case=streams(), data=st.data())
def test_reader_can_do_without_plain_chunks(
    case: tuple[list[Event], dict[str, Any]], data: st.DataObject
) -> None:
    """What the taker calls plain changes nothing about the usage or the error found."""
    events, _ = case
    error: dict[str, Any] = {"error": {"message": "overloaded"}, "choices": [{}], "usage": None}
    events.insert(data.draw(st.integers(0, len(events))), Event(sse(error), sse(error)))
    asked = [event.asked for event in events]
    chunks = asked if data.draw(st.booleans()) else cut(data, b"".join(asked))
    taker = UsageTaker()
    needed = []
    for chunk in chunks:
        taker.feed(chunk)
        if not taker.was_plain:
            needed.append(chunk)
    everything, rest = read("chat", *chunks), read("chat", *needed)
    assert rest.usage.raw == everything.usage.raw
    assert rest.usage.input_tokens == everything.usage.input_tokens
    assert rest.error_message == everything.error_message is not None


def test_plain_chunks_are_most_of_a_stream() -> None:
    """Those with null for usage, once it has begun; not the first, the usage, the end."""
    chunk = sse({"choices": [{"delta": {"content": "a"}}], "usage": None})
    nested = sse({"choices": [{"usage": {"prompt_tokens": 1}}], "usage": None})
    usage = sse({"choices": [], "usage": CHAT_USAGE})
    error = sse({"error": {"message": "no"}, "usage": None})
    cases = [
        (chunk, False),
        (chunk, True),
        (chunk + chunk, False),
        (chunk[:9], False),
        (chunk[9:], False),
        (chunk, True),
        (nested, False),
        (error, False),
        (sse({"choices": []}), False),
        (usage, False),
        (sse("[DONE]"), False),
        (b"", False),
    ]
    taker = UsageTaker()
    for body, was_plain in cases:
        taker.feed(body)
        assert taker.was_plain == was_plain, body


@pytest.mark.parametrize(
    ("asked", "not_asked"),
    [
        (b'{"a":1,"usage":null}', b'{"a":1}'),
        (b'{"usage":null, "a":1}', b'{"a":1}'),
        (b'{"a": 1, "usage": null}', b'{"a": 1}'),
        (b'{"a": 1, "usage": null, "b": 2}', b'{"a": 1, "b": 2}'),
        (b'{"a":1 ,"usage":null}', b'{"a":1}'),
        (b'{ "usage" : null , "a" : 1 }', b'{ "a" : 1 }'),
        (b'{ "a" : 1 , "usage" : null }', b'{ "a" : 1 }'),
        (b'{"usage":null}', b"{}"),
        (b'{"usage":null,"usage":{"x":1},"a":1,"usage":null}', b'{"a":1}'),
        (b'{"a":1,"usage":{"usage":{}},"choices":[1]}', b'{"a":1,"choices":[1]}'),
        (b'{"a":"usage","usage":null}', b'{"a":"usage"}'),
        (b'{"a":{"usage":null},"usage":null}', b'{"a":{"usage":null}}'),
        (b'{"a":{"b":1,"usage":null},"usage":null}', b'{"a":{"b":1,"usage":null}}'),
        (b'{"a":{"b":1,"usage":null},"us\\u0061ge":null}', b'{"a":{"b":1,"usage":null}}'),
        (b'{"choices":[],"usage":null}', b'{"choices":[]}'),
        (b'{"choices":{},"usage":{}}', b'{"choices":{}}'),
        (b'{"choices":[[]],"usage":{}}', b'{"choices":[[]]}'),
        (b'{"a":NaN,"usage":null}', b'{"a":NaN}'),
        (b'{"a":"\\ud83d","usage":null}', b'{"a":"\\ud83d"}'),
        (b'{"a":"\xff\xfe","usage":null}', b'{"a":"\xff\xfe"}'),
        (b'{"a":1e400,"usage":null}', b'{"a":1e400}'),
    ],
)
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_member_is_cut_with_one_comma(asked: bytes, not_asked: bytes, end: bytes) -> None:
    """The member goes with its comma and spaces; what else is odd about the text stays."""
    body = b"data: {}" + 2 * end + b"data: " + asked + 2 * end
    expected = b"data: {}" + 2 * end + b"data: " + not_asked + 2 * end
    assert taken(body) == expected
    assert taken(body[: len(body) // 2], body[len(body) // 2 :]) == expected


@pytest.mark.parametrize(
    "data",
    [
        b'{"choices":[1],"usage":5}',
        b'{"usage":"none"}',
        b'{"usage":[null]}',
        b'{"usage":null,}',
        b'{"usage":null',
        b'{"x_groq":{"usage":{"prompt_tokens":1}}}',
        b'[{"usage":null}]',
        b'{"a":1,\n"usage":null}',
        b'{"a":1,\r"usage":null}',
    ],
)
def test_data_that_are_left_alone(data: bytes) -> None:
    """What is no usage, not at the top, or no JSON that can be read, stays as it is."""
    for end in (b"", b"\n", b"\n\n"):
        body = b"data: {}\n\ndata: " + data + end
        assert taken(body) == body
        assert taken(body[:10], body[10:]) == body


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_dropped_event_takes_its_lines_with_it(end: bytes) -> None:
    """Its id, name and comments go, its blank line too; those of its neighbours stay."""
    before = end.join([b"id: 1", b'data: {"choices":[{}]}', b"", b""])
    usage = end.join([b": c", b"id: 2", b"event: e", b'data: {"choices": [],', b'data: "usage":'])
    usage += b"{}}" + end + b"retry: 1" + 2 * end
    after = end + b"id: 3" + end + b"data: [DONE]" + 2 * end
    assert taken(before + usage + after) == before + after
    for at in range(len(before + usage + after)):
        body = before + usage + after
        assert taken(body[:at], b"", body[at:]) == before + after


def test_last_event_needs_no_blank_line() -> None:
    """A stream whose end is missing loses its usage all the same; half an event stays."""
    for end in (b"", b"\n", b"\r", b"\r\n"):
        assert taken(b'data: {"choices":[],"usage":{}}' + end) == b""
        assert taken(b'data: {"a":1,"usage":null}' + end) == b'data: {"a":1}' + end
        assert taken(b'data: {"a":1,"usage":nul' + end) == b'data: {"a":1,"usage":nul' + end


def test_data_mingled_with_other_lines_are_left_and_said_to_be() -> None:
    """A comment amid the very text to cut is no text to cut."""
    body = b'data: {"a":1,\n: c\ndata: "usage":null}\n\n'
    taker = UsageTaker()
    assert taker.feed(body) + taker.finish() == body
    assert taker.is_left


@pytest.mark.parametrize(
    "body",
    [
        json.dumps(RESPONSE).encode(),
        json.dumps({"error": {"message": "no"}, "usage": None}, indent=2).encode(),
        b'\xef\xbb\xbf \r\n\n{"choices":[],"usage":{}}\n\n{"choices":[],"usage":{}}\n\n',
        b'[{"choices":[],"usage":{}}]',
        b"<html>\n\n<p>bad gateway</p>\n\n</html>",
        b"",
        b"\n\r\n\r",
        b"\xef\xbb",
    ],
)
def test_body_that_is_no_stream_passes(body: bytes) -> None:
    """An answer that is not made of events goes on unchanged, wherever it is cut."""
    for at in range(len(body) + 1):
        assert taken(body[:at], body[at:]) == body
    taker = UsageTaker()
    if body.lstrip(b"\xef\xbb\xbf \r\n")[:1] in {b"{", b"["}:
        assert [taker.feed(body[at : at + 5]) for at in range(0, len(body), 5)] == [
            body[at : at + 5] for at in range(0, len(body), 5)
        ]


@given(st.lists(st.binary(max_size=20) | st.sampled_from([b"data: ", b'{"usage":null}', b"\n"])))
def test_any_bytes_are_survived(chunks: list[bytes]) -> None:
    """Nothing raises, and where nothing is called usage, nothing is missing."""
    taker = UsageTaker()
    passed = b"".join([taker.feed(chunk) for chunk in chunks]) + taker.finish()
    assert len(passed) <= len(b"".join(chunks))
    if b"usage" not in b"".join(chunks):
        assert passed == b"".join(chunks)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_long_event_passes_as_it_is_and_is_flagged(
    end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over the bound an event goes on as it comes; those around it lose their usage."""
    monkeypatch.setattr(taking, "MAX_HELD_BYTES", 100)
    short: dict[str, Any] = {"choices": [{}], "usage": None}
    long = {"choices": [{"delta": {"content": "x" * 100}}], "usage": None}
    usage: dict[str, Any] = {"choices": [], "usage": {}}
    body = sse(short, usage, long, short, {**usage, "usage": CHAT_USAGE}, end=end)
    expected = sse({"choices": [{}]}, long, {"choices": [{}]}, end=end)
    long_usage = sse({**usage, "usage": CHAT_USAGE}, end=end)
    assert len(long_usage) > 100
    expected += long_usage
    cuts = [[body[at : at + size] for at in range(0, len(body), size)] for size in (1, 3, 50)]
    events = [event + 2 * end.encode() for event in body.split(2 * end.encode())[:-1]]
    for chunks in (*cuts, events, [body]):
        taker = UsageTaker()
        passed = [taker.feed(chunk) for chunk in chunks]
        assert b"".join(passed) + taker.finish() == expected
        assert taker.is_left


def test_long_line_is_not_held() -> None:
    """Of a line of 64 MB little is held, and what came of it before goes on."""
    piece = b"x" * 65536
    taker = UsageTaker()
    came = passed = 0
    tracemalloc.start()
    try:
        came += len(b'data: {"a":"')
        passed += len(taker.feed(b'data: {"a":"'))
        for _ in range(64 * MEGABYTE // len(piece)):
            came += len(piece)
            passed += len(taker.feed(piece))
            assert came - passed <= MAX_HELD_BYTES
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taker.is_left
    assert taker.feed(b'","usage":null}\n\ndata: {"a":1,"usage":null}\n\n') == (
        b'","usage":null}\n\ndata: {"a":1}\n\n'
    )
    assert peak < 2 * MEGABYTE

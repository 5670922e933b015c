"""Bytes that are cut, coded and framed in any way, and numbers that are none."""

from __future__ import annotations

import gzip
import json
import random
import zlib
from collections.abc import Callable

import brotli
import pytest

from majordomo_analytics.capture.reader import Captured
from majordomo_analytics.capture.requests import RequestReader
from majordomo_analytics.records import flags
from tests.capture.bodies import Case, read, sse
from tests.capture.cases import CASES
from tests.support.compressed import ENCODINGS

USAGE = {
    "prompt_tokens": 70,
    "completion_tokens": 50,
    "total_tokens": 120,
    "prompt_tokens_details": {"cached_tokens": 10},
    "completion_tokens_details": {"reasoning_tokens": 20},
}
CHUNK = {"id": "c", "model": "gpt-5", "choices": [{"delta": {"content": "Größe 👋 你好"}}]}
LAST = {"id": "c", "model": "gpt-5", "choices": [], "usage": USAGE}
STREAM = sse(CHUNK, CHUNK, LAST, "[DONE]")
JSON = json.dumps({**CHUNK, "choices": [], "usage": USAGE}).encode()

each_stream = pytest.mark.parametrize(
    "case", [case for case in CASES if case.is_streamed], ids=lambda case: case.name
)


def is_right(captured: Captured) -> bool:
    usage = captured.usage
    counts = (usage.input_tokens, usage.cached_tokens, usage.output_tokens, usage.reasoning_tokens)
    return counts == (70, 10, 50, 20) and usage.status == "reported"


@each_stream
def test_trap_05_stream_cut_at_every_byte(case: Case) -> None:
    """One byte at a time, and cut in two anywhere, it says what it says in one piece."""
    whole = case.read()
    assert case.read(*(bytes((byte,)) for byte in case.body)) == whole
    for at in range(len(case.body)):
        assert case.read(case.body[:at], case.body[at:]) == whole, f"cut at {at}"


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=["LF", "CRLF", "CR"])
@pytest.mark.parametrize(
    "change",
    [
        lambda body, end: body,
        lambda body, end: body.rstrip(),
        lambda body, end: b"\xef\xbb\xbf" + body,
        lambda body, end: (": ping" + end + end).encode() + body,
        lambda body, end: body.replace(b"data: ", b"data:"),
        lambda body, end: body.replace(b"data: ", ("event: x" + end + "data: ").encode()),
    ],
    ids=["as it is", "no last blank line", "mark", "comment", "no space", "names"],
)
def test_trap_06_line_ends_comments_and_marks(
    end: str, change: Callable[[bytes, str], bytes]
) -> None:
    assert is_right(read("chat", change(sse(CHUNK, LAST, "[DONE]", end=end), end)))


@pytest.mark.parametrize("size", [100_000, 8_000_000])
def test_trap_07_line_of_100_kb_and_of_8_mb(size: int) -> None:
    """A line has no limit: terminal events repeat whole answers."""
    long = {**LAST, "instructions": "x" * size}
    body = sse(CHUNK, long, "[DONE]")
    assert is_right(read("chat", *(body[at : at + 65536] for at in range(0, len(body), 65536))))


@pytest.mark.parametrize("label", [None, "gzip", "br", "zstd", "deflate", "identity"])
@pytest.mark.parametrize("sent", ["gzip", "zstd"])
def test_trap_08_mislabelled_encodings(sent: str, label: str | None) -> None:
    """The first bytes decide, where an encoding has first bytes of its own."""
    assert is_right(read("chat", ENCODINGS[sent].compress(STREAM), content_encoding=label))


@pytest.mark.parametrize("label", ["gzip", "br", "zstd", "deflate"])
def test_trap_08_plain_text_labelled_as_compressed(label: str) -> None:
    assert is_right(read("chat", STREAM, content_encoding=label))


@pytest.mark.parametrize(
    ("header", "body"),
    [
        ("gzip", gzip.compress(STREAM[:100]) + gzip.compress(STREAM[100:])),
        ("gzip, br", brotli.compress(gzip.compress(STREAM))),
        ("deflate", zlib.compress(STREAM)[2:-4]),
        ("br", brotli.compress(STREAM)),
    ],
    ids=["members", "twice", "raw deflate", "br"],
)
def test_trap_08_members_and_layers(header: str, body: bytes) -> None:
    assert is_right(read("chat", body, content_encoding=header))


@pytest.mark.parametrize("name", ["gzip", "deflate", "br", "zstd"])
def test_trap_08_truncated_bodies_are_partial_at_most(name: str) -> None:
    """What was cut is never taken for the whole."""
    filler = random.Random(7).randbytes(20_000).hex()
    body = ENCODINGS[name].compress(json.dumps({"x": filler, **LAST}).encode())
    captured = read("chat", body[: len(body) // 2], content_encoding=name, complete=True)
    assert captured.usage.status == "missing"


@pytest.mark.parametrize("name", ["gzip", "br", "zstd"])
def test_trap_08_bombs_are_not_unfolded(name: str) -> None:
    """A small body that unfolds to a large one is closed, flagged, and costs no memory."""
    bomb = ENCODINGS[name].compress(b" " * (600 * 2**20))
    assert len(bomb) < 2 * 2**20
    captured = read("chat", bomb, content_encoding=name)
    assert captured.usage.status == "missing"
    assert flags.BODY_TOO_LARGE in captured.flags


def test_trap_09_request_body_in_zstd() -> None:
    """Some callers send nothing else: its model and stream are inside."""
    reader = RequestReader(content_encoding="zstd")
    reader.feed(ENCODINGS["zstd"].compress(b'{"model": "gpt-5", "stream": true}'))
    facts = reader.finish()
    assert (facts.model, facts.stream) == ("gpt-5", True)


@pytest.mark.parametrize(
    "written", ["null", '"7"', "7.0", "true", "1e30", "-7", "NaN", "[7]", "9223372036854775808"]
)
def test_trap_10_counts_that_are_none(written: str) -> None:
    """Such a count is unknown; the others stand, and the row says that it was odd."""
    usage = f'{{"prompt_tokens": {written}, "completion_tokens": 50}}'
    captured = read("chat", f'{{"choices": [], "usage": {usage}}}'.encode())
    assert (captured.usage.input_tokens, captured.usage.output_tokens) == (None, 50)
    odd = () if written == "null" else (flags.USAGE_BAD_NUMBER,)
    assert captured.usage.flags == odd


def test_trap_10_usage_that_is_none() -> None:
    for body in (b'{"usage": null}', b'{"usage": []}', b'{"usage": "free"}', b"{}"):
        usage = read("chat", body).usage
        assert (usage.status, usage.input_tokens, usage.output_tokens) == ("missing", None, None)


def over_its_whole(details: str, part: str, count: int) -> Captured:
    usage = {**USAGE, details: {part: count}}
    return read("chat", json.dumps({**LAST, "usage": usage}).encode())


def test_trap_11_more_cached_than_there_was() -> None:
    """It is kept as it was said, and flagged: nothing is clamped in silence."""
    usage = over_its_whole("prompt_tokens_details", "cached_tokens", 71).usage
    assert (usage.input_tokens, usage.cached_tokens) == (70, 71)
    assert usage.flags == (flags.USAGE_PART_OVER_WHOLE,)


def test_trap_12_more_reasoning_than_output() -> None:
    usage = over_its_whole("completion_tokens_details", "reasoning_tokens", 51).usage
    assert (usage.output_tokens, usage.reasoning_tokens) == (50, 51)
    assert usage.flags == (flags.USAGE_PART_OVER_WHOLE,)


def message(usage: dict[str, object], delta: dict[str, object]) -> Captured:
    start = {"type": "message_start", "message": {"model": "claude-opus-4-5", "usage": usage}}
    return read("messages", sse(start, {"type": "message_delta", "usage": delta}))


def test_trap_13_delta_larger_than_start_replaces_it() -> None:
    """Tools the provider ran have grown the prompt; the delta is cumulative."""
    usage = message(
        {"input_tokens": 2050, "output_tokens": 1}, {"input_tokens": 31772, "output_tokens": 9}
    ).usage
    assert (usage.input_tokens, usage.output_tokens) == (31772, 9)


def test_trap_13_null_in_a_delta_leaves_what_was() -> None:
    usage = message(
        {"input_tokens": 70, "output_tokens": 1}, {"input_tokens": None, "output_tokens": 9}
    ).usage
    assert (usage.input_tokens, usage.output_tokens) == (70, 9)


def test_trap_13_iterations_are_what_is_billed() -> None:
    """The sums at the top leave calls out that another model made; each is billed."""
    calls = [
        {"type": "message", "input_tokens": 100, "output_tokens": 10},
        {
            "type": "advisor_message",
            "model": "claude-opus-4-8",
            "input_tokens": 900,
            "output_tokens": 40,
        },
        {"type": "message", "input_tokens": 120, "output_tokens": 5},
    ]
    top = {"input_tokens": 220, "output_tokens": 15, "iterations": calls}
    usage = message({"input_tokens": 220, "output_tokens": 1}, top).usage
    assert (usage.input_tokens, usage.output_tokens) == (1120, 55)
    assert [call.model for call in usage.iterations] == [None, "claude-opus-4-8", None]


@pytest.mark.parametrize("ending", ["incomplete", "failed"])
def test_trap_14_incomplete_and_failed_responses_state_usage(ending: str) -> None:
    usage = {"input_tokens": 70, "output_tokens": 50, "total_tokens": 120}
    response = {"id": "r", "model": "gpt-5", "status": ending, "usage": usage}
    event = {"type": f"response.{ending}", "response": response}
    captured = read("responses", sse(event))
    assert (captured.usage.input_tokens, captured.usage.output_tokens) == (70, 50)
    assert captured.usage.status == "reported"
    assert (captured.error_message is None) is (ending == "incomplete")


def test_trap_15_stream_without_usage_is_missing() -> None:
    """Unknown is null, never 0."""
    usage = read("chat", sse(CHUNK, CHUNK, "[DONE]")).usage
    assert (usage.status, usage.input_tokens, usage.output_tokens) == ("missing", None, None)

"""Whatever an answer says, the reader does not raise and does not believe nonsense."""

from __future__ import annotations

import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from majordomo_analytics.capture.accumulator import MAX_USAGE_BYTES
from majordomo_analytics.capture.flavours import Flavour
from majordomo_analytics.capture.reader import ACCUMULATORS, NOTHING, Captured
from majordomo_analytics.records import flags
from majordomo_analytics.records.usage import MAX_COUNT
from tests.capture import bodies_clouds
from tests.capture.bodies import CHAT_CHUNK, Case, known, read, sse
from tests.capture.cases import CASES

NO_COUNTS = ["-5", "5.0", "1e3", "1e30", '"5"', "true", "[5]", "{}", "NaN", "-Infinity", "1e999"]
TOO_LARGE = [str(MAX_COUNT + 1), "9" * 5000]
FLAVOURS: list[Flavour] = list(ACCUMULATORS)
MEMBERS = [
    *("usage", "usageMetadata", "choices", "candidates", "response", "message", "error", "type"),
    *("chunk", "delta", "interaction", "meta", "metadata", "trace", "results", "embedding"),
    *("x_groq", "tool_usage", "promptFeedback", "model", "id", "service_tier"),
    *("output", "usage_breakdown", "object", "status", "background", "duration", "last_error"),
]
CHAT = '{"usage": {"prompt_tokens": %s, "completion_tokens": 7}}'
OTHER = '{"usage": {"input_tokens": %s, "output_tokens": 7}}'
TEMPLATES: dict[Flavour, str] = {
    "chat": CHAT,
    "completions": CHAT,
    "embeddings": CHAT,
    "responses": OTHER,
    "background_response": '{"background": true, "status": "completed", ' + OTHER[1:],
    "images": OTHER,
    "transcriptions": OTHER,
    "speech": OTHER,
    "assistants": '{"object": "thread.run", ' + CHAT[1:],
    "messages": OTHER,
    "generate_content": '{"usageMetadata": {"promptTokenCount": %s, "candidatesTokenCount": 7}}',
    **bodies_clouds.TEMPLATES,
}
REST: dict[Flavour, dict[str, int]] = {
    "images": {"output_tokens": 7, "output_image_tokens": 7},
    "speech": {"output_tokens": 7, "output_audio_tokens": 7},
}
"""What is known beside the bad count, where one count tells of another."""


@pytest.mark.parametrize("flavour", TEMPLATES)
@pytest.mark.parametrize("value", NO_COUNTS + TOO_LARGE)
def test_what_is_no_count_is_null_and_flagged(flavour: Flavour, value: str) -> None:
    """A count that is no count is unknown and flagged; the other counts stand."""
    captured = read(flavour, (TEMPLATES[flavour] % value).encode())
    assert known(captured) == REST.get(flavour, {"output_tokens": 7})
    assert captured.usage.flags == (flags.USAGE_BAD_NUMBER,)
    assert captured.usage.status == "reported"
    assert captured.flags == ()


@pytest.mark.parametrize("value", [*NO_COUNTS, *TOO_LARGE])
@pytest.mark.parametrize(
    ("flavour", "template", "names"),
    [
        ("chat", '{"cost_in_usd_ticks": %s}', {"stated_cost"}),
        ("chat", '{"prompt_tokens_details": {"cached_tokens": %s}}', {"cached_tokens"}),
        ("chat", '{"num_cached_tokens": %s}', {"cached_tokens"}),
        ("chat", '{"server_side_tool_usage_details": {"x_search_calls": %s}}', {"social_searches"}),
        ("chat", '{"server_tool_use_details": {"web_search_requests": %s}}', {"web_searches"}),
        ("responses", '{"output_tokens_details": {"reasoning_tokens": %s}}', {"reasoning_tokens"}),
        ("messages", '{"server_tool_use": {"web_search_requests": %s}}', {"web_searches"}),
        ("messages", '{"cache_read_input_tokens": %s}', {"cached_tokens", "input_tokens"}),
    ],
)
def test_part_that_is_no_count_is_null_and_flagged(
    flavour: Flavour, template: str, names: set[str], value: str
) -> None:
    """A part that is no count is unknown and flagged, with the whole it would change."""
    good = "input_tokens" if flavour != "chat" else "prompt_tokens"
    usage = f'{{"{good}": 40, "output_tokens": 7, ' + (template % value)[1:]
    captured = read(flavour, f'{{"usage": {usage}}}'.encode())
    expected = {"input_tokens": 40, "output_tokens": 7}
    assert known(captured) == {k: v for k, v in expected.items() if k not in names}
    assert captured.usage.flags == (flags.USAGE_BAD_NUMBER,)


@pytest.mark.parametrize("flavour", TEMPLATES)
def test_null_is_unknown_and_not_odd(flavour: Flavour) -> None:
    """A count that is null is unknown, which is nothing to be flagged."""
    captured = read(flavour, (TEMPLATES[flavour] % "null").encode())
    assert known(captured) == REST.get(flavour, {"output_tokens": 7})
    assert captured.usage.flags == ()


@pytest.mark.parametrize("flavour", TEMPLATES)
def test_largest_count_is_a_count(flavour: Flavour) -> None:
    """Counts up to the largest that a database takes are kept; zero is known to be zero."""
    for count in (0, MAX_COUNT):
        assert read(flavour, (TEMPLATES[flavour] % count).encode()).usage.input_tokens == count


def test_of_equal_names_the_last_counts() -> None:
    """Duplicate members are read as every JSON parser reads them."""
    body = b'{"usage": {"prompt_tokens": 1, "prompt_tokens": 2}, "model": "a", "model": "b"}'
    captured = read("chat", body)
    assert (captured.usage.input_tokens, captured.model) == (2, "b")


def test_sum_beyond_the_largest_count_is_unknown() -> None:
    """Counts that cannot be added within the range are not added, and do not wrap."""
    usage = {"input_tokens": MAX_COUNT, "cache_read_input_tokens": 1, "output_tokens": 1}
    captured = read("messages", json.dumps({"usage": usage}).encode())
    assert known(captured) == {"cached_tokens": 1, "output_tokens": 1}


@pytest.mark.parametrize("usage", ['"none"', "5", "true", "[1]", "NaN"])
@pytest.mark.parametrize("flavour", ["chat", "messages"])
def test_usage_that_is_no_object_is_missing(flavour: Flavour, usage: str) -> None:
    """Usage of a wrong kind is no usage; a good one before it stands."""
    captured = read(flavour, f'{{"usage": {usage}}}'.encode())
    assert captured.usage.status == "missing"
    assert captured.usage.flags == (flags.USAGE_BAD_NUMBER,)
    good = '{"type": "message_delta", "usage": {"prompt_tokens": 3, "input_tokens": 3}}'
    stream = read(flavour, sse(good, f'{{"usage": {usage}}}'))
    assert stream.usage.input_tokens == 3


def test_usage_without_counts_is_missing() -> None:
    """An empty usage object, or one of strangers, is kept but tells no counts."""
    captured = read("chat", b'{"usage": {"pages": 3}}')
    assert (captured.usage.status, captured.usage.source) == ("missing", None)
    assert captured.usage.raw == '{"pages": 3}'


def test_usage_of_a_size_beyond_reason_is_not_read() -> None:
    """A usage object larger than any real one is not kept, and the row says so."""
    usage = {"prompt_tokens": 1, "pad": "x" * MAX_USAGE_BYTES}
    captured = read("chat", json.dumps({"usage": usage}).encode())
    assert captured.usage.status == "missing"
    assert captured.flags == (flags.BODY_TOO_LARGE,)


@pytest.mark.parametrize(
    ("model", "expected", "found"),
    [
        (b'"a\\u0000b"', "ab", (flags.TEXT_CLEANED,)),
        (b'"a\\ud83db"', "a\ufffdb", ()),
        (b'"\\ud83d\\ude00"', "\U0001f600", ()),
        (b'"\\\\ud83d"', "\\ud83d", ()),
        (b'"a\xff\xc3"', "a\ufffd\ufffd", ()),
        (b'"' + b"m" * 300 + b'"', "m" * 300, ()),
        (b'"' + b"m" * 3000 + b'"', "m" * 1000, ()),
        (b'"a\\q"', None, (flags.BODY_NOT_READ,)),
        (b'""', None, ()),
        (b"5", None, ()),
        (b"null", None, ()),
        (b'{"name": "m"}', None, ()),
    ],
)
def test_text_is_made_fit_for_a_database(
    model: bytes, expected: str | None, found: tuple[str, ...]
) -> None:
    """Text that no database takes is repaired, and never costs the counts beside it."""
    body = b'{"model": ' + model + b', "usage": {"prompt_tokens": 3}}'
    captured = read("chat", body)
    assert captured.model == expected
    assert captured.flags == found


def test_broken_text_in_the_answer_does_not_cost_the_counts() -> None:
    """Half an emoji, a control character or bad UTF-8 in the answer itself does no harm."""
    for content in (b"\\ud83d", b"a\nb", b"\xff\xfe", b"\\q", b"[" * 3000, b"\\u12"):
        value = content if content.startswith(b"[") else b'"' + content + b'"'
        value += b"]" * value.count(b"[")
        body = b'{"choices": [{"message": ' + value + b'}], "usage": {"prompt_tokens": 3}}'
        assert read("chat", body).usage.input_tokens == 3, content


@pytest.mark.parametrize(
    "body", [b"<html>Bad gateway</html>", b"5", b'"text"', b"{broken", b"\xff"]
)
def test_body_that_is_no_json_is_flagged(body: bytes) -> None:
    """A whole body without a document could not be read; a cut one is just cut."""
    captured = read("chat", body)
    assert captured.usage.status == "missing"
    assert captured.flags == (flags.BODY_NOT_READ,)
    assert read("chat", body, complete=False).flags == ()


def test_empty_body_says_nothing() -> None:
    """A response without a body is not odd, and has no usage."""
    assert read("chat") == read("chat", b"") == Captured()


def test_unknown_flavour_reads_nothing() -> None:
    """Without a flavour nothing is read, whatever the body holds."""
    assert read(None, CASES[0].body) is NOTHING


@given(
    flavour=st.sampled_from(FLAVOURS),
    body=st.binary(max_size=400)
    | st.text(alphabet='{}[]":,\\ data1\n', max_size=400).map(str.encode),
    content_encoding=st.sampled_from([None, "gzip", "deflate", "br", "zstd"]),
    is_gzip=st.booleans(),
)
def test_any_bytes_are_survived(
    flavour: Flavour, body: bytes, content_encoding: str | None, *, is_gzip: bool
) -> None:
    """No body makes the reader raise."""
    sent = gzip.compress(body) if is_gzip else body
    read(flavour, sent[:50], sent[50:], content_encoding=content_encoding)


@given(case=st.sampled_from(CASES), data=st.data())
def test_damaged_answers_are_survived(case: Case, data: st.DataObject) -> None:
    """An answer with some bytes replaced never makes the reader raise."""
    body = bytearray(case.body)
    for _ in range(data.draw(st.integers(1, 5))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    case.read(bytes(body))


@given(
    flavour=st.sampled_from(FLAVOURS),
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3),
        max_leaves=5,
    ),
    name=st.sampled_from(MEMBERS),
)
def test_members_of_any_kind_are_survived(flavour: Flavour, value: object, name: str) -> None:
    """A member of a kind that nobody expects never makes the reader raise."""
    read(flavour, json.dumps(CHAT_CHUNK | {name: value}).encode())
    read(flavour, sse({name: value}))

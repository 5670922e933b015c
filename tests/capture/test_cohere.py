"""Cohere: billed units are what counts, of two versions of the API and its neighbours."""

from __future__ import annotations

import json

import pytest

from majordomo_analytics.capture.flavours import Flavour
from majordomo_analytics.records import flags
from tests.capture.bodies import known, read, sse
from tests.capture.bodies_clouds import COHERE_USAGE, COHERE_V1, lines


@pytest.mark.parametrize("name", ["usage", "meta"])
@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        (
            {"tokens": {"input_tokens": 9, "output_tokens": 4}, "billed_units": None},
            {"input_tokens": 9, "output_tokens": 4},
        ),
        (
            {"tokens": {"input_tokens": 9}, "billed_units": {"classifications": 1}},
            {"input_tokens": 9},
        ),
        (
            {
                "tokens": {"input_tokens": 9, "output_tokens": 4},
                "billed_units": {"input_tokens": 2},
            },
            {"input_tokens": 2},
        ),
        ({"billed_units": {"input_tokens": 0, "output_tokens": 0}}, {"input_tokens": 0}),
        ({"api_version": {"version": "2"}}, {}),
    ],
)
def test_tokens_count_only_where_nothing_is_billed(
    name: str, stated: dict[str, object], expected: dict[str, object]
) -> None:
    """All tokens are read where billed units are absent, and never mixed with them."""
    if expected == {"input_tokens": 0}:
        expected = expected | {"output_tokens": 0}
    captured = read("cohere_chat", json.dumps({name: stated}).encode())

    assert known(captured) == expected
    assert captured.usage.flags == ()


def test_cache_larger_than_what_is_billed_is_flagged() -> None:
    """Cohere counts its cache in tokens that it does not bill: a part over its whole."""
    body = {"usage": COHERE_USAGE | {"cached_tokens": 1040}}
    captured = read("cohere_chat", json.dumps(body).encode())

    assert captured.usage.cached_tokens == 1040
    assert captured.usage.input_tokens == 62
    assert captured.usage.flags == (flags.USAGE_PART_OVER_WHOLE,)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"id": "x", "message": "model not found"}', "model not found"),
        (b'{"detail": "bad model"}', "bad model"),
        (b'{"message": {"role": "assistant", "content": []}}', None),
        (b'{"error": {"message": "no"}}', "no"),
    ],
)
def test_error_is_text_where_an_answer_is_an_object(body: bytes, message: str | None) -> None:
    """The member that holds the message of an answer holds that of an error, too."""
    for flavour in ("cohere_chat", "embed", "rerank"):
        captured = read(flavour, body)
        assert captured.error_message == message
        assert captured.usage.status == "missing"


@pytest.mark.parametrize(
    "last",
    [
        {"type": "message-end", "delta": {"finish_reason": "ERROR", "error": "It broke"}},
        {"type": "message-end", "delta": {"error": "It broke", "usage": None}},
    ],
)
def test_stream_that_ends_in_an_error_says_so(last: object) -> None:
    """The last event of a stream may be an error."""
    start = {"type": "message-start", "id": "c-1", "delta": {"message": {}}}
    captured = read("cohere_chat", sse(start, last))

    assert captured.error_message == "It broke"
    assert captured.flags == (flags.ERROR_IN_STREAM,)
    assert captured.usage.status == "missing"


def test_usage_of_an_error_is_kept() -> None:
    """A stream that ended in an error states what it had used by then."""
    delta = {"finish_reason": "ERROR", "error": "It broke", "usage": COHERE_USAGE}
    captured = read("cohere_chat", sse({"type": "message-end", "delta": delta}))

    assert captured.usage.status == "reported"
    assert captured.usage.output_tokens == 28


def test_answer_is_final_with_its_last_event() -> None:
    """The last event, or line, is enough: what comes after it tells nothing more."""
    end = {"type": "message-end", "delta": {"usage": COHERE_USAGE}}
    assert read("cohere_chat", sse(end), complete=False).usage.status == "reported"
    body = lines({"event_type": "stream-start"}, {"response": COHERE_V1})
    assert read("cohere_chat", body, complete=False).usage.status == "reported"


@pytest.mark.parametrize(
    ("flavour", "body", "expected"),
    [
        ("embed", {"meta": {"billed_units": {"images": 2}}}, {}),
        (
            "embed",
            {"meta": {"billed_units": {"image_tokens": 5}}},
            {"input_tokens": 5, "input_image_tokens": 5, "output_tokens": 0},
        ),
        ("rerank", {"results": []}, {}),
        ("rerank", {"usage": {"total_tokens": 0}}, {"input_tokens": 0, "output_tokens": 0}),
        (
            "rerank",
            {"usage": {"prompt_tokens": 8, "completion_tokens": 0, "total_tokens": 8}},
            {"input_tokens": 8, "output_tokens": 0},
        ),
    ],
)
def test_nothing_written_is_zero_only_where_something_is_known(
    flavour: Flavour, body: dict[str, object], expected: dict[str, object]
) -> None:
    """Embeddings and rerankings write nothing, but one that states nothing is missing."""
    captured = read(flavour, json.dumps(body).encode())

    assert known(captured) == expected
    assert captured.usage.status == ("reported" if expected else "missing")

"""Anthropic: the prompt is input and cache together, and a delta replaces, never adds."""

from __future__ import annotations

import json

import pytest

from majordomo_analytics.records import flags
from tests.capture.bodies import MESSAGE_DELTA, MESSAGE_START, TEXT_DELTA, known, read, sse

STOP = {"type": "message_stop"}


def delta(**usage: object) -> dict[str, object]:
    return {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage}


def test_cut_stream_has_input_and_no_output() -> None:
    """Before the delta the prompt is known; the one output token is only a seed."""
    captured = read("messages", sse(MESSAGE_START, TEXT_DELTA), complete=False)
    assert (captured.usage.status, captured.usage.source) == ("partial", "stream_partial")
    assert captured.usage.input_tokens == 3 + 500 + 2000
    assert captured.usage.cached_tokens == 2000
    assert captured.usage.output_tokens is None
    assert '"output_tokens": 1' in str(captured.usage.raw)


def test_stream_cut_after_the_delta_is_reported() -> None:
    """Once the delta has come, nothing about usage is missing."""
    captured = read("messages", sse(MESSAGE_START, MESSAGE_DELTA), complete=False)
    assert captured.usage.status == "reported"
    assert captured.usage.output_tokens == 88


@pytest.mark.parametrize(
    ("usage", "input_tokens", "output_tokens"),
    [
        ({"output_tokens": 9}, 2503, 9),
        ({"output_tokens": 9, "input_tokens": None}, 2503, 9),
        ({"output_tokens": 9, "input_tokens": 31_772}, 31_772 + 2500, 9),
        ({"output_tokens": 9, "cache_read_input_tokens": 0}, 503, 9),
        ({"output_tokens": 0, "input_tokens": 0}, 2500, 0),
    ],
)
def test_delta_replaces_what_it_names(
    usage: dict[str, object], input_tokens: int, output_tokens: int
) -> None:
    """A count in the delta takes the place of the one before, zero too; null does not."""
    captured = read("messages", sse(MESSAGE_START, delta(**usage), STOP))
    assert captured.usage.input_tokens == input_tokens
    assert captured.usage.output_tokens == output_tokens


def test_merged_usage_is_kept_verbatim() -> None:
    """Every member of both usage objects is in the raw usage, as the provider wrote it."""
    iterations = [{"type": "message", "input_tokens": 5}, {"model": "claude-opus-4-1"}]
    captured = read("messages", sse(MESSAGE_START, delta(output_tokens=7, iterations=iterations)))
    assert captured.usage.raw is not None
    merged = json.loads(captured.usage.raw)
    assert merged["iterations"] == iterations
    assert merged["output_tokens"] == 7
    assert merged["cache_creation"] == {
        "ephemeral_5m_input_tokens": 400,
        "ephemeral_1h_input_tokens": 100,
    }


def test_thinking_and_speed_are_read() -> None:
    """Thinking is a part of the output; speed and tier are what the answer says."""
    body = {
        "type": "message",
        "usage": {
            "input_tokens": 1,
            "output_tokens": 50,
            "output_tokens_details": {"thinking_tokens": 40},
            "speed": "fast",
            "service_tier": "batch",
        },
    }
    assert known(read("messages", json.dumps(body).encode())) == {
        "input_tokens": 1,
        "output_tokens": 50,
        "reasoning_tokens": 40,
        "speed": "fast",
        "service_tier": "batch",
    }


def test_ages_that_do_not_add_up_are_flagged() -> None:
    """Cache writes by age that are not all of the cache writes are kept and flagged."""
    body = sse(MESSAGE_START, delta(output_tokens=1, cache_creation_input_tokens=900))
    captured = read("messages", body)
    assert captured.usage.cache_creation_tokens == 900
    assert captured.usage.flags == (flags.USAGE_TOTAL_MISMATCH,)


def test_bad_cache_count_leaves_the_prompt_unknown() -> None:
    """A prompt of which one part is no count is not known, instead of too small."""
    body = {"usage": {"input_tokens": 5, "cache_read_input_tokens": -1, "output_tokens": 2}}
    captured = read("messages", json.dumps(body).encode())
    assert known(captured) == {"output_tokens": 2}
    assert captured.usage.status == "reported"
    assert captured.usage.flags == (flags.USAGE_BAD_NUMBER,)


def test_message_that_is_text_is_passed_over() -> None:
    """A member `message` that is no object says nothing."""
    captured = read("messages", b'{"message": "The security token is invalid."}')
    assert captured.usage.status == "missing"
    assert captured.flags == ()

"""Anthropic: the prompt is input and cache together, and a delta replaces, never adds."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from majordomo_analytics.records import flags
from majordomo_analytics.records.usage import MAX_COUNT, Usage
from tests.capture.bodies import MESSAGE_DELTA, MESSAGE_START, TEXT_DELTA, known, read, sse
from tests.capture.bodies_openai import ADVISER, OWN

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


def calls(*iterations: object, **usage: object) -> Usage:
    """Return what is read of a message of which these calls are a part."""
    whole = {"input_tokens": 9, "output_tokens": 4} | usage | {"iterations": [*iterations]}
    return read("messages", json.dumps({"usage": whole}).encode()).usage


def test_calls_of_a_message_are_added_and_kept() -> None:
    """A message costs what its calls cost, each at the price of its own model."""
    usage = calls(OWN, ADVISER, OWN | {"output_tokens": 1})
    assert usage.input_tokens == 100 + 1100 + 100
    assert usage.output_tokens == 20 + 7 + 1
    assert usage.cached_tokens == 1000
    assert [
        (call.model, call.input_tokens, call.cached_tokens, call.output_tokens)
        for call in usage.iterations
    ] == [(None, 100, None, 20), ("claude-opus-4-5", 1100, 1000, 7), (None, 100, None, 1)]
    assert usage.flags == ()


def test_message_without_calls_is_its_own() -> None:
    """Without calls, or with an empty list of them, the message's counts are the usage."""
    for usage in (calls(), calls(cache_read_input_tokens=None)):
        assert (usage.input_tokens, usage.output_tokens, usage.iterations) == (9, 4, ())
        assert usage.flags == ()


@pytest.mark.parametrize("entry", [5, None, "message", [], {}, {"output_tokens": None}])
def test_calls_that_are_none_are_flagged(entry: object) -> None:
    """A list of calls that cannot be read leaves the message's own counts, flagged."""
    usage = calls(OWN, entry)
    assert (usage.input_tokens, usage.output_tokens, usage.iterations) == (9, 4, ())
    assert usage.flags == (flags.USAGE_BAD_NUMBER,)


def test_bad_count_of_one_call_leaves_the_sum_unknown() -> None:
    """A sum of which one part is no count is not known, instead of too small."""
    usage = calls(OWN, ADVISER | {"cache_read_input_tokens": "1000"})
    assert (usage.input_tokens, usage.output_tokens) == (None, 27)
    assert usage.flags == (flags.USAGE_BAD_NUMBER,)


def test_sum_of_calls_does_not_wrap() -> None:
    """Calls that cannot be added within the range are not added."""
    usage = calls(OWN, OWN | {"input_tokens": MAX_COUNT})
    assert usage.input_tokens is None
    assert usage.output_tokens == 40


def test_ages_are_known_if_every_writer_states_them() -> None:
    """One call that writes to the cache but not for how long leaves the ages unknown."""
    undated = {name: count for name, count in ADVISER.items() if name != "cache_creation"}
    known_ages, unknown_ages = calls(OWN, ADVISER), calls(ADVISER, undated)
    assert (known_ages.cache_creation_5m_tokens, known_ages.cache_creation_1h_tokens) == (50, 10)
    assert unknown_ages.cache_creation_tokens == 120
    assert unknown_ages.cache_creation_5m_tokens is unknown_ages.cache_creation_1h_tokens is None


def test_delta_without_the_cache_does_not_contradict_its_calls() -> None:
    """Where calls are stated, what the delta itself says of the cache is not the usage."""
    later = delta(
        input_tokens=220,
        cache_read_input_tokens=0,
        output_tokens=30,
        iterations=[
            {"type": "compaction", "input_tokens": 55_196, "output_tokens": 300},
            {"type": "message", "input_tokens": 220, "output_tokens": 30},
        ],
    )
    captured = read("messages", sse(MESSAGE_START, later, STOP))
    assert captured.usage.input_tokens == 55_196 + 220
    assert captured.usage.output_tokens == 330
    assert captured.usage.flags == ()


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "input_tokens": st.integers(0, 10**9),
                "cache_read_input_tokens": st.integers(0, 10**9),
                "cache_creation_input_tokens": st.integers(0, 10**9),
                "output_tokens": st.integers(0, 10**9),
            }
        ),
        min_size=1,
        max_size=5,
    )
)
def test_every_token_of_every_call_is_counted_once(entries: list[dict[str, int]]) -> None:
    """The wholes of a message are all the counts of all its calls, and nothing else."""
    usage = calls(*entries)
    assert usage.input_tokens is not None
    assert usage.output_tokens is not None
    assert usage.input_tokens + usage.output_tokens == sum(sum(e.values()) for e in entries)
    assert len(usage.iterations) == len(entries)


def test_calls_that_are_less_than_their_message_are_flagged() -> None:
    """Calls leave nothing out: a message that wrote more than they did contradicts them."""
    assert calls(OWN, ADVISER, output_tokens=27).flags == ()
    assert calls(OWN, ADVISER, output_tokens=28).flags == (flags.USAGE_TOTAL_MISMATCH,)
    assert calls(OWN, ADVISER, output_tokens=28).output_tokens == 27


def test_cost_that_a_router_states_is_kept() -> None:
    """A router that speaks this API names its cost here, too."""
    body = b'{"usage": {"input_tokens": 1, "output_tokens": 2, "cost": 0.00042}}'
    assert read("messages", body).usage.stated_cost == "0.00042"

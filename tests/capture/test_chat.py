"""Chat completions: totals include their parts; usage comes once, last or often."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from majordomo_analytics.records import flags
from tests.capture.bodies import (
    CHAT_CHUNK,
    CHAT_COUNTS,
    CHAT_USAGE,
    known,
    read,
    sse,
)
from tests.capture.hosts import BREAKDOWN, GROQ_USAGE

DONE = CHAT_CHUNK | {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
FINAL = CHAT_CHUNK | {"choices": [], "usage": CHAT_USAGE}


def chat(**usage: object) -> dict[str, object]:
    return known(read("chat", json.dumps({"usage": usage}).encode()))


@pytest.mark.parametrize(
    "last",
    [
        FINAL,
        DONE | {"usage": CHAT_USAGE},
        DONE | {"x_groq": {"id": "req_1", "usage": CHAT_USAGE}},
        DONE | {"x_groq": {"usage": CHAT_USAGE}, "usage": CHAT_USAGE},
        DONE | {"choices": [{"finish_reason": "stop", "usage": CHAT_USAGE}]},
    ],
)
def test_usage_is_found_wherever_a_host_puts_it(last: dict[str, object]) -> None:
    """Usage at the root, in the first choice or beside it is the usage of the stream."""
    captured = read("chat", sse(CHAT_CHUNK, last), complete=False)
    assert known(captured) == CHAT_COUNTS
    assert (captured.usage.status, captured.usage.source) == ("reported", "stream_final")
    assert captured.usage.raw is not None
    assert json.loads(captured.usage.raw) == CHAT_USAGE


def test_usage_in_every_chunk_is_not_summed() -> None:
    """Of usage that grows from chunk to chunk, the last is the usage of the stream."""
    chunks = [
        CHAT_CHUNK | {"usage": {"prompt_tokens": 9, "completion_tokens": n}} for n in range(5)
    ]
    body = sse(*chunks, DONE | {"usage": {"prompt_tokens": 9, "completion_tokens": 5}}, "[DONE]")
    captured = read("chat", body)
    assert (captured.usage.input_tokens, captured.usage.output_tokens) == (9, 5)
    cut = read("chat", sse(*chunks), complete=False)
    assert (cut.usage.status, cut.usage.source) == ("partial", "stream_partial")
    assert cut.usage.output_tokens == 4


def test_stream_without_usage_is_missing() -> None:
    """A stream that was not asked for usage has none: unknown, not zero."""
    captured = read("chat", sse({"choices": []}, CHAT_CHUNK, DONE, "[DONE]"))
    assert captured.usage.status == "missing"
    assert known(captured) == {}
    assert captured.model == "gpt-5-mini"
    assert captured.flags == ()


def test_first_chunk_may_be_empty() -> None:
    """A first chunk without model and id, as Azure sends it, hides neither."""
    first = {"id": "", "model": "", "choices": [], "prompt_filter_results": []}
    captured = read("chat", sse(first, CHAT_CHUNK, FINAL, "[DONE]"))
    assert (captured.model, captured.response_id) == ("gpt-5-mini", "chatcmpl-1")
    assert known(captured) == CHAT_COUNTS


@pytest.mark.parametrize(
    ("usage", "cached"),
    [
        ({"prompt_tokens_details": {"cached_tokens": 4}}, 4),
        ({"prompt_token_details": {"cached_tokens": 4}}, 4),
        ({"prompt_tokens_details": None, "num_cached_tokens": 4}, 4),
        ({"prompt_tokens_details": {"cached_tokens": None}, "cached_tokens": 4}, 4),
        ({"prompt_cache_hit_tokens": 4, "prompt_cache_miss_tokens": 6}, 4),
        ({"prompt_tokens_details": {"cached_tokens": 0}, "cached_tokens": 4}, 0),
        ({}, None),
    ],
)
def test_hosts_name_cached_tokens_differently(usage: dict[str, object], cached: object) -> None:
    """Whatever a host calls it, the cached part of the prompt is read once."""
    assert chat(prompt_tokens=10, completion_tokens=1, **usage).get("cached_tokens") == cached


def test_stated_cost_is_kept_to_the_last_digit() -> None:
    """A cost that the provider names is kept as it is written, not as a float shows it."""
    for cost in ("0.00012345678901234567890", "1e-05", "0", "12.5"):
        body = f'{{"usage": {{"prompt_tokens": 1, "completion_tokens": 1, "cost": {cost}}}}}'
        captured = read("chat", body.encode())
        assert captured.usage.stated_cost == cost
        assert captured.usage.flags == ()


@pytest.mark.parametrize("cost", ["-1", '"0.1"', "true", "NaN", "1e9999", "1." + "1" * 50])
def test_stated_cost_that_is_no_amount_is_flagged(cost: str) -> None:
    """A cost that is no plain amount is not known, and the row says so."""
    body = f'{{"usage": {{"prompt_tokens": 1, "completion_tokens": 1, "cost": {cost}}}}}'
    captured = read("chat", body.encode())
    assert captured.usage.stated_cost is None
    assert captured.usage.flags == (flags.USAGE_BAD_NUMBER,)
    assert captured.usage.input_tokens == 1


def test_totals_and_parts_are_checked() -> None:
    """Counts that contradict each other are kept as they are and flagged."""
    body = {
        "prompt_tokens": 10,
        "completion_tokens": 10,
        "total_tokens": 109,
        "completion_tokens_details": {"reasoning_tokens": 11},
    }
    captured = read("chat", json.dumps({"usage": body}).encode())
    assert captured.usage.reasoning_tokens == 11
    assert captured.usage.flags == (flags.USAGE_TOTAL_MISMATCH, flags.USAGE_PART_OVER_WHOLE)


def test_searches_of_a_router_are_counted() -> None:
    """Searches that a host ran are a count of their own."""
    usage = {"prompt_tokens": 1, "server_tool_use_details": {"web_search_requests": 3}}
    assert chat(**usage) == {"input_tokens": 1, "web_searches": 3}


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        # The total says that the completion left reasoning out.
        ({"prompt_tokens": 35, "completion_tokens": 12, "total_tokens": 109}, (74, 62)),
        # It says that it did not, be reasoning stated or not.
        ({"prompt_tokens": 35, "completion_tokens": 12, "total_tokens": 47}, (12, 0)),
        (
            {
                "prompt_tokens": 35,
                "completion_tokens": 12,
                "total_tokens": 47,
                "completion_tokens_details": {"reasoning_tokens": 5},
            },
            (12, 5),
        ),
        # Without a total, reasoning is added if it is stated.
        (
            {
                "prompt_tokens": 35,
                "completion_tokens": 12,
                "completion_tokens_details": {"reasoning_tokens": 5},
            },
            (17, 5),
        ),
        ({"prompt_tokens": 35, "completion_tokens": 12}, (12, None)),
    ],
)
def test_reasoning_that_is_left_out_is_added(
    usage: dict[str, object], expected: tuple[int, int | None]
) -> None:
    """At a host whose completion leaves reasoning out, the output has it nevertheless."""
    captured = read("chat", json.dumps({"usage": usage}).encode(), adds_reasoning=True)
    assert (captured.usage.output_tokens, captured.usage.reasoning_tokens) == expected
    assert captured.usage.flags == ()


@pytest.mark.parametrize(
    ("total", "reasoning", "output_tokens"), [(40, None, 12), (60, 5, 17), (40, 5, 17)]
)
def test_total_that_fits_nothing_is_flagged(
    total: int, reasoning: int | None, output_tokens: int
) -> None:
    """A total that is too small, or leaves tokens over, is not believed but flagged."""
    usage = {
        "prompt_tokens": 35,
        "completion_tokens": 12,
        "total_tokens": total,
        "completion_tokens_details": {"reasoning_tokens": reasoning},
    }
    captured = read("chat", json.dumps({"usage": usage}).encode(), adds_reasoning=True)
    assert captured.usage.output_tokens == output_tokens
    assert captured.usage.flags == (flags.USAGE_TOTAL_MISMATCH,)


@given(
    prompt=st.integers(0, 10**12),
    completion=st.integers(0, 10**12),
    reasoning=st.integers(0, 10**12),
    is_stated=st.booleans(),
)
def test_output_is_what_the_total_leaves(
    prompt: int, completion: int, reasoning: int, *, is_stated: bool
) -> None:
    """Of consistent counts the output is the total without the prompt, reasoning inside."""
    usage = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion + reasoning,
        "completion_tokens_details": {"reasoning_tokens": reasoning} if is_stated else None,
    }
    counts = read("chat", json.dumps({"usage": usage}).encode(), adds_reasoning=True).usage
    assert counts.output_tokens == usage["total_tokens"] - prompt  # type: ignore[operator]
    assert counts.reasoning_tokens == reasoning
    assert counts.flags == ()


def test_other_hosts_include_reasoning() -> None:
    """At any other host the same counts contradict each other, and say so."""
    usage = {"prompt_tokens": 35, "completion_tokens": 12, "total_tokens": 109}
    captured = read("chat", json.dumps({"usage": usage}).encode())
    assert captured.usage.output_tokens == 12
    assert captured.usage.flags == (flags.USAGE_TOTAL_MISMATCH,)


def test_cached_and_written_beyond_the_prompt_are_flagged() -> None:
    """Reads and writes of the cache that are more than the prompt are kept and flagged."""
    details = {"cached_tokens": 7, "cache_write_tokens": 4}
    body = {"prompt_tokens": 10, "completion_tokens": 1, "prompt_tokens_details": details}
    captured = read("chat", json.dumps({"usage": body}).encode())
    assert (captured.usage.cached_tokens, captured.usage.cache_creation_tokens) == (7, 4)
    assert captured.usage.flags == (flags.USAGE_PART_OVER_WHOLE,)


@pytest.mark.parametrize(
    ("usage", "cost"),
    [
        ('"cost_in_usd_ticks": 37756000', "0.0037756000"),
        ('"cost_in_usd_ticks": 0', "0.0000000000"),
        ('"cost_in_usd_ticks": 123456789012345678', "12345678.9012345678"),
        ('"cost": {"currency": "USD", "total_cost": 0.00613}', "0.00613"),
        ('"estimated_cost": 2.68e-05', "2.68e-05"),
        ('"estimated_cost": 0.0000268', "0.0000268"),
        ('"cost": null', None),
    ],
)
def test_hosts_state_their_cost_differently(usage: str, cost: str | None) -> None:
    """Whatever a host calls it and in whatever unit, its cost is read to the last digit."""
    captured = read("chat", ('{"usage": {"prompt_tokens": 1, ' + usage + "}}").encode())
    assert captured.usage.stated_cost == cost
    assert captured.usage.flags == ()


@pytest.mark.parametrize(
    ("is_byok", "upstream", "cost"),
    [
        ("true", "0.2000000000000000000000000001", "0.2000100000000000000000000001"),
        ("true", "null", "0.00001"),
        ("false", "0.2", "0.00001"),
        ('"true"', "0.2", "0.00001"),
    ],
)
def test_model_called_with_an_own_key_is_part_of_the_cost(
    is_byok: str, upstream: str, cost: str
) -> None:
    """A router's fee for the use of the caller's own key is not all that the call cost."""
    usage = (
        f'{{"prompt_tokens": 1, "cost": 0.00001, "is_byok": {is_byok}, '
        f'"cost_details": {{"upstream_inference_cost": {upstream}}}}}'
    )
    assert read("chat", f'{{"usage": {usage}}}'.encode()).usage.stated_cost == cost


def test_calls_of_a_system_of_models_have_its_models() -> None:
    """A compound system's calls are listed when they are the usage, and else are not."""
    first, second = BREAKDOWN["models"]
    body = {"model": "groq/compound", "usage": GROQ_USAGE, "usage_breakdown": BREAKDOWN}
    calls = read("chat", json.dumps(body).encode()).usage.iterations
    assert [(call.model, call.input_tokens, call.output_tokens) for call in calls] == [
        ("llama-3.3-70b-versatile", 20, 4),
        ("openai/gpt-oss-120b", 100, 36),
    ]
    for models in ([first], [first, second, second], [{"model": "m"}], [], None, "none", [5]):
        odd = body | {"usage_breakdown": {"models": models}}
        assert read("chat", json.dumps(odd).encode()).usage.iterations == ()


def test_calls_of_a_system_of_models_are_found_in_a_stream() -> None:
    """The last chunk of a stream has the breakdown beside the usage."""
    beside = {"usage": GROQ_USAGE, "usage_breakdown": BREAKDOWN}
    captured = read("chat", sse(CHAT_CHUNK, DONE | {"x_groq": beside}, "[DONE]"))
    assert [call.input_tokens for call in captured.usage.iterations] == [20, 100]


@pytest.mark.parametrize("usage", [None, [], "soon", {"models": 5}])
def test_chunk_with_odd_choices_still_has_usage(usage: object) -> None:
    """Choices of a kind that nobody expects do not hide the usage beside them."""
    chunk = {"choices": usage, "usage": CHAT_USAGE, "model": "m"}
    captured = read("chat", json.dumps(chunk).encode())
    assert captured.usage.input_tokens == 1200
    assert captured.model == "m"

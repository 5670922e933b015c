"""OpenAI's shape: totals include their parts; streams state usage once, last or often."""

from __future__ import annotations

import json

import pytest

from majordomo_analytics.records import flags
from tests.capture.bodies import (
    CHAT_CHUNK,
    CHAT_COUNTS,
    CHAT_USAGE,
    RESPONSE,
    RESPONSE_COUNTS,
    known,
    read,
    sse,
)

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


@pytest.mark.parametrize("end", ["response.completed", "response.incomplete", "response.failed"])
def test_every_end_of_a_response_has_usage(end: str) -> None:
    """A response that ends incomplete or failed is billed like one that completed."""
    created = {"type": "response.created", "response": RESPONSE | {"usage": None}}
    body = sse(created, {"type": end, "response": RESPONSE}, names=True)
    captured = read("responses", body, complete=False)
    assert known(captured) == RESPONSE_COUNTS
    assert captured.usage.status == "reported"


def test_response_cut_before_its_end_is_missing() -> None:
    """Before its last event a response says nothing about usage."""
    created = {"type": "response.created", "response": RESPONSE | {"usage": None}}
    captured = read("responses", sse(created, names=True), complete=False)
    assert captured.usage.status == "missing"
    assert captured.response_id == "resp_1"


def test_response_that_is_no_object_is_passed_over() -> None:
    """An event whose response is no object does not stop the reading."""
    body = sse(
        {"type": "response.created", "response": "soon"},
        {"type": "response.completed", "response": RESPONSE},
    )
    assert known(read("responses", body)) == RESPONSE_COUNTS


def test_compacted_response_has_usage_and_no_model() -> None:
    """A compaction is billed, and leaves its model to the request."""
    usage = {"input_tokens": 8, "output_tokens": 2, "total_tokens": 10}
    body = {"id": "resp_2", "object": "response.compaction", "usage": usage}
    captured = read("responses", json.dumps(body).encode())
    assert known(captured) == {"input_tokens": 8, "output_tokens": 2}
    assert captured.model is None

"""Bedrock: the input excludes the cache, and the model is the one in the path."""

from __future__ import annotations

import json

import pytest

from majordomo_analytics.capture import agents
from majordomo_analytics.capture.flavours import Flavour
from majordomo_analytics.records import flags
from majordomo_analytics.records.usage import Iteration
from tests.capture.bodies import known, read
from tests.capture.bodies_clouds import AGENT_EVENTS, CONVERSE_USAGE, GUARDRAIL, model_call
from tests.capture.frames import exception, frame


def converse(usage: object, **beside: object) -> dict[str, object]:
    captured = read("converse", json.dumps({"usage": usage, **beside}).encode())
    assert captured.usage.flags == ()
    return known(captured)


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"inputTokens": 5, "outputTokens": 6}, {"input_tokens": 5, "output_tokens": 6}),
        (
            {"inputTokens": 5, "outputTokens": 6, "cacheReadInputTokens": 100},
            {"input_tokens": 105, "cached_tokens": 100, "output_tokens": 6},
        ),
        (
            {"inputTokens": 5, "outputTokens": 6, "cacheWriteInputTokenCount": 100},
            {"input_tokens": 105, "cache_creation_tokens": 100, "output_tokens": 6},
        ),
        (
            {"inputTokens": 5, "cacheReadInputTokens": None, "cacheReadInputTokenCount": 2},
            {"input_tokens": 7, "cached_tokens": 2},
        ),
        ({"outputTokens": 6}, {"output_tokens": 6}),
        ({"outputTokens": 6, "cacheReadInputTokens": 9}, {"cached_tokens": 9, "output_tokens": 6}),
        ({"topicPolicyUnits": 3, "contentPolicyUnits": 4}, {}),
        ({}, {}),
    ],
)
def test_input_is_what_was_sent_read_and_written(
    usage: dict[str, object], expected: dict[str, object]
) -> None:
    """Cache reads and writes come on top of the input; names come in two spellings."""
    assert converse(usage) == expected


def test_each_time_to_live_is_added() -> None:
    """Writes to a cache are counted by their time to live; unknown ones are left alone."""
    details = [
        {"ttl": "5m", "inputTokens": 3},
        {"ttl": "5m", "inputTokens": 4},
        {"ttl": "1h", "inputTokens": 5},
        {"ttl": "9d"},
        {"ttl": 5, "inputTokens": None},
    ]
    usage = {
        "inputTokens": 1,
        "outputTokens": 1,
        "cacheWriteInputTokens": 12,
        "cacheDetails": details,
    }

    assert converse(usage) == {
        "input_tokens": 13,
        "cache_creation_tokens": 12,
        "cache_creation_5m_tokens": 7,
        "cache_creation_1h_tokens": 5,
        "output_tokens": 1,
    }


@pytest.mark.parametrize(
    "changed", [{"totalTokens": 97}, {"cacheDetails": [{"ttl": "5m", "inputTokens": 421}]}]
)
def test_totals_that_do_not_fit_are_flagged(changed: dict[str, object]) -> None:
    """The provider's own sums are checked, and its parts are kept."""
    captured = read("converse", json.dumps({"usage": CONVERSE_USAGE | changed}).encode())

    assert flags.USAGE_TOTAL_MISMATCH in captured.usage.flags
    assert captured.usage.input_tokens == 7 + 1500 + 420


def test_policy_units_are_no_tokens() -> None:
    """What a guardrail counts is never read, wherever it stands."""
    assert converse({"inputTokens": 5, "outputTokens": 6}, trace=GUARDRAIL) == {
        "input_tokens": 5,
        "output_tokens": 6,
    }
    assert read("converse", json.dumps({"trace": GUARDRAIL}).encode()).usage.status == "missing"


def test_tier_and_latency_are_those_of_the_answer() -> None:
    """The tier served, and whether it was served faster, stand beside the usage."""
    found = converse(
        {"inputTokens": 5, "outputTokens": 6},
        serviceTier={"type": "flex"},
        performanceConfig={"latency": "optimized"},
    )

    assert (found["service_tier"], found["speed"]) == ("flex", "optimized")


@pytest.mark.parametrize("name", ["message", "Message"])
@pytest.mark.parametrize("flavour", ["converse", "invoke", "invoke_agent"])
def test_error_body_has_a_message(flavour: Flavour, name: str) -> None:
    """Bedrock's errors are a message and nothing else; AWS itself writes it large."""
    captured = read(flavour, json.dumps({name: "The model identifier is invalid."}).encode())

    assert captured.error_message == "The model identifier is invalid."
    assert captured.usage.status == "missing"
    assert captured.flags == ()


def test_calls_of_an_agent_are_summed_and_kept_apart() -> None:
    """Each model call of a stream is a call of its own, billed by the model it names."""
    other = model_call("routingClassifierTrace", 7, "model-b", {"inputTokens": 1})
    nameless = model_call("customOrchestrationTrace", 8, None, {"outputTokens": 2})

    captured = read("invoke_agent", b"".join(AGENT_EVENTS))
    assert captured.usage.iterations == (
        Iteration(model="model-a", input_tokens=435, output_tokens=116),
        Iteration(model="model-a", input_tokens=252, output_tokens=354),
    )
    assert captured.usage.raw is not None
    assert json.loads(captured.usage.raw) == {
        "modelInvocations": [
            {
                "foundationModel": "model-a",
                "usage": {"inputTokens": 435, "outputTokens": 116},
            },
            {
                "foundationModel": "model-a",
                "usage": {"inputTokens": 252, "outputTokens": 354},
            },
        ]
    }

    captured = read("invoke_agent", b"".join((*AGENT_EVENTS, *other, *nameless)))
    assert captured.model is None
    assert captured.usage.iterations[2:] == (
        Iteration(model="model-b", input_tokens=1),
        Iteration(output_tokens=2),
    )


def test_unknown_count_of_one_call_leaves_the_whole_unknown() -> None:
    """A sum of which one part is not known is not known."""
    odd = model_call("orchestrationTrace", 2, "model-a", {"inputTokens": 9, "outputTokens": "x"})

    captured = read("invoke_agent", b"".join((*AGENT_EVENTS, *odd)))

    assert known(captured) == {"input_tokens": 435 + 252 + 9}
    assert captured.usage.flags == (flags.USAGE_BAD_NUMBER,)


def test_calls_that_overlap_keep_their_models() -> None:
    """Calls are told apart by their trace, not by their order."""
    one = model_call("orchestrationTrace", 1, "model-a", {"inputTokens": 1, "outputTokens": 10})
    two = model_call("orchestrationTrace", 2, "model-b", {"inputTokens": 2, "outputTokens": 20})

    captured = read("invoke_agent", one[0] + two[0] + one[1] + two[1])

    assert [(call.model, call.input_tokens) for call in captured.usage.iterations] == [
        ("model-a", 1),
        ("model-b", 2),
    ]


def test_agent_that_was_cut_has_partial_usage() -> None:
    """Calls that were seen before a stream was cut, or failed, are a part of the whole."""
    body = b"".join(AGENT_EVENTS[:2])

    assert read("invoke_agent", body, complete=False).usage.status == "partial"
    failed = read("invoke_agent", body + exception("dependencyFailedException", {}))
    assert failed.usage.status == "partial"
    assert failed.usage.output_tokens == 116


def test_agent_without_traces_is_missing() -> None:
    """A caller who asked for no traces is told no usage."""
    captured = read("invoke_agent", frame("chunk", {"bytes": "SGVsbG8="}))

    assert captured.usage.status == "missing"
    assert captured.flags == ()


def test_more_calls_than_can_be_kept_are_flagged() -> None:
    """Thousands of calls are not all remembered: the row says so, and usage is partial."""
    usage = {"inputTokens": 1, "outputTokens": 1}
    body = b"".join(
        b"".join(model_call("orchestrationTrace", n, "m" * 100, usage)) for n in range(400)
    )
    begun = b"".join(
        model_call("orchestrationTrace", n, "m", usage)[0]
        for n in range(1000, 1000 + 2 * agents.MAX_BEGUN)
    )

    captured = read("invoke_agent", begun + body)

    assert captured.flags == (flags.BODY_TOO_LARGE,)
    assert captured.usage.status == "partial"
    assert 100 < (captured.usage.input_tokens or 0) < 400

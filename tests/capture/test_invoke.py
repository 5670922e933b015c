"""InvokeModel: each maker's own body, and Bedrock's counts for what that leaves out."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from majordomo_analytics.capture.reader import Captured, UsageReader
from majordomo_analytics.records import flags
from tests.capture.bodies import MESSAGE_DELTA, MESSAGE_START, known, read
from tests.capture.bodies_clouds import METRICS
from tests.capture.frames import nested

HEADERS = {
    "Content-Type": "application/json",
    "X-Amzn-Bedrock-Input-Token-Count": "12",
    "x-amzn-bedrock-output-token-count": "34",
    "X-Amzn-Bedrock-Cache-Read-Input-Token-Count": "100",
    "x-amzn-bedrock-invocation-latency": "700",
}
HEADER_COUNTS = {"input_tokens": 112, "cached_tokens": 100, "output_tokens": 34}
START: dict[str, object] = json.loads(json.dumps(MESSAGE_START["message"]))


def with_headers(body: object, headers: Mapping[str, str] = HEADERS) -> Captured:
    reader = UsageReader("invoke", headers=headers)
    reader.feed(json.dumps(body).encode())
    return reader.finish(complete=True)


def test_headers_count_what_a_body_does_not() -> None:
    """A maker whose body has no counts is counted by the headers, in any letter case."""
    captured = with_headers({"outputs": [{"text": "hi", "stop_reason": "stop"}]})

    assert known(captured) == HEADER_COUNTS
    assert captured.usage.status == "reported"
    assert captured.usage.source == "header"
    assert captured.usage.raw is not None
    assert json.loads(captured.usage.raw) == {
        "x-amzn-bedrock-input-token-count": 12,
        "x-amzn-bedrock-output-token-count": 34,
        "x-amzn-bedrock-cache-read-input-token-count": 100,
    }


def test_body_comes_before_headers() -> None:
    """Counts of the body stand; the headers fill in a whole that it leaves out."""
    full = with_headers({"usage": {"inputTokens": 5, "outputTokens": 6}})
    assert known(full) == {"input_tokens": 5, "output_tokens": 6}

    half = with_headers({"usage": {"inputTokens": 5}})
    assert known(half) == {"input_tokens": 5, "output_tokens": 34}
    assert half.usage.source == "body"

    anthropic = with_headers(START)
    assert anthropic.usage.input_tokens == 3 + 500 + 2000
    assert anthropic.usage.output_tokens == 1


@pytest.mark.parametrize("value", ["", "-1", "1.5", "many", "9" * 30, "٣"])
def test_header_that_is_no_count_is_null_and_flagged(value: str) -> None:
    """A header of nonsense is unknown, and the row says so."""
    headers = HEADERS | {"X-Amzn-Bedrock-Input-Token-Count": value}
    captured = with_headers({}, headers)

    assert known(captured).get("input_tokens") is None
    assert captured.usage.output_tokens == 34
    assert captured.usage.flags == (flags.USAGE_BAD_NUMBER,)


def test_embedding_is_known_to_write_nothing() -> None:
    """An embedding whose output no header counts has none."""
    headers = {"x-amzn-bedrock-input-token-count": "9"}
    for name in ("embedding", "embeddings", "embeddingsByType"):
        assert known(with_headers({name: [[0.5]]}, headers)) == {
            "input_tokens": 9,
            "output_tokens": 0,
        }
    assert with_headers({"embedding": [0.5]}, {}).usage.status == "missing"


def test_embeddings_of_megabytes_are_read() -> None:
    """Numbers are passed over, however many there are."""
    body = {"embeddings": {"float": [[0.25] * 1000] * 100}, "inputTextTokenCount": 7}
    assert len(json.dumps(body)) > 500_000

    assert known(with_headers(body, {})) == {"input_tokens": 7, "output_tokens": 0}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            {"generation": "x", "prompt_token_count": 4, "generation_token_count": 9},
            {"input_tokens": 4, "output_tokens": 9},
        ),
        (
            {"text": "x", "meta": {"billed_units": {"input_tokens": 4, "output_tokens": 9}}},
            {"input_tokens": 4, "output_tokens": 9},
        ),
        (
            {"inputTextTokenCount": 4, "results": [{"tokenCount": None}, {"tokenCount": 9}]},
            {"input_tokens": 4, "output_tokens": 9},
        ),
        ({"results": [{"index": 0, "relevance_score": 0.5}]}, {}),
        ({"choices": [{"text": "x"}]}, {}),
        ({"outputs": [{"text": "x"}]}, {}),
    ],
)
def test_shapes_of_the_makers(body: dict[str, object], expected: dict[str, object]) -> None:
    """Llama's, Cohere's and Titan's counts are read; what states none is missing."""
    captured = read("invoke", json.dumps(body).encode())

    assert known(captured) == expected
    assert captured.flags == captured.usage.flags == ()


def test_metrics_count_what_the_stream_does_not() -> None:
    """A stream without counts of its maker has those that Bedrock adds to its end."""
    metrics = {"inputTokenCount": 7, "outputTokenCount": 9, "cacheReadInputTokenCount": 20}
    body = nested({"outputs": [{"text": "a"}]}) + nested({"outputs": [], METRICS: metrics})

    captured = read("invoke", body, complete=False)

    assert known(captured) == {"input_tokens": 27, "cached_tokens": 20, "output_tokens": 9}
    assert (captured.usage.status, captured.usage.source) == ("reported", "stream_final")


def test_metrics_come_before_counts_that_are_no_counts() -> None:
    """Titan streams its counts as fractions, which the metrics beside them are not."""
    first = {"outputText": "a", "index": 0.0, "inputTextTokenCount": 28.0}
    last = {"totalOutputTextTokenCount": 188.0}
    metrics = {METRICS: {"inputTokenCount": 28, "outputTokenCount": 188}}

    captured = read("invoke", nested(first) + nested(last | metrics))
    assert known(captured) == {"input_tokens": 28, "output_tokens": 188}
    assert captured.usage.flags == ()

    captured = read("invoke", nested(first) + nested(last))
    assert captured.usage.status == "missing"
    assert captured.usage.flags == (flags.USAGE_BAD_NUMBER,)


def test_metrics_that_differ_from_the_maker_are_flagged() -> None:
    """Where Bedrock counts another output than the maker, the maker's stands, flagged."""
    stop = {"type": "message_stop", METRICS: {"inputTokenCount": 3, "outputTokenCount": 70}}

    captured = read("invoke", b"".join(map(nested, (MESSAGE_START, MESSAGE_DELTA, stop))))

    assert captured.usage.output_tokens == 88
    assert captured.usage.flags == (flags.USAGE_TOTAL_MISMATCH,)


def test_chunk_that_is_no_object_is_passed_over() -> None:
    """A chunk with nonsense inside does not hide the others."""
    body = nested(MESSAGE_START) + nested([5]) + nested("x") + nested(MESSAGE_DELTA)

    assert read("invoke", body).usage.output_tokens == 88


def test_stream_cut_before_its_delta_is_partial() -> None:
    """The count in the first event is a seed, not what was written."""
    captured = read("invoke", nested(MESSAGE_START), complete=False)

    assert captured.usage.status == "partial"
    assert captured.usage.input_tokens == 3 + 500 + 2000
    assert captured.usage.output_tokens is None


def test_model_of_the_body_is_not_the_one_billed() -> None:
    """Bedrock bills the model in the path; a body names its maker's, or a file."""
    assert with_headers(START).model is None
    assert with_headers({"choices": [], "model": "/opt/ml/model"}).model is None


def test_oddities_of_the_makers_text_are_flagged() -> None:
    """What is odd about the text of a maker's own answer is odd about the row."""
    captured = with_headers(START | {"id": "msg\0_1"})
    assert captured.response_id == "msg_1"
    assert captured.flags == (flags.TEXT_CLEANED,)


def test_other_flavours_do_not_read_these_headers() -> None:
    """Headers of Bedrock's say nothing about other APIs."""
    reader = UsageReader("chat", headers=HEADERS)
    reader.feed(b'{"choices": []}')
    assert reader.finish(complete=True).usage.status == "missing"

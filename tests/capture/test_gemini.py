"""Gemini: thoughts and tool prompts come on top, and absent is zero only where proved."""

from __future__ import annotations

import json

import pytest

from majordomo_analytics.records import flags
from tests.capture.bodies import GEMINI_FIRST, GEMINI_LAST, known, read, sse

FINISHED = [{"content": {"parts": [{"text": "x"}]}, "finishReason": "STOP"}]


def counts(**usage: object) -> dict[str, object]:
    return known(read("generate_content", json.dumps({"usageMetadata": usage}).encode()))


@pytest.mark.parametrize(
    ("usage", "input_tokens", "output_tokens"),
    [
        ({"promptTokenCount": 9, "candidatesTokenCount": 4, "totalTokenCount": 13}, 9, 4),
        ({"promptTokenCount": 9, "candidatesTokenCount": 4}, 9, 4),
        ({"promptTokenCount": 9, "totalTokenCount": 9}, 9, 0),
        ({"promptTokenCount": 9, "thoughtsTokenCount": 30, "totalTokenCount": 39}, 9, 30),
        (
            {"promptTokenCount": 9, "toolUsePromptTokenCount": 50, "totalTokenCount": 59},
            59,
            0,
        ),
        ({"promptTokenCount": 9, "totalTokenCount": 20}, 9, None),
        ({"promptTokenCount": 9}, 9, None),
        ({"promptTokenCount": 9, "thoughtsTokenCount": 30}, 9, None),
        ({"promptTokenCount": 9, "candidatesTokenCount": None, "totalTokenCount": 9}, 9, 0),
        ({"totalTokenCount": 9}, None, None),
        ({"candidatesTokenCount": 4, "totalTokenCount": 4}, None, 4),
    ],
)
def test_absent_answer_is_zero_if_the_total_proves_it(
    usage: dict[str, object], input_tokens: int | None, output_tokens: int | None
) -> None:
    """Without a count of the answer it is zero where the total leaves nothing over."""
    found = counts(**usage)
    assert found.get("input_tokens") == input_tokens
    assert found.get("output_tokens") == output_tokens


def test_cut_stream_keeps_what_was_counted() -> None:
    """A stream cut before its end has the counts so far, and no zero for the rest."""
    captured = read("generate_content", sse(GEMINI_FIRST, end="\r\n"), complete=False)
    assert captured.usage.status == "partial"
    assert captured.usage.input_tokens == 20
    assert captured.usage.output_tokens is None


def test_last_value_of_each_name_counts() -> None:
    """A count that the last chunk leaves out is that of the chunk before."""
    last = GEMINI_LAST | {"usageMetadata": {"promptTokenCount": 31, "totalTokenCount": 91}}
    captured = read("generate_content", sse(GEMINI_LAST, last))
    assert captured.usage.input_tokens == 31 + 90
    assert captured.usage.output_tokens == 12 + 50
    assert captured.usage.flags == (flags.USAGE_TOTAL_MISMATCH,)


@pytest.mark.parametrize(
    "chunk",
    [
        {"candidates": FINISHED},
        {"candidates": [{}, {"finishReason": 1}]},
        {"promptFeedback": {"blockReason": "SAFETY"}},
    ],
)
def test_finished_stream_is_reported(chunk: dict[str, object]) -> None:
    """A reason to finish, or to block the prompt, makes the usage beside it final."""
    usage = {"usageMetadata": {"promptTokenCount": 9, "totalTokenCount": 9}}
    body = sse(GEMINI_FIRST, chunk | usage, end="\r\n")
    captured = read("generate_content", body, complete=False)
    assert captured.usage.status == "reported"
    assert (captured.usage.input_tokens, captured.usage.output_tokens) == (9, 0)


def test_usage_after_the_reason_to_finish_is_final() -> None:
    """Usage may come in a chunk after the one that finishes the answer."""
    usage = {"usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 2}}
    body = sse({"candidates": FINISHED}, usage)
    assert read("generate_content", body, complete=False).usage.status == "reported"


def test_modalities_are_named_or_numbered() -> None:
    """Tokens by modality are read from names and numbers; what is unknown is left alone."""
    found = counts(
        promptTokenCount=100,
        candidatesTokenCount=50,
        cachedContentTokenCount=30,
        promptTokensDetails=[
            {"modality": 1, "tokenCount": 10},
            {"modality": 2, "tokenCount": 20},
            {"modality": "VIDEO", "tokenCount": 30},
            {"modality": "AUDIO", "tokenCount": 15},
            {"modality": "SMELL", "tokenCount": 1},
            {"modality": "IMAGE"},
            "odd",
        ],
        cacheTokensDetails=[{"modality": "AUDIO", "tokenCount": 5}],
        toolUsePromptTokensDetails=[{"modality": "AUDIO", "tokenCount": 2}],
        candidatesTokensDetails=[{"modality": "IMAGE", "tokenCount": 40}],
    )
    assert found == {
        "input_tokens": 100,
        "cached_tokens": 30,
        "input_image_tokens": 20,
        "input_video_tokens": 30,
        "input_audio_tokens": 15 + 2,
        "cached_audio_tokens": 5,
        "output_tokens": 50,
        "output_image_tokens": 40,
    }


def test_stream_with_pictures_of_megabytes_is_read() -> None:
    """A last chunk with a picture in it, far larger than what is held, is read."""
    picture = {"inlineData": {"mimeType": "image/png", "data": "A" * 5_000_000}}
    last = GEMINI_LAST | {"candidates": [{"content": {"parts": [picture]}, "finishReason": 1}]}
    for body in (sse(GEMINI_FIRST, last, end="\r\n"), json.dumps([GEMINI_FIRST, last]).encode()):
        chunks = [body[at : at + 20_000] for at in range(0, len(body), 20_000)]
        captured = read("generate_content", *chunks, complete=False)
        assert captured.usage.status == "reported"
        assert captured.usage.output_tokens == 62
        assert captured.model == "gemini-2.5-flash"


QUERIES = {"groundingMetadata": {"webSearchQueries": ["weather", "", "time", "weather"]}}


@pytest.mark.parametrize(
    ("model", "searches"),
    [
        ("gemini-3-pro-preview", 2),
        ("models/gemini-3.1-flash-lite", 2),
        ("gemini-4-argon", 2),
        ("gemini-20-future", 2),
        ("gemini-2.5-flash", 1),
        ("publishers/google/models/gemini-2.0-flash-001", 1),
        ("gemini-1.5-pro", 1),
        (None, None),
    ],
)
def test_searches_are_billed_each_or_once_a_prompt(model: str | None, searches: int | None) -> None:
    """Newer models bill each search that was run, older ones one for the whole prompt."""
    body = GEMINI_LAST | {"candidates": [QUERIES, {"finishReason": "STOP"}], "modelVersion": model}
    assert read("generate_content", json.dumps(body).encode()).usage.web_searches == searches


def test_searches_repeated_in_a_stream_are_counted_once() -> None:
    """A query that several chunks name was run once."""
    model = {"modelVersion": "gemini-3-pro-preview"}
    first = GEMINI_FIRST | model | {"candidates": [QUERIES]}
    more = {"groundingMetadata": {"webSearchQueries": ["weather", "tides"]}}
    last = GEMINI_LAST | model | {"candidates": [more]}
    assert read("generate_content", sse(first, last)).usage.web_searches == 3


@pytest.mark.parametrize(
    "grounding", [{}, {"webSearchQueries": []}, {"webSearchQueries": [""]}, {"webSearchQueries": 5}]
)
def test_grounding_without_a_search_counts_none(grounding: object) -> None:
    """An answer that is grounded on pages alone ran no search that is known."""
    body = GEMINI_LAST | {"candidates": [{"groundingMetadata": grounding}]}
    assert read("generate_content", json.dumps(body).encode()).usage.web_searches is None


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"promptTokenCount": 7}, {"input_tokens": 7, "output_tokens": 0}),
        (
            {
                "promptTokenCount": 7,
                "totalTokenCount": 7,
                "promptTokensDetails": [{"modality": "AUDIO", "tokenCount": 7}],
                "trafficType": "ON_DEMAND",
            },
            {
                "input_tokens": 7,
                "input_audio_tokens": 7,
                "output_tokens": 0,
                "traffic_type": "ON_DEMAND",
            },
        ),
        ({"promptTokenCount": "7"}, {}),
        ({}, {}),
        (None, {}),
    ],
)
def test_embedding_has_an_output_of_zero_if_it_states_usage(
    usage: object, expected: dict[str, object]
) -> None:
    """An embedding writes nothing, but one that states nothing is unknown."""
    body = {"embeddings": [{"values": [0.5] * 50_000}], "usageMetadata": usage}
    captured = read("embed_content", json.dumps(body).encode())
    assert known(captured) == expected
    assert captured.usage.status == ("reported" if expected else "missing")


def test_embedding_that_failed_has_a_message() -> None:
    """An error body of the embeddings API is read as one."""
    captured = read("embed_content", b'{"error": {"code": 404, "message": "not found"}}')
    assert captured.error_message == "not found"

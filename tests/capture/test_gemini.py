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

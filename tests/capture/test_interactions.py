"""Gemini's interactions: thoughts and tools on top, the last word is the interaction."""

from __future__ import annotations

import json

import pytest

from majordomo_analytics.records import flags
from tests.capture.bodies import known, read, sse
from tests.capture.bodies_clouds import INTERACTION, INTERACTION_BEGUN, INTERACTION_STEP


def counts(**usage: object) -> dict[str, object]:
    return known(read("interactions", json.dumps({"usage": usage}).encode()))


def test_usage_so_far_is_partial() -> None:
    """Counts beside the events of a stream that was cut are what it had used so far."""
    captured = read("interactions", sse(INTERACTION_BEGUN, INTERACTION_STEP), complete=False)

    assert captured.usage.status == "partial"
    assert known(captured) == {"input_tokens": 300, "output_tokens": 7}
    assert captured.response_id == "int_1"


def test_usage_of_the_interaction_is_the_last_word() -> None:
    """What comes beside an event after the interaction has ended changes nothing."""
    end = {"event_type": "interaction.completed", "interaction": INTERACTION}
    captured = read("interactions", sse(end, INTERACTION_STEP), complete=False)

    assert captured.usage.status == "reported"
    assert captured.usage.output_tokens == 41 + 60


@pytest.mark.parametrize("event", ["interaction.created", "interaction.status_update"])
def test_interaction_that_has_begun_is_not_final(event: str) -> None:
    """Usage inside an interaction that has only begun is what it had used so far."""
    body = sse({"event_type": event, "interaction": INTERACTION})

    assert read("interactions", body, complete=False).usage.status == "partial"


def test_interaction_that_is_no_object_is_passed_over() -> None:
    """An event with nonsense where the interaction should be does not hide the next."""
    odd = {"event_type": "interaction.completed", "interaction": [5]}
    end = {"event_type": "interaction.completed", "interaction": INTERACTION}

    assert read("interactions", sse(odd, end)).usage.output_tokens == 41 + 60


def test_modalities_are_in_lower_case() -> None:
    """Each list of modalities is read, those of tools on top."""
    found = counts(
        total_input_tokens=100,
        total_tool_use_tokens=30,
        total_cached_tokens=20,
        total_output_tokens=50,
        total_thought_tokens=5,
        input_tokens_by_modality=[
            {"modality": "text", "tokens": 60},
            {"modality": "audio", "tokens": 40},
        ],
        tool_use_tokens_by_modality=[{"modality": "audio", "tokens": 2}, {"modality": None}],
        cached_tokens_by_modality=[{"modality": "audio", "tokens": 10}],
        output_tokens_by_modality=[{"modality": "image", "tokens": 45}],
    )

    assert found == {
        "input_tokens": 130,
        "cached_tokens": 20,
        "tool_prompt_tokens": 30,
        "input_audio_tokens": 42,
        "cached_audio_tokens": 10,
        "output_tokens": 55,
        "reasoning_tokens": 5,
        "output_image_tokens": 45,
    }


def test_total_that_does_not_fit_is_flagged() -> None:
    """The provider's own total is checked against the parts."""
    usage = {"total_input_tokens": 1, "total_output_tokens": 2, "total_tokens": 4}
    captured = read("interactions", json.dumps({"usage": usage}).encode())

    assert captured.usage.flags == (flags.USAGE_TOTAL_MISMATCH,)


def test_searches_of_the_web_alone_are_counted() -> None:
    """Other tools that ground an answer are no web searches."""
    tools = [
        {"type": "google_search", "count": 2},
        {"type": "google_maps", "count": 5},
        {"type": "retrieval"},
        {"type": "google_search", "count": 1},
    ]
    body = {"model": "gemini-3-pro-preview", "usage": {"grounding_tool_count": tools}}
    captured = read("interactions", json.dumps(body).encode())

    assert captured.usage.web_searches == 3


@pytest.mark.parametrize(
    "body",
    [
        sse({"event_type": "error", "error": {"message": "Overloaded", "code": "unavailable"}}),
        sse(
            INTERACTION_BEGUN,
            {
                "event_type": "interaction.completed",
                "interaction": {"status": "failed", "error": {"message": "Overloaded"}},
            },
        ),
    ],
)
def test_error_inside_a_stream_is_found(body: bytes) -> None:
    """An error is an event of its own, or stands in the interaction."""
    captured = read("interactions", body)

    assert captured.error_message == "Overloaded"
    assert captured.flags == (flags.ERROR_IN_STREAM,)

"""Embeddings have no output; a run has the usage of its steps."""

from __future__ import annotations

import pytest

from majordomo_analytics.records import flags
from tests.capture.bodies import known, read, sse
from tests.capture.bodies_openai import RUN, RUN_COUNTS, STEP, as_json


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        ({"prompt_tokens": 8, "total_tokens": 8}, {"input_tokens": 8, "output_tokens": 0}),
        ({"total_tokens": 8}, {"input_tokens": 8, "output_tokens": 0}),
        ({"prompt_tokens": 8, "completion_tokens": 0}, {"input_tokens": 8, "output_tokens": 0}),
        ({"prompt_tokens": 0}, {"input_tokens": 0, "output_tokens": 0}),
        ({"prompt_tokens": -1, "total_tokens": 8}, {}),
        ({"prompt_tokens": None}, {}),
        ({}, {}),
    ],
)
def test_embeddings_have_a_prompt_and_no_output(
    usage: dict[str, object], counts: dict[str, object]
) -> None:
    """Where the prompt is known there was no output; where it is not, nothing is known."""
    captured = read("embeddings", as_json({"data": [], "usage": usage}))
    assert known(captured) == counts
    assert captured.usage.status == ("reported" if counts else "missing")


def test_completion_of_embeddings_that_is_no_count_is_flagged() -> None:
    """A host that states an odd completion is not corrected in silence."""
    body = as_json({"usage": {"prompt_tokens": 8, "completion_tokens": "0"}})
    captured = read("embeddings", body)
    assert known(captured) == {"input_tokens": 8}
    assert captured.usage.flags == (flags.USAGE_BAD_NUMBER,)


def test_steps_are_not_added_to_their_run() -> None:
    """Of three statements of usage in a stream only that of the run counts."""
    captured = read("assistants", sse(STEP, STEP | {"id": "step_2"}, RUN, "[DONE]"))
    assert known(captured) == RUN_COUNTS
    assert captured.response_id == "run_1"


def test_stream_cut_before_its_run_ends_is_missing() -> None:
    """Steps alone do not say what a run used."""
    begun = RUN | {"status": "in_progress", "usage": None}
    captured = read("assistants", sse(begun, STEP), complete=False)
    assert captured.usage.status == "missing"
    assert captured.response_id == "run_1"
    ended = read("assistants", sse(begun, STEP, RUN), complete=False)
    assert ended.usage.status == "reported"


@pytest.mark.parametrize("status", ["queued", "in_progress", "requires_action", "cancelling"])
def test_run_that_has_not_ended_is_missing(status: str) -> None:
    """A run says what it used when it has ended."""
    captured = read("assistants", as_json(RUN | {"status": status, "usage": None}))
    assert (captured.usage.status, captured.error_message) == ("missing", None)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (as_json(RUN | {"status": "failed", "last_error": {"message": "Sorry"}}), "Sorry"),
        (sse(RUN | {"status": "failed", "last_error": {"code": "server_error"}}), "server_error"),
        (as_json(RUN | {"status": "incomplete"}), None),
        (as_json({"error": {"message": "No such thread"}}), "No such thread"),
        (sse({"code": None, "message": "Broken", "type": "server_error"}), "Broken"),
    ],
)
def test_run_that_failed_says_why(body: bytes, message: str | None) -> None:
    """A run that fails keeps its usage, and its last error is what went wrong."""
    found = read("assistants", body).error_message
    assert found is message or (message is not None and message in str(found))

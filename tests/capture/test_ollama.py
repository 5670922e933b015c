"""Ollama: counts are in the last line, and what was not counted is unknown."""

from __future__ import annotations

import json

import pytest

from majordomo_analytics.records import flags
from tests.capture.bodies import known, read
from tests.capture.bodies_clouds import OLLAMA_FIRST, OLLAMA_LAST, lines


def test_prompt_that_was_in_memory_is_unknown() -> None:
    """A count that is left out is not zero: the prompt was read, but not counted."""
    last = {name: value for name, value in OLLAMA_LAST.items() if name != "prompt_eval_count"}
    captured = read("ollama", lines(OLLAMA_FIRST, last))

    assert known(captured) == {"output_tokens": 51}
    assert captured.usage.status == "reported"


def test_answer_without_an_output_is_not_zero() -> None:
    """Only an embedding is known to write nothing; it alone does not say it is done."""
    for done in (True, False, None):
        body = {"model": "m", "prompt_eval_count": 3, "done": done}
        assert known(read("ollama", json.dumps(body).encode())) == {"input_tokens": 3}
    body = {"model": "m", "prompt_eval_count": 3, "embeddings": []}
    assert known(read("ollama", json.dumps(body).encode())) == {
        "input_tokens": 3,
        "output_tokens": 0,
    }


def test_raw_usage_is_the_counts_and_times() -> None:
    """What a call took is kept as the provider wrote it, without the answer."""
    raw = read("ollama", json.dumps(OLLAMA_LAST).encode()).usage.raw
    assert raw is not None
    assert json.loads(raw) == {
        "total_duration": 482007750,
        "load_duration": 52719542,
        "prompt_eval_count": 16,
        "prompt_eval_duration": 44457208,
        "eval_count": 51,
        "eval_duration": 384438167,
    }


def test_stream_cut_before_its_last_line_is_missing() -> None:
    """Lines before the last tell no counts."""
    assert read("ollama", lines(OLLAMA_FIRST, OLLAMA_FIRST)).usage.status == "missing"


@pytest.mark.parametrize("before", [[], [OLLAMA_FIRST]])
def test_error_is_found(before: list[object]) -> None:
    """An error is a body of its own, or the last line of a stream."""
    captured = read("ollama", lines(*before, {"error": "model not found"}))

    assert captured.error_message == "model not found"
    assert captured.flags == ((flags.ERROR_IN_STREAM,) if before else ())

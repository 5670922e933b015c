"""Method and path say which API answers, and so how its usage is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from majordomo_analytics.capture.flavours import flavour_of, model_in_path

if TYPE_CHECKING:
    from majordomo_analytics.records.providers import Dialect


@pytest.mark.parametrize(
    ("dialect", "path", "flavour"),
    [
        ("openai", "/v1/chat/completions", "chat"),
        ("openai", "/chat/completions/", "chat"),
        ("openai", "/openai/deployments/d/chat/completions?api-version=1", "chat"),
        ("gemini", "/v1beta/openai/chat/completions", "chat"),
        ("openai", "/v1/chat", "chat"),
        ("openai", "/v1/completions", "completions"),
        ("openai", "/v1/responses", "responses"),
        ("openai", "/v1/responses/compact", "responses"),
        ("openai", "/openai/deployments/d/embeddings", "embeddings"),
        ("openai", "/v1/images/edits", "images"),
        ("openai", "/v1/audio/translations", "transcriptions"),
        ("openai", "/v1/audio/speech", "speech"),
        ("openai", "/v1/threads/runs", "assistants"),
        ("openai", "/v1/threads/thread_1/runs", "assistants"),
        ("openai", "/v1/threads/thread_1/runs/run_1/submit_tool_outputs", "assistants"),
        ("anthropic", "/v1/messages", "messages"),
        ("anthropic", "/v1/messages/count_tokens", "count_tokens"),
        ("gemini", "/v1beta/models/gemini-2.5-flash:generateContent", "generate_content"),
        ("gemini", "/v1beta/models/g:streamGenerateContent?alt=sse", "generate_content"),
        ("gemini", "/v1/models/g%3AgenerateContent", "generate_content"),
        ("gemini", "/v1/projects/p/publishers/google/models/g:generateContent", "generate_content"),
        ("gemini", "/v1/projects/p/publishers/anthropic/models/c:rawPredict", "messages"),
        ("gemini", "/v1beta/models/g:countTokens", "count_tokens"),
    ],
)
def test_calls_that_create_have_a_flavour(dialect: Dialect, path: str, flavour: str) -> None:
    """A POST that creates something is read, with or without a version in its path."""
    assert flavour_of(dialect, "POST", path) == flavour
    assert flavour_of(dialect, "post", path) == flavour
    assert flavour_of(dialect, "DELETE", path) is None


@pytest.mark.parametrize(
    ("path", "flavour"),
    [
        ("/v1/responses/resp_1", "background_response"),
        ("/v1/responses/resp_1?stream=true", "background_response"),
        ("/v1/threads/thread_1/runs/run_1", "assistants"),
        ("/v1/responses", None),
        ("/v1/responses/resp_1/input_items", None),
        ("/v1/threads/thread_1/runs", None),
        ("/v1/threads/thread_1/runs/run_1/steps", None),
        ("/v1/chat/completions", None),
        ("/v1/chat/completions/c_1", None),
    ],
)
def test_calls_that_read_what_has_ended_have_a_flavour(path: str, flavour: str | None) -> None:
    """A GET has usage only where the call that started it could not say it."""
    assert flavour_of("openai", "GET", path) == flavour


@pytest.mark.parametrize(
    ("dialect", "path"),
    [
        ("openai", "/v1/models"),
        ("openai", "/v1/responses/resp_1/cancel"),
        ("openai", "/v1/threads/thread_1/messages"),
        ("openai", "/v1/moderations"),
        ("anthropic", "/v1/messages/batches"),
        ("gemini", "/v1beta/models/g:batchGenerateContent"),
        ("openai", "/"),
        ("openai", ""),
    ],
)
def test_other_calls_are_not_read(dialect: Dialect, path: str) -> None:
    """Calls that bill nothing, or in a way not known here, have no flavour."""
    assert flavour_of(dialect, "POST", path) is None


@pytest.mark.parametrize(
    ("path", "model"),
    [
        ("/v1beta/models/gemini-2.5-flash:generateContent", "gemini-2.5-flash"),
        ("/v1/models/gemini-2.5-flash%3AstreamGenerateContent?alt=sse", "gemini-2.5-flash"),
        ("/v1beta/tunedModels/mine-1:generateContent", "mine-1"),
        ("/v1/projects/p/publishers/google/models/g-1:generateContent", "g-1"),
        ("/v1beta/models/%00:generateContent", None),
        ("/v1/models/gpt-5", None),
        ("/v1/chat/completions", None),
    ],
)
def test_model_is_taken_from_the_path(path: str, model: str | None) -> None:
    """A path in which a method follows a model names that model, however it is encoded."""
    assert model_in_path(path) == model

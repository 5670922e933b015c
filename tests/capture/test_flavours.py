"""Method and path say which API answers, and so how its usage is read."""

from __future__ import annotations

import pytest

from majordomo_analytics.capture.flavours import flavour_of, model_in_path


@pytest.mark.parametrize(
    ("provider", "path", "flavour"),
    [
        ("openai", "/v1/chat/completions", "chat"),
        ("openai", "/chat/completions/", "chat"),
        ("azure", "/openai/deployments/d/chat/completions?api-version=1", "chat"),
        ("openrouter", "/api/v1/chat/completions", "chat"),
        ("openai", "/v1/responses", "responses"),
        ("openai", "/responses", "responses"),
        ("openai", "/v1/responses/compact", "responses"),
        ("anthropic", "/v1/messages", "messages"),
        ("gemini", "/v1beta/models/gemini-2.5-flash:generateContent", "generate_content"),
        ("gemini", "/v1beta/models/g:streamGenerateContent?alt=sse", "generate_content"),
        ("gemini", "/v1/models/g%3AgenerateContent", "generate_content"),
        ("gemini", "/v1/projects/p/publishers/google/models/g:generateContent", "generate_content"),
    ],
)
def test_calls_that_create_have_a_flavour(provider: str, path: str, flavour: str) -> None:
    """A POST that creates something is read, with or without a version in its path."""
    assert flavour_of(provider, "POST", path) == flavour
    assert flavour_of(provider, "post", path) == flavour
    assert flavour_of(provider, "GET", path) is None


@pytest.mark.parametrize(
    ("provider", "path"),
    [
        ("openai", "/v1/models"),
        ("openai", "/v1/responses/resp_1/cancel"),
        ("openai", "/v1/threads/thread_1/messages"),
        ("openai", "/v1/embeddings"),
        ("anthropic", "/v1/messages/count_tokens"),
        ("anthropic", "/v1/messages/batches"),
        ("gemini", "/v1beta/models/g:countTokens"),
        ("gemini", "/v1beta/models/g:batchGenerateContent"),
        ("gemini", "/v1beta/openai/chat/completions"),
        ("openai", "/"),
        ("openai", ""),
    ],
)
def test_other_calls_are_not_read(provider: str, path: str) -> None:
    """Calls that bill nothing, or in a way not known here, have no flavour."""
    assert flavour_of(provider, "POST", path) is None


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

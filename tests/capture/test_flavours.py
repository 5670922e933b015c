"""Method and path say which API answers, and so how its usage is read."""

from __future__ import annotations

import pytest

from majordomo_analytics.capture.flavours import Flavour, flavour_of, model_in_path
from majordomo_analytics.capture.reader import ACCUMULATORS, NOTHING
from majordomo_analytics.records.providers import Dialect
from tests.capture.bodies import read

VERTEX = "/v1/projects/p/locations/global/publishers"


@pytest.mark.parametrize(
    ("dialect", "path", "flavour"),
    [
        ("openai", "/v1/chat/completions", "chat"),
        ("openai", "/chat/completions/", "chat"),
        ("openai", "/openai/deployments/d/chat/completions?api-version=1", "chat"),
        ("openai", "/api/v1/chat/completions", "chat"),
        ("openai", "/inference/v1/chat/completions", "chat"),
        ("openai", "/v1/chat", "chat"),
        ("gemini", "/v1beta/openai/chat/completions", "chat"),
        ("cohere", "/compatibility/v1/chat/completions", "chat"),
        ("bedrock", "/openai/v1/chat/completions", "chat"),
        ("openai", "/v1/completions", "completions"),
        ("openai", "/openai/deployments/d/completions", "completions"),
        ("openai", "/v1/responses", "responses"),
        ("openai", "/responses", "responses"),
        ("openai", "/v1/responses/compact", "responses"),
        ("bedrock", "/openai/v1/responses", "responses"),
        ("openai", "/v1/embeddings", "embeddings"),
        ("openai", "/v1/images/generations", "images"),
        ("openai", "/v1/images/edits", "images"),
        ("openai", "/v1/images/variations", "images"),
        ("openai", "/v1/audio/transcriptions", "transcriptions"),
        ("openai", "/v1/audio/translations", "transcriptions"),
        ("openai", "/v1/audio/speech", "speech"),
        ("openai", "/v1/threads/runs", "assistants"),
        ("openai", "/v1/threads/thread_1/runs", "assistants"),
        ("openai", "/v1/threads/thread_1/runs/run_1/submit_tool_outputs", "assistants"),
        ("anthropic", "/v1/messages", "messages"),
        ("anthropic", "/anthropic/v1/messages", "messages"),
        ("gemini", f"{VERTEX}/anthropic/models/claude-x@1:rawPredict", "messages"),
        ("gemini", f"{VERTEX}/anthropic/models/claude-x@1:streamRawPredict", "messages"),
        ("anthropic", "/v1/messages/count_tokens", "count_tokens"),
        ("gemini", "/v1beta/models/g:countTokens", "count_tokens"),
        ("bedrock", "/model/anthropic.claude-x/count-tokens", "count_tokens"),
        ("gemini", "/v1beta/models/gemini-2.5-flash:generateContent", "generate_content"),
        ("gemini", "/v1beta/models/g:streamGenerateContent?alt=sse", "generate_content"),
        ("gemini", "/v1/models/g%3AgenerateContent", "generate_content"),
        ("gemini", f"{VERTEX}/google/models/g:generateContent", "generate_content"),
        ("gemini", "/v1beta/models/g:embedContent", "embed_content"),
        ("gemini", "/v1beta/models/g:batchEmbedContents", "embed_content"),
        ("gemini", "/v1beta/interactions", "interactions"),
        ("cohere", "/v1/chat", "cohere_chat"),
        ("cohere", "/v2/chat", "cohere_chat"),
        ("cohere", "/v1/generate", "cohere_chat"),
        ("cohere", "/v1/embed", "embed"),
        ("cohere", "/v2/embed", "embed"),
        ("cohere", "/v2/rerank", "rerank"),
        ("openai", "/v1/rerank", "rerank"),
        ("bedrock", "/model/amazon.nova-micro-v1%3A0/converse", "converse"),
        ("bedrock", "/model/amazon.nova-micro-v1:0/converse-stream", "converse"),
        ("bedrock", "/model/arn%3Aaws%3Abedrock%3Aus%3A1%3Ainference%2Fp/converse", "converse"),
        ("bedrock", "/model/a.b/invoke", "invoke"),
        ("bedrock", "/model/a.b/invoke-with-response-stream", "invoke"),
        ("bedrock", "/model/arn:aws:sagemaker:us:1:endpoint/e/invoke", "invoke"),
        ("bedrock", "/agents/A1/agentAliases/B2/sessions/s/text", "invoke_agent"),
        ("bedrock", "/agents/session-1", "invoke_agent"),
        ("openai", "/api/chat", "ollama"),
        ("openai", "/api/generate", "ollama"),
        ("openai", "/api/embed", "ollama"),
    ],
)
def test_calls_that_create_have_a_flavour(dialect: Dialect, path: str, flavour: Flavour) -> None:
    """A POST that creates something is read, with or without a version in its path."""
    assert flavour_of(dialect, "POST", path) == flavour
    assert flavour_of(dialect, "post", path) == flavour
    assert flavour_of(dialect, "DELETE", path) is None


@pytest.mark.parametrize(
    ("path", "flavour"),
    [
        ("/v1/responses/resp_1", "background_response"),
        ("/openai/responses/resp_1?api-version=1", "background_response"),
        ("/v1/threads/thread_1/runs/run_1", "assistants"),
    ],
)
def test_what_was_begun_earlier_is_read_when_it_is_fetched(path: str, flavour: Flavour) -> None:
    """Usage that the call that began it could not state is read from a later GET."""
    assert flavour_of("openai", "GET", path) == flavour
    assert flavour_of("openai", "DELETE", path) is None


@pytest.mark.parametrize(
    ("dialect", "method", "path"),
    [
        ("openai", "POST", "/v1/models"),
        ("openai", "POST", "/v1/responses/resp_1/cancel"),
        ("openai", "GET", "/v1/responses"),
        ("openai", "GET", "/v1/responses/resp_1/input_items"),
        ("openai", "POST", "/v1/threads/thread_1/messages"),
        ("openai", "GET", "/v1/threads/thread_1/runs"),
        ("openai", "GET", "/v1/chat/completions/chatcmpl-1"),
        ("openai", "GET", "/v1/chat/completions"),
        ("openai", "GET", "/v1/images/generations"),
        ("anthropic", "GET", "/v1/messages"),
        ("gemini", "GET", "/v1beta/models/g:generateContent"),
        ("gemini", "GET", "/v1beta/interactions"),
        ("cohere", "GET", "/v2/chat"),
        ("openai", "POST", "/v1/moderations"),
        ("openai", "POST", "/v2/chat"),
        ("openai", "POST", "/v2/embed"),
        ("openai", "POST", "/api/tags"),
        ("anthropic", "POST", "/v1/messages/batches"),
        ("anthropic", "GET", "/v1/messages/batches/b_1/results"),
        ("gemini", "POST", "/v1beta/models/g:batchGenerateContent"),
        ("gemini", "POST", "/v1beta/cachedContents"),
        ("bedrock", "GET", "/model/a.b/invoke"),
        ("bedrock", "POST", "/guardrail/g/version/1/apply"),
        ("openai", "POST", "/"),
        ("openai", "POST", ""),
    ],
)
def test_other_calls_are_not_read(dialect: Dialect, method: str, path: str) -> None:
    """Calls that bill nothing, or in a way not known here, have no flavour."""
    assert flavour_of(dialect, method, path) is None


def test_counting_is_free() -> None:
    """What a count of tokens says was not used, so nothing is read from it."""
    assert "count_tokens" not in ACCUMULATORS
    assert read("count_tokens", b'{"input_tokens": 14}') is NOTHING


@pytest.mark.parametrize(
    ("path", "model"),
    [
        ("/v1beta/models/gemini-2.5-flash:generateContent", "gemini-2.5-flash"),
        ("/v1/models/gemini-2.5-flash%3AstreamGenerateContent?alt=sse", "gemini-2.5-flash"),
        ("/v1beta/models/gemini-embedding-2:batchEmbedContents", "gemini-embedding-2"),
        ("/v1beta/tunedModels/mine-1:generateContent", "mine-1"),
        (f"{VERTEX}/google/models/g-1:generateContent", "g-1"),
        (f"{VERTEX}/anthropic/models/claude-x@1:rawPredict", "claude-x@1"),
        ("/model/us.anthropic.claude-x-v1%3A0/converse-stream", "us.anthropic.claude-x-v1:0"),
        ("/model/amazon.nova-micro-v1:0/invoke-with-response-stream", "amazon.nova-micro-v1:0"),
        (
            "/model/arn%3Aaws%3Abedrock%3Aus%3A1%3Ainference-profile%2Fp/converse",
            "arn:aws:bedrock:us:1:inference-profile/p",
        ),
        ("/v1beta/models/%00:generateContent", None),
        ("/v1/models/gpt-5", None),
        ("/v1/chat/completions", None),
        ("/agents/A1/agentAliases/B2/sessions/s/text", None),
    ],
)
def test_model_is_taken_from_the_path(path: str, model: str | None) -> None:
    """A path in which a method follows a model names that model, however it is encoded."""
    assert model_in_path(path) == model

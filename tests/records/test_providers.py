"""Every provider of the table: where its calls go, however an SDK spells their paths."""

from __future__ import annotations

import pytest

from majordomo_analytics.records.providers import (
    PROVIDERS,
    infer_provider,
    regional,
    upstream_path,
)

AT: dict[str, tuple[str, str]] = {
    "openai": ("/chat/completions", "https://api.openai.com/v1/chat/completions"),
    "azure": ("/chat/completions", "/openai/v1/chat/completions"),
    "anthropic": ("/v1/messages", "https://api.anthropic.com/v1/messages"),
    "gemini": (
        "/v1beta/models/g:generateContent",
        "https://generativelanguage.googleapis.com/v1beta/models/g:generateContent",
    ),
    "gemini-openai": (
        "/v1/chat/completions",
        "https://generativelanguage.googleapis.com/v1beta/openai/chat/completions",
    ),
    "vertex": (
        "/v1/projects/p/locations/x/publishers/google/models/g:generateContent",
        "https://{region}-aiplatform.googleapis.com"
        "/v1/projects/p/locations/x/publishers/google/models/g:generateContent",
    ),
    "deepseek": ("/v1/chat/completions", "https://api.deepseek.com/chat/completions"),
    "mistral": ("/v1/chat/completions", "https://api.mistral.ai/v1/chat/completions"),
    "cohere": ("/v2/chat", "https://api.cohere.com/v2/chat"),
    "groq": ("/v1/chat/completions", "https://api.groq.com/openai/v1/chat/completions"),
    "together": ("/chat/completions", "https://api.together.xyz/v1/chat/completions"),
    "fireworks": (
        "/chat/completions",
        "https://api.fireworks.ai/inference/v1/chat/completions",
    ),
    "baseten": ("/chat/completions", "https://inference.baseten.co/v1/chat/completions"),
    "openrouter": ("/v1/chat/completions", "https://openrouter.ai/api/v1/chat/completions"),
    "xai": ("/v1/responses", "https://api.x.ai/v1/responses"),
    "moonshot": ("/v1/chat/completions", "https://api.moonshot.ai/v1/chat/completions"),
    "nebius": ("/v1/embeddings", "https://api.studio.nebius.com/v1/embeddings"),
    "deepinfra": (
        "/v1/chat/completions",
        "https://api.deepinfra.com/v1/openai/chat/completions",
    ),
    "novita": ("/chat/completions", "https://api.novita.ai/openai/v1/chat/completions"),
    "cerebras": ("/v1/chat/completions", "https://api.cerebras.ai/v1/chat/completions"),
    "huggingface": (
        "/together/v1/chat/completions",
        "https://router.huggingface.co/together/v1/chat/completions",
    ),
    "bedrock": (
        "/model/us.anthropic.claude-haiku-4-5-v1%3A0/converse",
        "https://bedrock-runtime.{region}.amazonaws.com"
        "/model/us.anthropic.claude-haiku-4-5-v1%3A0/converse",
    ),
    "bedrock-mantle": (
        "/v1/messages",
        "https://bedrock-mantle.{region}.api.aws/anthropic/v1/messages",
    ),
}
"""For each provider a path as an SDK sends it, and what is asked for it."""


def test_every_provider_has_a_row_here() -> None:
    assert AT.keys() == PROVIDERS.keys()


@pytest.mark.parametrize("name", AT)
def test_a_path_goes_to_where_the_provider_has_it(name: str) -> None:
    provider = PROVIDERS[name]
    path, expected = AT[name]
    assert provider.base_url + upstream_path(provider, "", path) == expected


@pytest.mark.parametrize("name", AT)
def test_a_whole_path_is_left_as_it_is(name: str) -> None:
    """What is asked of a provider directly can be asked through the proxy the same way."""
    provider = PROVIDERS[name]
    whole = upstream_path(provider, "", AT[name][0])
    assert upstream_path(provider, "", whole) == whole


@pytest.mark.parametrize("path", ["/chat/completions", "/responses", "/images/generations"])
@pytest.mark.parametrize("name", [n for n, p in PROVIDERS.items() if p.dialect == "openai"])
def test_bare_and_versioned_paths_are_one(name: str, path: str) -> None:
    """SDKs leave out /v1 when their base address is the proxy's root."""
    provider = PROVIDERS[name]
    expected = provider.api_root + path
    assert upstream_path(provider, "", path) == expected
    assert upstream_path(provider, "", f"/v1{path}") == expected


@pytest.mark.parametrize(
    ("name", "base_path", "path", "expected"),
    [
        ("openai", "/v1", "/v1/chat/completions", "/chat/completions"),
        ("openai", "/v1", "/chat/completions", "/chat/completions"),
        ("openai", "/proxy", "/chat/completions", "/v1/chat/completions"),
        ("groq", "/corp/v1", "/v1/chat/completions", "/chat/completions"),
        ("groq", "/openai/v1", "/openai/v1/chat/completions", "/chat/completions"),
        ("anthropic", "/v1", "/v1/messages", "/messages"),
        ("openrouter", "/api", "/v1/chat/completions", "/v1/chat/completions"),
        ("groq", "/openai", "/v1/chat/completions", "/v1/chat/completions"),
        ("fireworks", "/inference", "/chat/completions", "/v1/chat/completions"),
        ("bedrock-mantle", "/anthropic", "/v1/messages", "/v1/messages"),
        ("groq", "/openai/v1", "/v1/models", "/models"),
        ("openai", "", "/models", "/v1/models"),
        ("together", "", "/rerank", "/v1/rerank"),
        ("openrouter", "", "/v1/messages", "/api/v1/messages"),
        ("openai", "/xv1", "/v1/chat/completions", "/v1/chat/completions"),
        ("gemini", "/prefix", "/v1beta/models/g:generateContent", None),
    ],
)
def test_a_configured_address_is_not_repeated(
    name: str, base_path: str, path: str, expected: str | None
) -> None:
    """An address that ends in a version is what an SDK takes: only the rest is appended."""
    assert upstream_path(PROVIDERS[name], base_path, path) == (expected or path)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/v1/chat/completions", "openai"),
        ("/chat/completions", "openai"),
        ("/completions", "openai"),
        ("/v1/embeddings", "openai"),
        ("/responses", "openai"),
        ("/v1/responses/resp_1", "openai"),
        ("/v1/images/generations", "openai"),
        ("/images/edits", "openai"),
        ("/v1/audio/transcriptions", "openai"),
        ("/v1/threads/t/runs", "openai"),
        ("/v1/messages", "anthropic"),
        ("/v1/messages/count_tokens", "anthropic"),
        ("/v1/models/gemini-2.5-flash:generateContent", "gemini"),
        ("/v1beta/models/g:streamGenerateContent", "gemini"),
        ("/v1beta/models", "gemini"),
        ("/v1beta/models/g:batchEmbedContents", "gemini"),
        ("/v1beta/interactions", "gemini"),
        ("/v2/chat", "cohere"),
        ("/v2/embed", "cohere"),
        ("/v2/rerank", "cohere"),
        ("/model/us.amazon.nova-lite-v1%3A0/converse", "bedrock"),
        ("/model/m/converse-stream", "bedrock"),
        ("/model/m/invoke-with-response-stream", "bedrock"),
        ("/v1/messagesX", None),
        ("/v1/models", None),
        ("/", None),
        ("/v3/chat", None),
    ],
)
def test_a_path_says_whose_it_is(path: str, name: str | None) -> None:
    assert infer_provider(path) == name


def test_a_region_is_filled_in() -> None:
    assert regional("https://a.{region}.b", "eu-west-1") == "https://a.eu-west-1.b"
    assert regional("https://{region}-a.b", "global") == "https://a.b"

"""Hosts that speak OpenAI's API: each is found by its path, and has its own accent."""

from __future__ import annotations

import json
from typing import Any

import pytest

from majordomo_analytics.cli.standins.app import make_app
from majordomo_analytics.cli.standins.hosts import HOSTS
from majordomo_analytics.cli.standins.process import RunningStandIns
from tests.cli.standin_calls import post, truth

CHAT = {
    "model": "gpt-5-mini",
    "messages": [{"role": "user", "content": "Where is my order? " * 400}],
    "stream": True,
}
ASKING = CHAT | {"stream_options": {"include_usage": True}}
ADDRESSES = RunningStandIns("http://standins").environment


def chat_path(host: str) -> str:
    path = ADDRESSES[f"MAJORDOMO_{host.upper().replace('-', '_')}_BASE_URL"].removeprefix(
        "http://standins"
    )
    return f"{path}{HOSTS[host].root}/chat/completions"


def chunks(host: str, body: Any) -> list[dict[str, Any]]:
    text = post(make_app(), chat_path(host), body).text
    *events, done, rest = text.split("\n\n")
    assert (done, rest) == ("data: [DONE]", "")
    return [json.loads(event.removeprefix("data: ")) for event in events]


@pytest.mark.parametrize(
    ("path", "provider"),
    [
        ("/v1/chat/completions", "openai"),
        ("/chat/completions", "openai"),
        ("/openai/v1/chat/completions", "groq"),
        ("/inference/v1/chat/completions", "fireworks"),
        ("/groq/openai/v1/chat/completions", "groq"),
        ("/fireworks/inference/v1/chat/completions", "fireworks"),
        ("/together/v1/completions", "together"),
        ("/baseten/v1/chat/completions", "baseten"),
        ("/mistral/v1/embeddings", "mistral"),
        ("/deepseek/v1/responses", "deepseek"),
        ("/deepseek/chat/completions", "deepseek"),
        ("/anthropic/v1/messages", "anthropic"),
        ("/bedrock-mantle/anthropic/v1/messages", "bedrock-mantle"),
        ("/v2/rerank", "cohere"),
        ("/model/some.model%3A0/converse", "bedrock"),
        ("/bedrock/model/arn:aws:bedrock:a%2Fb/invoke", "bedrock"),
    ],
)
def test_path_says_who_was_called(path: str, provider: str) -> None:
    app = make_app()
    assert post(app, path, {"model": "some.model", "messages": []}).status_code == 200
    assert [call.provider for call in truth(app)] == [provider]


@pytest.mark.parametrize("host", ["openai", "fireworks", "baseten", "gemini-openai"])
def test_host_states_usage_apart_and_on_request_only(host: str) -> None:
    assert not any("usage" in chunk for chunk in chunks(host, CHAT))
    *before, last = chunks(host, ASKING)
    assert all(chunk["usage"] is None for chunk in before)
    assert last["choices"] == []
    assert last["usage"]["total_tokens"] > 0


@pytest.mark.parametrize("host", ["together", "mistral", "deepseek", "xai"])
def test_host_states_usage_beside_the_last_choice_always(host: str) -> None:
    for body in (CHAT, ASKING):
        *before, last = chunks(host, body)
        assert not any("usage" in chunk for chunk in before)
        assert last["choices"][0]["finish_reason"] == "stop"
        assert last["usage"]["total_tokens"] > 0


def test_groq_states_usage_in_a_place_of_its_own() -> None:
    """Always there; at the usual place only for those who ask."""
    (*_, silent), (*_, before, telling) = chunks("groq", CHAT), chunks("groq", ASKING)
    assert "usage" not in silent
    assert silent["x_groq"]["usage"] == before["x_groq"]["usage"] == telling["usage"]


@pytest.mark.parametrize(
    ("host", "model"), [("xai", "grok-3-mini"), ("gemini-openai", "gemini-2.5-flash")]
)
def test_host_leaves_reasoning_out_of_the_completion(host: str, model: str) -> None:
    """The total has it."""
    app = make_app()
    body = CHAT | {"model": model, "stream": False}
    usage = post(app, chat_path(host), body).json()["usage"]
    tokens = truth(app)[0].tokens
    assert tokens.reasoning > 0
    assert usage["completion_tokens"] == tokens.output - tokens.reasoning
    assert usage["total_tokens"] == tokens.input + tokens.output


@pytest.mark.parametrize(
    ("host", "place"),
    [
        ("openai", ("prompt_tokens_details", "cached_tokens")),
        ("together", ("cached_tokens",)),
        ("mistral", ("num_cached_tokens",)),
        ("deepseek", ("prompt_cache_hit_tokens",)),
        ("groq", ("prompt_tokens_details", "cached_tokens")),
    ],
)
def test_host_states_what_was_cached_at_its_own_place(host: str, place: tuple[str, ...]) -> None:
    """Among some questions there is one that was read from a cache, and all are true."""
    app = make_app()
    cached = []
    for number in range(8):
        value = post(app, chat_path(host), CHAT | {"stream": False, "user": str(number)}).json()[
            "usage"
        ]
        for name in place:
            value = value[name]
        cached.append(value)
    assert cached == [call.tokens.cached for call in truth(app)]
    assert any(cached)

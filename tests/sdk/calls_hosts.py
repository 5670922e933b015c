"""Calls of hosts that speak OpenAI's API: with Groq's and Mistral's SDKs, and OpenAI's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import groq
import httpx2
import openai
from mistralai.client import Mistral

from tests.sdk.calls_openai import chat_usage
from tests.sdk.roads import (
    LEFT,
    QUESTION,
    SLOWLY,
    SYSTEM,
    TURNS,
    Call,
    Clause,
    Road,
    Usage,
    called,
)

SMALL = "mistral-small-latest"
SCHEMA: Any = {
    "type": "json_schema",
    "json_schema": {"name": "clause", "schema": Clause.model_json_schema(), "strict": True},
}


def _groq(road: Road) -> groq.Groq:
    return groq.Groq(
        api_key="made-up",
        base_url=road.to("groq"),
        default_headers=road.headers | called("groq"),
        max_retries=0,
    )


def groq_chat(road: Road, extra: dict[str, str]) -> Usage:
    with _groq(road) as client:
        said = client.chat.completions.create(
            model="openai/gpt-oss-20b", messages=TURNS, extra_headers=extra
        )
    return chat_usage(said.usage)


def groq_chat_stream(road: Road, extra: dict[str, str]) -> Usage:
    """Usage comes in ``x_groq`` only, which the SDK knows."""
    with _groq(road) as client:
        *_, last = client.chat.completions.create(
            model="llama-3.1-8b-instant", messages=TURNS, stream=True, extra_headers=extra
        )
    assert last.x_groq is not None
    assert last.x_groq.usage is not None
    return chat_usage(last.x_groq.usage)


def groq_chat_schema(road: Road, extra: dict[str, str]) -> Usage:
    with _groq(road) as client:
        said = client.chat.completions.create(
            model="openai/gpt-oss-20b",
            messages=TURNS,
            response_format=SCHEMA,
            extra_headers=extra,
        )
    Clause.model_validate_json(said.choices[0].message.content or "")
    return chat_usage(said.usage)


def groq_chat_left(road: Road, extra: dict[str, str]) -> Usage:
    with _groq(road) as client:
        stream = client.chat.completions.create(
            model="llama-3.1-8b-instant",
            messages=TURNS,
            max_tokens=300,
            stream=True,
            extra_headers=extra | SLOWLY,
        )
        next(iter(stream))
        stream.close()
    return LEFT


@contextmanager
def _mistral(road: Road) -> Iterator[Mistral]:
    with (
        httpx2.Client(headers=road.headers | called("mistral")) as http,
        Mistral(api_key="made-up", server_url=road.to("mistral"), client=http) as client,
    ):
        yield client


def _mistral_usage(usage: Any) -> Usage:
    return Usage(usage.prompt_tokens, usage.completion_tokens)


def mistral_chat(road: Road, extra: dict[str, str]) -> Usage:
    with _mistral(road) as client:
        said = client.chat.complete(model=SMALL, messages=TURNS, http_headers=extra)
    return _mistral_usage(said.usage)


def mistral_chat_stream(road: Road, extra: dict[str, str]) -> Usage:
    with (
        _mistral(road) as client,
        client.chat.stream(
            model=SMALL, messages=TURNS, max_tokens=150, http_headers=extra
        ) as stream,
    ):
        *_, last = stream
    return _mistral_usage(last.data.usage)


def mistral_chat_parsed(road: Road, extra: dict[str, str]) -> Usage:
    with _mistral(road) as client:
        said = client.chat.parse(Clause, model=SMALL, messages=TURNS, http_headers=extra)
    assert said.choices is not None
    message = said.choices[0].message
    assert message is not None
    assert isinstance(message.parsed, Clause)
    return _mistral_usage(said.usage)


def mistral_chat_left(road: Road, extra: dict[str, str]) -> Usage:
    with (
        _mistral(road) as client,
        client.chat.stream(
            model=SMALL, messages=TURNS, max_tokens=250, http_headers=extra | SLOWLY
        ) as stream,
    ):
        next(iter(stream))
    return LEFT


def mistral_embeddings(road: Road, extra: dict[str, str]) -> Usage:
    with _mistral(road) as client:
        said = client.embeddings.create(
            model="mistral-embed", inputs=[QUESTION], http_headers=extra
        )
    return Usage(said.usage.prompt_tokens, 0)


def _openai(road: Road, provider: str) -> openai.OpenAI:
    return openai.OpenAI(
        api_key="made-up",
        base_url=road.to_openai_of(provider),
        default_headers=road.headers | called(provider),
        max_retries=0,
    )


def fireworks_chat(road: Road, extra: dict[str, str]) -> Usage:
    with _openai(road, "fireworks") as client:
        said = client.chat.completions.create(
            model="accounts/fireworks/models/glm-5p3", messages=TURNS, extra_headers=extra
        )
    return chat_usage(said.usage)


def fireworks_chat_stream(road: Road, extra: dict[str, str]) -> Usage:
    with _openai(road, "fireworks") as client:
        *_, last = client.chat.completions.create(
            model="accounts/fireworks/models/glm-5p3",
            messages=TURNS,
            stream=True,
            stream_options={"include_usage": True},
            extra_headers=extra,
        )
    return chat_usage(last.usage)


def together_chat(road: Road, extra: dict[str, str]) -> Usage:
    """Find what was cached where OpenAI's SDK does not look."""
    with _openai(road, "together") as client:
        said = client.chat.completions.create(
            model="zai-org/GLM-5.3", messages=TURNS, extra_headers=extra
        )
    assert said.usage is not None
    cached = (said.usage.model_extra or {})["cached_tokens"]
    return Usage(said.usage.prompt_tokens, said.usage.completion_tokens, cached)


def together_chat_stream(road: Road, extra: dict[str, str]) -> Usage:
    with _openai(road, "together") as client:
        *_, last = client.chat.completions.create(
            model="zai-org/GLM-5.3",
            messages=[{"role": "system", "content": SYSTEM}, *TURNS],
            stream=True,
            extra_headers=extra,
        )
    assert last.usage is not None
    return Usage(last.usage.prompt_tokens, last.usage.completion_tokens)


def baseten_chat(road: Road, extra: dict[str, str]) -> Usage:
    with _openai(road, "baseten") as client:
        said = client.chat.completions.create(
            model="zai-org/GLM-5.3", messages=TURNS, response_format=SCHEMA, extra_headers=extra
        )
    Clause.model_validate_json(said.choices[0].message.content or "")
    return chat_usage(said.usage)


def deepseek_chat_stream(road: Road, extra: dict[str, str]) -> Usage:
    with _openai(road, "deepseek") as client:
        *_, last = client.chat.completions.create(
            model="deepseek-v3.1-terminus", messages=TURNS, stream=True, extra_headers=extra
        )
    return chat_usage_of_deepseek(last.usage)


def chat_usage_of_deepseek(usage: Any) -> Usage:
    assert usage.prompt_cache_hit_tokens + usage.prompt_cache_miss_tokens == usage.prompt_tokens
    return Usage(usage.prompt_tokens, usage.completion_tokens, usage.prompt_cache_hit_tokens)


def xai_chat_stream(road: Road, extra: dict[str, str]) -> Usage:
    """Add the reasoning, which comes on top of the completion."""
    with _openai(road, "xai") as client:
        *_, last = client.chat.completions.create(
            model="grok-3-mini", messages=TURNS, stream=True, extra_headers=extra
        )
    assert last.usage is not None
    details = last.usage.completion_tokens_details
    assert details is not None
    assert details.reasoning_tokens
    return Usage(
        last.usage.prompt_tokens,
        last.usage.completion_tokens + details.reasoning_tokens,
        reasoning_tokens=details.reasoning_tokens,
    )


def gemini_openai_chat(road: Road, extra: dict[str, str]) -> Usage:
    """Take the answer from the total, as only that has the thoughts."""
    with _openai(road, "gemini-openai") as client:
        said = client.chat.completions.create(
            model="gemini-2.5-flash", messages=TURNS, extra_headers=extra
        )
    assert said.usage is not None
    assert said.usage.total_tokens > said.usage.prompt_tokens + said.usage.completion_tokens
    return Usage(said.usage.prompt_tokens, said.usage.total_tokens - said.usage.prompt_tokens)


CALLS: tuple[Call, ...] = (
    groq_chat,
    groq_chat_stream,
    groq_chat_schema,
    groq_chat_left,
    mistral_chat,
    mistral_chat_stream,
    mistral_chat_parsed,
    mistral_chat_left,
    mistral_embeddings,
    fireworks_chat,
    fireworks_chat_stream,
    together_chat,
    together_chat_stream,
    baseten_chat,
    deepseek_chat_stream,
    xai_chat_stream,
    gemini_openai_chat,
)

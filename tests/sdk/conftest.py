"""The official SDKs' calls, and the two roads they take: straight, and through the proxy.

Every call is made once on each road. It returns the usage as the SDK's own objects report
it, brought to the whole counts that our rows use: input with the cache, output with the
reasoning.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anthropic
import openai
import polars as pl
import pytest
from google import genai
from google.genai import types

from majordomo_analytics.cli.children import running_proxy
from majordomo_analytics.cli.standins.process import RunningStandIns, running_standins

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from majordomo_analytics.cli.standins.truth import Call

DEFAULTS = {"X-Majordomo-Feature": "sdk-tests", "X-Majordomo-User-Tier": "free"}
OVERRIDES = {"X-Majordomo-User-Tier": "enterprise", "x-majordomo-REQUEST-id": "r-1"}

QUESTION = "Summarise the contract in one sentence. " * 150
TURNS: Any = [{"role": "user", "content": QUESTION}]
SYSTEM = "You are a careful lawyer who answers briefly. " * 120


@dataclass(frozen=True)
class Usage:
    """What an SDK reported, in whole counts; None is what it does not report."""

    input_tokens: int
    output_tokens: int
    cached_tokens: int | None
    reasoning_tokens: int | None
    cache_creation_tokens: int | None = None
    cache_creation_5m_tokens: int | None = None
    cache_creation_1h_tokens: int | None = None


@dataclass(frozen=True)
class Road:
    """Where an SDK sends its calls, and with which headers on every one."""

    url: str
    headers: dict[str, str]


def _other_case(headers: dict[str, str]) -> dict[str, str]:
    """Spell names unlike the defaults; google-genai would send both spellings then."""
    return {name.swapcase(): value for name, value in headers.items()}


def _openai(road: Road, path: str = "/v1") -> openai.OpenAI:
    return openai.OpenAI(
        api_key="sk-made-up",
        base_url=road.url + path,
        default_headers=road.headers,
        max_retries=0,
    )


def _chat_usage(usage: Any) -> Usage:
    return Usage(
        usage.prompt_tokens,
        usage.completion_tokens,
        usage.prompt_tokens_details.cached_tokens,
        usage.completion_tokens_details.reasoning_tokens,
    )


def chat(road: Road, extra: dict[str, str]) -> Usage:
    with _openai(road) as client:
        said = client.chat.completions.create(
            model="gpt-4o-mini", messages=TURNS, extra_headers=_other_case(extra)
        )
    return _chat_usage(said.usage)


def chat_at_root(road: Road, extra: dict[str, str]) -> Usage:
    """Call a base URL without /v1, as clients of a gateway do."""
    with _openai(road, "") as client:
        said = client.chat.completions.create(
            model="gpt-5-mini", messages=TURNS, extra_headers=extra
        )
    return _chat_usage(said.usage)


def chat_stream(road: Road, extra: dict[str, str]) -> Usage:
    with _openai(road) as client:
        *_, last = client.chat.completions.create(
            model="gpt-5-mini",
            messages=TURNS,
            stream=True,
            stream_options={"include_usage": True},
            extra_headers=extra,
        )
    return _chat_usage(last.usage)


def _responses_usage(usage: Any) -> Usage:
    return Usage(
        usage.input_tokens,
        usage.output_tokens,
        usage.input_tokens_details.cached_tokens,
        usage.output_tokens_details.reasoning_tokens,
    )


def responses(road: Road, extra: dict[str, str]) -> Usage:
    with _openai(road) as client:
        said = client.responses.create(model="gpt-4.1", input=QUESTION, extra_headers=extra)
    assert said.output_text
    return _responses_usage(said.usage)


def responses_stream(road: Road, extra: dict[str, str]) -> Usage:
    with (
        _openai(road) as client,
        client.responses.stream(
            model="gpt-5-mini", input=QUESTION, instructions=SYSTEM, extra_headers=extra
        ) as stream,
    ):
        stream.until_done()
        return _responses_usage(stream.get_final_response().usage)


def _anthropic(road: Road) -> anthropic.Anthropic:
    return anthropic.Anthropic(
        api_key="sk-ant-made-up", base_url=road.url, default_headers=road.headers, max_retries=0
    )


def _message_usage(usage: Any) -> Usage:
    created, read = usage.cache_creation_input_tokens, usage.cache_read_input_tokens
    return Usage(
        usage.input_tokens + created + read,
        usage.output_tokens,
        read,
        usage.output_tokens_details.thinking_tokens,
        created,
        usage.cache_creation.ephemeral_5m_input_tokens,
        usage.cache_creation.ephemeral_1h_input_tokens,
    )


def _message(prompt: str, ttl: str | None = None, **more: Any) -> dict[str, Any]:
    control = {"cache_control": {"type": "ephemeral", "ttl": ttl}} if ttl else {}
    return more | {
        "model": "claude-haiku-4-5",
        "max_tokens": 300,
        "system": [{"type": "text", "text": SYSTEM, **control}],
        "messages": [{"role": "user", "content": prompt}],
    }


def messages(road: Road, extra: dict[str, str]) -> Usage:
    with _anthropic(road) as client:
        body = _message("Who pays?")
        said = client.messages.create(**body, extra_headers=_other_case(extra))
    return _message_usage(said.usage)


def messages_cached_5m(road: Road, extra: dict[str, str]) -> Usage:
    with _anthropic(road) as client:
        said = client.messages.create(**_message("Who signs?", "5m"), extra_headers=extra)
    return _message_usage(said.usage)


def messages_cached_1h(road: Road, extra: dict[str, str]) -> Usage:
    with _anthropic(road) as client:
        said = client.messages.create(**_message("Again", "1h"), extra_headers=extra)
    return _message_usage(said.usage)


def messages_stream(road: Road, extra: dict[str, str]) -> Usage:
    body = _message("Why?", "1h", thinking={"type": "enabled", "budget_tokens": 1024})
    with (
        _anthropic(road) as client,
        client.messages.stream(**body, extra_headers=extra) as stream,
    ):
        return _message_usage(stream.get_final_message().usage)


def _gemini(road: Road) -> genai.Client:
    options = types.HttpOptions(base_url=road.url, headers=road.headers)
    return genai.Client(api_key="made-up", http_options=options)


def _gemini_usage(usage: Any) -> Usage:
    thoughts = usage.thoughts_token_count
    return Usage(
        usage.prompt_token_count,
        usage.candidates_token_count + (thoughts or 0),
        usage.cached_content_token_count,
        thoughts,
    )


def generate(road: Road, extra: dict[str, str]) -> Usage:
    config = types.GenerateContentConfig(http_options=types.HttpOptions(headers=extra))
    with _gemini(road) as client:
        said = client.models.generate_content(
            model="gemini-2.5-flash", contents=QUESTION, config=config
        )
    return _gemini_usage(said.usage_metadata)


def generate_stream(road: Road, extra: dict[str, str]) -> Usage:
    config = types.GenerateContentConfig(
        http_options=types.HttpOptions(headers=extra), system_instruction=SYSTEM
    )
    with _gemini(road) as client:
        *_, last = client.models.generate_content_stream(
            model="gemini-2.5-flash-lite", contents=QUESTION, config=config
        )
    return _gemini_usage(last.usage_metadata)


CALLS: dict[str, Callable[[Road, dict[str, str]], Usage]] = {
    call.__name__: call
    for call in (
        chat,
        chat_at_root,
        chat_stream,
        responses,
        responses_stream,
        messages,
        messages_cached_5m,
        messages_cached_1h,
        messages_stream,
        generate,
        generate_stream,
    )
}


def make_all_calls(road: Road) -> dict[str, Usage]:
    return {
        name: call(road, OVERRIDES | {"X-Demo-Call": name, "x-majordomo-call": name})
        for name, call in CALLS.items()
    }


@pytest.fixture(params=CALLS)
def call(request: pytest.FixtureRequest) -> str:
    """Name one SDK call; a test that takes it runs once for each."""
    return str(request.param)


@pytest.fixture(scope="session")
def straight() -> Iterator[tuple[dict[str, Usage], dict[str, Call]]]:
    """Give what the SDKs report, and the truth, when they call the stand-ins themselves."""
    with running_standins() as standins:
        reported = make_all_calls(Road(standins.url, DEFAULTS))
        yield reported, truth_by_name(standins)


@pytest.fixture(scope="session")
def proxied(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[dict[str, Usage], dict[str, Call], dict[str, dict[str, Any]]]:
    """Give what the SDKs report, the truth, and the lake's rows, through the proxy."""
    data = tmp_path_factory.mktemp("sdk") / "data"
    issued = json.loads(mdm("keys", "create", "--name", "sdk", "--data", str(data), "--json"))
    headers = DEFAULTS | {"X-Majordomo-Key": issued["key"]}
    with (
        running_standins() as standins,
        running_proxy(data, standins.environment) as url,
    ):
        reported = make_all_calls(Road(url, headers))
        truth = truth_by_name(standins)
    mdm("drain", "--once", "--data", str(data))
    lake = pl.read_delta(str(data / "lake" / "llm_requests"))
    rows = {row["raw_metadata"]["Call"]: row for row in lake.to_dicts()}
    assert len(rows) == lake.height
    return reported, truth, rows


def mdm(*arguments: str) -> str:
    command = [sys.executable, "-m", "majordomo_analytics", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def truth_by_name(standins: RunningStandIns) -> dict[str, Call]:
    calls = standins.truth()
    named = {str(call.name): call for call in calls}
    assert len(named) == len(calls), "a call was made twice"
    return named

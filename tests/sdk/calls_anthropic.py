"""Calls of Anthropic's SDK."""

from __future__ import annotations

from typing import Any

import anthropic

from tests.sdk.roads import LEFT, SLOWLY, SYSTEM, Call, Clause, Road, Usage, other_case


def _client(road: Road) -> anthropic.Anthropic:
    return anthropic.Anthropic(
        api_key="sk-ant-made-up", base_url=road.url, default_headers=road.headers, max_retries=0
    )


def _usage(usage: Any) -> Usage:
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


def _body(prompt: str, ttl: str | None = None, **more: Any) -> dict[str, Any]:
    control = {"cache_control": {"type": "ephemeral", "ttl": ttl}} if ttl else {}
    return more | {
        "model": "claude-haiku-4-5",
        "max_tokens": 300,
        "system": [{"type": "text", "text": SYSTEM, **control}],
        "messages": [{"role": "user", "content": prompt}],
    }


def messages(road: Road, extra: dict[str, str]) -> Usage:
    with _client(road) as client:
        said = client.messages.create(**_body("Who pays?"), extra_headers=other_case(extra))
    return _usage(said.usage)


def messages_cached_5m(road: Road, extra: dict[str, str]) -> Usage:
    with _client(road) as client:
        said = client.messages.create(**_body("Who signs?", "5m"), extra_headers=extra)
    return _usage(said.usage)


def messages_cached_1h(road: Road, extra: dict[str, str]) -> Usage:
    with _client(road) as client:
        said = client.messages.create(**_body("Again", "1h"), extra_headers=extra)
    return _usage(said.usage)


def messages_stream(road: Road, extra: dict[str, str]) -> Usage:
    body = _body("Why?", "1h", thinking={"type": "enabled", "budget_tokens": 1024})
    with (
        _client(road) as client,
        client.messages.stream(**body, extra_headers=extra) as stream,
    ):
        return _usage(stream.get_final_message().usage)


def messages_parsed(road: Road, extra: dict[str, str]) -> Usage:
    with _client(road) as client:
        said = client.messages.parse(**_body("When?"), output_format=Clause, extra_headers=extra)
    assert isinstance(said.parsed_output, Clause)
    return _usage(said.usage)


def messages_tool_stream(road: Road, extra: dict[str, str]) -> Usage:
    """Let the SDK put the tool's input together from pieces."""
    tool = {"name": "clause", "input_schema": Clause.model_json_schema()}
    body = _body("How?", tools=[tool], tool_choice={"type": "tool", "name": "clause"})
    with (
        _client(road) as client,
        client.messages.stream(**body, extra_headers=extra) as stream,
    ):
        said = stream.get_final_message()
    (block,) = said.content
    assert block.type == "tool_use"
    Clause.model_validate(block.input)
    return _usage(said.usage)


def messages_left(road: Road, extra: dict[str, str]) -> Usage:
    with _client(road) as client:
        body = _body("Where?", "5m")
        stream = client.messages.create(**body, stream=True, extra_headers=extra | SLOWLY)
        next(iter(stream))
        stream.close()
    return LEFT


CALLS: tuple[Call, ...] = (
    messages,
    messages_cached_5m,
    messages_cached_1h,
    messages_stream,
    messages_parsed,
    messages_tool_stream,
    messages_left,
)

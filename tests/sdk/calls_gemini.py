"""Calls of google-genai."""

from __future__ import annotations

from typing import Any

from google import genai
from google.genai import types

from tests.sdk.roads import LEFT, QUESTION, SLOWLY, SYSTEM, Call, Clause, Road, Usage


def _client(road: Road) -> genai.Client:
    options = types.HttpOptions(base_url=road.url, headers=road.headers)
    return genai.Client(api_key="made-up", http_options=options)


def _usage(usage: Any) -> Usage:
    thoughts = usage.thoughts_token_count
    return Usage(
        usage.prompt_token_count,
        usage.candidates_token_count + (thoughts or 0),
        usage.cached_content_token_count,
        thoughts,
    )


def _config(extra: dict[str, str], **more: Any) -> types.GenerateContentConfig:
    return types.GenerateContentConfig(http_options=types.HttpOptions(headers=extra), **more)


def generate(road: Road, extra: dict[str, str]) -> Usage:
    with _client(road) as client:
        said = client.models.generate_content(
            model="gemini-2.5-flash", contents=QUESTION, config=_config(extra)
        )
    return _usage(said.usage_metadata)


def generate_stream(road: Road, extra: dict[str, str]) -> Usage:
    with _client(road) as client:
        *_, last = client.models.generate_content_stream(
            model="gemini-2.5-flash-lite",
            contents=QUESTION,
            config=_config(extra, system_instruction=SYSTEM),
        )
    return _usage(last.usage_metadata)


def generate_parsed(road: Road, extra: dict[str, str]) -> Usage:
    config = _config(extra, response_mime_type="application/json", response_schema=Clause)
    with _client(road) as client:
        said = client.models.generate_content(
            model="gemini-3.5-flash-lite", contents=QUESTION, config=config
        )
    assert isinstance(said.parsed, Clause)
    return _usage(said.usage_metadata)


def generate_left(road: Road, extra: dict[str, str]) -> Usage:
    with _client(road) as client:
        stream = client.models.generate_content_stream(
            model="gemini-2.5-flash", contents=SYSTEM, config=_config(extra | SLOWLY)
        )
        next(stream)
        stream.close()  # type: ignore[attr-defined]
    return LEFT


CALLS: tuple[Call, ...] = (generate, generate_stream, generate_parsed, generate_left)

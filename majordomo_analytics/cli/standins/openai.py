"""OpenAI's chat and legacy completions, which many hosts speak with an accent of their own.

Prompt counts include what was cached, completion counts include reasoning with most
hosts. Where and when a stream tells its usage depends on the host (`hosts`).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from majordomo_analytics.cli.standins.answers import (
    USUAL_OUTPUT_LIMIT,
    Answer,
    Dialect,
    Json,
    Question,
    characters,
)
from majordomo_analytics.cli.standins.hosts import HOSTS, OPENAI
from majordomo_analytics.cli.standins.schemas import ANY_OBJECT

if TYPE_CHECKING:
    from collections.abc import Iterator

CREATED = 1_767_225_600
REASONING_MODELS = ("gpt-5", "o3", "o4", "openai/gpt-oss", "grok-3-mini", "gemini-2.5-flash")


def read_chat(body: Json, provider: str = "openai") -> Question:
    """Return the question in the body of a chat completions call."""
    return Question(
        flavour="chat",
        model=str(body.get("model", "")),
        body=body,
        provider=provider,
        prompt_characters=characters(body.get("messages")) + characters(body.get("tools")),
        output_limit=body.get("max_completion_tokens")
        or body.get("max_tokens")
        or USUAL_OUTPUT_LIMIT,
        thinks=str(body.get("model", "")).startswith(REASONING_MODELS),
        streamed=bool(body.get("stream")),
        schema=_schema(body.get("response_format") or {}),
    )


def read_completion(body: Json, provider: str = "openai") -> Question:
    """Return the question in the body of a legacy completions call."""
    return Question(
        flavour="completions",
        model=str(body.get("model", "")),
        body=body,
        provider=provider,
        prompt_characters=characters(body.get("prompt")),
        caches=False,
        output_limit=body.get("max_tokens") or 16,
        streamed=bool(body.get("stream")),
    )


def chat_body(question: Question, answer: Answer) -> Json:
    """Return a whole chat completion."""
    message: Json = {
        "role": "assistant",
        "content": answer.text,
        "refusal": None,
        "annotations": [],
    }
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    return {
        **_common(question, answer, "chat.completion"),
        "choices": [choice],
        "usage": HOSTS.get(question.provider, OPENAI).usage(answer.tokens),
        "service_tier": "default",
        "system_fingerprint": None,
    }


def chat_events(question: Question, answer: Answer) -> Iterator[bytes]:
    """Yield the events of a streamed chat completion."""
    common = _common(question, answer, "chat.completion.chunk")
    common |= {"service_tier": "default", "system_fingerprint": None}

    def choice(delta: Json, finish: str | None = None) -> Json:
        return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}

    said = [choice({"role": "assistant", "content": "", "refusal": None})]
    said += [choice({"content": piece}) for piece in answer.pieces()]
    yield from _chunks(question, answer, common, [*said, choice({}, "stop")])


def completion_body(question: Question, answer: Answer) -> Json:
    """Return a whole legacy completion."""
    choice = {"index": 0, "text": answer.text, "logprobs": None, "finish_reason": "stop"}
    usage = HOSTS.get(question.provider, OPENAI).usage(answer.tokens)
    return {
        **_common(question, answer, "text_completion"),
        "choices": [choice],
        "usage": {name: usage[name] for name in usage if name.endswith("_tokens")},
    }


def completion_events(question: Question, answer: Answer) -> Iterator[bytes]:
    """Yield the events of a streamed legacy completion."""

    def choice(text: str, finish: str | None = None) -> Json:
        return {"index": 0, "text": text, "logprobs": None, "finish_reason": finish}

    said = [*(choice(piece) for piece in answer.pieces()), choice("", "stop")]
    yield from _chunks(question, answer, _common(question, answer, "text_completion"), said)


def error_body(status: int) -> Json:
    """Return what OpenAI says when it refuses or fails."""
    kind, text = {
        400: ("invalid_request_error", "We could not parse the JSON body of your request."),
        401: ("invalid_request_error", "You didn't provide an API key."),
        429: ("tokens", "Rate limit reached: please try again in 20ms."),
    }.get(status, ("server_error", "The server had an error while processing your request."))
    return {"error": {"message": text, "type": kind, "param": None, "code": None}}


def _schema(response_format: Json) -> Json | None:
    """Return what the text has to fit."""
    if response_format.get("type") == "json_object":
        return ANY_OBJECT
    schema: Json | None = (response_format.get("json_schema") or {}).get("schema")
    return schema


def _common(question: Question, answer: Answer, kind: str) -> Json:
    return {
        "id": f"{'cmpl' if kind == 'text_completion' else 'chatcmpl'}-{answer.id}",
        "object": kind,
        "created": CREATED,
        "model": question.model,
    }


def _chunks(question: Question, answer: Answer, common: Json, said: list[Json]) -> Iterator[bytes]:
    """Yield one event for each choice, and the usage where the host states it."""
    host = HOSTS.get(question.provider, OPENAI)
    asked = bool((question.body.get("stream_options") or {}).get("include_usage"))
    apart = asked and host.usage_in_stream != "always"
    if apart:
        common = {**common, "usage": None}
    for choice in said[:-1]:
        yield _data({**common, "choices": [choice]})
    last = {**common, "choices": said[-1:]}
    if host.usage_in_stream == "always":
        last["usage"] = host.usage(answer.tokens)
    if host.usage_in_stream == "x_groq":
        last["x_groq"] = {"id": f"req_{answer.id}", "usage": host.usage(answer.tokens)}
    yield _data(last)
    if apart:
        yield _data({**common, "choices": [], "usage": host.usage(answer.tokens)})
    yield b"data: [DONE]\n\n"


def _data(event: Json) -> bytes:
    return b"data: " + json.dumps(event, ensure_ascii=False).encode() + b"\n\n"


CHAT = Dialect(chat_body, chat_events, error_body, "x-request-id")
COMPLETIONS = Dialect(completion_body, completion_events, error_body, "x-request-id")

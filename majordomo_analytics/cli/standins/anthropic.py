"""Anthropic's wire format: messages, as JSON and as events.

``input_tokens`` leaves out what was read from or written to a cache. A stream says its
usage twice: a seed in ``message_start``, the truth about the output in ``message_delta``.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from majordomo_analytics.cli.standins.answers import (
    USUAL_OUTPUT_LIMIT,
    Answer,
    Dialect,
    Json,
    Kept,
    Question,
    characters,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


def read_messages(body: Json, provider: str = "anthropic") -> Question:
    """Return the question in the body of a messages call."""
    marked, kept = _marked_for_caching(body)
    tool, schema = _wanted(body)
    return Question(
        flavour="messages",
        provider=provider,
        model=str(body.get("model", "")),
        body=body,
        prompt_characters=characters(body.get("system"))
        + characters(body.get("messages"))
        + characters(body.get("tools")),
        caches=False,
        cacheable_characters=marked,
        kept=kept,
        output_limit=body.get("max_tokens") or USUAL_OUTPUT_LIMIT,
        thinks=(body.get("thinking") or {}).get("type") == "enabled",
        streamed=bool(body.get("stream")),
        schema=schema,
        tool=tool,
    )


def messages_body(question: Question, answer: Answer) -> Json:
    """Return a whole message."""
    return {
        **_message(question, answer),
        "content": [block for block, _ in _blocks(question, answer)],
        "stop_reason": _stop_reason(question),
        "usage": _usage(answer, answer.tokens.output),
    }


def messages_events(question: Question, answer: Answer) -> Iterator[bytes]:
    """Yield the events of a streamed message."""
    seed = {**_message(question, answer), "usage": _usage(answer, 1)}
    del seed["usage"]["output_tokens_details"]
    yield _event("message_start", {"message": seed})
    for index, (block, deltas) in enumerate(_blocks(question, answer)):
        empty = {k: {} if k == "input" else "" for k in block} | {
            k: v for k, v in block.items() if k in {"type", "id", "name"}
        }
        yield _event("content_block_start", {"index": index, "content_block": empty})
        if index == 0:
            yield _event("ping", {})
        for delta in deltas:
            yield _event("content_block_delta", {"index": index, "delta": delta})
        yield _event("content_block_stop", {"index": index})
    usage = _usage(answer, answer.tokens.output)
    told = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
    yield _event(
        "message_delta",
        {
            "delta": {"stop_reason": _stop_reason(question), "stop_sequence": None},
            "usage": {key: usage[key] for key in (*told, "output_tokens", "output_tokens_details")},
        },
    )
    yield _event("message_stop", {})


def error_body(status: int) -> Json:
    """Return what Anthropic says when it refuses or fails."""
    kind, text = {
        400: ("invalid_request_error", "The request body is not valid JSON"),
        401: ("authentication_error", "x-api-key header is required"),
        429: ("rate_limit_error", "This request would exceed your rate limit."),
    }.get(status, ("api_error", "Internal server error"))
    return {"type": "error", "error": {"type": kind, "message": text}}


def _marked_for_caching(body: Json) -> tuple[int, Kept | None]:
    """Return how much of the prompt is to be cached, and for how long."""
    system = body.get("system")
    marked = 0
    kept: Kept | None = None
    for block in system if isinstance(system, list) else []:
        if control := block.get("cache_control"):
            marked += len(block.get("text", ""))
            kept = "1h" if control.get("ttl") == "1h" else "5m"
    return marked, kept


def _wanted(body: Json) -> tuple[str | None, Json | None]:
    """Return the tool to call, if the caller offers one, and the form of the JSON."""
    choice = body.get("tool_choice") or {}
    for tool in body.get("tools") or []:
        own = "input_schema" in tool and choice.get("name") in {None, tool["name"]}
        if own and choice.get("type") != "none":
            return tool["name"], tool["input_schema"]
    config = (body.get("output_config") or {}).get("format") or body.get("output_format") or {}
    return None, config.get("schema")


def _stop_reason(question: Question) -> str:
    return "tool_use" if question.tool else "end_turn"


def _message(question: Question, answer: Answer) -> Json:
    return {
        "id": f"msg_{answer.id}",
        "type": "message",
        "role": "assistant",
        "model": question.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
    }


def _usage(answer: Answer, output_tokens: int) -> Json:
    tokens = answer.tokens
    return {
        "input_tokens": tokens.fresh,
        "cache_creation_input_tokens": tokens.written,
        "cache_read_input_tokens": tokens.cached,
        "cache_creation": {
            "ephemeral_5m_input_tokens": tokens.written_5m,
            "ephemeral_1h_input_tokens": tokens.written_1h,
        },
        "output_tokens": output_tokens,
        "output_tokens_details": {"thinking_tokens": tokens.reasoning},
        "service_tier": "standard",
        "inference_geo": "not_available",
    }


def _blocks(question: Question, answer: Answer) -> Iterator[tuple[Json, list[Json]]]:
    """Yield each content block and the deltas that it is streamed in."""
    if question.thinks:
        thought, signature = "Let me read the clauses first.", "c3RhbmQtaW4="
        yield (
            {"type": "thinking", "thinking": thought, "signature": signature},
            [
                {"type": "thinking_delta", "thinking": thought},
                {"type": "signature_delta", "signature": signature},
            ],
        )
    if question.tool:
        yield (
            {
                "type": "tool_use",
                "id": f"toolu_{answer.id}",
                "name": question.tool,
                "input": json.loads(answer.text),
            },
            [
                {"type": "input_json_delta", "partial_json": piece}
                for piece in ["", *answer.pieces()]
            ],
        )
        return
    yield (
        {"type": "text", "text": answer.text},
        [{"type": "text_delta", "text": piece} for piece in answer.pieces()],
    )


def _event(name: str, fields: Json) -> bytes:
    data = json.dumps({"type": name, **fields}, ensure_ascii=False)
    return f"event: {name}\ndata: {data}\n\n".encode()


MESSAGES = Dialect(messages_body, messages_events, error_body, "request-id")

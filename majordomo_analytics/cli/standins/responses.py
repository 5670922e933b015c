"""OpenAI's responses: as JSON, and as events of which the last states the usage."""

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
from majordomo_analytics.cli.standins.openai import CREATED, REASONING_MODELS, error_body
from majordomo_analytics.cli.standins.schemas import ANY_OBJECT

if TYPE_CHECKING:
    from collections.abc import Iterator


def read_responses(body: Json, provider: str = "openai") -> Question:
    """Return the question in the body of a responses call."""
    return Question(
        flavour="responses",
        model=str(body.get("model", "")),
        body=body,
        provider=provider,
        prompt_characters=characters(body.get("input")) + characters(body.get("instructions")),
        output_limit=body.get("max_output_tokens") or USUAL_OUTPUT_LIMIT,
        thinks=str(body.get("model", "")).startswith(REASONING_MODELS),
        streamed=bool(body.get("stream")),
        schema=_schema((body.get("text") or {}).get("format") or {}),
    )


def responses_body(question: Question, answer: Answer) -> Json:
    """Return a whole response."""
    return {
        **_response(question, answer, "completed"),
        "output": [_message(answer, "completed", [_part(answer.text)])],
        "usage": {
            "input_tokens": answer.tokens.input,
            "input_tokens_details": {"cached_tokens": answer.tokens.cached},
            "output_tokens": answer.tokens.output,
            "output_tokens_details": {"reasoning_tokens": answer.tokens.reasoning},
            "total_tokens": answer.tokens.input + answer.tokens.output,
        },
    }


def responses_events(question: Question, answer: Answer) -> Iterator[bytes]:
    """Yield the events of a streamed response; usage is in the last one only."""
    place = {"item_id": f"msg_{answer.id}", "output_index": 0, "content_index": 0}
    started = _response(question, answer, "in_progress")
    done = _message(answer, "completed", [_part(answer.text)])
    said: list[tuple[str, Json]] = [
        ("response.created", {"response": started}),
        ("response.in_progress", {"response": started}),
        (
            "response.output_item.added",
            {"output_index": 0, "item": _message(answer, "in_progress", [])},
        ),
        ("response.content_part.added", {**place, "part": _part("")}),
        *(
            ("response.output_text.delta", {**place, "delta": piece, "logprobs": []})
            for piece in answer.pieces()
        ),
        ("response.output_text.done", {**place, "text": answer.text, "logprobs": []}),
        ("response.content_part.done", {**place, "part": _part(answer.text)}),
        ("response.output_item.done", {"output_index": 0, "item": done}),
        ("response.completed", {"response": responses_body(question, answer)}),
    ]
    for number, (name, fields) in enumerate(said):
        event = {"type": name, "sequence_number": number, **fields}
        yield f"event: {name}\n".encode() + _data(event)


def _schema(text_format: Json) -> Json | None:
    """Return what the text has to fit."""
    if text_format.get("type") == "json_object":
        return ANY_OBJECT
    return text_format.get("schema")


def _response(question: Question, answer: Answer, status: str) -> Json:
    return {
        "id": f"resp_{answer.id}",
        "object": "response",
        "created_at": CREATED,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "instructions": question.body.get("instructions"),
        "metadata": {},
        "model": question.model,
        "output": [],
        "parallel_tool_calls": True,
        "service_tier": "default",
        "text": question.body.get("text") or {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "usage": None,
    }


def _message(answer: Answer, status: str, content: list[Json]) -> Json:
    return {
        "id": f"msg_{answer.id}",
        "type": "message",
        "role": "assistant",
        "status": status,
        "content": content,
    }


def _part(text: str) -> Json:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _data(event: Json) -> bytes:
    return b"data: " + json.dumps(event, ensure_ascii=False).encode() + b"\n\n"


RESPONSES = Dialect(responses_body, responses_events, error_body, "x-request-id")

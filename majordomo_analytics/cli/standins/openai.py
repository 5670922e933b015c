"""OpenAI's wire format: chat completions and responses, as JSON and as events.

Prompt counts include what was cached, completion counts include reasoning. A chat stream
tells its usage only to a caller who asks with ``stream_options.include_usage``.
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

if TYPE_CHECKING:
    from collections.abc import Iterator

CREATED = 1_767_225_600
REASONING_MODELS = ("gpt-5", "o3", "o4")


def read_chat(body: Json) -> Question:
    """Return the question in the body of a chat completions call."""
    return Question(
        flavour="chat",
        model=str(body.get("model", "")),
        body=body,
        prompt_characters=characters(body.get("messages")) + characters(body.get("tools")),
        output_limit=body.get("max_completion_tokens")
        or body.get("max_tokens")
        or USUAL_OUTPUT_LIMIT,
        thinks=str(body.get("model", "")).startswith(REASONING_MODELS),
        streamed=bool(body.get("stream")),
    )


def read_responses(body: Json) -> Question:
    """Return the question in the body of a responses call."""
    return Question(
        flavour="responses",
        model=str(body.get("model", "")),
        body=body,
        prompt_characters=characters(body.get("input")) + characters(body.get("instructions")),
        output_limit=body.get("max_output_tokens") or USUAL_OUTPUT_LIMIT,
        thinks=str(body.get("model", "")).startswith(REASONING_MODELS),
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
        "id": f"chatcmpl-{answer.id}",
        "object": "chat.completion",
        "created": CREATED,
        "model": question.model,
        "choices": [choice],
        "usage": _chat_usage(answer),
        "service_tier": "default",
        "system_fingerprint": None,
    }


def chat_events(question: Question, answer: Answer) -> Iterator[bytes]:
    """Yield the events of a streamed chat completion."""
    asked = (question.body.get("stream_options") or {}).get("include_usage")
    common = {
        "id": f"chatcmpl-{answer.id}",
        "object": "chat.completion.chunk",
        "created": CREATED,
        "model": question.model,
        "service_tier": "default",
        "system_fingerprint": None,
    }
    if asked:
        common["usage"] = None

    def chunk(delta: Json, finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return _data({**common, "choices": [choice]})

    yield chunk({"role": "assistant", "content": "", "refusal": None})
    for piece in answer.pieces():
        yield chunk({"content": piece})
    yield chunk({}, "stop")
    if asked:
        yield _data({**common, "choices": [], "usage": _chat_usage(answer)})
    yield b"data: [DONE]\n\n"


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


def error_body(status: int) -> Json:
    """Return what OpenAI says when it refuses or fails."""
    kind, text = {
        400: ("invalid_request_error", "We could not parse the JSON body of your request."),
        401: ("invalid_request_error", "You didn't provide an API key."),
        429: ("tokens", "Rate limit reached: please try again in 20ms."),
    }.get(status, ("server_error", "The server had an error while processing your request."))
    return {"error": {"message": text, "type": kind, "param": None, "code": None}}


def _chat_usage(answer: Answer) -> Json:
    tokens = answer.tokens
    return {
        "prompt_tokens": tokens.input,
        "completion_tokens": tokens.output,
        "total_tokens": tokens.input + tokens.output,
        "prompt_tokens_details": {"cached_tokens": tokens.cached, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": tokens.reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


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


CHAT = Dialect(chat_body, chat_events, error_body, "x-request-id")
RESPONSES = Dialect(responses_body, responses_events, error_body, "x-request-id")

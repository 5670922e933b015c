r"""Gemini's wire format: ``generateContent`` and its two streams, events and a JSON array.

The model is in the path. ``candidatesTokenCount`` leaves out the thoughts. Counts in a
stream are cumulative, the first chunks do not know them all, and lines end with CRLF.
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
from majordomo_analytics.cli.standins.schemas import ANY_OBJECT

if TYPE_CHECKING:
    from collections.abc import Iterator

THINKING_MODELS = ("gemini-2.5-flash", "gemini-2.5-pro")


def read_generate(model: str, body: Json, *, streamed: bool) -> Question:
    """Return the question in the body of a generateContent call."""
    config = body.get("generationConfig") or {}
    budget = (config.get("thinkingConfig") or {}).get("thinkingBudget")
    thinks = model in THINKING_MODELS if budget is None else budget != 0
    return Question(
        flavour="generate_content",
        provider="gemini",
        model=model,
        body=body,
        prompt_characters=characters(body.get("contents"))
        + characters(body.get("systemInstruction")),
        output_limit=config.get("maxOutputTokens") or USUAL_OUTPUT_LIMIT,
        thinks=thinks,
        streamed=streamed,
        schema=_schema(config),
    )


def generate_body(question: Question, answer: Answer) -> Json:
    """Return a whole answer."""
    return _chunk(question, answer, answer.text, last=True)


def generate_events(question: Question, answer: Answer) -> Iterator[bytes]:
    """Yield the events of a stream asked for with ``alt=sse``."""
    for chunk in _chunks(question, answer):
        yield b"data: " + chunk + b"\r\n\r\n"


def generate_array(question: Question, answer: Answer) -> Iterator[bytes]:
    """Yield the same stream as one JSON array that grows."""
    before = b"["
    for chunk in _chunks(question, answer):
        yield before + chunk
        before = b"\n,\r\n"
    yield b"\n]\n"


def error_body(status: int) -> Json:
    """Return what Gemini says when it refuses or fails."""
    name, text = {
        400: ("INVALID_ARGUMENT", "Invalid JSON payload received."),
        401: ("UNAUTHENTICATED", "API key not valid. Please pass a valid API key."),
        429: ("RESOURCE_EXHAUSTED", "You exceeded your current quota."),
    }.get(status, ("INTERNAL", "An internal error has occurred."))
    return {"error": {"code": status, "message": text, "status": name}}


def _schema(config: Json) -> Json | None:
    """Return what the text has to fit."""
    schema = config.get("responseSchema") or config.get("responseJsonSchema")
    if schema is None and config.get("responseMimeType") == "application/json":
        return ANY_OBJECT
    return schema


def _chunks(question: Question, answer: Answer) -> Iterator[bytes]:
    pieces = answer.pieces()
    for number, piece in enumerate(pieces, 1):
        chunk = _chunk(question, answer, piece, last=number == len(pieces))
        yield json.dumps(chunk, ensure_ascii=False).encode()


def _chunk(question: Question, answer: Answer, text: str, *, last: bool) -> Json:
    candidate: Json = {"content": {"parts": [{"text": text}], "role": "model"}, "index": 0}
    if last:
        candidate["finishReason"] = "STOP"
    return {
        "candidates": [candidate],
        "usageMetadata": _usage(answer, whole=last),
        "modelVersion": question.model,
        "responseId": answer.id,
    }


def _usage(answer: Answer, *, whole: bool) -> Json:
    tokens = answer.tokens
    said = tokens.output - tokens.reasoning
    usage: Json = {
        "promptTokenCount": tokens.input,
        "totalTokenCount": tokens.input + tokens.reasoning,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": tokens.input}],
    }
    if tokens.cached:
        usage["cachedContentTokenCount"] = tokens.cached
        usage["cacheTokensDetails"] = [{"modality": "TEXT", "tokenCount": tokens.cached}]
    if tokens.reasoning:
        usage["thoughtsTokenCount"] = tokens.reasoning
    if whole:
        usage |= {"candidatesTokenCount": said, "totalTokenCount": tokens.input + tokens.output}
    return usage


EVENTS = Dialect(generate_body, generate_events, error_body)
ARRAY = Dialect(generate_body, generate_array, error_body, media_type="application/json")

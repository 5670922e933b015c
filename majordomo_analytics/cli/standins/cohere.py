"""Cohere's wire format: chat as JSON and as events, embeddings, and ranking.

Bills are made from ``billed_units``; ``tokens`` beside it also counts what Cohere itself
puts before a prompt. No answer names the model.
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
from majordomo_analytics.cli.standins.embeddings import no_events, vectors
from majordomo_analytics.cli.standins.schemas import ANY_OBJECT

if TYPE_CHECKING:
    from collections.abc import Iterator

PREAMBLE_TOKENS = 496
DOCUMENTS_IN_A_SEARCH = 100


def read_chat(body: Json) -> Question:
    """Return the question in the body of a chat call."""
    wanted = body.get("response_format") or {}
    schema = wanted.get("json_schema") or wanted.get("schema")
    if schema is None and wanted.get("type") == "json_object":
        schema = ANY_OBJECT
    return Question(
        flavour="cohere_chat",
        model=str(body.get("model", "")),
        body=body,
        provider="cohere",
        prompt_characters=characters(body.get("messages")),
        caches=False,
        output_limit=body.get("max_tokens") or USUAL_OUTPUT_LIMIT,
        streamed=bool(body.get("stream")),
        schema=schema,
    )


def read_embed(body: Json) -> Question:
    """Return the question in the body of a call for embeddings."""
    return Question(
        flavour="embed",
        model=str(body.get("model", "")),
        body=body,
        provider="cohere",
        prompt_characters=characters(body.get("texts")),
        caches=False,
        output_limit=0,
    )


def read_rerank(body: Json) -> Question:
    """Return the question in the body of a call that ranks documents."""
    documents = body.get("documents") or []
    return Question(
        flavour="rerank",
        model=str(body.get("model", "")),
        body=body,
        provider="cohere",
        prompt_characters=0,
        searches=-(-len(documents) // DOCUMENTS_IN_A_SEARCH) or 1,
    )


def chat_body(_: Question, answer: Answer) -> Json:
    """Return a whole chat answer."""
    return {
        "id": answer.id,
        "finish_reason": "COMPLETE",
        "message": {"role": "assistant", "content": [{"type": "text", "text": answer.text}]},
        "usage": _usage(answer),
    }


def chat_events(_: Question, answer: Answer) -> Iterator[bytes]:
    """Yield the events of a streamed chat answer; the last one states the usage."""
    empty: Json = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": []}
    yield _event("message-start", {"id": answer.id, "delta": {"message": empty}})
    started = {"message": {"content": {"type": "text", "text": ""}}}
    yield _event("content-start", {"index": 0, "delta": started})
    for piece in answer.pieces():
        delta = {"message": {"content": {"text": piece}}}
        yield _event("content-delta", {"index": 0, "delta": delta})
    yield _event("content-end", {"index": 0})
    ended = {"finish_reason": "COMPLETE", "usage": _usage(answer)}
    yield _event("message-end", {"delta": ended})


def embed_body(question: Question, answer: Answer) -> Json:
    """Return one vector for each text."""
    texts = question.body.get("texts") or []
    return {
        "id": answer.id,
        "embeddings": {"float": list(vectors(answer, texts))},
        "texts": texts,
        "meta": _meta({"input_tokens": answer.tokens.input}),
        "response_type": "embeddings_by_type",
    }


def rerank_body(question: Question, answer: Answer) -> Json:
    """Return the documents' places, the first ones first."""
    documents = question.body.get("documents") or []
    results = [
        {"index": index, "relevance_score": round(1 / (index + 1.5), 6)}
        for index in range(min(len(documents), question.body.get("top_n") or len(documents)))
    ]
    units = {"search_units": answer.tokens.searches}
    return {"id": answer.id, "results": results, "meta": _meta(units)}


def error_body(status: int) -> Json:
    """Return what Cohere says when it refuses or fails."""
    text = {
        400: "invalid request: failed to parse the body",
        401: "no api key supplied",
        429: "You are past the per minute request limit, please wait and try again later.",
    }.get(status, "internal server error, this has been reported to our developers.")
    return {"id": "error", "message": text}


def _usage(answer: Answer) -> Json:
    tokens = answer.tokens
    return {
        "billed_units": {"input_tokens": tokens.input, "output_tokens": tokens.output},
        "tokens": {
            "input_tokens": tokens.input + PREAMBLE_TOKENS,
            "output_tokens": tokens.output + 2,
        },
    }


def _meta(billed_units: Json) -> Json:
    return {"api_version": {"version": "2"}, "billed_units": billed_units}


def _event(name: str, fields: Json) -> bytes:
    data = json.dumps({"type": name, **fields}, ensure_ascii=False)
    return f"event: {name}\ndata: {data}\n\n".encode()


CHAT = Dialect(chat_body, chat_events, error_body)
EMBED = Dialect(embed_body, no_events, error_body)
RERANK = Dialect(rerank_body, no_events, error_body)

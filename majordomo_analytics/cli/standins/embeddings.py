"""OpenAI's embeddings, which Mistral speaks as well: only the prompt is counted."""

from __future__ import annotations

import base64
import random
import struct
from typing import TYPE_CHECKING

from majordomo_analytics.cli.standins.answers import Answer, Dialect, Json, Question, characters
from majordomo_analytics.cli.standins.openai import error_body

if TYPE_CHECKING:
    from collections.abc import Iterator

DIMENSIONS = 8


def read_embeddings(body: Json, provider: str = "openai") -> Question:
    """Return the question in the body of an embeddings call."""
    return Question(
        flavour="embeddings",
        model=str(body.get("model", "")),
        body=body,
        provider=provider,
        prompt_characters=characters(body.get("input")),
        caches=False,
        output_limit=0,
    )


def embeddings_body(question: Question, answer: Answer) -> Json:
    """Return one vector for each text, as numbers or, as OpenAI's SDK wants it, base64."""
    texts = question.body.get("input")
    encoded = question.body.get("encoding_format") == "base64"
    items = [
        {"object": "embedding", "index": index, "embedding": packed(one) if encoded else one}
        for index, one in enumerate(vectors(answer, texts if isinstance(texts, list) else [texts]))
    ]
    usage = {"prompt_tokens": answer.tokens.input, "total_tokens": answer.tokens.input}
    if question.provider == "mistral":
        usage["completion_tokens"] = 0
    return {
        "id": f"embd-{answer.id}",
        "object": "list",
        "data": items,
        "model": question.model,
        "usage": usage,
    }


def vectors(answer: Answer, texts: list[object]) -> Iterator[list[float]]:
    """Yield one vector for each text."""
    draw = random.Random(answer.id)  # noqa: S311 - repeatable on purpose
    for _ in texts:
        yield [round(draw.uniform(-1, 1), 6) for _ in range(DIMENSIONS)]


def packed(vector: list[float]) -> str:
    """Return a vector as base64 of little-endian floats of 32 bits."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def no_events(_: Question, __: Answer) -> Iterator[bytes]:
    """Yield nothing: these answers are never streamed."""
    yield from ()


EMBEDDINGS = Dialect(embeddings_body, no_events, error_body, "x-request-id")

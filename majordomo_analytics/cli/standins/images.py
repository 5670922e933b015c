"""OpenAI's images: generated from a text, or edited from images sent along as a form."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from majordomo_analytics.cli.standins.answers import Answer, Dialect, Json, Question, characters
from majordomo_analytics.cli.standins.openai import CREATED, error_body

if TYPE_CHECKING:
    from collections.abc import Iterator

PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
)
"""A PNG of one black pixel."""


def read_images(body: Json, provider: str = "openai") -> Question:
    """Return the question of a call for images; an uploaded file is bytes in `body`."""
    return Question(
        flavour="images",
        model=str(body.get("model", "")),
        body={name: value for name, value in body.items() if not _is_image(value)},
        provider=provider,
        prompt_characters=characters(body.get("prompt")),
        caches=False,
        output_limit=0,
        streamed=str(body.get("stream", "")).lower() == "true",
        input_images=sum(map(_images_in, body.values())),
        output_images=int(body.get("n") or 1),
    )


def images_body(question: Question, answer: Answer) -> Json:
    """Return all images."""
    return {
        **_about(question),
        "data": [{"b64_json": PIXEL}] * question.output_images,
        "usage": _usage(answer),
    }


def images_events(question: Question, answer: Answer) -> Iterator[bytes]:
    """Yield the image first as a sketch, then as it is, with the usage."""
    name = "image_edit" if question.input_images else "image_generation"
    about = {**_about(question), "created_at": CREATED, "b64_json": PIXEL}
    for event in (
        {"type": f"{name}.partial_image", **about, "partial_image_index": 0},
        {"type": f"{name}.completed", **about, "usage": _usage(answer)},
    ):
        yield f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()


def _is_image(value: object) -> bool:
    return isinstance(value, bytes) or (
        isinstance(value, list) and any(isinstance(one, bytes) for one in value)
    )


def _images_in(value: object) -> int:
    return len(value) if isinstance(value, list) and _is_image(value) else int(_is_image(value))


def _about(question: Question) -> Json:
    wanted = question.body
    return {
        "created": CREATED,
        "background": wanted.get("background", "opaque"),
        "output_format": wanted.get("output_format", "png"),
        "quality": wanted.get("quality", "low"),
        "size": wanted.get("size", "1024x1024"),
    }


def _usage(answer: Answer) -> Json:
    tokens = answer.tokens
    return {
        "input_tokens": tokens.input,
        "input_tokens_details": {
            "image_tokens": tokens.input_image,
            "text_tokens": tokens.input - tokens.input_image,
        },
        "output_tokens": tokens.output,
        "total_tokens": tokens.input + tokens.output,
    }


IMAGES = Dialect(images_body, images_events, error_body, "x-request-id")

"""What a recorded answer used, worked out by another road than `capture`.

The whole body at once, plain `json`, a stream merged by hand into one answer as if it had
not been streamed, and genai-prices to read the counts.
"""

from __future__ import annotations

import json
import re
from typing import Any

from genai_prices.data_snapshot import get_snapshot

from tests.recorded.traffic import Exchange

Answer = dict[str, Any]

EXTRACTORS = {
    "chat": ("openai", "chat"),
    "responses": ("openai", "responses"),
    "messages": ("anthropic", "default"),
    "generate_content": ("google", "default"),
}
"""Flavour to the provider and API flavour by which genai-prices reads it."""

OUR_NAMES = {
    "input_tokens": "input_tokens",
    "cache_read_tokens": "cached_tokens",
    "cache_write_tokens": "cache_creation_tokens",
    "cache_write_5m_tokens": "cache_creation_5m_tokens",
    "cache_write_1h_tokens": "cache_creation_1h_tokens",
    "input_tool_tokens": "tool_prompt_tokens",
    "input_audio_tokens": "input_audio_tokens",
    "input_image_tokens": "input_image_tokens",
    "input_video_tokens": "input_video_tokens",
    "output_tokens": "output_tokens",
    "output_reasoning_tokens": "reasoning_tokens",
    "output_audio_tokens": "output_audio_tokens",
    "output_image_tokens": "output_image_tokens",
}
"""Count of genai-prices to column."""


class OracleError(ValueError):
    """Raised when an answer states usage that the oracle cannot read."""


def expected_usage(exchange: Exchange) -> dict[str, int] | None:
    """Return the counts of a recorded answer by column; None if it states no usage.

    A count that is not in the result is zero or was not stated.

    Raises
    ------
    OracleError
        If the answer states usage that genai-prices cannot read.
    """
    flavour = flavour_of(exchange)
    if flavour is None:
        return None
    answer = merged_answer(flavour, documents(exchange.text))
    if not answer.get("usageMetadata" if flavour == "generate_content" else "usage"):
        return None
    provider_id, api_flavour = EXTRACTORS[flavour]
    provider = next(p for p in get_snapshot().providers if p.id == provider_id)
    try:
        _, usage = provider.extract_usage(answer, api_flavor=api_flavour)
    except Exception as error:
        message = f"{exchange}: {type(error).__name__}: {error}"
        raise OracleError(message) from error
    counts = {ours: getattr(usage, theirs, None) for theirs, ours in OUR_NAMES.items()}
    return {name: int(count) for name, count in counts.items() if count}


def flavour_of(exchange: Exchange) -> str | None:
    """Return which of the four APIs created this answer, None if it is another call."""
    path = exchange.path.split("?")[0]
    if exchange.method != "POST":
        return None
    if "generateContent" in path or "streamGenerateContent" in path:
        return "generate_content"
    if path.endswith("/chat/completions"):
        return "chat"
    if path.endswith(("/responses", "/responses/compact")):
        return "responses"
    return "messages" if path.endswith("/v1/messages") else None


def documents(body: bytes) -> list[Answer]:
    """Return the JSON objects of a body of any form."""
    text = body.decode("utf-8-sig", "replace").strip()
    if text.startswith("["):
        return [one for one in json.loads(text) if isinstance(one, dict)]
    if text.startswith("{"):
        return [json.loads(text)]
    found = []
    for event in re.split(r"\r\n\r\n|\n\n|\r\r", text):
        data = [line[5:] for line in event.splitlines() if line.startswith("data:")]
        joined = "\n".join(data).strip()
        if joined.startswith("{"):
            found.append(json.loads(joined))
    return found


def merged_answer(flavour: str, parts: list[Answer]) -> Answer:
    """Return the one answer that the parts of a stream make."""
    if flavour == "messages":
        return _merged_message(parts)
    if flavour == "generate_content":
        return _merged_chunks(parts)
    merged: Answer = {}
    for part in parts:
        answer = part.get("response") if flavour == "responses" else part
        answer = answer or part
        places = [answer, answer.get("x_groq") or {}, *(answer.get("choices") or [])[:1]]
        usage = next((place["usage"] for place in places if place.get("usage")), None)
        merged["model"] = answer.get("model") or merged.get("model")
        if usage:
            merged["usage"] = usage
    return merged


def _merged_message(parts: list[Answer]) -> Answer:
    merged: Answer = {}
    usage: Answer = {}
    for part in parts:
        message = part.get("message") if part.get("type") == "message_start" else part
        message = message or {}
        merged["model"] = message.get("model") or merged.get("model")
        given = message.get("usage") or {}
        usage.update({name: count for name, count in given.items() if count is not None})
    return {**merged, "usage": usage}


def _merged_chunks(parts: list[Answer]) -> Answer:
    merged: Answer = {}
    usage: Answer = {}
    for part in parts:
        merged["modelVersion"] = part.get("modelVersion") or merged.get("modelVersion")
        usage.update(part.get("usageMetadata") or {})
    return {**merged, "usageMetadata": usage}

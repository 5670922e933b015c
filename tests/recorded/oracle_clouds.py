"""What recorded answers of Google, Bedrock, Cohere and Ollama used, by another road.

The whole body at once, plain `json`, frames cut by their lengths, streams merged by hand,
and genai-prices to read the counts of the APIs that it knows.
"""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Callable
from typing import Any

from genai_prices.data_snapshot import get_snapshot

from majordomo_analytics.capture.flavours import Flavour
from tests.recorded.names import OUR_NAMES
from tests.recorded.traffic import Exchange

Answer = dict[str, Any]
Counts = dict[str, int]

ALL_NAMES = OUR_NAMES | {
    f"cache_{kind}_read_tokens": f"cached_{kind}_tokens" for kind in ("audio", "image", "video")
}
MODALITIES = ["", "TEXT", "IMAGE", "VIDEO", "AUDIO", "DOCUMENT"]
"""Google's modalities by their numbers."""


def extracted(provider_id: str, api_flavour: str, answer: Answer) -> Counts:
    """Return the counts that genai-prices reads in an answer."""
    provider = next(p for p in get_snapshot().providers if p.id == provider_id)
    _, usage = provider.extract_usage(answer, api_flavor=api_flavour)
    return counted(**{ours: getattr(usage, theirs, None) for theirs, ours in ALL_NAMES.items()})


def counted(**counts: int | None) -> Counts:
    """Return the counts that are not zero."""
    return {name: int(count) for name, count in counts.items() if count}


def frames(body: bytes) -> list[tuple[dict[str, str], Answer]]:
    """Return the headers of each frame, which are all text, and its JSON."""
    found = []
    while body:
        total, header_bytes = struct.unpack(">II", body[:8])
        names, rest = {}, body[12 : 12 + header_bytes]
        while rest:
            end = 1 + rest[0]
            (size,) = struct.unpack(">H", rest[end + 1 : end + 3])
            names[rest[1:end].decode()] = rest[end + 3 : end + 3 + size].decode()
            rest = rest[end + 3 + size :]
        found.append((names, json.loads(body[12 + header_bytes : total - 4])))
        body = body[total:]
    return found


def documents(body: bytes) -> list[Answer]:
    """Return the JSON objects of a body: one, an array, lines, or the data of events."""
    text = body.decode("utf-8")
    if text.startswith("["):
        return list(json.loads(text))
    try:
        return [json.loads(text)]
    except ValueError:
        lines = (line.removeprefix("data:").strip() for line in text.splitlines())
        return [json.loads(line) for line in lines if line.startswith("{")]


def generate_content(exchange: Exchange) -> Counts | None:
    usage: Answer = {}
    model = ""
    queries: set[str] = set()
    for part in documents(exchange.text):
        usage |= part.get("usageMetadata") or {}
        model = part.get("modelVersion") or model
        for candidate in part.get("candidates") or []:
            grounding = candidate.get("groundingMetadata") or {}
            queries |= set(grounding.get("webSearchQueries") or [])
    if not any(name.endswith("TokenCount") for name in usage):
        return None
    for details in usage.values():
        for entry in details if isinstance(details, list) else []:
            if isinstance(entry["modality"], int):
                entry["modality"] = MODALITIES[entry["modality"]]
    answer = {"usageMetadata": usage, "modelVersion": model}
    queries.discard("")
    is_billed_by_prompt = model.startswith(("gemini-1.", "gemini-2."))
    searches = min(len(queries), 1) if is_billed_by_prompt else len(queries)
    return extracted("google", "default", answer) | counted(web_searches=searches)


def embed_content(exchange: Exchange) -> Counts | None:
    usage = json.loads(exchange.text).get("usageMetadata")
    return usage and counted(input_tokens=usage["promptTokenCount"])


def interactions(exchange: Exchange) -> Counts | None:
    last = [one for one in documents(exchange.text) if one.get("usage") or one.get("interaction")]
    usage = last[-1].get("usage") or last[-1]["interaction"].get("usage")
    if not usage:
        return None
    images = [e for e in usage["input_tokens_by_modality"] if e["modality"] == "image"]
    return counted(
        input_tokens=usage["total_input_tokens"] + usage["total_tool_use_tokens"],
        cached_tokens=usage["total_cached_tokens"],
        tool_prompt_tokens=usage["total_tool_use_tokens"],
        input_image_tokens=sum(entry["tokens"] for entry in images),
        output_tokens=usage["total_output_tokens"] + usage["total_thought_tokens"],
        reasoning_tokens=usage["total_thought_tokens"],
    )


def converse(exchange: Exchange) -> Counts | None:
    if exchange.text.startswith(b"{"):
        answer = json.loads(exchange.text)
    else:
        events = {names.get(":event-type"): event for names, event in frames(exchange.text)}
        answer = events.get("metadata", {})
    if not answer.get("usage"):
        return None
    return extracted("aws", "default", answer | {"model": "anthropic.claude-3-haiku"})


def invoke(exchange: Exchange) -> Counts | None:
    if exchange.text.startswith(b"{"):
        parts = [json.loads(exchange.text)]
    else:
        chunks = (event["bytes"] for _, event in frames(exchange.text))
        parts = [json.loads(base64.b64decode(chunk)) for chunk in chunks]
    usage: Answer = {}
    for part in parts:
        inside = part.get("message") if isinstance(part.get("message"), dict) else part
        usage |= (inside or {}).get("usage") or (part.get("metadata") or {}).get("usage") or {}
    if "input_tokens" in usage:
        answer = {"usage": usage, "model": "anthropic.claude-3-haiku"}
        return extracted("aws", "anthropic", answer)
    if "prompt_tokens" in usage:
        return counted(
            input_tokens=usage["prompt_tokens"], output_tokens=usage["completion_tokens"]
        )
    if "inputTokens" in usage:
        read, written = usage["cacheReadInputTokenCount"], usage["cacheWriteInputTokenCount"]
        return counted(
            input_tokens=usage["inputTokens"] + read + written,
            cached_tokens=read,
            cache_creation_tokens=written,
            output_tokens=usage["outputTokens"],
        )
    # Titan streams fractions: only what Bedrock adds to them are counts.
    metrics = parts[-1].get("amazon-bedrock-invocationMetrics")
    return metrics and counted(
        input_tokens=metrics["inputTokenCount"], output_tokens=metrics["outputTokenCount"]
    )


def invoke_agent(exchange: Exchange) -> Counts | None:
    used = []
    for _, event in frames(exchange.text):
        for trace in (event.get("trace") or {}).values():
            output = trace.get("modelInvocationOutput") or {}
            used += [output["metadata"]["usage"]] if output else []
    return (
        counted(
            input_tokens=sum(usage["inputTokens"] for usage in used),
            output_tokens=sum(usage["outputTokens"] for usage in used),
        )
        or None
    )


def cohere(exchange: Exchange) -> Counts | None:
    last = documents(exchange.text)[-1]
    last = last.get("response") or last.get("delta") or last
    usage = last.get("usage") or last.get("meta")
    if not usage:
        return None
    billed = usage["billed_units"]
    images = billed.get("image_tokens", 0)
    return counted(
        input_tokens=billed.get("input_tokens", 0) + images,
        input_image_tokens=images,
        cached_tokens=usage.get("cached_tokens"),
        output_tokens=billed.get("output_tokens"),
        rerank_searches=billed.get("search_units"),
    )


def rerank(exchange: Exchange) -> Counts | None:
    usage = json.loads(exchange.text).get("usage")
    return counted(input_tokens=usage["total_tokens"]) if usage else cohere(exchange)


def ollama(exchange: Exchange) -> Counts | None:
    last = documents(exchange.text)[-1]
    counts = counted(
        input_tokens=last.get("prompt_eval_count"), output_tokens=last.get("eval_count")
    )
    return counts or None


EXPECTATIONS: dict[Flavour, Callable[[Exchange], Counts | None]] = {
    "generate_content": generate_content,
    "embed_content": embed_content,
    "interactions": interactions,
    "converse": converse,
    "invoke": invoke,
    "invoke_agent": invoke_agent,
    "cohere_chat": cohere,
    "embed": cohere,
    "rerank": rerank,
    "ollama": ollama,
}
"""Flavour to the counts of an answer that are not zero; None if it states no usage."""

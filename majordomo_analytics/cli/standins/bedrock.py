"""Bedrock's wire format: Converse, and InvokeModel with Anthropic's bodies inside.

The model is in the path only. Streams are AWS event streams, not server-sent events.
``inputTokens`` leaves out what was read from or written to a cache.
"""

from __future__ import annotations

import base64
import dataclasses
import json
from typing import TYPE_CHECKING

from majordomo_analytics.cli.standins import anthropic
from majordomo_analytics.cli.standins.answers import (
    USUAL_OUTPUT_LIMIT,
    Answer,
    Dialect,
    Json,
    Kept,
    Question,
    characters,
)
from majordomo_analytics.cli.standins.eventstream import MEDIA_TYPE, frame

if TYPE_CHECKING:
    from collections.abc import Iterator

ID_HEADER = "x-amzn-requestid"


def read_converse(model: str, body: Json, *, streamed: bool) -> Question:
    """Return the question in the body of a Converse call."""
    system = body.get("system") or []
    marked, kept = _marked_for_caching(system)
    tool, schema = _tool(body.get("toolConfig") or {})
    return Question(
        flavour="converse",
        model=model,
        body=body,
        provider="bedrock",
        prompt_characters=characters(system) + characters(body.get("messages")),
        caches=False,
        cacheable_characters=marked,
        kept=kept,
        output_limit=(body.get("inferenceConfig") or {}).get("maxTokens") or USUAL_OUTPUT_LIMIT,
        streamed=streamed,
        schema=schema,
        tool=tool,
    )


def read_invoke(model: str, body: Json, *, streamed: bool) -> Question:
    """Return the question in the body of an InvokeModel call, which is Anthropic's."""
    question = anthropic.read_messages(body)
    return dataclasses.replace(
        question, flavour="invoke", provider="bedrock", model=model, streamed=streamed
    )


def converse_body(question: Question, answer: Answer) -> Json:
    """Return a whole answer."""
    block: Json = {"text": answer.text}
    if question.tool:
        block = {"toolUse": _tool_use(question, answer) | {"input": json.loads(answer.text)}}
    return {
        "output": {"message": {"role": "assistant", "content": [block]}},
        "stopReason": _stop_reason(question),
        "usage": _usage(answer),
        "metrics": {"latencyMs": int(answer.seconds_in_all * 1000)},
    }


def converse_events(question: Question, answer: Answer) -> Iterator[bytes]:
    """Yield the frames of a streamed answer; the last one states the usage."""
    yield frame("messageStart", {"role": "assistant"})
    if question.tool:
        start = {"toolUse": _tool_use(question, answer)}
        yield frame("contentBlockStart", {"contentBlockIndex": 0, "start": start})
    for piece in answer.pieces():
        delta: Json = {"toolUse": {"input": piece}} if question.tool else {"text": piece}
        yield frame("contentBlockDelta", {"contentBlockIndex": 0, "delta": delta})
    yield frame("contentBlockStop", {"contentBlockIndex": 0})
    yield frame("messageStop", {"stopReason": _stop_reason(question)})
    metrics = {"latencyMs": int(answer.seconds_in_all * 1000)}
    yield frame("metadata", {"usage": _usage(answer), "metrics": metrics})


def invoke_body(question: Question, answer: Answer) -> Json:
    """Return a whole message of Anthropic's."""
    return anthropic.messages_body(question, answer) | {"model": _short(question.model)}


def invoke_events(question: Question, answer: Answer) -> Iterator[bytes]:
    """Yield Anthropic's events, each in a frame; the last one has Bedrock's own counts."""
    for event in anthropic.messages_events(question, answer):
        data = json.loads(event.partition(b"data: ")[2])
        if data["type"] == "message_stop":
            data["amazon-bedrock-invocationMetrics"] = {
                "inputTokenCount": answer.tokens.fresh,
                "outputTokenCount": answer.tokens.output,
                "cacheReadInputTokenCount": answer.tokens.cached,
                "cacheWriteInputTokenCount": answer.tokens.written,
                "invocationLatency": int(answer.seconds_in_all * 1000),
                "firstByteLatency": int(answer.seconds_to_first * 1000),
            }
        inner = base64.b64encode(json.dumps(data, ensure_ascii=False).encode()).decode()
        yield frame("chunk", {"bytes": inner, "p": "abcdefgh"})


def error_body(status: int) -> Json:
    """Return what Bedrock says when it refuses or fails."""
    text = {
        400: "Malformed input request, please reformat your input and try again.",
        401: "The security token included in the request is invalid.",
        429: "Too many requests, please wait before trying again.",
    }.get(status, "The system encountered an unexpected error during processing.")
    return {"message": text}


def count_headers(answer: Answer) -> dict[str, str]:
    """Return the headers with which InvokeModel states usage beside the body."""
    tokens = answer.tokens
    return {
        "x-amzn-bedrock-input-token-count": str(tokens.fresh),
        "x-amzn-bedrock-output-token-count": str(tokens.output),
        "x-amzn-bedrock-cache-read-input-token-count": str(tokens.cached),
        "x-amzn-bedrock-cache-write-input-token-count": str(tokens.written),
    }


def _marked_for_caching(system: list[Json]) -> tuple[int, Kept | None]:
    """Return how much of the prompt stands before a cache point, and for how long."""
    for index, block in enumerate(system):
        if point := block.get("cachePoint"):
            return characters(system[:index]), "1h" if point.get("ttl") == "1h" else "5m"
    return 0, None


def _tool(config: Json) -> tuple[str | None, Json | None]:
    """Return the tool to call, if one is offered, and the form of its input."""
    wanted = ((config.get("toolChoice") or {}).get("tool") or {}).get("name")
    for tool in config.get("tools") or []:
        spec = tool.get("toolSpec") or {}
        if spec and wanted in {None, spec["name"]}:
            return spec["name"], spec["inputSchema"]["json"]
    return None, None


def _tool_use(question: Question, answer: Answer) -> Json:
    return {"toolUseId": f"tooluse_{answer.id}", "name": question.tool}


def _stop_reason(question: Question) -> str:
    return "tool_use" if question.tool else "end_turn"


def _short(model: str) -> str:
    """Return the model as messages name it: without region, maker and version."""
    return model.rpartition("anthropic.")[2].rpartition("-v")[0] or model


def _usage(answer: Answer) -> Json:
    tokens = answer.tokens
    usage: Json = {
        "inputTokens": tokens.fresh,
        "outputTokens": tokens.output,
        "totalTokens": tokens.input + tokens.output,
        "cacheReadInputTokens": tokens.cached,
        "cacheWriteInputTokens": tokens.written,
    }
    if tokens.written:
        ttl = "1h" if tokens.written_1h else "5m"
        usage["cacheDetails"] = [{"ttl": ttl, "inputTokens": tokens.written}]
    return usage


CONVERSE = Dialect(converse_body, converse_events, error_body, ID_HEADER, MEDIA_TYPE)
INVOKE = Dialect(invoke_body, invoke_events, error_body, ID_HEADER, MEDIA_TYPE, count_headers)

"""Answers made by hand in the shape of each provider's, and what is true of them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from majordomo_analytics.capture.flavours import Flavour
from majordomo_analytics.capture.reader import Captured, UsageReader


@dataclass(frozen=True)
class Case:
    """One answer, and the counts that a person reads in it."""

    name: str
    flavour: Flavour
    body: bytes
    counts: dict[str, object] = field(default_factory=dict)
    model: str | None = None
    response_id: str | None = None
    is_streamed: bool = False
    adds_reasoning: bool = False

    def read(
        self, *chunks: bytes, content_encoding: str | None = None, complete: bool = True
    ) -> Captured:
        """Return what a reader makes of these chunks, or of the whole answer."""
        return read(
            self.flavour,
            *(chunks or (self.body,)),
            content_encoding=content_encoding,
            complete=complete,
            adds_reasoning=self.adds_reasoning,
        )


def read(
    flavour: Flavour | None,
    *chunks: bytes,
    content_encoding: str | None = None,
    complete: bool = True,
    adds_reasoning: bool = False,
) -> Captured:
    """Return what a reader makes of a body that comes in these chunks."""
    reader = UsageReader(flavour, content_encoding=content_encoding, adds_reasoning=adds_reasoning)
    for chunk in chunks:
        reader.feed(chunk)
    return reader.finish(complete=complete)


def known(captured: Captured) -> dict[str, object]:
    """Return the counts of `captured` that are known, without how they were reached."""
    beside = {"status", "source", "raw", "flags", "iterations"}
    usage = captured.usage
    return {
        name: getattr(usage, name)
        for name in usage.__struct_fields__
        if name not in beside and getattr(usage, name) is not None
    }


def sse(*data: object, end: str = "\n", names: bool = False) -> bytes:
    """Return events with these data: text as it is, everything else as JSON."""
    events = []
    for one in data:
        text = one if isinstance(one, str) else json.dumps(one, ensure_ascii=False)
        name = f"event: {one['type']}{end}" if names and isinstance(one, dict) else ""
        events.append(f"{name}data: {text}{end}{end}")
    return "".join(events).encode()


CHAT_USAGE = {
    "prompt_tokens": 1200,
    "completion_tokens": 340,
    "total_tokens": 1540,
    "prompt_tokens_details": {"cached_tokens": 1024, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 256, "audio_tokens": 0},
}
CHAT_COUNTS: dict[str, object] = {
    "input_tokens": 1200,
    "cached_tokens": 1024,
    "input_audio_tokens": 0,
    "output_tokens": 340,
    "reasoning_tokens": 256,
    "output_audio_tokens": 0,
    "service_tier": "default",
}
CHAT_CHUNK = {
    "id": "chatcmpl-1",
    "object": "chat.completion.chunk",
    "model": "gpt-5-mini",
    "service_tier": "default",
    "choices": [{"index": 0, "delta": {"content": "Grüße 👋"}, "finish_reason": None}],
    "usage": None,
}

RESPONSE = {
    "id": "resp_1",
    "object": "response",
    "status": "completed",
    "model": "gpt-5",
    "error": None,
    "service_tier": "flex",
    "output": [{"type": "message", "content": [{"type": "output_text", "text": '"usage": {}'}]}],
    "tool_usage": {"web_search": {"num_requests": 2}},
    "usage": {
        "input_tokens": 75,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 64},
        "output_tokens": 120,
        "output_tokens_details": {"reasoning_tokens": 100},
        "total_tokens": 195,
    },
}
RESPONSE_COUNTS: dict[str, object] = {
    "input_tokens": 75,
    "cached_tokens": 0,
    "cache_creation_tokens": 64,
    "output_tokens": 120,
    "reasoning_tokens": 100,
    "web_searches": 2,
    "service_tier": "flex",
}

MESSAGE_START = {
    "type": "message_start",
    "message": {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-5",
        "content": [],
        "stop_reason": None,
        "usage": {
            "input_tokens": 3,
            "cache_creation_input_tokens": 500,
            "cache_read_input_tokens": 2000,
            "cache_creation": {"ephemeral_5m_input_tokens": 400, "ephemeral_1h_input_tokens": 100},
            "output_tokens": 1,
            "service_tier": "standard",
            "inference_geo": "us",
        },
    },
}
MESSAGE_DELTA = {
    "type": "message_delta",
    "delta": {"stop_reason": "end_turn"},
    "usage": {
        "input_tokens": 40,
        "cache_read_input_tokens": None,
        "output_tokens": 88,
        "server_tool_use": {"web_search_requests": 1},
    },
}
TEXT_DELTA = {
    "type": "content_block_delta",
    "index": 0,
    "delta": {"type": "text_delta", "text": '{"usage": {"input_tokens": 9}} 你好'},
}

GEMINI_LAST = {
    "candidates": [{"content": {"parts": [{"text": "ok"}]}, "finishReason": "STOP"}],
    "usageMetadata": {
        "promptTokenCount": 30,
        "toolUsePromptTokenCount": 90,
        "candidatesTokenCount": 12,
        "thoughtsTokenCount": 50,
        "totalTokenCount": 182,
        "promptTokensDetails": [
            {"modality": "TEXT", "tokenCount": 10},
            {"modality": "IMAGE", "tokenCount": 14},
            {"modality": "DOCUMENT", "tokenCount": 6},
        ],
        "serviceTier": "standard",
    },
    "modelVersion": "models/gemini-2.5-flash",
    "responseId": "r1",
}
GEMINI_FIRST = {
    "candidates": [{"content": {"parts": [{"text": "¡o"}]}}],
    "usageMetadata": {"promptTokenCount": 20, "totalTokenCount": 20, "trafficType": "ON_DEMAND"},
    "modelVersion": "models/gemini-2.5-flash",
    "responseId": "r1",
}
GEMINI_COUNTS: dict[str, object] = {
    "input_tokens": 120,
    "tool_prompt_tokens": 90,
    "input_image_tokens": 20,
    "output_tokens": 62,
    "reasoning_tokens": 50,
    "service_tier": "standard",
}
GEMINI_STREAM_COUNTS = GEMINI_COUNTS | {"traffic_type": "ON_DEMAND"}

CASES = [
    Case(
        "chat body",
        "chat",
        json.dumps(
            CHAT_CHUNK | {"choices": [{"message": {"content": "hi"}}], "usage": CHAT_USAGE},
            indent=2,
        ).encode(),
        CHAT_COUNTS,
        model="gpt-5-mini",
        response_id="chatcmpl-1",
    ),
    Case(
        "chat stream",
        "chat",
        sse(CHAT_CHUNK, CHAT_CHUNK, CHAT_CHUNK | {"choices": [], "usage": CHAT_USAGE}, "[DONE]"),
        CHAT_COUNTS,
        model="gpt-5-mini",
        response_id="chatcmpl-1",
        is_streamed=True,
    ),
    Case(
        "responses body",
        "responses",
        json.dumps(RESPONSE).encode(),
        RESPONSE_COUNTS,
        model="gpt-5",
        response_id="resp_1",
    ),
    Case(
        "responses stream",
        "responses",
        sse(
            {
                "type": "response.created",
                "response": RESPONSE | {"usage": None, "service_tier": "auto"},
            },
            {"type": "response.output_text.delta", "delta": "Grüße"},
            {"type": "response.completed", "response": RESPONSE},
            names=True,
        ),
        RESPONSE_COUNTS,
        model="gpt-5",
        response_id="resp_1",
        is_streamed=True,
    ),
    Case(
        "messages body",
        "messages",
        json.dumps(MESSAGE_START["message"]).encode(),
        {
            "input_tokens": 3 + 500 + 2000,
            "cached_tokens": 2000,
            "cache_creation_tokens": 500,
            "cache_creation_5m_tokens": 400,
            "cache_creation_1h_tokens": 100,
            "output_tokens": 1,
            "service_tier": "standard",
            "inference_geo": "us",
        },
        model="claude-sonnet-4-5",
        response_id="msg_1",
    ),
    Case(
        "messages stream",
        "messages",
        sse(MESSAGE_START, TEXT_DELTA, MESSAGE_DELTA, {"type": "message_stop"}, names=True),
        {
            "input_tokens": 40 + 500 + 2000,
            "cached_tokens": 2000,
            "cache_creation_tokens": 500,
            "cache_creation_5m_tokens": 400,
            "cache_creation_1h_tokens": 100,
            "output_tokens": 88,
            "web_searches": 1,
            "service_tier": "standard",
            "inference_geo": "us",
        },
        model="claude-sonnet-4-5",
        response_id="msg_1",
        is_streamed=True,
    ),
    Case(
        "gemini body",
        "generate_content",
        json.dumps(GEMINI_LAST, indent=1).encode(),
        GEMINI_COUNTS,
        model="gemini-2.5-flash",
        response_id="r1",
    ),
    Case(
        "gemini stream",
        "generate_content",
        sse(GEMINI_FIRST, GEMINI_LAST, end="\r\n"),
        GEMINI_STREAM_COUNTS,
        model="gemini-2.5-flash",
        response_id="r1",
        is_streamed=True,
    ),
    Case(
        "gemini array",
        "generate_content",
        json.dumps([GEMINI_FIRST, GEMINI_LAST], indent=2, ensure_ascii=False).encode(),
        GEMINI_STREAM_COUNTS,
        model="gemini-2.5-flash",
        response_id="r1",
        is_streamed=True,
    ),
    Case(
        "gemini lines",
        "generate_content",
        b"".join(json.dumps(chunk).encode() + b"\n" for chunk in (GEMINI_FIRST, GEMINI_LAST)),
        GEMINI_STREAM_COUNTS,
        model="gemini-2.5-flash",
        response_id="r1",
        is_streamed=True,
    ),
]

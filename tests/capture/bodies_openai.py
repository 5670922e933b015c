"""Answers made by hand of the APIs beside chat: responses, embeddings, images, sound."""

from __future__ import annotations

import json

from tests.capture.bodies import RESPONSE, RESPONSE_COUNTS, TEXT_DELTA, Case, sse

ITEMS = [
    {"type": "reasoning", "summary": []},
    {"type": "web_search_call", "status": "completed", "action": {"type": "search", "query": "q"}},
    {"type": "web_search_call", "status": "completed", "action": {"type": "open_page"}},
    {"type": "file_search_call", "status": "completed", "queries": ["a", "b"], "results": None},
    {"type": "code_interpreter_call", "code": "1", "container_id": "cntr_1"},
    {"type": "message", "content": [{"type": "web_search_call", "text": '{"type": "x"}'}]},
]
RESPONSE_WITH_ITEMS = RESPONSE | {"output": ITEMS, "tool_usage": None}
ITEM_COUNTS = RESPONSE_COUNTS | {"web_searches": 1, "storage_searches": 1}
BACKGROUND = RESPONSE | {"background": True}

IMAGE_USAGE = {
    "input_tokens": 50,
    "input_tokens_details": {"text_tokens": 10, "image_tokens": 40},
    "output_tokens": 1056,
    "total_tokens": 1106,
}
IMAGE_COUNTS: dict[str, object] = {
    "input_tokens": 50,
    "input_image_tokens": 40,
    "output_tokens": 1056,
    "output_image_tokens": 1056,
}
AUDIO_USAGE = {
    "type": "tokens",
    "input_tokens": 14,
    "input_token_details": {"text_tokens": 0, "audio_tokens": 14},
    "output_tokens": 45,
    "total_tokens": 59,
}
AUDIO_COUNTS: dict[str, object] = {
    "input_tokens": 14,
    "input_audio_tokens": 14,
    "output_tokens": 45,
}
SPEECH_USAGE = {"input_tokens": 14, "output_tokens": 101, "total_tokens": 115}

RUN_USAGE = {
    "prompt_tokens": 381,
    "completion_tokens": 88,
    "total_tokens": 469,
    "prompt_token_details": {"cached_tokens": 128},
    "completion_tokens_details": {"reasoning_tokens": 0},
}
RUN = {
    "id": "run_1",
    "object": "thread.run",
    "assistant_id": "asst_1",
    "status": "completed",
    "last_error": None,
    "model": "gpt-4o-mini",
    "usage": RUN_USAGE,
}
STEP = {
    "id": "step_1",
    "object": "thread.run.step",
    "status": "completed",
    "usage": {"prompt_tokens": 300, "completion_tokens": 80, "total_tokens": 380},
}
RUN_COUNTS: dict[str, object] = {
    "input_tokens": 381,
    "cached_tokens": 128,
    "output_tokens": 88,
    "reasoning_tokens": 0,
}

OWN = {"input_tokens": 100, "output_tokens": 20, "type": "message"}
ADVISER = {
    "input_tokens": 40,
    "cache_read_input_tokens": 1000,
    "cache_creation_input_tokens": 60,
    "cache_creation": {"ephemeral_5m_input_tokens": 50, "ephemeral_1h_input_tokens": 10},
    "output_tokens": 7,
    "model": "claude-opus-4-5",
    "type": "advisor_message",
}
CALLS_START = {
    "type": "message_start",
    "message": {
        "id": "msg_1",
        "model": "claude-sonnet-4-5",
        "usage": {
            "input_tokens": 60,
            "output_tokens": 1,
            "service_tier": "standard",
            "inference_geo": "us",
        },
    },
}
CALLS_USAGE = {
    "input_tokens": 100,
    "cache_read_input_tokens": 0,
    "cache_creation_input_tokens": 0,
    "output_tokens": 20,
    "output_tokens_details": {"thinking_tokens": 6},
    "iterations": [OWN, ADVISER],
}
CALLS_DELTA = {"type": "message_delta", "usage": CALLS_USAGE}
CALLS_COUNTS: dict[str, object] = {
    "input_tokens": 100 + (40 + 1000 + 60),
    "cached_tokens": 1000,
    "cache_creation_tokens": 60,
    "cache_creation_5m_tokens": 50,
    "cache_creation_1h_tokens": 10,
    "output_tokens": 20 + 7,
    "reasoning_tokens": 6,
    "service_tier": "standard",
    "inference_geo": "us",
}


def as_json(answer: object) -> bytes:
    return json.dumps(answer).encode()


CASES = [
    Case(
        "response with items",
        "responses",
        as_json(RESPONSE_WITH_ITEMS),
        ITEM_COUNTS,
        model="gpt-5",
        response_id="resp_1",
    ),
    Case(
        "incomplete response",
        "responses",
        sse(
            {"type": "response.created", "response": {"id": "resp_1", "usage": None}},
            {
                "type": "response.incomplete",
                "response": RESPONSE_WITH_ITEMS
                | {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}},
            },
            names=True,
        ),
        ITEM_COUNTS,
        model="gpt-5",
        response_id="resp_1",
        is_streamed=True,
    ),
    Case(
        "xai response",
        "responses",
        as_json(
            {
                "id": "resp_2",
                "model": "grok-4",
                "status": "completed",
                "output": ITEMS,
                "usage": {
                    "input_tokens": 90,
                    "input_tokens_details": {"cached_tokens": 30},
                    "output_tokens": 31,
                    "output_tokens_details": {"reasoning_tokens": 9},
                    "total_tokens": 121,
                    "cost_in_usd_ticks": 292331500,
                    "server_side_tool_usage_details": {
                        "web_search_calls": 0,
                        "x_search_calls": 3,
                        "code_interpreter_calls": 1,
                        "file_search_calls": 2,
                        "document_search_calls": 5,
                    },
                },
            }
        ),
        {
            "input_tokens": 90,
            "cached_tokens": 30,
            "output_tokens": 31,
            "reasoning_tokens": 9,
            "web_searches": 0,
            "social_searches": 3,
            "code_executions": 1,
            "storage_searches": 2,
            "stated_cost": "0.0292331500",
        },
        model="grok-4",
        response_id="resp_2",
    ),
    Case(
        "background response",
        "background_response",
        as_json(BACKGROUND),
        RESPONSE_COUNTS,
        model="gpt-5",
        response_id="resp_1",
    ),
    Case(
        "background response as events",
        "background_response",
        sse(
            {"type": "response.queued", "response": BACKGROUND | {"status": "queued"}},
            {"type": "response.completed", "response": BACKGROUND},
            names=True,
        ),
        RESPONSE_COUNTS,
        model="gpt-5",
        response_id="resp_1",
        is_streamed=True,
    ),
    Case(
        "embeddings",
        "embeddings",
        as_json(
            {
                "object": "list",
                "data": [{"object": "embedding", "index": 0, "embedding": [0.25, -0.5]}],
                "model": "text-embedding-3-small",
                "usage": {"prompt_tokens": 8, "total_tokens": 8},
            }
        ),
        {"input_tokens": 8, "output_tokens": 0},
        model="text-embedding-3-small",
    ),
    Case(
        "voyage embeddings",
        "embeddings",
        as_json(
            {"data": [{"embedding": "AACA"}], "model": "voyage-4", "usage": {"total_tokens": 8}}
        ),
        {"input_tokens": 8, "output_tokens": 0},
        model="voyage-4",
    ),
    Case(
        "image",
        "images",
        as_json({"created": 1, "data": [{"b64_json": "iVBORw0KGgo="}], "usage": IMAGE_USAGE}),
        IMAGE_COUNTS,
    ),
    Case(
        "image as events",
        "images",
        sse(
            {
                "type": "image_generation.partial_image",
                "b64_json": "iVBO",
                "partial_image_index": 0,
            },
            {"type": "image_generation.completed", "b64_json": "iVBORw0=", "usage": IMAGE_USAGE},
            names=True,
        ),
        IMAGE_COUNTS,
        is_streamed=True,
    ),
    Case(
        "image and text",
        "images",
        as_json(
            {
                "data": [],
                "usage": IMAGE_USAGE
                | {"output_tokens_details": {"image_tokens": 1000, "text_tokens": 56}},
            }
        ),
        IMAGE_COUNTS | {"output_image_tokens": 1000},
    ),
    Case(
        "transcription",
        "transcriptions",
        as_json({"text": "oui", "usage": AUDIO_USAGE}),
        AUDIO_COUNTS,
    ),
    Case(
        "transcription as events",
        "transcriptions",
        sse(
            {"type": "transcript.text.delta", "delta": "où"},
            {"type": "transcript.text.done", "text": "oui", "usage": AUDIO_USAGE},
        ),
        AUDIO_COUNTS,
        is_streamed=True,
    ),
    Case(
        "transcription by length",
        "transcriptions",
        as_json({"text": "oui", "usage": {"type": "duration", "seconds": 9.345}}),
        {"input_audio_ms": 9345},
    ),
    Case(
        "verbose transcription",
        "transcriptions",
        as_json(
            {"task": "transcribe", "duration": 8.470000267028809, "text": "oui", "segments": []}
        ),
        {"input_audio_ms": 8470},
    ),
    Case(
        "speech as events",
        "speech",
        sse(
            {"type": "speech.audio.delta", "audio": "//uQ"},
            {"type": "speech.audio.done", "usage": SPEECH_USAGE},
        ),
        {"input_tokens": 14, "output_tokens": 101, "output_audio_tokens": 101},
        is_streamed=True,
    ),
    Case("run", "assistants", as_json(RUN), RUN_COUNTS, model="gpt-4o-mini", response_id="run_1"),
    Case(
        "run as events",
        "assistants",
        sse(
            RUN | {"status": "queued", "usage": None},
            STEP,
            {"id": "msg_1", "object": "thread.message.delta", "delta": {"content": "¡olé!"}},
            RUN,
            "[DONE]",
        ),
        RUN_COUNTS,
        model="gpt-4o-mini",
        response_id="run_1",
        is_streamed=True,
    ),
    Case(
        "message of several calls",
        "messages",
        as_json(
            {
                "id": "msg_1",
                "type": "message",
                "model": "claude-sonnet-4-5",
                "usage": CALLS_USAGE | {"service_tier": "standard", "inference_geo": "us"},
            }
        ),
        CALLS_COUNTS,
        model="claude-sonnet-4-5",
        response_id="msg_1",
    ),
    Case(
        "message of several calls as events",
        "messages",
        sse(CALLS_START, TEXT_DELTA, CALLS_DELTA, {"type": "message_stop"}, names=True),
        CALLS_COUNTS,
        model="claude-sonnet-4-5",
        response_id="msg_1",
        is_streamed=True,
    ),
]

"""Chat answers made by hand, each with what one host does in its own way."""

from __future__ import annotations

import json

from tests.capture.bodies import CHAT_CHUNK, CHAT_COUNTS, CHAT_USAGE, Case, sse

DELTA = {"index": 0, "delta": {"content": 'ça va? {"usage": {"prompt_tokens": 1}} 你好'}}
STOP = {"index": 0, "delta": {}, "finish_reason": "stop"}


def chunk(*choices: object, model: str, **beside: object) -> dict[str, object]:
    return {"id": "c-1", "model": model, "choices": [*choices], **beside}


def body(model: str, usage: object, **beside: object) -> bytes:
    message = {"role": "assistant", "content": "Bien sûr"}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return json.dumps(chunk(choice, model=model, usage=usage, **beside)).encode()


def stream(model: str, *last: dict[str, object]) -> bytes:
    return sse(chunk(DELTA, model=model, usage=None), *last, "[DONE]")


TOGETHER_USAGE = {
    "prompt_tokens": 62,
    "completion_tokens": 9,
    "total_tokens": 71,
    "cached_tokens": 16,
}
DEEPSEEK_USAGE = {
    "prompt_tokens": 80,
    "completion_tokens": 30,
    "total_tokens": 110,
    "completion_tokens_details": {"reasoning_tokens": 21},
    "prompt_cache_hit_tokens": 64,
    "prompt_cache_miss_tokens": 16,
}
GROQ_USAGE = {
    "queue_time": 0.0049,
    "prompt_tokens": 120,
    "prompt_time": 0.0012,
    "completion_tokens": 40,
    "completion_time": 0.08,
    "total_tokens": 160,
    "total_time": 0.0812,
}
OPENROUTER_USAGE = {
    "prompt_tokens": 900,
    "completion_tokens": 60,
    "total_tokens": 960,
    "cost": 0.0133176,
    "is_byok": False,
    "prompt_tokens_details": {
        "cached_tokens": 0,
        "cache_write_tokens": 800,
        "audio_tokens": 0,
        "video_tokens": 0,
    },
    "cost_details": {"upstream_inference_cost": 0.0033176},
    "completion_tokens_details": {"reasoning_tokens": 12, "image_tokens": 0},
    "server_tool_use_details": {"tool_calls_executed": 2, "web_search_requests": 2},
}
XAI_USAGE = {
    "prompt_tokens": 32,
    "completion_tokens": 9,
    "total_tokens": 235,
    "prompt_tokens_details": {"text_tokens": 32, "audio_tokens": 0, "cached_tokens": 6},
    "completion_tokens_details": {"reasoning_tokens": 194, "audio_tokens": 0},
    "num_sources_used": 3,
    "cost_in_usd_ticks": 37756000,
}
XAI_COUNTS: dict[str, object] = {
    "input_tokens": 32,
    "cached_tokens": 6,
    "input_audio_tokens": 0,
    "output_tokens": 203,
    "reasoning_tokens": 194,
    "output_audio_tokens": 0,
    "stated_cost": "0.0037756000",
}
BREAKDOWN = {
    "models": [
        {
            "model": "llama-3.3-70b-versatile",
            "usage": {"prompt_tokens": 20, "completion_tokens": 4, "total_tokens": 24},
        },
        {
            "model": "openai/gpt-oss-120b",
            "usage": {"prompt_tokens": 100, "completion_tokens": 36, "total_tokens": 136},
        },
    ]
}

CASES = [
    Case(
        "azure stream",
        "chat",
        sse(
            {"id": "", "model": "", "choices": [], "prompt_filter_results": [{"index": 0}]},
            CHAT_CHUNK,
            CHAT_CHUNK | {"choices": [STOP]},
            CHAT_CHUNK | {"choices": [], "usage": CHAT_USAGE},
            "[DONE]",
        ),
        CHAT_COUNTS,
        model="gpt-5-mini",
        response_id="chatcmpl-1",
        is_streamed=True,
    ),
    Case(
        "completions body",
        "completions",
        json.dumps(
            {
                "id": "cmpl-1",
                "object": "text_completion",
                "model": "gpt-3.5-turbo-instruct",
                "choices": [{"text": "là", "index": 0, "logprobs": None, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7},
            }
        ).encode(),
        {"input_tokens": 5, "output_tokens": 2},
        model="gpt-3.5-turbo-instruct",
        response_id="cmpl-1",
    ),
    Case(
        "completions stream",
        "completions",
        stream(
            "m-1",
            chunk({"text": "", "finish_reason": "length"}, model="m-1"),
            chunk(model="m-1", usage={"prompt_tokens": 5, "completion_tokens": 2}),
        ),
        {"input_tokens": 5, "output_tokens": 2},
        model="m-1",
        response_id="c-1",
        is_streamed=True,
    ),
    Case(
        "together stream",
        "chat",
        stream("meta/llama", chunk(STOP, model="meta/llama", usage=TOGETHER_USAGE)),
        {"input_tokens": 62, "cached_tokens": 16, "output_tokens": 9},
        model="meta/llama",
        response_id="c-1",
        is_streamed=True,
    ),
    Case(
        "deepseek stream",
        "chat",
        stream("deepseek-chat", chunk(STOP, model="deepseek-chat", usage=DEEPSEEK_USAGE)),
        {"input_tokens": 80, "cached_tokens": 64, "output_tokens": 30, "reasoning_tokens": 21},
        model="deepseek-chat",
        response_id="c-1",
        is_streamed=True,
    ),
    Case(
        "mistral body",
        "chat",
        body(
            "mistral-large",
            {
                "prompt_tokens": 70,
                "completion_tokens": 8,
                "total_tokens": 78,
                "num_cached_tokens": 48,
                "prompt_tokens_details": None,
                "prompt_audio_seconds": 12.5,
            },
        ),
        {"input_tokens": 70, "cached_tokens": 48, "output_tokens": 8, "input_audio_ms": 12_500},
        model="mistral-large",
        response_id="c-1",
    ),
    Case(
        "groq stream",
        "chat",
        stream("llama", chunk(STOP, model="llama", x_groq={"id": "req_1", "usage": GROQ_USAGE})),
        {"input_tokens": 120, "output_tokens": 40},
        model="llama",
        response_id="c-1",
        is_streamed=True,
    ),
    Case(
        "groq compound body",
        "chat",
        body("groq/compound", GROQ_USAGE, usage_breakdown=BREAKDOWN, service_tier="on_demand"),
        {"input_tokens": 120, "output_tokens": 40, "service_tier": "on_demand"},
        model="groq/compound",
        response_id="c-1",
    ),
    Case(
        "openrouter stream",
        "chat",
        b": OPENROUTER PROCESSING\n\n: OPENROUTER PROCESSING\n\n"
        + stream("x/y", chunk(STOP, model="x/y", usage=OPENROUTER_USAGE)),
        {
            "input_tokens": 900,
            "cached_tokens": 0,
            "cache_creation_tokens": 800,
            "input_audio_tokens": 0,
            "input_video_tokens": 0,
            "output_tokens": 60,
            "reasoning_tokens": 12,
            "output_image_tokens": 0,
            "web_searches": 2,
            "stated_cost": "0.0133176",
        },
        model="x/y",
        response_id="c-1",
        is_streamed=True,
    ),
    Case(
        "xai body",
        "chat",
        body("grok-4", XAI_USAGE),
        XAI_COUNTS,
        model="grok-4",
        response_id="c-1",
        adds_reasoning=True,
    ),
    Case(
        "gemini in openai's shape",
        "chat",
        stream(
            "gemini-2.5-pro",
            chunk(
                STOP,
                model="gemini-2.5-pro",
                usage={"prompt_tokens": 35, "completion_tokens": 12, "total_tokens": 109},
            ),
        ),
        {"input_tokens": 35, "output_tokens": 74, "reasoning_tokens": 62},
        model="gemini-2.5-pro",
        response_id="c-1",
        is_streamed=True,
        adds_reasoning=True,
    ),
    Case(
        "usage in every chunk",
        "chat",
        sse(
            *(
                chunk(DELTA, model="v", usage={"prompt_tokens": 7, "completion_tokens": n})
                for n in (1, 2)
            ),
            chunk(STOP, model="v", usage={"prompt_tokens": 7, "completion_tokens": 3}),
            "[DONE]",
        ),
        {"input_tokens": 7, "output_tokens": 3},
        model="v",
        response_id="c-1",
        is_streamed=True,
    ),
    Case(
        "writer body",
        "chat",
        body(
            "palmyra-x5",
            {
                "prompt_tokens": 40,
                "completion_tokens": 11,
                "total_tokens": 51,
                "prompt_token_details": {"cached_tokens": 32, "multimodal_tokens": None},
                "completion_token_details": {"reasoning_tokens": 5},
            },
            service_tier="",
        ),
        {"input_tokens": 40, "cached_tokens": 32, "output_tokens": 11, "reasoning_tokens": 5},
        model="palmyra-x5",
        response_id="c-1",
    ),
]

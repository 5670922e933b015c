"""Answers of Google, Bedrock, Cohere and Ollama made by hand, and what is true of them."""

from __future__ import annotations

import json

from majordomo_analytics.capture.flavours import Flavour
from tests.capture.bodies import MESSAGE_DELTA, MESSAGE_START, TEXT_DELTA, Case, sse
from tests.capture.frames import frame, nested

METRICS = "amazon-bedrock-invocationMetrics"


def lines(*documents: object) -> bytes:
    """Return these documents as NDJSON."""
    return "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in documents).encode()


INTERACTION = {
    "id": "int_1",
    "status": "completed",
    "model": "models/gemini-2.5-flash",
    "service_tier": "standard",
    "steps": [{"type": "model_output", "content": [{"text": '"usage": {}'}]}],
    "usage": {
        "total_tokens": 300 + 20 + 41 + 60,
        "total_input_tokens": 300,
        "input_tokens_by_modality": [
            {"modality": "text", "tokens": 42},
            {"modality": "image", "tokens": 258},
        ],
        "total_cached_tokens": 100,
        "total_output_tokens": 41,
        "total_tool_use_tokens": 20,
        "total_thought_tokens": 60,
        "grounding_tool_count": [{"type": "google_search", "count": 1}],
    },
}
INTERACTION_COUNTS: dict[str, object] = {
    "input_tokens": 300 + 20,
    "cached_tokens": 100,
    "tool_prompt_tokens": 20,
    "input_image_tokens": 258,
    "output_tokens": 41 + 60,
    "reasoning_tokens": 60,
    "web_searches": 1,
    "service_tier": "standard",
}
INTERACTION_BEGUN = {
    "event_type": "interaction.created",
    "interaction": {"id": "int_1", "status": "in_progress", "model": "models/gemini-2.5-flash"},
    "metadata": {"usage": {"total_input_tokens": 300, "total_thought_tokens": 5}},
}
INTERACTION_STEP = {
    "event_type": "step.delta",
    "delta": {"type": "text", "text": "Grüße 👋"},
    "metadata": {"usage": {"total_input_tokens": 300, "total_output_tokens": 7}},
}

CONVERSE_USAGE = {
    "inputTokens": 7,
    "outputTokens": 90,
    "totalTokens": 7 + 90 + 1500 + 420,
    "cacheReadInputTokens": 1500,
    "cacheReadInputTokenCount": 1500,
    "cacheWriteInputTokens": 420,
    "cacheWriteInputTokenCount": 420,
    "cacheDetails": [{"ttl": "5m", "inputTokens": 400}, {"ttl": "1h", "inputTokens": 20}],
    "serverToolUsage": {},
}
CONVERSE_COUNTS: dict[str, object] = {
    "input_tokens": 7 + 1500 + 420,
    "cached_tokens": 1500,
    "cache_creation_tokens": 420,
    "cache_creation_5m_tokens": 400,
    "cache_creation_1h_tokens": 20,
    "output_tokens": 90,
}
GUARDRAIL = {"guardrail": {"inputAssessment": {"g1": {"usage": {"topicPolicyUnits": 3}}}}}
CONVERSE_EVENTS = (
    frame("messageStart", {"role": "assistant", "p": "abcdefg"}),
    frame("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "¡Hola! 你好"}}),
    frame("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": '{"usage": 1}'}}),
    frame("messageStop", {"stopReason": "end_turn", "p": "abc"}),
)
CONVERSE_METADATA = frame(
    "metadata",
    {
        "metrics": {"latencyMs": 417},
        "p": "abcdef",
        "trace": GUARDRAIL,
        "serviceTier": {"type": "priority"},
        "performanceConfig": {"latency": "optimized"},
        "usage": CONVERSE_USAGE,
    },
)

MESSAGE_COUNTS: dict[str, object] = {
    "input_tokens": 40 + 500 + 2000,
    "cached_tokens": 2000,
    "cache_creation_tokens": 500,
    "cache_creation_5m_tokens": 400,
    "cache_creation_1h_tokens": 100,
    "output_tokens": 88,
    "web_searches": 1,
    "service_tier": "standard",
    "inference_geo": "us",
}
MESSAGE_STOP = {
    "type": "message_stop",
    METRICS: {"inputTokenCount": 40, "outputTokenCount": 88, "firstByteLatency": 300},
}
NOVA_LAST = {
    "metadata": {
        "usage": {
            "inputTokens": 30,
            "outputTokens": 55,
            "cacheReadInputTokenCount": 0,
            "cacheWriteInputTokenCount": 0,
        },
        "trace": GUARDRAIL,
    },
    METRICS: {"inputTokenCount": 30, "outputTokenCount": 55, "cacheReadInputTokenCount": 0},
}


def model_call(kind: str, number: int, model: str | None, usage: object) -> tuple[bytes, bytes]:
    """Return the two traces of an agent's model call."""
    sent: dict[str, object] = {"traceId": f"t-{number}", "text": "…", "type": "ORCHESTRATION"}
    if model is not None:
        sent["foundationModel"] = model
    got = {
        "traceId": f"t-{number}",
        "metadata": {"clientRequestId": "c", "usage": usage},
        "rawResponse": {"content": '{"usage": {"input_tokens": 1}}'},
    }
    return (
        frame("trace", {"sessionId": "s", "trace": {kind: {"modelInvocationInput": sent}}}),
        frame("trace", {"sessionId": "s", "trace": {kind: {"modelInvocationOutput": got}}}),
    )


AGENT_EVENTS = (
    *model_call("preProcessingTrace", 0, "model-a", {"inputTokens": 435, "outputTokens": 116}),
    *model_call("orchestrationTrace", 1, "model-a", {"inputTokens": 252, "outputTokens": 354}),
    frame("trace", {"trace": {"guardrailTrace": {"usage": {"topicPolicyUnits": 9}}}}),
    frame("chunk", {"bytes": "eyJ1c2FnZSI6IHsiaW5wdXRUb2tlbnMiOiA5fX0="}),
)

COHERE_USAGE = {
    "billed_units": {"input_tokens": 62, "output_tokens": 28},
    "tokens": {"input_tokens": 968, "output_tokens": 83},
    "cached_tokens": 48,
}
COHERE_COUNTS: dict[str, object] = {
    "input_tokens": 62,
    "cached_tokens": 48,
    "output_tokens": 28,
}
COHERE_V2 = {
    "id": "c-1",
    "finish_reason": "COMPLETE",
    "message": {"role": "assistant", "content": [{"type": "text", "text": "Ahoy"}]},
    "usage": COHERE_USAGE,
}
COHERE_V1 = {
    "response_id": "r-1",
    "text": "Ahoy",
    "generation_id": "g-1",
    "finish_reason": "COMPLETE",
    "meta": {"api_version": {"version": "1"}, "warnings": ["old"], **COHERE_USAGE},
}

OLLAMA_LAST = {
    "model": "llama3:8b",
    "created_at": "2026-10-01T10:00:00Z",
    "message": {"role": "assistant", "content": ""},
    "done": True,
    "done_reason": "stop",
    "total_duration": 482007750,
    "load_duration": 52719542,
    "prompt_eval_count": 16,
    "prompt_eval_duration": 44457208,
    "eval_count": 51,
    "eval_duration": 384438167,
}
OLLAMA_FIRST = {
    "model": "llama3:8b",
    "created_at": "2026-10-01T10:00:00Z",
    "message": {"role": "assistant", "content": "Grüße"},
    "done": False,
}

CASES = [
    Case(
        "embed content",
        "embed_content",
        json.dumps(
            {
                "embeddings": [{"values": [0.1, -0.2]}],
                "usageMetadata": {
                    "promptTokenCount": 269,
                    "promptTokenDetails": [
                        {"modality": "TEXT", "tokenCount": 11},
                        {"modality": "IMAGE", "tokenCount": 258},
                    ],
                },
            }
        ).encode(),
        {"input_tokens": 269, "input_image_tokens": 258, "output_tokens": 0},
    ),
    Case(
        "interaction body",
        "interactions",
        json.dumps(INTERACTION).encode(),
        INTERACTION_COUNTS,
        model="gemini-2.5-flash",
        response_id="int_1",
    ),
    Case(
        "interaction stream",
        "interactions",
        sse(
            INTERACTION_BEGUN,
            INTERACTION_STEP,
            {"event_type": "interaction.completed", "interaction": INTERACTION},
            "[DONE]",
        ),
        INTERACTION_COUNTS,
        model="gemini-2.5-flash",
        response_id="int_1",
        is_streamed=True,
    ),
    Case(
        "converse body",
        "converse",
        json.dumps(
            {
                "output": {"message": {"role": "assistant", "content": [{"text": "Hola"}]}},
                "stopReason": "end_turn",
                "metrics": {"latencyMs": 417},
                "trace": GUARDRAIL,
                "usage": CONVERSE_USAGE,
            }
        ).encode(),
        CONVERSE_COUNTS,
    ),
    Case(
        "converse stream",
        "converse",
        b"".join((*CONVERSE_EVENTS, CONVERSE_METADATA)),
        CONVERSE_COUNTS | {"service_tier": "priority", "speed": "optimized"},
        is_streamed=True,
    ),
    Case(
        "invoke anthropic body",
        "invoke",
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
        response_id="msg_1",
    ),
    Case(
        "invoke anthropic stream",
        "invoke",
        b"".join(map(nested, (MESSAGE_START, TEXT_DELTA, MESSAGE_DELTA, MESSAGE_STOP))),
        MESSAGE_COUNTS,
        response_id="msg_1",
        is_streamed=True,
    ),
    Case(
        "invoke nova stream",
        "invoke",
        b"".join(
            map(
                nested,
                (
                    {"messageStart": {"role": "assistant"}},
                    {"contentBlockDelta": {"delta": {"text": "hi"}, "contentBlockIndex": 0}},
                    NOVA_LAST,
                ),
            )
        ),
        {
            "input_tokens": 30,
            "cached_tokens": 0,
            "cache_creation_tokens": 0,
            "output_tokens": 55,
        },
        is_streamed=True,
    ),
    Case(
        "invoke llama stream",
        "invoke",
        b"".join(
            map(
                nested,
                (
                    {"generation": "a", "prompt_token_count": 31, "generation_token_count": 1},
                    {
                        "generation": "b",
                        "prompt_token_count": None,
                        "generation_token_count": 2,
                        METRICS: {"inputTokenCount": 31, "outputTokenCount": 2},
                    },
                ),
            )
        ),
        {"input_tokens": 31, "output_tokens": 2},
        is_streamed=True,
    ),
    Case(
        "invoke titan body",
        "invoke",
        json.dumps(
            {
                "inputTextTokenCount": 5,
                "results": [
                    {"tokenCount": 34, "outputText": "x", "completionReason": "FINISH"},
                    {"tokenCount": 6, "outputText": "y", "completionReason": "FINISH"},
                ],
            }
        ).encode(),
        {"input_tokens": 5, "output_tokens": 34 + 6},
    ),
    Case(
        "invoke chat body",
        "invoke",
        json.dumps(
            {
                "object": "chat.completion",
                "id": "chat-1",
                "model": "/opt/ml/model",
                "choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 6, "completion_tokens": 100, "total_tokens": 106},
            }
        ).encode(),
        {"input_tokens": 6, "output_tokens": 100},
        response_id="chat-1",
    ),
    Case(
        "invoke embedding body",
        "invoke",
        json.dumps({"embedding": [0.5, 0.25], "inputTextTokenCount": 9}).encode(),
        {"input_tokens": 9, "output_tokens": 0},
    ),
    Case(
        "agent stream",
        "invoke_agent",
        b"".join(AGENT_EVENTS),
        {"input_tokens": 435 + 252, "output_tokens": 116 + 354},
        model="model-a",
        is_streamed=True,
    ),
    Case(
        "cohere v2 body",
        "cohere_chat",
        json.dumps(COHERE_V2).encode(),
        COHERE_COUNTS,
        response_id="c-1",
    ),
    Case(
        "cohere v2 stream",
        "cohere_chat",
        sse(
            {"type": "message-start", "id": "c-1", "delta": {"message": {"role": "assistant"}}},
            {"type": "content-delta", "delta": {"message": {"content": {"text": "Ahoy ⚓"}}}},
            {
                "type": "message-end",
                "delta": {"finish_reason": "COMPLETE", "usage": COHERE_USAGE},
            },
            "[DONE]",
            names=False,
        ),
        COHERE_COUNTS,
        response_id="c-1",
        is_streamed=True,
    ),
    Case(
        "cohere v1 body",
        "cohere_chat",
        json.dumps(COHERE_V1).encode(),
        COHERE_COUNTS,
        response_id="r-1",
    ),
    Case(
        "cohere v1 lines",
        "cohere_chat",
        lines(
            {"is_finished": False, "event_type": "stream-start", "generation_id": "g-1"},
            {"is_finished": False, "event_type": "text-generation", "text": "Ahoy ⚓"},
            {"is_finished": True, "event_type": "stream-end", "response": COHERE_V1},
        ),
        COHERE_COUNTS,
        response_id="r-1",
        is_streamed=True,
    ),
    Case(
        "cohere embed",
        "embed",
        json.dumps(
            {
                "id": "e-1",
                "embeddings": {"float": [[0.5]]},
                "meta": {"billed_units": {"input_tokens": 4, "image_tokens": 300}},
            }
        ).encode(),
        {"input_tokens": 304, "input_image_tokens": 300, "output_tokens": 0},
        response_id="e-1",
    ),
    Case(
        "cohere rerank",
        "rerank",
        json.dumps(
            {
                "id": "k-1",
                "results": [{"index": 0, "relevance_score": 0.9}],
                "meta": {"api_version": {"version": "2"}, "billed_units": {"search_units": 2}},
            }
        ).encode(),
        {"output_tokens": 0, "rerank_searches": 2},
        response_id="k-1",
    ),
    Case(
        "voyage rerank",
        "rerank",
        json.dumps(
            {
                "object": "list",
                "data": [{"index": 0, "relevance_score": 0.9}],
                "model": "rerank-2",
                "usage": {"total_tokens": 57},
            }
        ).encode(),
        {"input_tokens": 57, "output_tokens": 0},
        model="rerank-2",
    ),
    Case(
        "ollama body",
        "ollama",
        json.dumps(OLLAMA_LAST).encode(),
        {"input_tokens": 16, "output_tokens": 51},
        model="llama3:8b",
    ),
    Case(
        "ollama lines",
        "ollama",
        lines(OLLAMA_FIRST, OLLAMA_FIRST, OLLAMA_LAST),
        {"input_tokens": 16, "output_tokens": 51},
        model="llama3:8b",
        is_streamed=True,
    ),
    Case(
        "ollama embed",
        "ollama",
        json.dumps(
            {"model": "minilm", "embeddings": [[0.1, 0.2]], "prompt_eval_count": 8}
        ).encode(),
        {"input_tokens": 8, "output_tokens": 0},
        model="minilm",
    ),
]

BEDROCK_TEMPLATE = '{"usage": {"inputTokens": %s, "outputTokens": 7}}'
TEMPLATES: dict[Flavour, str] = {
    "interactions": '{"usage": {"total_input_tokens": %s, "total_output_tokens": 7}}',
    "cohere_chat": '{"meta": {"billed_units": {"input_tokens": %s, "output_tokens": 7}}}',
    "converse": BEDROCK_TEMPLATE,
    "invoke": BEDROCK_TEMPLATE,
    "invoke_agent": '{"trace": {"trace": {"orchestrationTrace": {"modelInvocationOutput": '
    '{"metadata": ' + BEDROCK_TEMPLATE + "}}}}}",
    "ollama": '{"prompt_eval_count": %s, "eval_count": 7, "done": true}',
}
"""A body of each flavour with room for one count, and seven tokens of output."""

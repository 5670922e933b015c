"""Calls of boto3 to Bedrock with a bearer token.

botocore itself signs with one over TLS only, so a caller of a proxy without TLS turns its
signing off and sends the token as an ordinary header.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from botocore import UNSIGNED
from botocore.config import Config

from tests.sdk.roads import LEFT, QUESTION, SLOWLY, SYSTEM, Call, Clause, Road, Usage

HAIKU = "us.anthropic.claude-haiku-4-5-20251001-v1:0"
LLAMA = "us.meta.llama4-scout-17b-instruct-v1:0"
REGION = "eu-central-1"
TURNS = [{"role": "user", "content": [{"text": QUESTION}]}]


@contextmanager
def _client(road: Road, extra: dict[str, str]) -> Iterator[Any]:
    """Give a client that sends our headers too; boto3 itself has no way to."""
    headers = road.headers | {
        "X-Majordomo-Bedrock-Region": REGION,
        "Authorization": "Bearer made-up",
    }

    def add_headers(request: Any, **_: Any) -> None:
        for name, value in [*headers.items(), *extra.items()]:
            request.headers[name] = value

    client = boto3.client(
        "bedrock-runtime",
        region_name=REGION,
        endpoint_url=road.to("bedrock"),
        config=Config(signature_version=UNSIGNED, retries={"total_max_attempts": 1}),
    )
    client.meta.events.register("before-send.bedrock-runtime", add_headers)
    try:
        yield client
    finally:
        client.close()


def _usage(usage: Any) -> Usage:
    read, written = usage["cacheReadInputTokens"], usage["cacheWriteInputTokens"]
    return Usage(
        usage["inputTokens"] + read + written,
        usage["outputTokens"],
        read,
        cache_creation_tokens=written,
    )


def converse(road: Road, extra: dict[str, str]) -> Usage:
    with _client(road, extra) as client:
        said = client.converse(modelId=LLAMA, messages=TURNS)
    assert said["output"]["message"]["content"][0]["text"]
    return _usage(said["usage"])


def converse_cached(road: Road, extra: dict[str, str]) -> Usage:
    with _client(road, extra) as client:
        said = client.converse(
            modelId=HAIKU,
            system=[{"text": SYSTEM}, {"cachePoint": {"type": "default"}}],
            messages=TURNS,
        )
    return _usage(said["usage"])


def converse_stream(road: Road, extra: dict[str, str]) -> Usage:
    with _client(road, extra) as client:
        said = client.converse_stream(
            modelId=HAIKU,
            system=[{"text": f"Again. {SYSTEM}"}, {"cachePoint": {"type": "default"}}],
            messages=TURNS,
            inferenceConfig={"maxTokens": 200},
        )
        *_, last = said["stream"]
    return _usage(last["metadata"]["usage"])


def converse_tool(road: Road, extra: dict[str, str]) -> Usage:
    spec = {"name": "clause", "inputSchema": {"json": Clause.model_json_schema()}}
    with _client(road, extra) as client:
        said = client.converse(
            modelId=HAIKU,
            messages=TURNS,
            toolConfig={
                "tools": [{"toolSpec": spec}],
                "toolChoice": {"tool": {"name": "clause"}},
            },
        )
    Clause.model_validate(said["output"]["message"]["content"][0]["toolUse"]["input"])
    return _usage(said["usage"])


def converse_left(road: Road, extra: dict[str, str]) -> Usage:
    with _client(road, extra | SLOWLY) as client:
        said = client.converse_stream(
            modelId=LLAMA, messages=TURNS, inferenceConfig={"maxTokens": 300}
        )
        next(iter(said["stream"]))
        said["stream"].close()
    return LEFT


def _message(prompt: str) -> str:
    control = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
    return json.dumps(
        {
            "anthropic_version": "bedrock-2023-05-31",
            "max_tokens": 300,
            "system": [{"type": "text", "text": SYSTEM, **control}],
            "messages": [{"role": "user", "content": prompt}],
        }
    )


def _message_usage(usage: Any) -> Usage:
    read, written = usage["cache_read_input_tokens"], usage["cache_creation_input_tokens"]
    return Usage(
        usage["input_tokens"] + read + written,
        usage["output_tokens"],
        read,
        cache_creation_tokens=written,
    )


def invoke(road: Road, extra: dict[str, str]) -> Usage:
    with _client(road, extra) as client:
        said = client.invoke_model(modelId=HAIKU, body=_message("Who pays?"))
        return _message_usage(json.loads(said["body"].read())["usage"])


def invoke_stream(road: Road, extra: dict[str, str]) -> Usage:
    with _client(road, extra) as client:
        said = client.invoke_model_with_response_stream(modelId=HAIKU, body=_message("Who signs?"))
        events = [json.loads(event["chunk"]["bytes"]) for event in said["body"]]
    (delta,) = (event for event in events if event["type"] == "message_delta")
    return _message_usage(delta["usage"])


def invoke_left(road: Road, extra: dict[str, str]) -> Usage:
    with _client(road, extra | SLOWLY) as client:
        said = client.invoke_model_with_response_stream(modelId=HAIKU, body=_message("Where?"))
        next(iter(said["body"]))
        said["body"].close()
    return LEFT


CALLS: tuple[Call, ...] = (
    converse,
    converse_cached,
    converse_stream,
    converse_tool,
    converse_left,
    invoke,
    invoke_stream,
    invoke_left,
)

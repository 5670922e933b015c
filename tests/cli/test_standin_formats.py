"""Formats of the stand-ins that are no plain JSON, read by other code than theirs."""

from __future__ import annotations

import base64
import json
import struct
import time
import zlib
from typing import Any

import httpx
import pytest
from botocore.eventstream import ChecksumMismatch, EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st

from majordomo_analytics.cli.standins.app import make_app
from majordomo_analytics.cli.standins.eventstream import frame
from majordomo_analytics.cli.standins.forms import read_form
from tests.cli.standin_calls import KEY, post, truth

CHAT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Where is my order?"}]}
HAIKU = "/model/us.anthropic.claude-haiku-4-5-20251001-v1%3A0"
LLAMA = "/model/us.meta.llama4-scout-17b-instruct-v1%3A0"


def events(framed: bytes) -> list[tuple[str, Any]]:
    """Return types and payloads, as AWS's own library reads them, checksums included."""
    buffer = EventStreamBuffer()
    buffer.add_data(framed)
    return [(event.headers[":event-type"], json.loads(event.payload)) for event in buffer]


@given(st.text("abc-", min_size=1, max_size=60), st.dictionaries(st.text(), st.text()))
def test_frame_is_read_by_aws_own_library(name: str, payload: dict[str, str]) -> None:
    assert events(frame(name, payload) * 2) == [(name, payload)] * 2


@pytest.mark.parametrize("place", [1, 9, 30, -1])
def test_frame_with_one_wrong_byte_is_noticed(place: int) -> None:
    framed = bytearray(frame("metadata", {"usage": {"inputTokens": 7}}))
    framed[place] ^= 1
    with pytest.raises(ChecksumMismatch):
        events(bytes(framed))


def test_converse_stream_states_usage_in_its_last_event() -> None:
    app = make_app()
    answer = post(app, f"{LLAMA}/converse-stream", {"messages": [{"content": [{"text": "Hm"}]}]})
    assert answer.headers["content-type"] == "application/vnd.amazon.eventstream"
    *before, (name, last) = events(answer.content)
    assert before[0] == ("messageStart", {"role": "assistant"})
    tokens = truth(app)[0].tokens
    assert (name, last["usage"]["inputTokens"]) == ("metadata", tokens.input)
    assert last["usage"]["outputTokens"] == tokens.output


@pytest.mark.parametrize("ttl", ["5m", "1h"])
def test_converse_input_leaves_out_what_stands_before_a_cache_point(ttl: str) -> None:
    app = make_app()
    written = 0
    for number in range(8):
        system = [
            {"text": f"{number} Be brief. " * 900},
            {"cachePoint": {"type": "default", "ttl": ttl}},
        ]
        usage = post(app, f"{HAIKU}/converse", {"system": system, "messages": []}).json()["usage"]
        parts = ("inputTokens", "cacheReadInputTokens", "cacheWriteInputTokens")
        tokens = truth(app)[-1].tokens
        assert sum(usage[part] for part in parts) == tokens.input
        assert usage["totalTokens"] == tokens.input + tokens.output
        assert getattr(tokens, f"written_{ttl}") == usage["cacheWriteInputTokens"]
        written += tokens.written
    assert written > 0


def test_invoke_says_usage_in_the_body_and_in_headers() -> None:
    app = make_app()
    body = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 50, "messages": []}
    answer = post(app, f"{HAIKU}/invoke", body)
    tokens = truth(app)[0].tokens
    assert answer.json()["usage"]["output_tokens"] == tokens.output
    assert answer.headers["x-amzn-bedrock-input-token-count"] == str(tokens.input)
    assert answer.headers["x-amzn-bedrock-output-token-count"] == str(tokens.output)


def test_invoke_stream_holds_anthropics_events_as_base64() -> None:
    app = make_app()
    body = {"max_tokens": 50, "messages": [{"role": "user", "content": "Why?"}]}
    framed = post(app, f"{HAIKU}/invoke-with-response-stream", body).content
    inner = [json.loads(base64.b64decode(chunk["bytes"])) for _, chunk in events(framed)]
    assert inner[0]["type"] == "message_start"
    metrics = inner[-1]["amazon-bedrock-invocationMetrics"]
    assert metrics["outputTokenCount"] == truth(app)[0].tokens.output


def test_cohere_bills_less_than_it_reads() -> None:
    """The truth is what is billed; the tokens beside it include Cohere's own preamble."""
    app = make_app()
    said = post(app, "/v2/chat", CHAT | {"stream": True}).text
    last = json.loads(said.strip().rpartition("data: ")[2])
    tokens, usage = truth(app)[0].tokens, last["delta"]["usage"]
    assert last["type"] == "message-end"
    assert usage["billed_units"]["input_tokens"] == tokens.input < usage["tokens"]["input_tokens"]
    assert usage["billed_units"]["output_tokens"] == tokens.output


@pytest.mark.parametrize(("documents", "searches"), [(1, 1), (100, 1), (101, 2)])
def test_ranking_is_billed_by_a_hundred_documents(documents: int, searches: int) -> None:
    app = make_app()
    body = {"model": "rerank-v3.5", "query": "fees", "documents": ["x"] * documents}
    said = post(app, "/v2/rerank", body).json()
    assert said["meta"]["billed_units"] == {"search_units": searches}
    assert len(said["results"]) == documents
    (call,) = truth(app)
    assert (call.tokens.searches, call.tokens.input, call.tokens.output) == (searches, 0, 0)


def test_embedding_is_the_same_as_numbers_and_as_base64() -> None:
    app = make_app()
    body = {"model": "text-embedding-3-small", "input": ["one", "two"]}
    plain = post(app, "/v1/embeddings", body).json()
    coded = post(app, "/v1/embeddings", body | {"encoding_format": "base64"}).json()
    assert len(plain["data"]) == len(coded["data"]) == 2
    vector = coded["data"][1]["embedding"]
    assert len(struct.unpack("<8f", base64.b64decode(vector))) == len(plain["data"][1]["embedding"])
    assert plain["usage"]["prompt_tokens"] == truth(app)[0].tokens.input
    assert [call.tokens.output for call in truth(app)] == [0, 0]


def test_edited_image_counts_its_images_apart() -> None:
    """Two pictures come as a form; the answer holds a picture with right checksums."""
    app = make_app()
    files = [("image[]", ("a.png", b"\x89PNG\r\n\0", "image/png"))] * 2
    data = {"model": "gpt-image-1-mini", "prompt": "Make it größer"}
    form = httpx.Request("POST", "http://standins", data=data, files=files)
    kind = form.headers["content-type"]
    said = post(app, "/v1/images/edits", form.read(), content_type=kind, **KEY).json()
    (call,) = truth(app)
    details = said["usage"]["input_tokens_details"]
    assert details["image_tokens"] == call.tokens.input_image > 0
    assert sum(details.values()) == said["usage"]["input_tokens"] == call.tokens.input
    assert said["usage"]["output_tokens"] == call.tokens.output_image > 0
    png = base64.b64decode(said["data"][0]["b64_json"])
    length = struct.unpack(">I", png[8:12])[0]
    assert struct.unpack(">I", png[16 + length : 20 + length])[0] == zlib.crc32(
        png[12 : 16 + length]
    )


def test_form_gives_texts_files_and_repeated_names() -> None:
    files = [("image[]", ("a", b"\0\xff")), ("image[]", ("b", b"")), ("mask", ("m", b"\r\n--"))]
    form = httpx.Request("POST", "http://standins", data={"prompt": "größer"}, files=files)
    assert read_form(form.headers["content-type"], form.read()) == {
        "prompt": "größer",
        "image": [b"\0\xff", b""],
        "mask": b"\r\n--",
    }
    with pytest.raises(ValueError, match="no multipart form"):
        read_form("multipart/form-data", b"{}")


def test_stream_can_be_slowed_down() -> None:
    """At least the pause after each event: five of them are 100 ms."""
    started = time.monotonic()
    post(make_app(), "/v1/chat/completions", CHAT | {"stream": True}, x_demo_pause_ms="20", **KEY)
    assert time.monotonic() - started > 0.1

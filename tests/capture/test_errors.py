"""What a provider says went wrong is kept, short, clean and without secrets."""

from __future__ import annotations

import json

import pytest

from majordomo_analytics.capture.flavours import Flavour
from majordomo_analytics.records import flags
from tests.capture.bodies import (
    CHAT_CHUNK,
    CHAT_USAGE,
    GEMINI_FIRST,
    MESSAGE_START,
    RESPONSE,
    read,
    sse,
)

OPENAI = {"error": {"message": "Unknown model", "type": "invalid_request_error", "code": None}}
ANTHROPIC = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
GEMINI = {"error": {"code": 429, "message": "Quota exceeded", "status": "RESOURCE_EXHAUSTED"}}


@pytest.mark.parametrize(
    ("flavour", "body", "message"),
    [
        ("chat", OPENAI, "Unknown model"),
        ("chat", {"error": "model not found"}, "model not found"),
        ("chat", {"error": {"code": 5}}, '{"code": 5}'),
        ("chat", {"error": {"message": None, "code": 5}}, '{"message": null, "code": 5}'),
        ("chat", {"error": None}, None),
        ("chat", {"error": ""}, None),
        ("chat", {"error": False}, None),
        ("responses", OPENAI, "Unknown model"),
        ("responses", RESPONSE | {"status": "failed", "error": {"message": "No"}}, "No"),
        ("messages", ANTHROPIC, "Overloaded"),
        ("generate_content", GEMINI, "Quota exceeded"),
        ("generate_content", [GEMINI], "Quota exceeded"),
    ],
)
def test_error_body_has_a_message(flavour: Flavour, body: object, message: str | None) -> None:
    """Each provider's error body gives its message, and no flag: the status says enough."""
    captured = read(flavour, json.dumps(body).encode())
    assert captured.error_message == message
    assert captured.flags == ()


@pytest.mark.parametrize(
    ("flavour", "body", "message"),
    [
        ("chat", sse(CHAT_CHUNK, OPENAI), "Unknown model"),
        ("chat", sse(OPENAI), "Unknown model"),
        ("chat", sse(CHAT_CHUNK | {"choices": [{"error": {"message": "Cut"}}]}), "Cut"),
        ("chat", sse(CHAT_CHUNK | {"x_groq": {"error": "over_capacity"}}), "over_capacity"),
        ("messages", sse(MESSAGE_START, ANTHROPIC, names=True), "Overloaded"),
        ("responses", sse({"type": "error", "code": "x", "message": "Broken"}), "Broken"),
        ("responses", sse({"type": "error", **OPENAI}), "Unknown model"),
        (
            "responses",
            sse({"type": "response.failed", "response": {"error": {"message": "Late"}}}),
            "Late",
        ),
        ("generate_content", sse(GEMINI_FIRST, GEMINI, end="\r\n"), "Quota exceeded"),
        ("generate_content", json.dumps([GEMINI_FIRST, GEMINI]).encode(), "Quota exceeded"),
    ],
)
def test_error_inside_a_stream_is_flagged(flavour: Flavour, body: bytes, message: str) -> None:
    """An error that comes after a stream has begun is found and flagged."""
    captured = read(flavour, body)
    assert captured.error_message == message
    assert captured.flags == (flags.ERROR_IN_STREAM,)
    assert captured.usage.status != "reported"


def test_usage_before_an_error_is_partial_unless_final() -> None:
    """Usage that grows until an error is partial; final usage stays reported."""
    growing = CHAT_CHUNK | {"usage": CHAT_USAGE}
    assert read("chat", sse(growing, OPENAI)).usage.status == "partial"
    assert read("chat", sse(growing | {"choices": []}, OPENAI)).usage.status == "reported"


def test_first_error_counts() -> None:
    """Of several errors the first is what went wrong."""
    assert read("chat", sse(OPENAI, GEMINI)).error_message == "Unknown model"


def test_message_is_bounded_and_clean() -> None:
    """A message is cut to 500 characters and holds nothing that no database takes."""
    captured = read("chat", json.dumps({"error": {"message": "é\0" * 600}}).encode())
    assert captured.error_message == "é" * 500
    assert captured.flags == (flags.TEXT_CLEANED,)


def test_credentials_are_not_repeated() -> None:
    """A message that repeats a credential loses it before it is cut to its length."""
    secret = "sk-proj-abcdefgh1234"
    message = f"Incorrect API key provided: {secret}. See https://example.com/keys."
    for body in ({"error": {"message": message}}, {"error": {"code": message}}, {"error": message}):
        captured = read("chat", json.dumps(body).encode())
        assert "Incorrect API key provided: [credential]" in str(captured.error_message)
        assert secret not in str(captured.error_message)
    for start in range(470, 501):
        body = {"error": {"message": "x" * start + f" {secret}" * 20}}
        assert "sk-" not in str(read("chat", json.dumps(body).encode()).error_message)


def test_message_is_cut_between_characters() -> None:
    """A message is never cut inside a character, however many bytes that has."""
    for text in ("\U0001f600", "e\u0301", "语"):
        captured = read("chat", json.dumps({"error": text * 600}).encode())
        assert captured.error_message == (text * 600)[:500]
        assert captured.error_message.encode().decode() == captured.error_message


@pytest.mark.parametrize("error", [{}, [], 0, 5, True])
def test_error_without_a_word_is_none(error: object) -> None:
    """A member `error` that says nothing is not a failure."""
    captured = read("chat", json.dumps({"error": error, "usage": CHAT_USAGE}).encode())
    assert captured.error_message is None
    assert captured.usage.status == "reported"


def test_message_at_the_root_is_an_error_if_nothing_was_answered() -> None:
    """Some hosts have an error's message at the root, where an answer has choices."""
    error = {"object": "error", "message": "No such model", "code": 404}
    assert read("chat", json.dumps(error).encode()).error_message == "No such model"
    answer = CHAT_CHUNK | {"message": "Bonjour"}
    assert read("chat", json.dumps(answer).encode()).error_message is None
    for message in ({"role": "assistant"}, ["x"], 5, None):
        odd = {"message": message}
        assert read("chat", json.dumps(odd).encode()).error_message is None

"""The stand-ins: their prices are the published ones, and they are true to themselves."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import genai_prices
import pytest

from majordomo_analytics.cli.standins.answers import answer
from majordomo_analytics.cli.standins.app import make_app
from majordomo_analytics.cli.standins.openai import read_chat
from majordomo_analytics.cli.standins.prices import PRICES, Tokens, cost
from majordomo_analytics.cli.standins.process import running_standins
from tests.cli.standin_calls import KEY, post, truth

CHAT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Where is my order?"}]}
MESSAGE = {**CHAT, "model": "claude-haiku-4-5", "max_tokens": 60}
CONTENTS = {"contents": [{"role": "user", "parts": [{"text": "Where is my order? " * 20}]}]}

PRICE_LISTS = {
    "gemini": "google",
    "gemini-openai": "google",
    "xai": "x-ai",
    "bedrock": "aws",
}
"""The names of price lists in genai-prices that are not their provider's own."""


@pytest.mark.parametrize(
    ("provider", "model"), [(provider, model) for provider in PRICES for model in PRICES[provider]]
)
def test_price_card_is_what_genai_prices_says(provider: str, model: str) -> None:
    """A price that changes there makes this fail, before the demo's totals drift apart."""
    for size in (1_000, 190_000, 400_000):
        written = size // 10 if "claude" in model else 0
        images = size // 20 if "image" in model else 0
        cached = 0 if images else size // 8
        tokens = Tokens(
            size, cached, written, written // 2, output=900, reasoning=100, input_image=images
        )
        usage = genai_prices.Usage(
            input_tokens=tokens.input,
            cache_read_tokens=tokens.cached,
            cache_write_tokens=tokens.written or None,
            cache_write_5m_tokens=tokens.written_5m or None,
            cache_write_1h_tokens=tokens.written_1h or None,
            input_image_tokens=tokens.input_image or None,
            output_tokens=tokens.output,
        )
        price = genai_prices.calc_price(
            usage,
            model,
            provider_id=PRICE_LISTS.get(provider, provider),
            genai_request_timestamp=datetime.now(UTC),
        )
        assert cost(provider, model, tokens) == price.total_price


def test_cost_by_hand() -> None:
    """Per million: 1000 at $1, 500 at $0.10, 200 at $1.25, 100 at $2, and 50 out at $5."""
    tokens = Tokens(input=1800, cached=500, written_5m=200, written_1h=100, output=50)
    assert cost("anthropic", "claude-haiku-4-5", tokens) == Decimal("0.00175")
    assert cost("openai", "gpt-none", tokens) is None


def test_answer_depends_on_the_question_alone() -> None:
    """Neither how it is sent nor what was asked before changes what an answer used."""
    plain = answer(read_chat(CHAT))
    answer(read_chat(CHAT | {"model": "gpt-4.1"}))
    streamed = CHAT | {"stream": True, "stream_options": {"include_usage": True}}
    assert answer(read_chat(streamed)) == plain
    other = CHAT | {"messages": [{"role": "user", "content": "Where is my parcel?"}]}
    assert answer(read_chat(other)) != plain


def test_parts_are_never_larger_than_their_whole() -> None:
    for size in range(0, 40_000, 997):
        body = CHAT | {"model": "gpt-5-mini", "messages": [{"content": "x" * size}]}
        tokens = answer(read_chat(body)).tokens
        assert 0 <= tokens.cached <= tokens.input
        assert 0 <= tokens.reasoning < tokens.output


def test_share_of_errors_is_as_asked() -> None:
    questions = [read_chat(CHAT | {"user": str(n)}) for n in range(2000)]
    errors = [answer(question, error_share=0.05).error for question in questions]
    refused = [status for status in errors if status]
    assert 60 < len(refused) < 140
    assert set(refused) == {429, 500}
    assert all(answer(question).error is None for question in questions)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", CHAT),
        ("/v1/responses", {"model": "gpt-5-mini", "input": "Hello"}),
        ("/v1/messages", MESSAGE),
        ("/v1beta/models/gemini-2.5-flash:generateContent", CONTENTS),
        ("/v2/chat", {**CHAT, "model": "command-r7b-12-2024"}),
        ("/model/us.meta.llama4-scout-17b-instruct-v1%3A0/converse", {"messages": []}),
    ],
)
def test_errors_have_no_usage_and_cost_nothing(path: str, body: Any) -> None:
    app = make_app(error_share=1.0)
    refused = post(app, path, body)
    assert refused.status_code in {429, 500}
    said = refused.json()
    assert said.get("error", said)["message"]
    assert "usage" not in refused.text
    (call,) = truth(app)
    assert (call.status_code, call.tokens, call.cost) == (refused.status_code, Tokens(), Decimal(0))


def test_error_can_be_wished_for() -> None:
    app = make_app()
    refused = post(app, "/v1/messages", MESSAGE, x_demo_error="503", x_api_key="made-up")
    assert refused.status_code == 503
    assert refused.json()["error"]["type"] == "api_error"
    (call,) = truth(app)
    assert (call.status_code, call.tokens, call.cost) == (503, Tokens(), Decimal(0))


def test_call_without_credentials_is_refused() -> None:
    assert post(make_app(), "/v1/messages", MESSAGE, accept="*/*").status_code == 401


@pytest.mark.parametrize("body", [b"", b"no json", b"[]", b"7", b'{"messages": '])
def test_body_that_is_no_question_is_a_400(body: bytes) -> None:
    assert post(make_app(), "/v1/chat/completions", body).status_code == 400


def test_truth_keeps_the_callers_name_and_what_should_not_have_come() -> None:
    app = make_app()
    headers = {"X_Demo_Call": "call-7", "X_Majordomo_Team": "legal", "x_api_key": "made-up"}
    used = post(app, "/v1/messages", MESSAGE, **headers).json()["usage"]
    (call,) = truth(app)
    assert (call.name, call.model, call.flavour) == ("call-7", "claude-haiku-4-5", "messages")
    assert call.tokens.output == used["output_tokens"]
    assert call.majordomo_headers == {"x-majordomo-team": "legal"}


def test_some_json_answers_are_gzipped_for_those_who_accept_it() -> None:
    app = make_app()

    def encodings(accepted: str) -> list[str | None]:
        answers = [
            post(app, "/v1/chat/completions", CHAT | {"user": str(n)}, **KEY,
                 accept_encoding=accepted)
            for n in range(12)
        ]  # fmt: skip
        assert all(a.json()["object"] == "chat.completion" for a in answers)
        return [a.headers.get("content-encoding") for a in answers]

    assert set(encodings("identity")) == {None}
    assert set(encodings("gzip, deflate")) == {None, "gzip"}


def test_chat_stream_tells_usage_only_when_asked() -> None:
    app = make_app()
    silent = post(app, "/v1/chat/completions", CHAT | {"stream": True}).text
    asked = {"stream": True, "stream_options": {"include_usage": True}}
    telling = post(app, "/v1/chat/completions", CHAT | asked).text
    assert silent.endswith("data: [DONE]\n\n")
    assert "usage" not in silent
    last = json.loads(telling.split("\n\n")[-3].removeprefix("data: "))
    assert last["choices"] == []
    assert last["usage"]["completion_tokens"] == truth(app)[0].tokens.output


def test_gemini_streams_events_with_crlf_or_one_array() -> None:
    app = make_app()
    path = "/v1beta/models/gemini-2.5-flash:streamGenerateContent"
    events = post(app, f"{path}?alt=sse", CONTENTS)
    array = post(app, path, CONTENTS)
    chunks = [json.loads(event[6:]) for event in events.text.split("\r\n\r\n") if event]
    assert "\n" not in events.text.replace("\r\n", "")
    assert array.json() == chunks
    usage, tokens = chunks[-1]["usageMetadata"], truth(app)[0].tokens
    assert usage["candidatesTokenCount"] + usage["thoughtsTokenCount"] == tokens.output
    assert usage["totalTokenCount"] == tokens.input + tokens.output


@pytest.mark.parametrize("ttl", ["5m", "1h"])
def test_anthropic_input_leaves_out_the_cache(ttl: str) -> None:
    """The parts are in the answer one by one; their sum is the whole prompt."""
    app = make_app()
    control = {"type": "ephemeral", "ttl": ttl}
    system = [{"type": "text", "text": "Be brief. " * 900, "cache_control": control}]
    written = 0
    for n in range(12):
        body = MESSAGE | {"system": system, "metadata": {"user_id": str(n)}}
        usage = post(app, "/v1/messages", body).json()["usage"]
        parts = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
        assert sum(usage[part] for part in parts) == truth(app)[-1].tokens.input
        kept = usage["cache_creation"]
        assert kept[f"ephemeral_{ttl}_input_tokens"] == usage["cache_creation_input_tokens"]
        written += usage["cache_creation_input_tokens"]
    assert written > 0


def test_child_process_ends_with_the_block() -> None:
    """It listens on a free port of this machine, and on none after."""
    with running_standins() as standins, running_standins() as others:
        assert standins.url != others.url
        assert standins.truth() == []
        assert standins.environment["MAJORDOMO_OPENAI_BASE_URL"] == standins.url
        assert standins.environment["MAJORDOMO_TOGETHER_BASE_URL"] == f"{standins.url}/together"
    with pytest.raises(urllib.error.URLError, match="refused"):
        urllib.request.urlopen(f"{standins.url}/truth", timeout=5)

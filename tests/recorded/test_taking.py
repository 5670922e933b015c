"""Recorded streams without the usage that was asked for: the rest of them is all there."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from majordomo_analytics.capture.asking import asking_for_usage
from majordomo_analytics.capture.taking import UsageTaker
from tests.recorded import traffic
from tests.recorded.traffic import Exchange

pytestmark = pytest.mark.skipif(traffic.are_absent(), reason=traffic.WHY_ABSENT)


def streams(*, asked: bool) -> list[Exchange]:
    """Return the streams of chat completions whose request asked for usage, or did not."""
    return [
        exchange
        for exchange in traffic.exchanges()
        if exchange.form == "sse"
        and exchange.path.partition("?")[0].endswith("/chat/completions")
        and (b"include_usage" in exchange.request_body) == asked
    ]


def taken(body: bytes, chunk_bytes: int) -> bytes:
    taker = UsageTaker()
    passed = [taker.feed(body[at : at + chunk_bytes]) for at in range(0, len(body), chunk_bytes)]
    passed.append(taker.finish())
    assert not taker.is_left
    return b"".join(passed)


def data_of(body: bytes) -> list[Any]:
    """Return the data of a stream whose events are one line each, as all of these are."""
    lines = [line[5:].strip() for line in body.splitlines() if line.startswith(b"data:")]
    return [json.loads(line) for line in lines if line != b"[DONE]"]


def test_streams_that_asked_lose_their_usage_and_nothing_else() -> None:
    """No chunk has usage of its own, none is without choices, all others are the same."""
    assert {exchange.provider for exchange in streams(asked=True)} > {"openai"}
    for exchange in streams(asked=True):
        chunks = data_of(exchange.text)
        assert any(chunk.get("usage") for chunk in chunks), exchange
        expected = [
            {name: value for name, value in chunk.items() if name != "usage"}
            for chunk in chunks
            if chunk["choices"] or not chunk.get("usage")
        ]
        for chunk_bytes in (len(exchange.text), 1300, 7, 1):
            passed = taken(exchange.text, chunk_bytes)
            assert data_of(passed) == expected, exchange
            assert b"[DONE]" in passed, exchange
        if exchange.provider == "openai":
            assert len(chunks) == len(expected) + 1, exchange
            assert b"usage" not in passed, exchange


def test_streams_of_openai_that_did_not_ask_are_not_touched() -> None:
    """Every byte of them goes on, however they are cut."""
    chance = random.Random(20261101)
    exchanges = [exchange for exchange in streams(asked=False) if exchange.provider == "openai"]
    assert len(exchanges) > 20
    for exchange in exchanges:
        assert taken(exchange.text, chance.randrange(1, 2000)) == exchange.text, exchange


def test_recorded_requests_that_stream_can_be_asked() -> None:
    """All say the same as before, and ask; those that asked already are left alone."""
    for exchange in streams(asked=False):
        asking = asking_for_usage(exchange.request_body)
        assert asking is not None, exchange
        before, after = json.loads(exchange.request_body), json.loads(asking)
        assert after.pop("stream_options") == {"include_usage": True}
        assert before == after, exchange
    for exchange in streams(asked=True):
        assert asking_for_usage(exchange.request_body) is None, exchange

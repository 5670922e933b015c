"""Recorded answers of real providers: every cut says the same, and the counts are right."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from majordomo_analytics.capture.flavours import flavour_of
from majordomo_analytics.capture.reader import Captured, UsageReader
from tests.recorded import oracle, traffic
from tests.recorded.traffic import Exchange

PROVIDERS = {"openai", "anthropic", "gemini", "azure", "vertex"}
CUT_EVERYWHERE_BYTES = 2048
CUTS_OF_LONGER = 200

pytestmark = pytest.mark.skipif(traffic.are_absent(), reason=traffic.WHY_ABSENT)


def read(exchange: Exchange, *chunks: bytes) -> Captured:
    reader = UsageReader(
        flavour_of(dialect_of(exchange), exchange.method, exchange.path),
        content_encoding=exchange.content_encoding,
    )
    for chunk in chunks:
        reader.feed(chunk)
    return reader.finish(complete=True)


def priced_calls() -> list[Exchange]:
    """Return the calls of a known flavour to the providers that made it."""
    return [
        exchange
        for exchange in traffic.exchanges()
        if exchange.provider in PROVIDERS and oracle.flavour_of(exchange) is not None
    ]


def test_flavours_are_those_of_the_recordings() -> None:
    """The path says the flavour, and another road through the path says the same."""
    for exchange in priced_calls():
        ours = flavour_of(exchange.provider, exchange.method, exchange.path)
        assert ours == oracle.flavour_of(exchange), exchange


@pytest.mark.slow
def test_cuts_change_nothing() -> None:
    """A recorded answer says the same wherever it is cut in two."""
    chance = random.Random(20261101)
    for exchange in priced_calls():
        body = exchange.response_body
        whole = read(exchange, body)
        cuts = list(range(1, len(body)))
        if len(body) > CUT_EVERYWHERE_BYTES:
            cuts = chance.sample(cuts, CUTS_OF_LONGER)
        for cut in cuts:
            assert read(exchange, body[:cut], body[cut:]) == whole, f"{exchange} cut at {cut}"


@pytest.mark.slow
def test_single_bytes_say_the_same() -> None:
    """A recorded stream that comes byte by byte says what it says in one piece."""
    for exchange in priced_calls():
        if exchange.form in {"sse", "json-array"}:
            body = exchange.response_body
            single = [body[at : at + 1] for at in range(len(body))]
            assert read(exchange, *single) == read(exchange, body), exchange


def test_usage_is_exact() -> None:
    """At least 98 of 100 recorded answers that state usage are read to the last token."""
    right: Counter[str] = Counter()
    wrong: list[str] = []
    for exchange in priced_calls():
        usage = read(exchange, exchange.response_body).usage
        try:
            expected = oracle.expected_usage(exchange)
        except oracle.OracleError as error:
            wrong.append(f"no oracle: {error}")
            continue
        if expected is None:
            if usage.status != "missing":
                wrong.append(f"{exchange}: stated no usage, read {usage.raw}")
            continue
        ours = {name: getattr(usage, name) for name in oracle.OUR_NAMES.values()}
        ours = {name: count for name, count in ours.items() if count}
        if usage.status == "reported" and ours == expected:
            right[exchange.provider] += 1
        else:
            wrong.append(f"{exchange}: expected {expected}, read {ours} ({usage.status})")
    report = "\n".join(wrong)
    print(dict(right), report, sep="\n")  # noqa: T201 - shown with -s, and when it fails
    assert right.total() >= 0.98 * (right.total() + len(wrong)), report


def test_streams_that_state_no_usage_are_missing() -> None:
    """An answer without usage has no counts at all: unknown is not zero."""
    for exchange in priced_calls():
        captured = read(exchange, exchange.response_body)
        if captured.usage.raw is None:
            assert captured.usage.status == "missing", exchange
            assert captured.usage.input_tokens is None, exchange
            assert captured.usage.output_tokens is None, exchange

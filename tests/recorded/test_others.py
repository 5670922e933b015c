"""Recorded answers of Google, Bedrock, Cohere and Ollama, read to the last token."""

from __future__ import annotations

import random
import sys
from collections import Counter

import pytest

from majordomo_analytics.capture.flavours import Flavour, flavour_of
from majordomo_analytics.capture.reader import Captured, UsageReader
from majordomo_analytics.records.providers import PROVIDERS
from tests.recorded import traffic
from tests.recorded.oracle_others import COLUMNS, EXPECTATIONS
from tests.recorded.traffic import Exchange

CUT_EVERYWHERE_BYTES = 2048
CUTS_OF_LONGER = 60

pytestmark = pytest.mark.skipif(traffic.are_absent(), reason=traffic.WHY_ABSENT)


def flavour(exchange: Exchange) -> Flavour | None:
    provider = PROVIDERS.get(exchange.provider)
    dialect = provider.dialect if provider is not None else "openai"
    return flavour_of(dialect, exchange.method, exchange.path)


def answers() -> list[Exchange]:
    return [each for each in traffic.exchanges() if flavour(each) in EXPECTATIONS]


def read(exchange: Exchange, *chunks: bytes) -> Captured:
    reader = UsageReader(flavour(exchange), content_encoding=exchange.content_encoding)
    for chunk in chunks:
        reader.feed(chunk)
    return reader.finish(complete=True)


def test_usage_is_exact() -> None:
    """Nearly every answer that states usage is read to the last token, and no other is."""
    right: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    report: list[str] = []
    for exchange in answers():
        name = flavour(exchange)
        assert name is not None
        usage = read(exchange, exchange.response_body).usage
        expected = EXPECTATIONS[name](exchange)
        if expected is None:
            assert usage.status == "missing", exchange
            continue
        ours = {column: getattr(usage, column) for column in COLUMNS}
        ours = {column: count for column, count in ours.items() if count}
        if usage.status == "reported" and ours == expected:
            right[name] += 1
        else:
            wrong[name] += 1
            report.append(f"{exchange}: expected {expected}, read {ours} ({usage.status})")
    sys.stdout.write("\n".join(["", str(dict(right)), *report, ""]))

    assert right.total() > 350
    assert right.keys() == EXPECTATIONS.keys()
    assert right.total() >= 0.985 * (right.total() + wrong.total()), report
    gemini = "generate_content"
    assert right[gemini] >= 0.995 * (right[gemini] + wrong[gemini]), report


@pytest.mark.slow
def test_cuts_change_nothing() -> None:
    """A recorded answer says the same wherever it is cut in two."""
    chance = random.Random(20261101)
    for exchange in answers():
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
    for exchange in answers():
        if exchange.form != "json":
            body = exchange.response_body
            single = [body[at : at + 1] for at in range(len(body))]
            assert read(exchange, *single) == read(exchange, body), exchange

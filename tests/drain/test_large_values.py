"""Whatever is long, large or odd about a request, Postgres has it as the lake has it."""

from __future__ import annotations

from decimal import Decimal

import pytest

from majordomo_analytics.datadir import DataDirectory
from majordomo_analytics.drain.loop import DrainReport, drain_once
from majordomo_analytics.drain.postgres import PostgresSink
from majordomo_analytics.drain.sinks import LakeSink
from majordomo_analytics.records.request import RequestRecord
from majordomo_analytics.records.usage import Usage
from tests.drain.spools import spool
from tests.support.postgres import select
from tests.support.proxy import lake_rows
from tests.support.records import a_record

MOST = 2**63 - 1
MANY = {f"Key-{n}": f"value {n} ☕" * 20 for n in range(500)}
ARN = "arn:aws:bedrock:eu-central-1:123456789012:inference-profile/" + "x" * 240

CASES = {
    "a model's name of 300 characters": (a_record(model=ARN, requested_model=ARN), "model", ARN),
    "more bytes than an int has": (a_record(response_bytes=MOST), "response_bytes", MOST),
    "a wait of a month": (
        a_record(response_time_ms=2_700_000_000),
        "response_time_ms",
        2_700_000_000,
    ),
    "an error of a megabyte": (
        a_record(error_message="é" * 500_000),
        "error_message",
        "é" * 500_000,
    ),
    "500 metadata keys": (a_record(metadata=MANY), "raw_metadata", MANY),
    "a path of a hundred kilobytes": (
        a_record(request_path="/" + "p" * 10**5),
        "request_path",
        "/" + "p" * 10**5,
    ),
}


def test_a_name_of_a_model_has_300_characters() -> None:
    assert len(ARN) == 300


@pytest.mark.parametrize("case", CASES)
def test_what_is_large_is_the_same_in_both(data: DataDirectory, postgres: str, case: str) -> None:
    record, column, expected = CASES[case]
    report = drained(data, postgres, record)

    assert report == DrainReport(rows=1, postgres_rows=1, spools_removed=1)
    assert select(postgres, f"select {column} from llm_requests") == [(expected,)]
    assert lake_rows(data.root)[0][column] == expected


def test_a_cost_of_a_million_dollars_is_exact(data: DataDirectory, postgres: str) -> None:
    """Gateways' numeric(12, 8) ends below 10,000; tokens outgrow an integer of 32 bits."""
    tokens = 10**13 + 1
    usage = Usage(input_tokens=tokens, output_tokens=0, status="reported", source="body")
    drained(data, postgres, a_record(usage=usage))

    cost = Decimal("0.15") * tokens / 1_000_000
    assert cost == Decimal("1500000.00000015")
    found = select(postgres, "select input_tokens, total_cost from llm_requests")
    assert found == [(tokens, cost)]
    (row,) = lake_rows(data.root)
    assert (row["input_tokens"], row["total_cost"]) == (tokens, cost)


def test_500_metadata_keys_are_registered_once_each(data: DataDirectory, postgres: str) -> None:
    drained(data, postgres, a_record(metadata=MANY))
    drained(data, postgres, a_record(metadata=MANY))

    registered = select(postgres, "select key_name, request_count from llm_requests_metadata_keys")
    assert dict(registered) == dict.fromkeys(MANY, 2)


def drained(data: DataDirectory, dsn: str, record: RequestRecord) -> DrainReport:
    spool(data, record)
    return drain_once(data, (LakeSink(data.lake), PostgresSink(dsn, lake=data.lake)))

"""A response is billed once: whoever reads it again gets no second cost."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake
from hypothesis import given
from hypothesis import strategies as st

import majordomo_analytics.lake.responses as lake_responses
from majordomo_analytics.datadir import DataDirectory
from majordomo_analytics.drain.loop import drain_once
from majordomo_analytics.drain.postgres import PostgresSink
from majordomo_analytics.drain.repeated import LOOK_BACK, without_repeated_usage
from majordomo_analytics.drain.sinks import LakeSink, Place, Sink
from majordomo_analytics.records.flags import USAGE_REPEATED
from majordomo_analytics.records.metadata import PROMOTED_FROM_THE_START
from majordomo_analytics.records.request import RequestRecord
from majordomo_analytics.records.schemas import arrow_schema
from majordomo_analytics.records.usage import Usage
from tests.drain.spools import spool
from tests.lake.rows import rows
from tests.support.postgres import select
from tests.support.proxy import lake_rows
from tests.support.records import a_record

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
DONE = Usage(input_tokens=1000, output_tokens=100, status="reported", source="body")
PENDING = Usage()
PRICE = Decimal("0.00021")
"""1,000 tokens at 0.15 and 100 at 0.60 dollars a million, for gpt-4o-mini."""


def poll(usage: Usage = DONE, **fields: Any) -> RequestRecord:
    values = {
        "request_method": "GET",
        "request_path": "/v1/responses/resp_1",
        "api_flavour": "background_response",
        "response_id": "resp_1",
        "usage": usage,
        **fields,
    }
    return a_record(**values)


def both(data: DataDirectory, dsn: str) -> tuple[Sink, Sink]:
    return LakeSink(data.lake), PostgresSink(dsn, lake=data.lake)


def costs_in_postgres(dsn: str) -> list[tuple[str, Decimal | None]]:
    return select(dsn, "select cost_status, total_cost from llm_requests order by requested_at")


def nothing_counted(*_: Any, **__: Any) -> set[str]:
    return set()


def test_trap_14_background_response_polled_five_times_is_one_priced_row(
    data: DataDirectory, postgres: str
) -> None:
    """Two polls before its end, three after it, drained as they come."""
    start = poll(
        PENDING, request_method="POST", request_path="/v1/responses", api_flavour="responses"
    )
    spool(data, start)
    for n, usage in enumerate([PENDING, PENDING, DONE, DONE, DONE], start=1):
        spool(data, poll(usage, requested_at=NOON + timedelta(minutes=n)))
        drain_once(data, both(data, postgres))

    stored = lake_rows(data.root)
    assert [row["total_cost"] for row in stored] == [None, None, None, PRICE, None, None]
    repeated = [row for row in stored if USAGE_REPEATED in row["flags"]]
    assert repeated == stored[4:]
    for row in repeated:
        assert (row["usage_status"], row["cost_status"]) == ("missing", "no_usage")
        assert row["input_tokens"] is row["usage_raw"] is None
        assert (row["status_code"], row["response_id"]) == (200, "resp_1")
    assert costs_in_postgres(postgres) == [
        *[("no_usage", None)] * 3,
        ("priced", PRICE),
        *[("no_usage", None)] * 2,
    ]


def test_polls_in_one_batch_are_one_priced_row(data: DataDirectory, postgres: str) -> None:
    spool(data, *[poll(requested_at=NOON + timedelta(seconds=n)) for n in range(5)])
    drain_once(data, both(data, postgres))

    assert [row["total_cost"] for row in lake_rows(data.root)] == [PRICE, *[None] * 4]
    assert [cost for _, cost in costs_in_postgres(postgres)] == [PRICE, *[None] * 4]


def test_reading_a_response_that_the_first_call_had_whole_costs_nothing(
    data: DataDirectory, postgres: str
) -> None:
    """`GET /v1/responses/ID` of an answer that `POST /v1/responses` gave with its usage."""
    first = poll(request_method="POST", request_path="/v1/responses", api_flavour="responses")
    spool(data, first)
    drain_once(data, both(data, postgres))
    spool(data, poll(requested_at=NOON + timedelta(hours=20)))
    drain_once(data, both(data, postgres))

    assert [row["total_cost"] for row in lake_rows(data.root)] == [PRICE, None]
    assert [cost for _, cost in costs_in_postgres(postgres)] == [PRICE, None]


@pytest.mark.parametrize(
    ("at", "is_counted"),
    [
        (datetime(2026, 11, 17, tzinfo=UTC), True),
        (datetime(2026, 11, 16, 23, 59, 59, 999_999, tzinfo=UTC), False),
        (datetime(2026, 11, 21, 23, 59, 59, 999_999, tzinfo=UTC), True),
        (datetime(2026, 11, 22, tzinfo=UTC), False),
    ],
    ids=["first-day", "day-before", "last-day", "day-after"],
)
def test_both_sinks_look_as_far_back(
    data: DataDirectory, postgres: str, at: datetime, is_counted: bool
) -> None:
    """From three days before the 20th to a day after it; else their sums would differ."""
    spool(data, poll(requested_at=at))
    drain_once(data, both(data, postgres))
    spool(data, poll(requested_at=NOON))
    drain_once(data, both(data, postgres))

    expected = sorted([PRICE, None if is_counted else PRICE], key=str)
    assert sorted((row["total_cost"] for row in lake_rows(data.root)), key=str) == expected
    assert sorted((cost for _, cost in costs_in_postgres(postgres)), key=str) == expected


@pytest.mark.parametrize("flavour", ["background_response", "assistants"])
def test_two_responses_are_two_priced_rows(data: DataDirectory, flavour: str) -> None:
    for response in ("one", "two"):
        spool(data, *[poll(response_id=response, api_flavour=flavour) for _ in range(2)])
    drain_once(data)

    costs = [row["total_cost"] for row in lake_rows(data.root)]
    assert sorted(costs, key=str) == sorted([PRICE, PRICE, None, None], key=str)


@pytest.mark.parametrize(
    "other",
    [
        {"request_method": "POST", "api_flavour": "responses"},
        {"api_flavour": "chat"},
        {"response_id": None},
    ],
    ids=["post", "flavour", "no-id"],
)
def test_nothing_else_that_looks_alike_loses_its_usage(
    data: DataDirectory, other: dict[str, Any]
) -> None:
    """Ids repeat at some providers: only what is read again by its path is a repetition."""
    spool(data, poll(**other), poll(**other))
    drain_once(data)

    assert [row["total_cost"] for row in lake_rows(data.root)] == [PRICE, PRICE]


def test_a_batch_that_is_done_again_gives_the_same_rows(data: DataDirectory, postgres: str) -> None:
    """Its own rows are there already and do not count against it."""
    records = [poll(requested_at=NOON + timedelta(seconds=n)) for n in range(3)]
    lake, tables = both(data, postgres)
    for sink in (lake, tables):
        sink.open()
        first = without_repeated_usage(records, sink.with_usage)
        sink.append(first, Place("spool", 1, 3))
        assert without_repeated_usage(records, sink.with_usage) == first
        sink.close()


def test_only_files_of_recent_days_are_read(
    data: DataDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And only if a batch has an answer that may be a repetition."""
    long_ago = NOON - LOOK_BACK - timedelta(days=1)
    for at in (long_ago, NOON):
        spool(data, a_record(requested_at=at))
    drain_once(data)
    opened: list[str] = []
    parquet_file = pq.ParquetFile

    def opens(path: str) -> Any:
        opened.append(path)
        return parquet_file(path)

    monkeypatch.setattr(pq, "ParquetFile", opens)
    spool(data, a_record())
    drain_once(data)
    assert opened == []
    spool(data, poll(requested_at=NOON))
    drain_once(data)

    assert opened
    assert all(f"requested_date={NOON.date()}" in path for path in opened)


def test_the_newest_files_are_read_first_and_no_more_than_allowed(
    data: DataDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lake_responses, "MOST_FILES", 2)
    for days in range(4):
        spool(data, poll(requested_at=NOON - timedelta(days=days), response_id=f"resp_{days}"))
        drain_once(data)

    found = lake_responses.responses_with_usage(
        data.lake,
        [f"resp_{days}" for days in range(4)],
        but=(),
        first=date(2026, 11, 1),
        last=date(2026, 11, 30),
    )

    assert found == {"resp_0", "resp_1"}


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["one", "two", None]),
            st.sampled_from([DONE, PENDING]),
            st.sampled_from(["GET", "POST"]),
        ),
        max_size=12,
    )
)
def test_of_each_response_the_first_usage_stays_and_every_post_keeps_its_own(
    calls: list[tuple[str | None, Usage, str]],
) -> None:
    """Told over again by a plain walk through the calls."""
    records = [
        poll(usage, response_id=response, request_method=method)
        for response, usage, method in calls
    ]
    expected = []
    billed: set[str] = set()
    for response, usage, method in calls:
        is_billed = usage is DONE and not (method == "GET" and response in billed)
        expected.append(is_billed)
        if usage is DONE and response:
            billed.add(response)

    kept = without_repeated_usage(records, nothing_counted)

    assert [record.usage.status == "reported" for record in kept] == expected
    assert [record.id for record in kept] == [record.id for record in records]


def test_files_of_a_version_that_knew_no_responses_are_passed_over(tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    kept = [f for f in arrow_schema(PROMOTED_FROM_THE_START) if f.name != "response_id"]
    DeltaTable.create(str(lake), pa.schema(kept), partition_by=["requested_date"])
    older = rows("a").select([field.name for field in kept])
    write_deltalake(str(lake), older, mode="append")

    found = lake_responses.responses_with_usage(
        lake, ["resp_1"], but=(), first=date(2026, 1, 1), last=date(2026, 12, 31)
    )

    assert found == set()

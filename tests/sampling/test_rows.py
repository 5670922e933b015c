"""The rows are such as the drain makes of the proxy's records, to the last decimal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq
import pytest

from majordomo_analytics.drain.enrich import row_of
from majordomo_analytics.lake.table import take_snapshot
from majordomo_analytics.ledger.ledger import Ledger
from majordomo_analytics.records.columns import COLUMNS
from majordomo_analytics.records.metadata import PROMOTED_FROM_THE_START
from majordomo_analytics.records.request import RequestRecord
from majordomo_analytics.records.schemas import arrow_schema
from majordomo_analytics.records.usage import WHOLE_OF, Usage

RENAMED = {"status": "usage_status", "source": "usage_source", "raw": "usage_raw"}
NOT_IN_RECORD = {"version", "usage", "metadata", "flags"}


def record_of(row: dict[str, Any]) -> RequestRecord:
    """Return the record that the proxy would have written for a row."""
    usage = {
        name: row[RENAMED.get(name, name)]
        for name in Usage.__struct_fields__
        if name not in {"stated_cost", "flags", "iterations"}
    }
    fields = {
        name: row[name] for name in RequestRecord.__struct_fields__ if name not in NOT_IN_RECORD
    }
    return RequestRecord(**fields, usage=Usage(**usage), metadata=dict(row["raw_metadata"]))


@pytest.fixture(scope="module")
def rows(folder: Path) -> list[dict[str, Any]]:
    """Return every fiftieth row of the sample, as pyarrow reads its files."""
    found = []
    for file in take_snapshot(folder / "lake" / "llm_requests").files:
        table = pq.read_table(file.uri)
        table = table.take(list(range(0, table.num_rows, 50)))
        found += [row | {"requested_date": file.requested_date} for row in table.to_pylist()]
    return found


def test_the_drain_makes_the_same_row_of_each(rows: list[dict[str, Any]]) -> None:
    """Every column: the costs by the pricer that the drain uses, one row at a time."""
    statuses = set()
    for row in rows:
        made = row_of(record_of(row), created_at=row["created_at"])
        for column in COLUMNS:
            assert made[column.name] == row[column.name], column.name
        statuses.add(made["cost_status"])

    assert len(rows) > 2500
    assert statuses == {"priced", "unpriced", "no_usage"}


def test_promoted_columns_hold_what_the_map_holds(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        held = dict(row["raw_metadata"])
        assert len(held) == len(row["raw_metadata"])
        for key in PROMOTED_FROM_THE_START:
            assert row[f"indexed_{key}"] == held.get(key)


def test_no_part_is_more_than_its_whole(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        for part, whole in WHOLE_OF.items():
            assert row[part] is None or row[part] <= row[whole]
        if row["cached_tokens"] and row["cache_creation_tokens"] is not None:
            assert row["cached_tokens"] + row["cache_creation_tokens"] <= row["input_tokens"]


def test_times_of_a_row_follow_each_other(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        took = row["responded_at"] - row["requested_at"]
        assert row["time_to_first_byte_ms"] <= row["response_time_ms"]
        assert took.total_seconds() * 1000 // 1 == row["response_time_ms"]
        assert row["responded_at"] < row["created_at"]
        assert row["requested_at"].date() == row["requested_date"]


def test_ids_are_unique_and_in_the_order_of_time(ledger: Ledger) -> None:
    held = ledger.sql("select id, requested_at from llm_requests order by id")

    assert held["id"].n_unique() == len(held)
    assert held["requested_at"].is_sorted()


def test_the_schema_is_that_of_the_lake(folder: Path) -> None:
    snapshot = take_snapshot(folder / "lake" / "llm_requests")

    assert snapshot.schema.names == arrow_schema(PROMOTED_FROM_THE_START).names
    assert snapshot.promoted == PROMOTED_FROM_THE_START


def test_a_retry_follows_what_failed_by_the_same_user(ledger: Ledger) -> None:
    """Within seconds, with the model and the feature of the trial before."""
    calls = ledger.sql(
        "select requested_at, model, indexed_Feature, raw_metadata['User-Id'] as user_id, "
        "retry_attempt, status_code from llm_requests where retry_attempt is not null"
    )
    again = calls.filter(pl.col("retry_attempt") > 0)
    before = calls.rename({"requested_at": "failed_at"}).select(
        "failed_at", "model", "indexed_Feature", "user_id", "status_code",
        pl.col("retry_attempt") + 1,
    )  # fmt: skip
    same = ["model", "indexed_Feature", "user_id", "retry_attempt"]
    pairs = again.join(before, on=same, suffix="_before").filter(
        pl.col("requested_at").sub(pl.col("failed_at")).is_between(
            pl.duration(), pl.duration(seconds=2)
        )
    )  # fmt: skip

    assert len(again) > 300
    assert again["retry_attempt"].max() == 2
    assert pairs.select("requested_at", "user_id").n_unique() == len(again)
    assert set(pairs["status_code_before"]) <= {429, 500, 503}

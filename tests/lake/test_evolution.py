"""A lake that an earlier version made gets today's columns, and keeps its rows."""

from __future__ import annotations

import multiprocessing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

import majordomo_analytics as ma
from majordomo_analytics.datadir import DataDirectory
from majordomo_analytics.drain.loop import drain_once
from majordomo_analytics.errors import LakeError
from majordomo_analytics.lake import table
from majordomo_analytics.lake.properties import VERSION_PROPERTY
from majordomo_analytics.lake.table import (
    append_once,
    create_lake,
    lake_schema,
)
from majordomo_analytics.records.columns import COLUMNS
from majordomo_analytics.records.metadata import PROMOTED_FROM_THE_START
from majordomo_analytics.records.schemas import arrow_schema
from tests.drain.spools import spool
from tests.lake.rows import rows
from tests.support.records import a_record

if TYPE_CHECKING:
    import threading

# What a lake had before retries were counted by another name, tools had a price and
# searches were billed.
LACKING = {"retry_attempt", "tool_cost", "web_searches", "input_audio_ms", "flags"}


def write_older_lake(lake: Path, *ids: str) -> None:
    """Make a lake without some columns, with one that has another name now, and rows."""
    kept = [f for f in arrow_schema(PROMOTED_FROM_THE_START) if f.name not in LACKING]
    schema = pa.schema([*kept, pa.field("attempt", pa.int64())])
    DeltaTable.create(
        str(lake),
        schema,
        partition_by=["requested_date"],
        configuration={VERSION_PROPERTY: "1"},
        raise_if_key_not_exists=False,
    )
    older = [{**row, "attempt": 2} for row in rows(*ids).to_pylist()]
    if older:
        write_deltalake(str(lake), pa.Table.from_pylist(older, schema=schema), mode="append")


def read_by_polars(lake: Path, *columns: str) -> list[dict[str, Any]]:
    return pl.scan_delta(str(lake)).sort("id").select(columns).collect().to_dicts()


def test_an_older_lake_gets_the_columns_it_lacks_and_keeps_its_rows(tmp_path: Path) -> None:
    """Also one that new rows must have: old rows have null in it."""
    lake = tmp_path / "lake"
    write_older_lake(lake, "a", "b")

    create_lake(lake)

    assert {column.name for column in COLUMNS} <= set(lake_schema(lake).names)
    assert DeltaTable(str(lake)).metadata().configuration[VERSION_PROPERTY] == "1"
    assert read_by_polars(lake, "id", "attempt", "tool_cost", "flags") == [
        {"id": "a", "attempt": 2, "tool_cost": None, "flags": None},
        {"id": "b", "attempt": 2, "tool_cost": None, "flags": None},
    ]


def test_a_lake_that_lacks_nothing_is_not_written(tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    write_older_lake(lake, "a")
    create_lake(lake)
    version = DeltaTable(str(lake)).version()

    create_lake(lake)

    assert DeltaTable(str(lake)).version() == version


def test_the_drain_appends_to_an_older_lake_and_all_rows_are_read_together(
    tmp_path: Path,
) -> None:
    """By DuckDB and by Polars; the renamed column has its value where it was written."""
    data = DataDirectory.create(tmp_path / "data")
    write_older_lake(data.lake, "a", "b")
    record = a_record(retry_attempt=1)
    spool(data, record)

    assert drain_once(data).rows == 1

    expected = [(record.id, None, 1), ("a", 2, None), ("b", 2, None)]
    by_polars = read_by_polars(data.lake, "id", "attempt", "retry_attempt")
    assert [tuple(row.values()) for row in by_polars] == expected
    by_duckdb = ma.open(data.root).sql(
        "select id, attempt, retry_attempt from llm_requests order by id"
    )
    assert by_duckdb.rows() == expected
    # 1e-10 for each older row; 1,000 tokens at 0.15 and 100 at 0.60 a million for the new.
    total = ma.open(data.root).query(measures=["total_cost", "requests"]).total
    assert (str(total["total_cost"]), total["requests"]) == ("0.0002100002", 3)


def test_rows_in_an_older_layout_of_columns_find_their_column(tmp_path: Path) -> None:
    """New columns stand behind the promoted ones; names decide, not positions."""
    lake = tmp_path / "lake"
    write_older_lake(lake)
    create_lake(lake)
    schema = lake_schema(lake)
    assert schema.names != arrow_schema(PROMOTED_FROM_THE_START).names

    new = pa.Table.from_pylist(rows("c").to_pylist(), schema=schema)
    append_once(lake, new, application="spool", first=1, last=1)

    assert read_by_polars(lake, "id", "flags", "indexed_Feature") == [
        {"id": "c", "flags": [], "indexed_Feature": None}
    ]


def add_columns(lake: str, start: threading.Event) -> None:
    start.wait()
    create_lake(lake)


@pytest.mark.slow
def test_two_processes_that_bring_a_lake_up_to_date_at_once_both_succeed(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")  # deltalake does not survive a fork
    for number in range(3):
        lake = tmp_path / f"lake-{number}"
        write_older_lake(lake, "a")
        start = context.Event()
        workers = [context.Process(target=add_columns, args=(str(lake), start)) for _ in range(2)]
        for worker in workers:
            worker.start()
        start.set()
        for worker in workers:
            worker.join(60)

        assert [worker.exitcode for worker in workers] == [0, 0]
        names = lake_schema(lake).names
        assert {column.name for column in COLUMNS} <= set(names)
        assert len(names) == len(set(names))


def test_somebody_elses_delta_table_is_given_no_columns(tmp_path: Path) -> None:
    write_deltalake(str(tmp_path / "theirs"), pa.table({"x": [1, 2]}))

    with pytest.raises(LakeError, match="is no table of requests"):
        create_lake(tmp_path / "theirs")

    assert lake_schema(tmp_path / "theirs").names == ["x"]


def test_columns_that_somebody_else_adds_at_the_same_moment_are_not_added_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commit fails, and the table is looked at again."""
    lake = tmp_path / "lake"
    write_older_lake(lake, "a")
    open_table = table.open_table
    looks = []

    def look_and_be_late(uri: Path) -> DeltaTable:
        seen = open_table(uri)
        looks.append(seen.version())
        if len(looks) == 1:
            create_lake(uri)
        return seen

    monkeypatch.setattr(table, "open_table", look_and_be_late)
    create_lake(lake)

    names = lake_schema(lake).names
    assert looks[0] < looks[-1]
    assert {column.name for column in COLUMNS} <= set(names)
    assert len(names) == len(set(names))

"""Requests as a lazy frame and as a view: pinned, pushed down, alike, and never written."""

from __future__ import annotations

import re
import time
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import deltalake
import polars as pl
import pytest
from polars.testing import assert_frame_equal

import majordomo_analytics as ma
from majordomo_analytics.engines.polars.columns import TYPES
from majordomo_analytics.engines.postgres import database, frames
from majordomo_analytics.engines.postgres import engine as postgres_engine
from majordomo_analytics.engines.sql.compiler import compile_requests
from majordomo_analytics.records.columns import COLUMNS
from majordomo_analytics.records.metadata import PROMOTED_FROM_THE_START
from tests.support.postgres import postgres, postgres_server
from tests.support.requests import REQUESTS, write_lake, write_postgres
from tests.support.spark import spark

__all__ = ["postgres", "postgres_server", "spark"]

EVERY_FILE_ENGINE = pytest.mark.parametrize("engine", ["duckdb", "polars"])
WRITING = (
    "insert into requests select * from requests",
    "delete from requests",
    "update requests set model = 'x'",
    "create table stolen as select * from requests",
    "drop view requests",
    "truncate requests",
    "with gone as (delete from requests returning 1) select * from gone",
    "with more as (insert into requests select * from requests returning 1) select * from more",
    "/* select */ drop view requests",
    "select 1; drop view requests",
)


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    return write_lake(tmp_path / "lake")


@pytest.fixture
def ledger(lake: Path) -> ma.Ledger:
    return ma.open(lake)


def numbers(frame: pl.LazyFrame) -> list[int]:
    """Return the numbers of the requests in a frame, ascending."""
    return sorted(int(one[-4:]) for one in frame.select("id").collect()["id"])


def test_the_schema_is_the_table_of_columns_with_metadata_behind_it(ledger: ma.Ledger) -> None:
    schema = ledger.requests().collect_schema()

    names = [column.name for column in COLUMNS]
    behind = names.index("raw_metadata") + 1
    names[behind:behind] = ["indexed_metadata", *PROMOTED_FROM_THE_START]
    assert schema.names() == names
    assert schema["indexed_metadata"] == schema["raw_metadata"] == pl.Map(pl.String(), pl.String())
    assert {schema[key] for key in PROMOTED_FROM_THE_START} == {pl.String()}
    for column in COLUMNS:
        wanted = pl.Decimal(20, 10) if column.type == "money" else TYPES[column.type]
        assert schema[column.name] == wanted


def test_every_source_has_one_schema_and_the_same_requests(
    lake: Path, postgres: str, spark: str
) -> None:
    """Filtered or not; and it is known before a request is read."""
    of_files = ma.open(lake, spark=spark)
    in_postgres = ma.open(write_postgres(postgres))
    asked: tuple[Any, ...] = (
        None,
        {"Team": "legal"},
        {"Plan": None},
        {"model": ("starts with", "gpt")},
    )
    for filters in asked:
        expected = of_files.requests(filters).sort("id").collect()
        for frame in (
            of_files.requests(filters, engine="polars"),
            of_files.requests(filters, engine="spark"),
            in_postgres.requests(filters),
        ):
            assert frame.collect_schema() == expected.schema
            assert frame.sort("id").collect().to_dicts() == expected.to_dicts()


@EVERY_FILE_ENGINE
def test_indexed_metadata_is_what_is_promoted_of_the_metadata(
    ledger: ma.Ledger, engine: str
) -> None:
    rows = ledger.requests(engine=engine).sort("id").collect()

    expected = [
        {key: value for key, value in row["raw_metadata"] if key in PROMOTED_FROM_THE_START}
        for row in REQUESTS
    ]
    assert rows["indexed_metadata"].to_list() == expected
    assert rows["Team"].to_list() == [row.get("Team") for row in expected]


@EVERY_FILE_ENGINE
def test_columns_and_conditions_reach_the_files(ledger: ma.Ledger, engine: str) -> None:
    """What Polars runs reads three columns, and looks at row groups by two of them."""
    frame = ledger.requests(engine=engine).filter(
        pl.col("Team") == "legal", pl.col("total_cost") > pl.lit("0.001").cast(pl.Decimal(20, 10))
    )
    explained = frame.select("Feature", "total_cost").explain()

    assert re.search(r"PROJECT 3/\d+ COLUMNS", explained)
    scanned = explained[explained.index("Parquet SCAN") :]
    assert 'col("indexed_Team")' in scanned
    assert 'col("total_cost")' in scanned
    assert "FILTER" not in explained
    assert frame.select("Feature").collect()["Feature"].to_list() == ["chat"]


@EVERY_FILE_ENGINE
def test_what_filters_and_time_range_say_reaches_the_files_too(
    lake: Path, ledger: ma.Ledger, engine: str
) -> None:
    """Files of other days need not even be there."""
    for file in lake.glob("requested_date=2026-10-31/*.parquet"):
        file.unlink()
    frame = ledger.requests({"Team": ["sales"]}, "2026-10-01", "Feature", engine=engine)

    assert frame.collect().to_dicts() == [{"Feature": "search"}]
    explained = frame.explain()
    assert "other sources" not in explained
    assert "FILTER" not in explained
    assert re.search(r"PROJECT 3/\d+ COLUMNS", explained)


def test_filters_of_the_ledger_and_of_requests_add_up(ledger: ma.Ledger) -> None:
    """As in a query; a time range that is given stands in place of a settled one."""
    settled = ledger.filter(Team="legal").during("2026-10-01")

    assert numbers(settled.requests()) == [1]
    assert numbers(settled.requests({"Plan": "free"}, "2026-10")) == [4]
    assert numbers(ledger.requests(ma.where(Team=None) | {"Plan": "free"})) == [3, 4]


def test_columns_are_named_in_any_spelling(ledger: ma.Ledger) -> None:
    """Columns, promoted keys and keys that are not promoted, each under its own name."""
    frame = ledger.requests(columns=["user_tier", "PLAN", "Total-Cost", ma.metadata("team"), "id"])

    assert frame.collect_schema().names() == ["User-Tier", "Plan", "total_cost", "Team", "id"]
    assert frame.sort("id").collect()["Plan"].to_list() == ["pro", None, None, "free", None]
    assert ledger.requests(columns="Plan").collect_schema().names() == ["Plan"]


def test_a_column_that_is_none_is_named(ledger: ma.Ledger) -> None:
    with pytest.raises(ma.UnknownNameError, match="no column is named 'total_costs'; did you"):
        ledger.requests(columns=["total_costs"])
    with pytest.raises(ma.UnknownNameError, match="did you mean 'User-Tier'"):
        ledger.requests(columns="user_tear")
    nonsense: Any
    for nonsense in (5, [], {"Team": 1}, [7]):
        with pytest.raises(ma.QueryError, match="name"):
            ledger.requests(columns=nonsense)


def test_a_frame_stays_with_the_state_that_the_ledger_had(lake: Path, ledger: ma.Ledger) -> None:
    """Requests that come later are in the next frame."""
    before = ledger.requests()
    one_more = deltalake.DeltaTable(lake).to_pyarrow_table().slice(0, 1)
    deltalake.write_deltalake(lake, one_more, mode="append")

    assert before.select(pl.len()).collect().item() == 5
    assert ledger.requests().select(pl.len()).collect().item() == 6


def test_a_key_that_is_called_as_a_column_keeps_its_prefix() -> None:
    """In SQL `Model` and `model` are one name."""
    at = datetime(2026, 10, 1, tzinfo=UTC)
    rows = {"requested_at": [at], "indexed_Model": ["key"], "model": ["column"]}
    ledger = ma.open(pl.DataFrame(rows))

    both = ledger.requests(columns=["indexed_Model", "model"]).collect()
    assert both.rows() == [("key", "column")]
    assert ledger.sql('select "indexed_Model", model from requests').rows() == [("key", "column")]
    assert ledger.requests(columns=ma.metadata("Model")).collect().rows() == [("key",)]


def test_requests_can_be_opened_again(ledger: ma.Ledger) -> None:
    again = ma.open(ledger.requests())

    expected = ledger.query("total_cost", "Feature").to_polars()
    assert again.query("total_cost", "Feature").to_polars().equals(expected)


def test_postgres_sends_the_columns_and_rows_that_are_needed(
    postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And of two that are read at once, each has a connection; none is left behind."""
    statements: list[str] = []

    def noted(*given: Any, **named: Any) -> str:
        statements.append(compile_requests(*given, **named))
        return statements[-1]

    monkeypatch.setattr(postgres_engine, "compile_requests", noted)
    ledger = ma.open(write_postgres(postgres))
    frame = ledger.requests({"Team": "legal"})
    assert statements[-1].endswith("LIMIT 0")  # the dtypes, and no request

    assert frame.select("Feature").head(1).collect()["Feature"].to_list() == ["chat"]
    asked = statements[-1]
    assert re.match(r"SELECT\s+\S+ ->> 'Feature' AS \"indexed_Feature\"\s+FROM", asked)
    assert asked.endswith("LIMIT 1")
    assert "@>" in asked  # which the index serves
    joined = frame.join(ledger.requests(), on="id").select("Feature")
    assert joined.collect(engine="streaming").height == 2
    assert numbers(ledger.requests().filter(pl.col("total_cost") > 1)) == [2, 5]
    connected = "select count(*) as n from pg_stat_activity where application_name like 'major%'"
    deadline = time.monotonic() + 30  # the server ends one after it was let go
    while ledger.sql(f"{connected} and datname = current_database()").item() != 1:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_postgres_is_read_in_parts_of_which_one_is_held(
    postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And no further than the rows that are wanted."""
    ledger = ma.open(write_postgres(postgres))
    held: list[int] = []

    def counted(*given: Any) -> Any:
        for frame in frames.frames_of(*given):
            held.append(frame.height)
            yield frame

    monkeypatch.setattr(database, "frames_of", counted)
    monkeypatch.setattr(frames, "ROWS_AT_ONCE", 2)

    assert numbers(ledger.requests()) == [1, 2, 3, 4, 5]
    assert held == [2, 2, 1]
    held.clear()
    assert ledger.requests().head(2).collect().height == 2
    assert held == [2]


def test_the_view_has_the_columns_of_the_frame(ledger: ma.Ledger) -> None:
    """In its order, with the same values; and only what the ledger is filtered by."""
    found = ledger.sql("select * from requests order by id")

    assert_frame_equal(found, ledger.requests().sort("id").collect())
    settled = ledger.filter(Team="legal").during("2026-10-03")
    assert settled.sql("select count(*) as n from requests").item() == 1
    assert settled.sql("select count(*) as n from llm_requests").item() == 5


def test_the_view_means_the_same_in_every_engine(lake: Path, postgres: str, spark: str) -> None:
    of_files = ma.open(lake, spark=spark)
    in_postgres = ma.open(write_postgres(postgres))
    statement = (
        'select "Team" as team, count(*) as n, sum(total_cost) as cost from requests '
        "where \"Feature\" = 'chat' group by 1 order by n, team"
    )
    expected = [(None, 1, Decimal("0.25")), ("legal", 2, Decimal("0.0125"))]

    assert of_files.sql(statement).rows() == expected
    assert in_postgres.sql(statement).rows() == expected
    assert of_files.sql(statement.replace('"', "`"), engine="spark").rows() == expected
    for ledger, asked in (
        (of_files, "indexed_metadata['Team']"),
        (in_postgres, "indexed_metadata ->> 'Team'"),
    ):
        found = ledger.filter(Plan="pro").sql(f"select {asked} as team, provider from requests")
        assert found.rows() == [("legal", "openai")]
    found = of_files.filter(Plan="pro").sql("select indexed_metadata from requests", engine="spark")
    assert found["indexed_metadata"].to_list() == [{"Feature": "chat", "Team": "legal"}]


@pytest.mark.parametrize("statement", WRITING)
def test_a_statement_that_would_write_is_refused_before_it_runs(
    lake: Path, postgres: str, spark: str, statement: str
) -> None:
    """By one error in every engine, and nothing has changed."""
    of_files = ma.open(lake, spark=spark)
    in_postgres = ma.open(write_postgres(postgres))
    for ledger, engine in ((of_files, None), (in_postgres, None), (of_files, "spark")):
        with pytest.raises(ma.ReadOnlyError, match="a ledger is only read"):
            ledger.sql(statement, engine=engine)
        assert ledger.sql("select count(*) as n from requests", engine=engine).item() == 5


def test_duckdb_writes_no_file_by_any_statement(ledger: ma.Ledger, tmp_path: Path) -> None:
    """It takes a WITH that copies to a file for a part of a query."""
    target = tmp_path / "stolen.csv"
    for statement in (
        f"copy (select 1) to '{target}'",
        f"with a as (copy (select 1) to '{target}') select * from a",
        f"with a as (select 1), b as (copy (from a) to '{target}') from b",
        f"select * from query('copy (select 1) to ''{target}''')",
        f"select * from (with a as (copy (select 1) to '{target}') select 1)",
        f"export database '{tmp_path / 'stolen'}'",
        f"attach '{target}' as stolen",
        "set threads = 1",
        "install httpfs",
        "explain analyze select 1",
    ):
        with pytest.raises(ma.QueryError):
            ledger.sql(statement)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["lake"]


def test_a_name_that_is_none_is_told_with_what_was_meant(
    lake: Path, postgres: str, spark: str
) -> None:
    of_files = ma.open(lake, spark=spark)
    in_postgres = ma.open(write_postgres(postgres))
    for ledger, engine in ((of_files, None), (in_postgres, None), (of_files, "spark")):
        for statement in (
            "select tema from requests",
            "select r.tema from requests r",
            "select count(*) from requests where tema = 'x'",
        ):
            with pytest.raises(ma.UnknownNameError, match="did you mean 'Team'") as caught:
                ledger.sql(statement, engine=engine)
            assert caught.value.name == "tema"
        with pytest.raises(ma.UnknownNameError, match="did you mean 'requests'"):
            ledger.sql("select * from request", engine=engine)
        with pytest.raises(ma.QueryError, match="empty"):
            ledger.sql("  -- nothing", engine=engine)
        with pytest.raises(ma.QueryError):
            ledger.sql("selec 1", engine=engine)


def test_a_statement_is_text_and_polars_has_none(ledger: ma.Ledger) -> None:
    nonsense: Any = 5
    with pytest.raises(ma.QueryError, match="a statement is text"):
        ledger.sql(nonsense)
    with pytest.raises(ma.UnsupportedByEngineError, match="runs no SQL"):
        ledger.sql("select 1", engine="polars")


def test_a_key_that_was_promoted_late_is_whole_in_frame_and_view(lake: Path) -> None:
    """Files from before have it in their metadata alone."""
    table = deltalake.DeltaTable(lake).to_pyarrow_table()
    newer = table.slice(0, 1).append_column("indexed_Plan", [["enterprise"]])
    deltalake.write_deltalake(lake, newer, mode="append", schema_mode="merge")
    ledger = ma.open(lake)
    expected = {"enterprise": 1, "free": 1, "pro": 1, None: 3}

    for engine in ("duckdb", "polars"):
        plans = ledger.requests(columns="Plan", engine=engine).collect()["Plan"].to_list()
        assert {plan: plans.count(plan) for plan in plans} == expected
        held = ledger.requests(engine=engine).collect()["indexed_metadata"].to_list()
        assert sorted(one["Plan"] for one in held if "Plan" in one) == ["enterprise", "free", "pro"]
    found = ledger.sql('select "Plan", count(*) as n from requests group by 1')
    assert dict(found.rows()) == expected


def test_a_frame_is_added_up_as_it_streams(ledger: ma.Ledger) -> None:
    by_day = (
        ledger.requests()
        .group_by("requested_date")
        .agg(pl.col("total_cost").sum())
        .sort("requested_date")
        .collect(engine="streaming")
    )

    assert by_day.rows()[0] == (date(2026, 10, 1), Decimal("1.5125"))

"""DuckDB reads lakes, files and frames, and answers what each of them can answer."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import deltalake
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import majordomo_analytics as ma
from majordomo_analytics.engines.base import SUM_OF_MONEY
from majordomo_analytics.engines.duckdb import DuckDBEngine
from majordomo_analytics.lake.table import take_snapshot
from majordomo_analytics.times import TimeRange
from tests.support.requests import REQUESTS, request, write_lake


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    return write_lake(tmp_path / "lake")


def test_a_lake_answers_by_promoted_and_other_keys(lake: Path) -> None:
    """A promoted key is its column, any other is looked up in the metadata."""
    rows = ma.open(lake).query("total_cost", ["feature", "plan"]).to_polars()

    assert rows.rows() == [
        ("bulk", "(untagged)", Decimal("12.00")),
        ("search", "(untagged)", Decimal("1.50")),
        ("chat", "(untagged)", Decimal("0.25")),
        ("chat", "pro", Decimal("0.0125")),
        ("chat", "free", None),
    ]
    assert rows.schema == {"Feature": pl.String, "Plan": pl.String, "total_cost": SUM_OF_MONEY}


def test_only_files_of_the_range_are_read(lake: Path) -> None:
    """A question about two days opens no file of another day."""
    for file in take_snapshot(lake).files:
        if file.requested_date == date(2026, 10, 31):
            Path(file.uri).unlink()
    ledger = ma.open(lake)

    assert ledger.query("requests", time_range=("2026-10-01", "2026-10-03")).total == {
        "requests": 3
    }
    with pytest.raises(ma.LakeError):
        ledger.query("requests")


def test_an_empty_lake_gives_an_empty_result_with_its_dtypes(tmp_path: Path) -> None:
    """No rows, no requests, and sums that are not known."""
    ledger = ma.open(write_lake(tmp_path / "lake", []))

    result = ledger.query(dimensions=["Feature", "status_code"], time_grain="hour", limit=3)

    assert result.to_polars().is_empty()
    assert result.to_polars().schema == {
        "hour": pl.Datetime("us", "UTC"),
        "Feature": pl.String,
        "status_code": pl.Int64,
        "total_cost": SUM_OF_MONEY,
        "requests": pl.Int64,
    }
    assert result.total == {"total_cost": None, "requests": 0}
    assert "0 requests" in repr(ledger)


def test_a_file_older_than_a_promotion_still_answers(tmp_path: Path) -> None:
    """Its rows have the key in their metadata only, and are not untagged."""
    path = write_lake(tmp_path / "lake")
    newer = request(6, "2026-11-01T00:00", "1", Plan="pro") | {"indexed_Plan": "pro"}
    schema = take_snapshot(path).schema.append(pa.field("indexed_Plan", pa.string()))
    deltalake.write_deltalake(
        path, pa.Table.from_pylist([newer], schema=schema), mode="append", schema_mode="merge"
    )

    found = ma.open(path).query("requests", "Plan", order_by="Plan").to_polars()

    assert found.rows() == [("(untagged)", 3), ("free", 1), ("pro", 2)]
    october = ma.open(path).query("requests", "Plan", {"Plan": "pro"}, "2026-10").total
    assert october == {"requests": 1}


def test_the_same_requests_give_the_same_answer_from_every_source(
    lake: Path, tmp_path: Path
) -> None:
    """Lake, Parquet file, Parquet folder, Polars frame and Arrow table agree."""
    table = ma.open(lake).requests().collect().to_arrow()
    (tmp_path / "day=1").mkdir()
    pl.DataFrame(table).write_parquet(tmp_path / "day=1" / "it's.parquet")
    sources = [
        lake,
        tmp_path / "day=1" / "it's.parquet",
        str(tmp_path / "*" / "*.parquet"),
        tmp_path / "day=1",
        table,
        pl.DataFrame(table),
    ]

    answers = [
        ma.open(source).query(["total_cost", "users"], ["Team", "Plan"], time_grain="day")
        for source in sources
    ]

    assert all(answer.to_polars().equals(answers[0].to_polars()) for answer in answers)
    assert all(answer.total == answers[0].total for answer in answers)


def test_metadata_as_json_text_and_floats_of_money_are_read() -> None:
    """What other gateways export: JSON text, lower-case keys, times without a zone."""
    frame = pl.DataFrame(
        {
            "requested_at": [datetime(2026, 10, 5, 9)] * 2,  # noqa: DTZ001 - the case itself
            "raw_metadata": ['{"user-tier": "pro"}', "{}"],
            "total_cost": [0.1, 0.2],
        }
    )

    result = ma.open(frame).query(dimensions="User_Tier")

    assert result.to_polars().rows() == [
        ("(untagged)", Decimal("0.2"), 1),
        ("pro", Decimal("0.1"), 1),
    ]
    assert result.total["total_cost"] == Decimal("0.3")


def test_a_sum_out_of_range_is_an_error() -> None:
    """It never wraps: counts beyond 64 bits, money beyond 38 digits."""
    at = [datetime(2026, 10, 5, tzinfo=UTC)] * 2
    counts = pl.DataFrame({"requested_at": at, "input_tokens": [2**63 - 1, 1]})
    money = pl.DataFrame(
        {"requested_at": at, "total_cost": [Decimal("9" * 28)] * 2},
        schema_overrides={"total_cost": pl.Decimal(38, 10)},
    )

    for frame, measure in ((counts, "input_tokens"), (money, "total_cost")):
        with pytest.raises(ma.ResultOverflowError):
            ma.open(frame).query(measure)


@given(st.text(max_size=12), st.text(st.characters(codec="utf-8", exclude_characters="\0")))
@settings(max_examples=30)
def test_names_and_values_never_become_sql(key: str, value: str) -> None:
    """Any text is a name or a value: it is found, or not found, but never run."""
    team = value or "'"
    frame = pl.DataFrame(
        {
            "requested_at": [datetime(2026, 10, 5, tzinfo=UTC)] * 2,
            "raw_metadata": [[{"key": "K\"';--" + key, "value": team}], []],
        }
    )
    name = ma.metadata("K\"';--" + key)
    if "\0" in key:
        return  # no header name holds it

    result = ma.open(frame).query("requests", name, {name: [team]})

    assert result.total == {"requests": 1}
    assert next(iter(result))[result.to_polars().columns[0]] == team


def test_sql_of_a_result_can_be_run_again(lake: Path) -> None:
    """`result.sql` is a statement that `ledger.sql` takes."""
    ledger = ma.open(lake)
    result = ledger.query(["total_cost"], "Team", limit=1)

    again = ledger.sql(str(result.sql))

    assert sorted(again.rows()) == sorted(result.to_polars().rows())


def test_bad_sql_is_told_in_one_sentence(lake: Path) -> None:
    """A user's own statement fails as a QueryError, and cannot reach Python variables."""
    secret = pl.DataFrame({"a": [1]})
    ledger = ma.open(lake)

    with pytest.raises(ma.QueryError, match="selec"):
        ledger.sql("selec 1")
    with pytest.raises(ma.QueryError, match="secret"):
        ledger.sql("select * from secret")
    assert not secret.is_empty()


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("max(requested_at) - min(requested_at)", "INTERVAL"),
        ("[INTERVAL 1 DAY]", "INTERVAL"),
        ("{'a': [INTERVAL 1 DAY]}", "INTERVAL"),
        ("MAP {'a': INTERVAL 1 DAY}", "INTERVAL"),
        ("union_value(a := 1)", "UNION"),
    ],
)
def test_a_column_that_no_frame_can_hold_is_named(lake: Path, value: str, kind: str) -> None:
    """With what to do about it; Polars itself ends its thread on some of them."""
    ledger = ma.open(lake)

    with pytest.raises(ma.QueryError, match=f"'odd one' .* {kind}.* CAST"):
        ledger.sql(f'select 1 as one, {value} as "odd one" from llm_requests')

    cast = ledger.sql(f'select CAST({value} AS VARCHAR) as "odd one" from llm_requests limit 1')
    assert cast.schema == {"odd one": pl.String}


def test_the_span_of_a_lake_is_that_of_its_days(lake: Path) -> None:
    """Read from the names of the files, without opening one."""
    assert DuckDBEngine(take_snapshot(lake)).span() == TimeRange(
        datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC)
    )


def test_new_rows_are_seen_by_the_next_question(lake: Path) -> None:
    """An open ledger follows the lake; one answer is of one version."""
    ledger = ma.open(lake)
    before = ledger.total["requests"]

    again = lake.parent / "more"
    write_lake(again)
    deltalake.write_deltalake(lake, ma.open(again).sql("select * from llm_requests").to_arrow(),
                              mode="append", schema_mode="merge")  # fmt: skip

    assert (before, ledger.total["requests"]) == (len(REQUESTS), 2 * len(REQUESTS))


def test_requests_are_counted_where_no_column_is_needed(tmp_path: Path) -> None:
    """A file that holds the day itself needs nothing made for it."""
    path = tmp_path / "requests.parquet"
    at = datetime(2026, 10, 1, 12, tzinfo=UTC)
    pl.DataFrame({"requested_at": [at], "requested_date": [at.date()]}).write_parquet(path)

    assert ma.open(path).query("requests").total == {"requests": 1}

"""Spark Connect answers as DuckDB does, on a real server, and says what goes wrong."""

from __future__ import annotations

import gc
import subprocess
import sys
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import deltalake
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

import majordomo_analytics as ma
from majordomo_analytics.engines.spark import server
from majordomo_analytics.engines.spark.engine import MOST_SESSIONS, SparkEngine
from majordomo_analytics.errors import SettingsError, SparkUnreachableError
from majordomo_analytics.lake.table import take_snapshot
from majordomo_analytics.ledger.result import QueryResult
from tests.engines.test_golden_sql import QUESTIONS
from tests.support.requests import REQUESTS, request, write_lake

LARGEST = "9999999999.9999999999"


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    return write_lake(tmp_path / "lake")


def assert_alike(found: QueryResult, expected: QueryResult) -> None:
    """Floats may differ in their last digits: engines interpolate in another order."""
    assert_frame_equal(found.to_polars(), expected.to_polars(), abs_tol=0, rel_tol=1e-12)
    assert found.total == {
        name: pytest.approx(total, rel=1e-12) if isinstance(total, float) else total
        for name, total in expected.total.items()
    }


@pytest.mark.parametrize("name", QUESTIONS)
def test_every_shape_of_question_has_duckdbs_answer(name: str, lake: Path, spark: str) -> None:
    """Over a lake, by each kind of question that has a golden statement."""
    ledger = ma.open(lake, spark=spark)

    assert_alike(ledger.query(**QUESTIONS[name], engine="spark"), ledger.query(**QUESTIONS[name]))


def test_promoted_and_other_keys_are_added_up(lake: Path, spark: str) -> None:
    """The numbers themselves, added up by hand."""
    result = ma.open(lake, spark=spark).query("total_cost", ["feature", "plan"], engine="spark")

    assert result.to_polars().rows() == [
        ("bulk", "(untagged)", Decimal("12.00")),
        ("search", "(untagged)", Decimal("1.50")),
        ("chat", "(untagged)", Decimal("0.25")),
        ("chat", "pro", Decimal("0.0125")),
        ("chat", "free", None),
    ]
    assert result.total == {"total_cost": Decimal("13.7625")}


def test_the_same_requests_give_the_same_answer_from_every_source(
    lake: Path, tmp_path: Path, spark: str
) -> None:
    """Lake, Parquet files whose columns differ, Polars frame and Arrow table agree."""
    table = ma.open(lake).requests().collect().to_arrow().drop_columns(["Team", "Feature"])
    (tmp_path / "files").mkdir()
    pl.DataFrame(table[:2]).write_parquet(tmp_path / "files" / "it's one.parquet")
    older = (
        pl.DataFrame(table[2:]).drop("error_message").with_columns(pl.col("status_code").cast(int))
    )
    older.write_parquet(tmp_path / "files" / "two.parquet")
    sources = [lake, tmp_path / "files", table, pl.DataFrame(table)]
    asked: dict[str, Any] = {
        "measures": ["total_cost", "users", "p50_response_time_ms"],
        "dimensions": ["Team", "Plan", "status_code"],
        "time_grain": "day",
    }

    expected = ma.open(lake).query(**asked)
    for source in sources:
        assert_alike(ma.open(source, spark=spark).query(**asked, engine="spark"), expected)


def in_order(requests: pl.LazyFrame) -> pl.DataFrame:
    return requests.sort("requested_at", "id").collect()


def test_requests_and_metadata_keys_are_duckdbs(lake: Path, spark: str) -> None:
    """Names, dtypes and values."""
    ledger = ma.open(lake, spark=spark)
    engine = ledger.source.engine("spark")
    plan = ledger.query().plan

    assert_frame_equal(in_order(engine.requests(plan)), in_order(ledger.requests()))
    assert_frame_equal(engine.metadata_keys(plan), ledger.metadata_keys())
    assert engine.span() == ledger.source.engine("duckdb").span()


def test_only_files_of_the_range_are_read(lake: Path, spark: str) -> None:
    """A question about two days opens no file of another day."""
    for file in take_snapshot(lake).files:
        if file.requested_date == date(2026, 10, 31):
            Path(file.uri).unlink()
    ledger = ma.open(lake, spark=spark)

    asked = ledger.query("requests", time_range=("2026-10-01", "2026-10-03"), engine="spark")
    assert asked.total == {"requests": 3}
    with pytest.raises(ma.LakeError):
        ledger.query("requests", engine="spark")


def test_an_empty_lake_and_an_empty_frame_keep_their_dtypes(tmp_path: Path, spark: str) -> None:
    """No rows, no requests, and sums that are not known."""
    lake = write_lake(tmp_path / "lake", [])
    for source in (lake, ma.open(lake).requests().collect()):
        ledger = ma.open(source, spark=spark)
        asked: dict[str, Any] = {"dimensions": ["Feature", "status_code"], "time_grain": "hour"}

        assert_alike(ledger.query(**asked, limit=3, engine="spark"), ledger.query(**asked, limit=3))


def test_new_rows_are_seen_by_the_next_question_only(lake: Path, spark: str) -> None:
    """An engine stays with the version that it was made for."""
    ledger = ma.open(lake, spark=spark)
    before = ledger.source.engine("spark")
    plan = ledger.query(engine="spark").plan

    write_lake(lake.parent / "more")
    more = ma.open(lake.parent / "more").sql("select * from llm_requests").to_arrow()
    deltalake.write_deltalake(lake, more, mode="append", schema_mode="merge")

    assert before.requests(plan).collect().height == len(REQUESTS)
    assert ledger.query(engine="spark").total["requests"] == 2 * len(REQUESTS)


def test_a_file_older_than_a_promotion_still_answers(tmp_path: Path, spark: str) -> None:
    """Its rows have the key in their metadata only, in any spelling."""
    rows = [
        request(1, "2026-10-01T09:00", "1", Plan="pro"),
        request(2, "2026-10-01T10:00", "1") | {"raw_metadata": [("PLAN", "free")]},
        request(3, "2026-10-02T10:00", "1"),
    ]
    path = write_lake(tmp_path / "lake", rows)
    newer = request(6, "2026-11-01T00:00", "1", Plan="pro") | {"indexed_Plan": "pro"}
    schema = take_snapshot(path).schema.append(pa.field("indexed_Plan", pa.string()))
    deltalake.write_deltalake(
        path, pa.Table.from_pylist([newer], schema=schema), mode="append", schema_mode="merge"
    )

    found = ma.open(path, spark=spark).query("requests", "Plan", order_by="Plan", engine="spark")

    assert found.to_polars().rows() == [("(untagged)", 1), ("free", 1), ("pro", 2)]


def test_the_largest_money_keeps_every_digit(tmp_path: Path, spark: str) -> None:
    """The table's statistics have it as a float, which a file of one amount shows."""
    rows = [request(n, f"2026-10-0{n}T09:00", LARGEST) for n in range(1, 4)]
    ledger = ma.open(write_lake(tmp_path / "lake", rows), spark=spark)

    result = ledger.query("total_cost", time_grain="day", engine="spark")

    assert result.to_polars()["total_cost"].to_list() == [Decimal(LARGEST)] * 3
    assert result.total["total_cost"] == 3 * Decimal(LARGEST)
    assert ledger.query("requests", filters={"total_cost": Decimal(LARGEST)}, engine="spark").total


def test_a_sum_out_of_range_is_an_error(spark: str) -> None:
    """It never wraps: counts beyond 64 bits, also within a row, money beyond 38 digits."""
    at = [datetime(2026, 10, 5, tzinfo=UTC)] * 2
    tokens = {"requested_at": at, "input_tokens": [2**63 - 1, 1], "output_tokens": [1, 1]}
    money = pl.DataFrame(
        {"requested_at": at, "total_cost": [Decimal("9" * 28)] * 2},
        schema_overrides={"total_cost": pl.Decimal(38, 10)},
    )

    for frame, measure in (
        (pl.DataFrame(tokens), "input_tokens"),
        (pl.DataFrame(tokens), "total_tokens"),
        (pl.DataFrame(tokens).head(1), "total_tokens"),
        (money, "total_cost"),
        (money, "cost_per_request"),
    ):
        with pytest.raises(ma.ResultOverflowError):
            ma.open(frame, spark=spark).query(measure, engine="spark")
    most = ma.open(pl.DataFrame(tokens).head(1), spark=spark)
    assert most.query("input_tokens", engine="spark").total == {"input_tokens": 2**63 - 1}


@pytest.mark.parametrize("zone", ["Australia/Lord_Howe", "America/Havana", "Asia/Kathmandu"])
@pytest.mark.parametrize("grain", ["hour", "day", "week", "quarter"])
def test_buckets_are_those_of_the_zone(zone: str, grain: Any, spark: str) -> None:
    """Half-hour steps, a midnight that happens twice, and a zone of 45 minutes."""
    instants = pl.datetime_range(
        datetime(2026, 3, 7, tzinfo=UTC), datetime(2026, 11, 2, 12, tzinfo=UTC), "7h3m",
        eager=True,
    )  # fmt: skip
    around = pl.datetime_range(
        datetime(2026, 11, 1, 2, tzinfo=UTC), datetime(2026, 11, 1, 8, tzinfo=UTC), "10m",
        eager=True,
    )  # fmt: skip
    ledger = ma.open(pl.DataFrame({"requested_at": pl.concat([instants, around])}), spark=spark)
    asked: dict[str, Any] = {"measures": "requests", "time_grain": grain, "timezone": zone}

    assert_alike(ledger.query(**asked, engine="spark"), ledger.query(**asked))


def test_frames_of_other_gateways_are_read(spark: str) -> None:
    """JSON text, floats of money, times as text and without a zone, small integers."""
    frame = pl.DataFrame(
        {
            "requested_at": [
                "2026-10-05T09:00Z",
                "2026-10-05 22:30:01.5+02:00",
                "2026-10-06T09:00",
            ],
            "raw_metadata": ['{"user-tier": "pro"}', "{}", None],
            "total_cost": [0.1, 0.2, None],
            "status_code": pl.Series([200, 404, None], dtype=pl.UInt16),
            "model": pl.Series(["a", "b", "a"], dtype=pl.Categorical),
            "at": [datetime(2026, 10, 5, 9).time()] * 3,  # noqa: DTZ001 - Spark has no such type
        }
    )
    ledger = ma.open(frame, spark=spark)
    asked: dict[str, Any] = {
        "measures": ["total_cost", "errors"],
        "dimensions": ["User_Tier", "model", "status_code"],
        "time_grain": "hour",
    }

    assert_alike(ledger.query(**asked, engine="spark"), ledger.query(**asked))


@given(
    st.text(max_size=12),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"))
    | st.sampled_from(["${env:HOME}", "\\", "\\'", "\\u0041", "a\nb", "`x`", "%", "--"]),
)
@settings(max_examples=10)
def test_names_and_values_never_become_sql(spark: str, key: str, value: str) -> None:
    """Any text is a name or a value: it is found, or not found, but never run."""
    team = value or "'"
    name = ma.metadata("K`\"\\';--${x}" + key.replace("\0", ""))
    frame = pl.DataFrame(
        {
            "requested_at": [datetime(2026, 10, 5, tzinfo=UTC)] * 2,
            "raw_metadata": [[{"key": name.key, "value": team}], []],
        }
    )

    result = ma.open(frame, spark=spark).query("requests", name, {name: [team]}, engine="spark")

    assert result.total == {"requests": 1}
    assert next(iter(result))[result.to_polars().columns[0]] == team


def test_a_key_that_is_called_as_a_column_of_ours_inside_is_no_clash(spark: str) -> None:
    """Spark, other than Python, has one name for `Kept` and `kept`."""
    at = [datetime(2026, 10, 5, tzinfo=UTC)] * 3
    rows = {"requested_at": at, "Kept": ["a", "a", "b"], "status_code": [200, 200, 404]}
    ledger = ma.open(pl.DataFrame(rows), spark=spark)

    result = ledger.query("requests", ["Kept", "status_code"], limit=1, engine="spark")

    assert result.to_polars().rows() == [("a", "200", 2), ("(other)", "(other)", 1)]


def test_sql_of_a_result_can_be_run_again(lake: Path, spark: str) -> None:
    """`result.sql` is a statement that the engine takes."""
    ledger = ma.open(lake, spark=spark)
    result = ledger.query(["total_cost"], "Team", limit=1, engine="spark")

    again = ledger.sql(str(result.sql), engine="spark")

    assert sorted(again.rows()) == sorted(result.to_polars().rows())


def test_bad_sql_is_told_in_one_sentence(lake: Path, spark: str) -> None:
    ledger = ma.open(lake, spark=spark)

    for statement in ("selec 1", "select nonsuch from llm_requests", "select * from elsewhere"):
        with pytest.raises(ma.QueryError) as caught:
            ledger.sql(statement, engine="spark")
        assert "\n" not in str(caught.value)


def test_a_session_that_the_server_dropped_is_begun_again(lake: Path, spark: str) -> None:
    """As after an hour in which nobody asked."""
    ledger = ma.open(lake, spark=spark)
    ledger.query(engine="spark")
    engine = ledger.source.engine("spark")
    assert isinstance(engine, SparkEngine)
    for held in engine._servers.values():
        assert held._session is not None
        held._session.client.release_session()

    assert ledger.query(engine="spark").total["requests"] == len(REQUESTS)


def test_sessions_are_few_and_end_with_their_engine(
    lake: Path, spark: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many time ranges are asked about."""
    ended: list[object] = []
    monkeypatch.setattr(server, "_end", ended.append)
    ledger = ma.open(lake, spark=spark)
    days = [("2026-10-01", f"2026-10-{day:02}") for day in (2, 3, 4, 5)] + [("2026-09-01", None)]
    for days_asked in [*days, ("2026-10-02", None), ("2026-10-03", None)]:
        ledger.query("requests", time_range=days_asked, engine="spark")
    engine = ledger.source.engine("spark")
    assert isinstance(engine, SparkEngine)

    assert len(engine._servers) == MOST_SESSIONS
    begun = len(engine._servers) + len(ended)
    assert len(ended) > 0
    del engine, ledger
    gc.collect()
    assert len(ended) == begun


def test_a_server_that_does_not_answer_is_named_without_its_token(
    lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not waited for, for ten minutes."""
    monkeypatch.setattr(server, "MOST_ATTEMPTS", 0)
    ledger = ma.open(lake, spark="sc://127.0.0.1:9/;x-secret=s3cr3t")

    with pytest.raises(SparkUnreachableError, match=r"127\.0\.0\.1:9 ") as caught:
        ledger.query(engine="spark")

    assert isinstance(caught.value, ConnectionError)
    assert "s3cr3t" not in str(caught.value) + repr(ledger.source)


@pytest.mark.parametrize(
    "address",
    ["", "localhost:15002", "http://h", "sc://", "sc://h:p/;token=s3cr3t", "sc://h/;s3cr3t"],
)
def test_an_address_that_cannot_be_read_is_told_without_being_shown(
    address: str, lake: Path
) -> None:
    """It may hold a token."""
    with pytest.raises(ma.SourceError, match="sc://HOST:15002") as caught:
        ma.open(lake, spark=address).query(engine="spark")

    assert "s3cr3t" not in str(caught.value)


def test_spark_needs_an_address_which_the_environment_may_have(
    lake: Path, spark: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The variable is PySpark's own."""
    monkeypatch.delenv("SPARK_REMOTE", raising=False)
    with pytest.raises(SettingsError, match="spark='sc://HOST:15002'"):
        ma.open(lake).query(engine="spark")

    monkeypatch.setenv("SPARK_REMOTE", spark)
    assert ma.open(lake).query(engine="spark").total["requests"] == len(REQUESTS)


def test_without_pyspark_the_extra_is_named(lake: Path) -> None:
    """And nothing of it is loaded before it is asked for."""
    code = """
import sys
sys.modules["pyspark"] = None
import majordomo_analytics as ma
ledger = ma.open(sys.argv[1], spark="sc://localhost")
assert ledger.query().total["requests"] == 5
try:
    ledger.query(engine="spark")
except ma.MissingExtraError as error:
    print(error)
"""
    made = subprocess.run(
        [sys.executable, "-c", code, str(lake)], capture_output=True, text=True, check=True
    )

    assert "pip install 'majordomo-analytics[spark]'" in made.stdout


def test_a_program_without_a_file_asks_and_can_spawn_processes(lake: Path, spark: str) -> None:
    """As in ``python -c``, where PySpark would end the process."""
    code = """
import multiprocessing, sys, time
import majordomo_analytics as ma
print(ma.open(sys.argv[1], spark=sys.argv[2]).query(engine="spark").total["requests"])
child = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(0,))
child.start()
child.join()
print(child.exitcode)
"""
    made = subprocess.run(
        [sys.executable, "-c", code, str(lake), spark], capture_output=True, text=True, check=True
    )

    assert made.stdout.split() == ["5", "0"], made.stderr

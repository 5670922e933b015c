"""A ledger never changes, says what it holds, and answers in every form."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

import majordomo_analytics as ma
from majordomo_analytics.datadir import DataDirectory
from majordomo_analytics.errors import DataDirectoryError
from tests.support.requests import REQUESTS, write_lake


@pytest.fixture
def ledger(tmp_path: Path) -> ma.Ledger:
    return ma.open(write_lake(tmp_path / "lake"))


def test_a_data_directory_is_opened_by_its_path(tmp_path: Path) -> None:
    """And one that has no lake yet says what fills it."""
    directory = DataDirectory.create(tmp_path / "data")
    with pytest.raises(ma.LakeNotFoundError, match="mdm drain --once"):
        ma.open(tmp_path / "data")

    write_lake(directory.lake)

    assert ma.open(str(tmp_path / "data")).total["requests"] == len(REQUESTS)


def test_what_cannot_be_opened_is_named(tmp_path: Path) -> None:
    """One clear sentence, and what would do."""
    (tmp_path / "notes.txt").write_text("x")
    for given in (tmp_path / "notes.txt", "s3://bucket/lake", 7, str(tmp_path / "*.parquet")):
        with pytest.raises(ma.SourceError, match="a Delta table"):
            ma.open(given)
    with pytest.raises(ma.SourceError, match="requested_at"):
        ma.open(pl.DataFrame({"when": [1]}))
    with pytest.raises(DataDirectoryError):
        ma.open(tmp_path / "missing")


def test_the_short_form_is_the_same_query(ledger: ma.Ledger) -> None:
    """`filter`, `during` and `by` return new ledgers; the first one is as it was."""
    short = ledger.filter(Team="legal").during("2026-10").by("Feature")
    long = ledger.query(dimensions="Feature", filters={"Team": "legal"}, time_range="2026-10")

    assert short.to_polars().equals(long.to_polars())
    assert short.total == short.query().total == long.total
    assert repr(short) == repr(long)
    assert ledger.total["requests"] == len(REQUESTS)


def test_filters_add_up(ledger: ma.Ledger) -> None:
    """What a query filters by comes on top of what the ledger was filtered by."""
    assert ledger.filter(Team="legal").query(filters={"Plan": "free"}).total["requests"] == 1


def test_requests_have_promoted_keys_by_name(ledger: ma.Ledger) -> None:
    """Rows come oldest first, and a promoted key is a column of its name."""
    rows = ledger.filter(Feature="chat").requests(limit=2)

    assert rows["requested_at"].to_list() == [
        datetime(2026, 10, 1, 9, tzinfo=UTC),
        datetime(2026, 10, 2, 10, tzinfo=UTC),
    ]
    assert rows["Team"].to_list() == ["legal", None]
    assert rows["requested_date"].to_list() == [date(2026, 10, 1), date(2026, 10, 2)]
    assert rows.schema["total_cost"] == pl.Decimal(20, 10)


def test_metadata_keys_are_counted(ledger: ma.Ledger) -> None:
    """With how often, how many values, and when."""
    keys = ledger.metadata_keys()

    assert keys.select("name", "promoted", "requests", "distinct_values").rows() == [
        ("Feature", True, 5, 3),
        ("Team", True, 4, 3),
        ("Plan", False, 2, 2),
        ("User-Id", False, 1, 1),
    ]
    assert keys["first_seen"][2] == datetime(2026, 10, 1, 9, tzinfo=UTC)


def test_an_unknown_engine_is_named(ledger: ma.Ledger) -> None:
    """The message has the engine that was meant."""
    with pytest.raises(ma.UnknownNameError, match="did you mean 'duckdb'"):
        ledger.query(engine="duckbd")


def test_a_result_in_every_form(ledger: ma.Ledger) -> None:
    """Polars, Arrow and pandas hold the same exact money."""
    result = ledger.query(dimensions="Team", limit=1)

    expected = [Decimal("12"), Decimal("1.7625")]
    assert result.to_polars()["total_cost"].to_list() == expected
    assert result.to_arrow()["total_cost"].to_pylist() == expected
    assert list(result.to_pandas()["total_cost"]) == expected
    assert [row["Team"] for row in result] == ["it's", "(other)"]
    assert len(result) == 2
    assert sum(expected) == result.total["total_cost"]


def test_own_measures_are_worked_out(ledger: ma.Ledger) -> None:
    """A known measure of some requests, or per another one."""
    result = ledger.query(
        [
            ma.measure("legal_cost", "total_cost", where={"Team": "legal"}),
            ma.measure("tokens_per_request", "total_tokens", per="requests"),
        ]
    )

    assert result.total == {"legal_cost": Decimal("0.0125"), "tokens_per_request": 165 / 5}


def test_html_is_escaped() -> None:
    """A metadata value is text, never markup or a control sequence."""
    rows = {"requested_at": ["2026-10-05T09:00Z"] * 2, "Team": ["<script>x</script>", "a\x1b[1m"]}
    result = ma.open(pl.DataFrame(rows)).query(dimensions="Team")

    assert "<script>" not in result._repr_html_()
    assert "&lt;script&gt;" in result._repr_html_()
    assert "\x1b" not in repr(result)
    assert "Ledger" in ma.open(pl.DataFrame(rows))._repr_html_()


def test_long_results_say_what_is_not_shown() -> None:
    """Twenty rows are printed, and how many more there are."""
    rows = {"requested_at": ["2026-10-05T09:00Z"] * 1234, "Team": [str(i) for i in range(1234)]}
    shown = repr(ma.open(pl.DataFrame(rows)).query("requests", "Team"))

    assert "1,214 more rows" in shown
    assert shown.splitlines()[-3].split() == ["total", "1,234"]


def test_a_parquet_file_that_is_written_anew_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "requests.parquet"
    at = datetime(2026, 10, 1, tzinfo=UTC)
    pl.DataFrame({"requested_at": [at]}).write_parquet(path)
    ledger = ma.open(path)
    held = ledger.source.engine()

    assert ledger.query("requests").total == {"requests": 1}
    assert ledger.source.engine() is held
    pl.DataFrame({"requested_at": [at, at]}).write_parquet(path)

    assert ledger.query("requests").total == {"requests": 2}

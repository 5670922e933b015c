"""The SQL of each shape of question, in each dialect, as a person can read it.

What DuckDB runs is in the folder itself, other dialects in one of their own. A missing file
is a failure; ``MAJORDOMO_WRITE_SNAPSHOTS=1`` writes them anew.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

import majordomo_analytics as ma
from majordomo_analytics.engines.sql.compiler import compile_plan, compile_with_total
from majordomo_analytics.engines.sql.dialects import DUCKDB, SPARK, Dialect
from tests.support.requests import write_lake

FOLDER = Path(__file__).parents[1] / "snapshots"
DIALECTS = (DUCKDB, SPARK)
OCTOBER = ("2026-10-01", "2026-11-01")
FAMILY = ma.dimension("family", "model", patterns={"^gpt-": "GPT", "^o\\d": "o"}, default="rest")
TIER = ma.dimension(
    "tier", "User-Id", mapping={"u1": "paid", "u2": "paid", "u3": "free"}, default="unknown"
)
SIZE = ma.dimension("size", "input_tokens", edges=[1_000, 10_000])
REGION = ma.dimension("region", "Feature", split="-", part=1)
FISCAL = ma.Calendar(week_starts_on=7, month_starts_on=5, year_starts_in=2)
QUESTIONS: dict[str, dict[str, Any]] = {
    "total": {},
    "by_dimensions": {"dimensions": ["Feature", "model"], "time_range": OCTOBER},
    "other_key": {"dimensions": "Plan", "measures": "users"},
    "filters": {
        "filters": {
            "Team": ("!=", "it's"),
            "Plan": ["pro", None],
            "status_code": [(">=", 400), ("<", 500)],
            "total_cost": (">", 0.05),
            "model": ("starts with", "gpt"),
        }
    },
    "by_day": {"time_grain": "day", "time_range": OCTOBER},
    "by_local_hour": {
        "time_grain": "hour", "timezone": "Europe/Berlin", "time_range": OCTOBER,
    },
    "by_local_week": {
        "time_grain": "week", "timezone": "Asia/Kolkata", "time_range": OCTOBER,
    },
    "limit": {"dimensions": "Team", "limit": 2, "time_grain": "month"},
    "limit_without_other": {"dimensions": ["Team", "status_code"], "limit": 2, "other": False},
    "limit_of_numbers": {"dimensions": "status_code", "limit": 2, "order_by": "error_rate",
                         "measures": ["error_rate", "requests"]},
    "every_measure": {"measures": list(ma.MEASURES)},
    "own_measure": {
        "measures": [
            ma.measure("pro_cost", "total_cost", where={"Plan": "pro"}),
            ma.measure("cost_per_user", "total_cost", per="users"),
        ]
    },
    "columns_measured": {
        "measures": [
            ma.measure("searches", sum=["web_searches", "social_searches"]),
            ma.measure("p90_cost", quantile="total_cost", level=0.9),
            ma.measure("mean_output", mean="output_tokens"),
            ma.measure("models", distinct="model"),
        ]
    },
    "patterns": {
        "filters": (ma.where(model=("matches", r"^gpt-\d$")) | ma.where(Team=("ends with", "al")))
        & ~ma.where(Feature=("contains", "chat")),
    },
    "own_dimensions": {"dimensions": [FAMILY, TIER, REGION]},
    "intervals": {"dimensions": SIZE, "order_by": "size", "limit": 2},
    "long_table": {
        "dimensions": ma.dimension(
            "plan", "User-Id", mapping={f"u{n}": f"p{n % 2}" for n in range(33)}, default="none"
        ),
        "measures": "requests",
    },
    "parts_of_the_calendar": {
        "dimensions": ["weekday", "hour_of_day"], "measures": "requests",
        "timezone": "Europe/Berlin", "time_range": OCTOBER,
    },
    "fiscal_week": {"time_grain": "week", "calendar": FISCAL, "measures": "requests"},
    "fiscal_month": {"time_grain": "month", "calendar": FISCAL, "measures": "requests"},
    "fiscal_quarter": {"time_grain": "quarter", "calendar": FISCAL, "measures": "requests"},
    "fiscal_year": {"time_grain": "year", "calendar": FISCAL, "measures": "requests"},
}  # fmt: skip

WITH_TOTAL = ("by_dimensions", "by_local_week", "limit")


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> ma.Ledger:
    return ma.open(write_lake(tmp_path_factory.mktemp("golden") / "lake"))


def snapshot(name: str, dialect: Dialect) -> Path:
    return (FOLDER if dialect is DUCKDB else FOLDER / dialect.name) / f"{name}.sql"


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
@pytest.mark.parametrize("name", QUESTIONS)
def test_sql_is_as_in_the_snapshot(name: str, dialect: Dialect, ledger: ma.Ledger) -> None:
    """A change of SQL is seen in review."""
    result = ledger.query(**QUESTIONS[name])
    made = compile_plan(result.plan, dialect) + "\n"
    if dialect is DUCKDB:
        assert made == f"{result.sql}\n"

    is_as_in(snapshot(name, dialect), made)


@pytest.mark.parametrize("name", WITH_TOTAL)
def test_sql_of_rows_and_total_at_once_is_as_in_the_snapshot(name: str, ledger: ma.Ledger) -> None:
    """What DuckDB runs reads the requests once."""
    made = compile_with_total(ledger.query(**QUESTIONS[name]).plan, DUCKDB) + "\n"

    is_as_in(snapshot(f"{name}_with_total", DUCKDB), made)


def is_as_in(golden: Path, made: str) -> None:
    if os.environ.get("MAJORDOMO_WRITE_SNAPSHOTS"):
        golden.write_text(made, "utf-8")

    assert golden.exists(), f"{golden} is missing"
    assert made == golden.read_text("utf-8")


def test_no_snapshot_is_left_over() -> None:
    """Every file belongs to a question."""
    expected = {snapshot(name, dialect) for name in QUESTIONS for dialect in DIALECTS}
    expected |= {snapshot(f"{name}_with_total", DUCKDB) for name in WITH_TOTAL}
    assert set(FOLDER.rglob("*.sql")) == expected

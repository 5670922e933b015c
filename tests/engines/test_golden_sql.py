"""The SQL of each shape of question, as a person can read it.

A missing file is a failure; ``MAJORDOMO_WRITE_SNAPSHOTS=1`` writes them anew.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

import majordomo_analytics as ma
from tests.support.requests import write_lake

FOLDER = Path(__file__).parents[1] / "snapshots"
OCTOBER = ("2026-10-01", "2026-11-01")
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
}  # fmt: skip


@pytest.mark.parametrize("name", QUESTIONS)
def test_sql_is_as_in_the_snapshot(name: str, tmp_path: Path) -> None:
    """A change of SQL is seen in review."""
    made = str(ma.open(write_lake(tmp_path / "lake")).query(**QUESTIONS[name]).sql) + "\n"
    golden = FOLDER / f"{name}.sql"
    if os.environ.get("MAJORDOMO_WRITE_SNAPSHOTS"):
        golden.write_text(made, "utf-8")

    assert golden.exists(), f"{golden} is missing"
    assert made == golden.read_text("utf-8")


def test_no_snapshot_is_left_over() -> None:
    """Every file belongs to a question."""
    assert {path.stem for path in FOLDER.glob("*.sql")} == set(QUESTIONS)

"""Spark's SQL of each shape of question, as a person can read it; needs no server.

A missing file is a failure; ``MAJORDOMO_WRITE_SNAPSHOTS=1`` writes them anew.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import majordomo_analytics as ma
from majordomo_analytics.engines.sql.compiler import compile_plan
from majordomo_analytics.engines.sql.dialects import SPARK
from tests.engines.test_golden_sql import QUESTIONS
from tests.support.requests import write_lake

FOLDER = Path(__file__).parents[1] / "snapshots" / "spark"


@pytest.mark.parametrize("name", QUESTIONS)
def test_sql_is_as_in_the_snapshot(name: str, tmp_path: Path) -> None:
    """A change of SQL is seen in review."""
    plan = ma.open(write_lake(tmp_path / "lake")).query(**QUESTIONS[name]).plan
    made = compile_plan(plan, SPARK) + "\n"
    golden = FOLDER / f"{name}.sql"
    if os.environ.get("MAJORDOMO_WRITE_SNAPSHOTS"):
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(made, "utf-8")

    assert golden.exists(), f"{golden} is missing"
    assert made == golden.read_text("utf-8")


def test_no_snapshot_is_left_over() -> None:
    """Every file belongs to a question."""
    assert {path.stem for path in FOLDER.glob("*.sql")} == set(QUESTIONS)

"""Importing the package loads nothing heavy; plotly loads with the first plot only."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("duckdb", "polars", "pyarrow", "deltalake", "plotly", "sqlglot", "pandas", "genai_prices")


def loaded_by(code: str) -> set[str]:
    """Return the heavy modules that are loaded after `code` ran in a fresh process."""
    listing = f"import sys; print(*[m for m in {HEAVY!r} if m in sys.modules])"
    made = subprocess.run(
        [sys.executable, "-c", f"{code}\n{listing}"], capture_output=True, text=True, check=True
    )
    return set(made.stdout.split())


@pytest.mark.parametrize("code", ["import majordomo_analytics", "import majordomo_analytics.times"])
def test_the_root_is_light(code: str) -> None:
    """`import majordomo_analytics` loads no heavy library."""
    assert loaded_by(code) == set()


def test_star_import_works() -> None:
    """Every public name can be imported at once."""
    assert "plotly" not in loaded_by("from majordomo_analytics import *")


def test_a_query_loads_no_plotly() -> None:
    """Plotly is loaded by the first plot, not by a question."""
    code = (
        "import polars as pl, majordomo_analytics as ma\n"
        "ma.open(pl.DataFrame({'requested_at': ['2026-10-05T09:00Z']})).query()"
    )
    assert "plotly" not in loaded_by(code)

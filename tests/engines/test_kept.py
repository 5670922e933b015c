"""Combinations that a plan names are kept as those of a ranking are."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import polars as pl
import psycopg
import pytest

import majordomo_analytics as ma
from majordomo_analytics.engines.base import shape_rows
from majordomo_analytics.engines.duckdb import DuckDBEngine
from majordomo_analytics.engines.sql.compiler import compile_plan
from majordomo_analytics.engines.sql.dialects import POSTGRES
from majordomo_analytics.plan.plan import Plan
from tests.engines.test_postgres_dialect import ROWS, connection, ledger
from tests.support.postgres import postgres_server

__all__ = ["connection", "ledger", "postgres_server"]

KEPT: list[tuple[list[Any], list[tuple[object, ...]]]] = [
    (["Team"], [("legal",), ("(untagged)",)]),
    (["Team", "status_code"], [("it's", 404), ("sales", None), ("nobody", 1)]),
    (["Team", "weekday"], [("Zoë", 7)]),
    (
        ["requested_date", "is_streamed"],
        [(ROWS[0]["requested_date"], True), (ROWS[1]["requested_date"], None)],
    ),
    (["total_cost"], [(ROWS[0]["total_cost"],), (None,)]),
    (["Team"], []),
]


def said(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.10f}" if isinstance(value, Decimal) else str(value or "(untagged)")


def expected(plan: Plan, ledger: ma.Ledger) -> list[tuple[Any, ...]]:
    """Return the rows of a question without a limit, with all others added up by hand."""
    whole = ledger.query("requests", [d.name for d in plan.dimensions]).to_polars().rows()
    kept = {tuple(map(said, row)) for row in plan.kept or ()}
    shown: dict[tuple[str, ...], int] = {}
    for *key, count in whole:
        combination = tuple(map(said, key))
        label = combination if combination in kept else ("(other)",) * len(key)
        shown[label] = shown.get(label, 0) + count
    return sorted((*label, count) for label, count in shown.items())


def texts(frame: pl.DataFrame) -> list[tuple[Any, ...]]:
    return sorted((*map(said, key), count) for *key, count in frame.iter_rows())


@pytest.mark.parametrize(("dimensions", "kept"), KEPT)
def test_named_combinations_are_kept_and_the_rest_is_other(
    dimensions: list[Any],
    kept: list[tuple[object, ...]],
    connection: psycopg.Connection,
    ledger: ma.Ledger,
) -> None:
    """In DuckDB and in PostgreSQL; what does not occur has no row."""
    plan = replace(ledger.query("requests", dimensions).plan, kept=tuple(kept))
    engine = ledger.source.engine("duckdb")
    assert isinstance(engine, DuckDBEngine)

    by_duckdb = shape_rows(engine.select(plan).frame, plan)
    found = connection.execute(compile_plan(plan, POSTGRES).encode())
    names = [str(n) for n in range(len(found.description or ()))]
    rows = pl.DataFrame(found.fetchall(), schema=names, orient="row", infer_schema_length=None)

    assert texts(by_duckdb) == expected(plan, ledger)
    assert texts(shape_rows(rows, plan)) == expected(plan, ledger)

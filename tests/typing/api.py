"""What a type checker must accept, and the types it must find; this file never runs."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import assert_type

import polars as pl
import pyarrow as pa

import majordomo_analytics as ma

ledger = ma.open("majordomo-data")
assert_type(ledger, ma.Ledger)
ma.open(Path("lake"))
ma.open(pl.DataFrame())
ma.open(pa.table({}))

conditions: dict[str, object] = {"Team": "legal"}
result = ledger.query(
    measures=["total_cost", ma.measure("paid", "total_cost", where=conditions)],
    dimensions=["Feature", ma.metadata("Model")],
    filters=conditions,
    time_range=("2026-10-01", date(2026, 11, 1)),
    time_grain="day",
    timezone="Europe/Berlin",
    order_by="-total_cost",
    limit=10,
    other=True,
    engine="duckdb",
)
assert_type(result, ma.QueryResult)
assert_type(result.to_polars(), pl.DataFrame)
assert_type(result.total, dict[str, Decimal | int | float | None])
assert_type(result.sql, str | None)
assert_type(len(result), int)
assert_type(ledger.filter(Team="legal").during("2026-10").by("Feature"), ma.Ledger)
assert_type(ledger.filter({"Team": ["legal", None]}), ma.Ledger)
assert_type(ledger.metadata_keys(), pl.DataFrame)
assert_type(ledger.requests(columns="Team").head(10), pl.LazyFrame)
assert_type(ledger.sql("select 1"), pl.DataFrame)

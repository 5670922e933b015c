"""The same rows as every source that can be opened, and every engine that reads it.

An engine joins the comparison by one line in `ROADS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import deltalake
import polars as pl
import pyarrow as pa

import majordomo_analytics as ma
from majordomo_analytics.records.columns import promoted_column
from majordomo_analytics.records.metadata import PROMOTED_FROM_THE_START
from majordomo_analytics.records.schemas import arrow_schema
from tests.agreement.ledgers import Row
from tests.support.requests import write_lake, write_postgres

PROMOTED_LATER = "Plan"


@dataclass(frozen=True)
class Servers:
    """Addresses of what runs for all the tests of a module."""

    postgres: str
    spark: str


def as_lake(rows: list[Row], folder: Path, servers: Servers) -> ma.Ledger:
    """Open a lake in which a key was promoted after half of the rows had come."""
    half = len(rows) // 2
    lake = write_lake(folder / "lake", rows[:half])
    column = promoted_column(PROMOTED_LATER)
    schema = arrow_schema((*PROMOTED_FROM_THE_START, PROMOTED_LATER))
    newer = [row | {column: _tag(row, PROMOTED_LATER)} for row in rows[half:]]
    deltalake.write_deltalake(
        lake, pa.Table.from_pylist(newer, schema=schema), mode="append", schema_mode="merge"
    )
    return ma.open(lake, spark=servers.spark)


def as_frame(rows: list[Row], folder: Path, servers: Servers) -> ma.Ledger:
    """Open a table without promoted columns: every key is in the metadata."""
    return ma.open(pa.Table.from_pylist(rows, schema=arrow_schema()), spark=servers.spark)


def as_files(rows: list[Row], folder: Path, servers: Servers) -> ma.Ledger:
    """Open Parquet files that hold different columns: with promoted ones, and without."""
    for number, promoted in enumerate([PROMOTED_FROM_THE_START, ()]):
        schema = arrow_schema(promoted)
        part = pl.DataFrame(pa.Table.from_pylist(rows[number::2], schema=schema))
        part.write_parquet(folder / f"part-{number}.parquet", row_group_size=20)
    return ma.open(str(folder / "part-*.parquet"), spark=servers.spark)


def as_postgres(rows: list[Row], folder: Path, servers: Servers) -> ma.Ledger:
    """Open our own tables in a schema of their own; not every key is indexed."""
    schema = f"ledger_{uuid4().hex}"
    return ma.open(write_postgres(servers.postgres, rows, schema=schema), schema=schema)


ROADS: dict[str, tuple[Callable[[list[Row], Path, Servers], ma.Ledger], str]] = {
    "duckdb, lake": (as_lake, "duckdb"),
    "duckdb, frame": (as_frame, "duckdb"),
    "polars, lake": (as_lake, "polars"),
    "polars, frame": (as_frame, "polars"),
    "polars, files": (as_files, "polars"),
    "postgres": (as_postgres, "postgres"),
    "spark, lake": (as_lake, "spark"),
}


def _tag(row: Row, key: str) -> str | None:
    tags: dict[str, str] = dict(row["raw_metadata"])
    return tags.get(key, tags.get(key.lower()))

"""Requests as they are shown, as the view that a user's own statement reads."""

# ruff: noqa: S608 - names and texts are quoted, and the statement inside is ours

from __future__ import annotations

from typing import TYPE_CHECKING

from majordomo_analytics.engines.quoting import quoted_name, quoted_text
from majordomo_analytics.engines.requests import INDEXED
from majordomo_analytics.engines.spark.columns import quoted as identifier
from majordomo_analytics.engines.spark.columns import text
from majordomo_analytics.records.columns import promoted_column

if TYPE_CHECKING:
    from majordomo_analytics.engines.requests import Shown


def duckdb_view(chosen: str, columns: Shown) -> str:
    """Return the select of requests, which a statement chooses, as they are shown."""
    values = {name: quoted_name(stored) for name, stored in columns.stored.items()}
    entries = (
        f"{{'key': {quoted_text(key)}, 'value': {quoted_name(promoted_column(key))}}}"
        for key in columns.keys
    )
    listed = f"CAST([{', '.join(entries)}] AS STRUCT(key VARCHAR, value VARCHAR)[])"
    known = f"LIST_FILTER({listed}, lambda entry: entry.value IS NOT NULL)"
    values[INDEXED] = f"MAP_FROM_ENTRIES({known})"
    listed = ", ".join(f"{values[name]} AS {quoted_name(name)}" for name in columns.names)
    return f"SELECT {listed} FROM ({chosen})"


def spark_view(chosen: str, columns: Shown) -> str:
    """Return the same in Spark's SQL."""
    values = {name: identifier(stored) for name, stored in columns.stored.items()}
    entries = [
        part for key in columns.keys for part in (text(key), identifier(promoted_column(key)))
    ]
    # A map of nothing has no types.
    listed = f"MAP({', '.join(entries or [text(''), text('')])})"
    known = "v IS NOT NULL" if entries else "FALSE"
    values[INDEXED] = f"MAP_FILTER({listed}, (k, v) -> {known})"
    listed = ", ".join(f"{values[name]} AS {identifier(name)}" for name in columns.names)
    return f"SELECT {listed} FROM ({chosen}) AS chosen"

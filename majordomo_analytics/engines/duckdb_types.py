"""The types of DuckDB: one for each kind of column, and how a stored one becomes ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from majordomo_analytics.engines.quoting import quoted_name
from majordomo_analytics.plan.fields import column_kind
from majordomo_analytics.records.columns import BY_NAME

if TYPE_CHECKING:
    from majordomo_analytics.plan.fields import Kind

PLAIN: dict[Kind, str] = {
    "text": "VARCHAR",
    "integer": "BIGINT",
    "money": "DECIMAL(38, 10)",
    "instant": "TIMESTAMP WITH TIME ZONE",
    "date": "DATE",
    "boolean": "BOOLEAN",
}


STORED: dict[str, str] = {
    **{str(kind): plain for kind, plain in PLAIN.items()},
    "text_list": "VARCHAR[]",
    "text_map": "MAP(VARCHAR, VARCHAR)",
}


def converted(name: str, stored: str) -> str:
    """Return a stored column in the type of our own table of columns."""
    column = quoted_name(name)
    if name == "raw_metadata":
        if stored.startswith("MAP("):
            return column
        if stored.endswith("[]"):
            return f"MAP_FROM_ENTRIES({column})"
        return f"CAST(CAST({column} AS JSON) AS MAP(VARCHAR, VARCHAR))"
    kind = column_kind(name) if name in BY_NAME else kind_of(stored)
    if kind == "money" and stored.startswith("DECIMAL(") and stored.endswith(",10)"):
        return column
    if name not in BY_NAME and kind != "text":
        return column
    wanted = PLAIN.get(kind, stored)
    if stored == wanted:
        return column
    if kind == "instant" and stored.startswith("TIMESTAMP"):
        return f"CAST({column} AS TIMESTAMP) AT TIME ZONE 'UTC'"
    return f"CAST({column} AS {wanted})"


def kind_of(stored: str) -> Kind:
    """Return the kind of a column that is not ours, by its DuckDB type."""
    head = stored.split("(")[0]
    if stored.endswith("]") or head in ("STRUCT", "MAP", "UNION", "JSON"):
        return "nested"
    if head in ("VARCHAR", "UUID", "ENUM"):
        return "text"
    if head.startswith("TIMESTAMP"):
        return "instant"
    if head in ("FLOAT", "DOUBLE"):
        return "float"
    named: dict[str, Kind] = {"DECIMAL": "money", "DATE": "date", "BOOLEAN": "boolean"}
    return named.get(head, "integer" if head.endswith("INT") or head == "INTEGER" else "nested")

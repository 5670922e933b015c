"""What stands in Postgres for each column of ours: a table for our own, one for gateways.

Gateways know no null: what their tables have as 0 may not be known, and is null here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from majordomo_analytics.engines.sql.dialects import POSTGRES
from majordomo_analytics.engines.sql.stored import from_sql, uuid_text
from majordomo_analytics.plan.fields import Kind, column_kind
from majordomo_analytics.records.columns import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sqlglot import exp

    from majordomo_analytics.engines.postgres.tables import RequestTable

KINDS: dict[str, Kind] = {
    **dict.fromkeys(("text", "varchar", "bpchar", "name", "uuid", "enum", "citext"), "text"),
    **dict.fromkeys(("int2", "int4", "int8"), "integer"),
    **dict.fromkeys(("float4", "float8"), "float"),
    **dict.fromkeys(("timestamptz", "timestamp"), "instant"),
    "numeric": "money",
    "date": "date",
    "bool": "boolean",
}
PLAIN_TEXT = ("text", "varchar", "bpchar", "name")

NULLS = {
    "text": "CAST(NULL AS TEXT)",
    "integer": "CAST(NULL AS BIGINT)",
    "money": "CAST(NULL AS NUMERIC(20, 10))",
    "instant": "CAST(NULL AS TIMESTAMPTZ)",
    "date": "CAST(NULL AS DATE)",
    "boolean": "CAST(NULL AS BOOLEAN)",
    "text_list": "CAST(NULL AS TEXT[])",
    "text_map": "CAST(NULL AS JSONB)",
}

BODIES = ("request_body", "response_body")
"""What people and models wrote; it is no part of a row, and no question is about it."""

PRICED_BY = "majordomo-gateway"
"""The `price_version` of costs that a gateway worked out."""


def stored_columns(table: RequestTable) -> dict[str, exp.Expr]:
    """Return what stands for each column that is not stored as it is asked for."""
    stored = {}
    for name, type_ in table.types.items():
        if (made := _as_kind(name, type_)) is not None:
            stored[name] = made
    ours = dict(_made_from(table)) if not table.is_ours else {}
    for column in COLUMNS:
        if column.name in ours:
            stored[column.name] = from_sql(ours[column.name], POSTGRES)
        elif column.name == "requested_date" and column.name not in table.types:
            stored[column.name] = from_sql(_DATE, POSTGRES)
        elif column.name not in table.types:
            stored[column.name] = from_sql(NULLS[column.type], POSTGRES)
    return stored


def known_columns(table: RequestTable) -> dict[str, Kind]:
    """Return name and kind of each column that the table knows something about."""
    made = {} if table.is_ours else dict(_made_from(table))
    known: dict[str, Kind] = {
        column.name: column_kind(column.name)
        for column in COLUMNS
        if column.name in table.types or column.name in made or column.name == "requested_date"
    }
    for name, type_ in table.types.items():
        if name not in known and name not in BODIES:
            known[name] = KINDS.get(type_, "nested")
    return known


_DATE = "CAST(requested_at AT TIME ZONE 'UTC' AS DATE)"


def _as_kind(name: str, type_: str) -> exp.Expr | None:
    """Return a column in the type of its kind, None if it has that already."""
    quoted = '"' + name.replace('"', '""') + '"'
    if type_ == "uuid":
        return uuid_text(name)
    if type_ == "timestamp":  # without a zone: instants of UTC
        return from_sql(f"{quoted} AT TIME ZONE 'UTC'", POSTGRES)
    if KINDS.get(type_) == "text" and type_ not in PLAIN_TEXT:
        return from_sql(f"CAST({quoted} AS TEXT)", POSTGRES)
    return None


_USED = "(input_tokens <> 0 OR output_tokens <> 0)"
_TOKENS = (
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "cache_creation_tokens",
    "cache_creation_5m_tokens",
    "cache_creation_1h_tokens",
)


def _made_from(table: RequestTable) -> Iterator[tuple[str, str]]:
    """Yield what a gateway's columns mean as ours; names none that it lacks."""
    has = table.types.keys()
    # A price that was not found, and tokens that were not, are both 0 there, and $0.
    priced = f"({_USED} AND model_alias_found)" if "model_alias_found" in has else _USED
    cost_is_known = f"total_cost <> 0 OR {priced}"
    yield "model", "NULLIF(model, 'unknown')"
    asked = [name for name in ("original_model", "routing_original_model") if name in has]
    if asked:
        yield "requested_model", f"COALESCE({', '.join((*asked, 'NULL'))})"
    for name in _TOKENS:
        if name in has:
            yield name, f"CASE WHEN {_USED} THEN CAST({name} AS BIGINT) END"
    # Fresh prompt, cache reads and cache writes are one cost here, three where it has them.
    parts = [name for name in ("input_cost", "cached_cost", "cache_creation_cost") if name in has]
    costs = {"input_cost": " + ".join(parts), "output_cost": "output_cost"}
    for name, cost in {**costs, "total_cost": "total_cost"}.items():
        if name in has:
            money = f"CAST({cost} AS NUMERIC(20, 10))"
            yield name, f"CASE WHEN {cost_is_known} THEN {money} END"
    yield "usage_status", f"CASE WHEN {_USED} THEN 'reported' ELSE 'missing' END"
    yield (
        "cost_status",
        f"CASE WHEN {cost_is_known} THEN 'priced' WHEN {_USED} THEN 'unpriced' ELSE 'no_usage' END",
    )
    yield "price_version", f"CASE WHEN {cost_is_known} THEN '{PRICED_BY}' END"
    if _times_the_first_byte(table.types) and "responded_at" in has:
        took = "EXTRACT(EPOCH FROM responded_at - requested_at)"
        yield "response_time_ms", f"CAST(ROUND({took} * 1000) AS BIGINT)"
        yield "time_to_first_byte_ms", "CAST(response_time_ms AS BIGINT)"


def _times_the_first_byte(types: Mapping[str, str]) -> bool:
    """Whether `response_time_ms` ends with the headers, as since it relays streams."""
    return any(name in types for name in ("synced_to_butler", "trace_id", "routed_provider"))

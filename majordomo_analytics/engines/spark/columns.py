"""From the columns of a source to those of `llm_requests`, in Spark's SQL.

The types are read from Arrow schemas on this side, so that names and kinds are known before
the server is asked anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from majordomo_analytics.plan.fields import Kind, column_kind
from majordomo_analytics.records.columns import BY_NAME, COLUMNS, PROMOTED_PREFIX
from majordomo_analytics.records.metadata import lookup_name
from majordomo_analytics.records.money import PLACES, SUM_PRECISION

if TYPE_CHECKING:
    from collections.abc import Callable

SUMMABLE_PRECISION = SUM_PRECISION - 10
"""Spark gives a sum ten digits more than its values have; with these none is ever lost."""

STORED: dict[str, str] = {
    "text": "STRING",
    "integer": "BIGINT",
    "money": f"DECIMAL({SUMMABLE_PRECISION}, {PLACES})",
    "instant": "TIMESTAMP",
    "date": "DATE",
    "boolean": "BOOLEAN",
    "text_list": "ARRAY<STRING>",
    "text_map": "MAP<STRING, STRING>",
}
_BETWEEN = "'\\u0000'"
"""What the names of metadata keys are joined by: no text holds it."""

_WITHOUT_SECONDS = r"^([0-9-]{10}[T ][0-9]{2}:[0-9]{2})(Z|[+-][0-9:]+)?$"


def select_list(held: pa.Schema, every: pa.Schema | None = None) -> list[str]:
    """Return the expressions that give each column its type in our own table.

    Parameters
    ----------
    held
        The columns of what is read.
    every
        Those of all that is read together, in whose order the expressions are. What was
        written without the column of a promoted metadata key has the key in its metadata.
    """
    types = dict(zip(held.names, held.types, strict=True))
    metadata = _converted("raw_metadata", types["raw_metadata"]) if "raw_metadata" in types else ""
    chosen: dict[str, str] = {}
    for name in (held if every is None else every).names:
        if name in types:
            chosen[name] = _converted(name, types[name])
        elif metadata and name.startswith(PROMOTED_PREFIX):
            key = name.removeprefix(PROMOTED_PREFIX)
            chosen[name] = metadata_by_any_spelling(key, metadata)
        elif name not in BY_NAME:
            chosen[name] = "NULL"
    if "requested_date" not in types:
        # Cut to the day first: Sail makes a range of instants of a bare cast, finds more in
        # it than the statistics of a file say, and gives up.
        chosen["requested_date"] = f"CAST(DATE_TRUNC('DAY', {chosen['requested_at']}) AS DATE)"
    for column in COLUMNS:
        chosen.setdefault(column.name, f"CAST(NULL AS {STORED[column.type]})")
    return [
        value if value == quoted(name) else f"{value} AS {quoted(name)}"
        for name, value in chosen.items()
    ]


def metadata_by_any_spelling(key: str, entries: str) -> str:
    """Return the value of a metadata key: of its canonical spelling, else of any other."""
    # Without a lambda, as in MAP_FILTER: Sail loses its columns in a filter that it pushes
    # down to the files.
    folded = f"LOWER(REPLACE(ARRAY_JOIN(MAP_KEYS({entries}), {_BETWEEN}), '_', '-'))"
    place = f"ARRAY_POSITION(SPLIT({folded}, {_BETWEEN}), {text(lookup_name(key))})"
    others = f"GET(MAP_VALUES({entries}), CAST({place} AS INT) - 1)"
    return f"COALESCE({entries}[{text(key)}], {others})"


def kind_of(name: str, stored: pa.DataType) -> Kind:
    """Return the kind of a column: ours by its name, any other by its Arrow type."""
    if name in BY_NAME:
        return column_kind(name)
    for is_such, kind in _KINDS:
        if is_such(stored):
            return kind
    return "nested"


def readable(schema: pa.Schema) -> pa.Schema:
    """Return the columns whose type Spark can read."""
    return pa.schema([field for field in schema if plain_type(field.type) is not None])


def plain(schema: pa.Schema) -> pa.Schema:
    """Return readable columns in the types in which they can be sent to Spark."""
    return pa.schema([pa.field(field.name, plain_type(field.type)) for field in schema])


def plain_type(stored: pa.DataType) -> pa.DataType | None:
    """Return the type of Spark's that holds every value, None where there is none."""
    if pa.types.is_dictionary(stored):
        return plain_type(stored.value_type)
    if pa.types.is_map(stored):
        key, item = plain_type(stored.key_type), plain_type(stored.item_type)
        return None if key is None or item is None else pa.map_(key, item)
    if pa.types.is_list(stored) or pa.types.is_large_list(stored):
        value = plain_type(stored.value_type)
        return None if value is None else pa.list_(value)
    if pa.types.is_struct(stored):
        inner = pa.schema(list(stored))
        return pa.struct(list(plain(inner))) if len(readable(inner)) == len(inner) else None
    for is_such, nearest in _PLAIN:
        if is_such(stored):
            return nearest or stored
    return None


def quoted(name: str) -> str:
    """Return a name as an identifier of Spark's."""
    return "`" + name.replace("`", "``") + "`"


def text(value: str) -> str:
    """Return a text as a literal of Spark's."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _converted(name: str, stored: pa.DataType) -> str:
    """Return a stored column in the type of our own table of columns."""
    column = quoted(name)
    if name == "raw_metadata":
        return _map_of(column, stored)
    kind = kind_of(name, stored)
    if kind == "text":
        return column if _is_text(stored) else f"CAST({column} AS STRING)"
    if name not in BY_NAME:
        return column
    return _in_kind(column, kind, stored)


def _in_kind(column: str, kind: Kind, stored: pa.DataType) -> str:
    types = pa.types
    match kind:
        case "money" if types.is_decimal(stored):
            if stored.scale == PLACES and stored.precision <= SUMMABLE_PRECISION:
                return column
        case "instant" if _is_text(stored):
            # A time without seconds is ISO 8601, but not every server reads it.
            whole = f"REGEXP_REPLACE({column}, {text(_WITHOUT_SECONDS)}, '$1:00$2')"
            return f"CAST({whole} AS TIMESTAMP)"
        case "instant" if types.is_timestamp(stored) and stored.tz is not None:
            return column
        case "integer" if types.is_int64(stored):
            return column
        case "date" if types.is_date(stored):
            return column
        case "boolean" if types.is_boolean(stored):
            return column
        case "nested" | "float":
            return column
    return f"CAST({column} AS {STORED[kind]})"


def _map_of(column: str, stored: pa.DataType) -> str:
    if pa.types.is_map(stored):
        return column
    if _is_text(stored):
        return f"FROM_JSON({column}, 'MAP<STRING, STRING>')"
    return f"MAP_FROM_ENTRIES({column})"


def _is_text(stored: pa.DataType) -> bool:
    types = pa.types
    if types.is_dictionary(stored):
        return _is_text(stored.value_type)
    return bool(
        types.is_string(stored) or types.is_large_string(stored) or types.is_string_view(stored)
    )


_KINDS: tuple[tuple[Callable[[pa.DataType], bool], Kind], ...] = (
    (_is_text, "text"),
    (pa.types.is_timestamp, "instant"),
    (pa.types.is_floating, "float"),
    (pa.types.is_decimal, "money"),
    (pa.types.is_date, "date"),
    (pa.types.is_boolean, "boolean"),
    (pa.types.is_integer, "integer"),
)
_PLAIN: tuple[tuple[Callable[[pa.DataType], bool], pa.DataType | None], ...] = (
    (_is_text, pa.string()),
    (pa.types.is_timestamp, pa.timestamp("us", "UTC")),
    (pa.types.is_date, pa.date32()),
    (pa.types.is_uint64, pa.decimal128(20, 0)),
    (pa.types.is_unsigned_integer, pa.int64()),
    (pa.types.is_integer, None),
    (pa.types.is_float16, pa.float32()),
    (pa.types.is_floating, None),
    (pa.types.is_decimal128, None),
    (pa.types.is_boolean, None),
    (pa.types.is_null, pa.string()),
    (pa.types.is_binary, None),
    (pa.types.is_large_binary, pa.binary()),
)
"""Arrow types that Spark has, or the nearest of its own that loses nothing."""

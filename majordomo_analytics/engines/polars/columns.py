"""Stored columns in the types of our own table, whatever they are stored as."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import polars as pl

from majordomo_analytics.errors import QueryError
from majordomo_analytics.records.columns import BY_NAME
from majordomo_analytics.records.money import PLACES, SUM_PRECISION

if TYPE_CHECKING:
    from majordomo_analytics.plan.fields import Kind
    from majordomo_analytics.records.columns import ColumnType

MONEY = pl.Decimal(SUM_PRECISION, PLACES)
INSTANT = pl.Datetime("us", "UTC")
METADATA = pl.Map(pl.String(), pl.String())
_ENTRIES = pl.List(pl.Struct({"key": pl.String(), "value": pl.String()}))
_KINDS: dict[Kind, pl.DataType] = {
    "text": pl.String(),
    "integer": pl.Int64(),
    "money": MONEY,
    "instant": INSTANT,
    "date": pl.Date(),
    "boolean": pl.Boolean(),
    "float": pl.Float64(),
}
TYPES: dict[ColumnType, pl.DataType] = {
    "text": pl.String(),
    "integer": pl.Int64(),
    "money": MONEY,
    "instant": INSTANT,
    "date": pl.Date(),
    "boolean": pl.Boolean(),
    "text_list": pl.List(pl.String()),
    "text_map": METADATA,
}
_TRUTHS = {"true": True, "t": True, "1": True, "false": False, "f": False, "0": False}


def kind_of(stored: pl.DataType) -> Kind:
    """Return the kind of a column that is not ours, by its dtype."""
    if isinstance(stored, (pl.String, pl.Categorical, pl.Enum)):
        return "text"
    if stored.is_integer():
        return "integer"
    if stored.is_float():
        return "float"
    if isinstance(stored, pl.Decimal):
        return "money"
    if isinstance(stored, pl.Datetime):
        return "instant"
    if isinstance(stored, pl.Date):
        return "date"
    return "boolean" if isinstance(stored, pl.Boolean) else "nested"


def dtype_of(kind: Kind) -> pl.DataType:
    """Return the dtype of a column that the source lacks."""
    return _KINDS[kind]


def read_column(name: str, stored: pl.DataType) -> pl.Expr:
    """Return a stored column in the type of our own table of columns.

    One that has the type already is named and nothing else, so that filters on it reach
    the statistics of the files.
    """
    column = pl.col(name)
    if name not in BY_NAME:
        kind = kind_of(stored)
        if kind == "instant":
            return _instant(column, stored)
        return column.cast(pl.String()) if kind == "text" and stored != pl.String() else column
    match BY_NAME[name].type:
        case "text_map":
            return _metadata(column, stored)
        case "text_list":
            return column
        case "instant":
            return _instant(column, stored)
        case "date":
            return _date(column, stored)
        case "money" if isinstance(stored, pl.Decimal) and stored.scale == PLACES:
            return column
        case "integer" if stored.is_float() or isinstance(stored, pl.Decimal):
            return column.round().cast(pl.Int64())
        case "boolean" if isinstance(stored, pl.String):
            return column.str.to_lowercase().replace_strict(_TRUTHS, return_dtype=pl.Boolean())
        case wanted:
            return column if stored == TYPES[wanted] else column.cast(TYPES[wanted])


def read_type(name: str, stored: pl.DataType) -> pl.DataType:
    """Return the dtype that `read_column` gives."""
    if name not in BY_NAME:
        given: dict[Kind, pl.DataType] = {"text": pl.String(), "instant": INSTANT}
        return given.get(kind_of(stored), stored)
    kept = isinstance(stored, pl.Decimal) and stored.scale == PLACES
    wanted = BY_NAME[name].type
    if wanted == "text_list" or (wanted == "money" and kept):
        return stored
    return TYPES[wanted]


def metadata_value(key: str) -> pl.Expr:
    """Return the value of one stored spelling of a metadata key."""
    return pl.col("raw_metadata").map.get(key)


def _instant(column: pl.Expr, stored: pl.DataType) -> pl.Expr:
    """Return a column of instants; times without a zone are UTC."""
    if stored == INSTANT:
        return column
    if isinstance(stored, pl.Datetime):
        micros = column if stored.time_unit == "us" else column.dt.cast_time_unit("us")
        if stored.time_zone is None:
            return micros.dt.replace_time_zone("UTC")
        return micros.dt.convert_time_zone("UTC")
    if isinstance(stored, pl.String):
        return column.map_batches(_instants, return_dtype=INSTANT, is_elementwise=True)
    return column.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")


def _date(column: pl.Expr, stored: pl.DataType) -> pl.Expr:
    if isinstance(stored, pl.Datetime):
        return _instant(column, stored).dt.date()
    return column if isinstance(stored, pl.Date) else column.cast(pl.Date())


def _metadata(column: pl.Expr, stored: pl.DataType) -> pl.Expr:
    """Return a map; other gateways have JSON text, frames lists of entries or structs."""
    if stored == METADATA:
        return column
    if isinstance(stored, (pl.Map, pl.List, pl.Null)):
        return column.cast(METADATA)
    if isinstance(stored, pl.Struct):
        column = column.struct.json_encode()
    read = column.map_batches(_entries, return_dtype=_ENTRIES, is_elementwise=True)
    return read.cast(METADATA)


def _instants(texts: pl.Series) -> pl.Series:
    return pl.Series(texts.name, [_instant_in(text) for text in texts], dtype=INSTANT)


def _instant_in(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        read = datetime.fromisoformat(text)
    except ValueError as error:
        message = f"{text!r} is no instant as ISO 8601 writes it"
        raise QueryError(message) from error
    return (read if read.tzinfo else read.replace(tzinfo=UTC)).astimezone(UTC)


def _entries(texts: pl.Series) -> pl.Series:
    return pl.Series(texts.name, [_entries_in(text) for text in texts], dtype=_ENTRIES)


def _entries_in(text: str | None) -> list[dict[str, str | None]] | None:
    """Return the members of a JSON object; what is no text is kept as JSON writes it."""
    try:
        read = None if text is None else json.loads(text, parse_int=str, parse_float=str)
    except ValueError:
        read = text
    if read is None:
        return None
    if not isinstance(read, dict):
        message = f"raw_metadata {text!r} is no JSON object of metadata keys and values"
        raise QueryError(message)
    return [
        {
            "key": key,
            "value": value if value is None or isinstance(value, str) else json.dumps(value),
        }
        for key, value in read.items()
    ]

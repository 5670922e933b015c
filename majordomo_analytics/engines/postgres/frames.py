"""From the rows of a cursor to a Polars frame with the dtypes that Postgres says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl
from psycopg.types.json import set_json_loads
from psycopg.types.string import TextLoader

from majordomo_analytics.errors import QueryError, ResultOverflowError
from majordomo_analytics.records.money import PLACES, SUM_PRECISION

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from psycopg import Column, Connection, Cursor

ROWS_AT_ONCE = 20_000
"""Rows that are Python objects at one time; many times what they are in a frame."""

DTYPES: dict[str, pl.DataType] = {
    "bool": pl.Boolean(),
    "int2": pl.Int64(),
    "int4": pl.Int64(),
    "int8": pl.Int64(),
    "oid": pl.Int64(),
    "float4": pl.Float64(),
    "float8": pl.Float64(),
    "date": pl.Date(),
    "time": pl.Time(),
    "timestamp": pl.Datetime("us"),
    "timestamptz": pl.Datetime("us", "UTC"),
    "interval": pl.Duration("us"),
    "bytea": pl.Binary(),
}
"""Polars' dtype for each type of Postgres; all others are text, decimals at first."""


def register_loaders(connection: Connection[Any]) -> None:
    """Have a connection give text where Polars reads faster than Python."""
    connection.adapters.register_loader("numeric", TextLoader)
    connection.adapters.register_loader("uuid", TextLoader)
    set_json_loads(lambda given: given if isinstance(given, str) else given.decode(), connection)


def frame_of(cursor: Cursor[Any], names: Sequence[str] | None = None) -> pl.DataFrame:
    """Return the rows of a cursor that has executed a statement.

    The columns have the names that Postgres says, or those given, or numbers if there are
    none: it cuts long names, and two may then be one.

    Raises
    ------
    QueryError
        If the statement gives no rows, or two columns have one name.
    ResultOverflowError
        If a number has more digits than a frame can hold.
    """
    described = cursor.description
    if described is None:
        message = "the statement gives no rows; write a SELECT over llm_requests"
        raise QueryError(message)
    if names is None:
        names = [column.name for column in described]
    names = list(names) or [str(number) for number in range(len(described))]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        message = f"two columns of the result are called {twice[0]!r}; name one with AS"
        raise QueryError(message)
    read = {name: _dtype(cursor, column) for name, column in zip(names, described, strict=True)}
    parts = []
    while rows := cursor.fetchmany(ROWS_AT_ONCE):
        parts.append(pl.DataFrame(rows, schema=read, orient="row"))
    frame = pl.concat(parts) if len(parts) > 1 else (*parts, pl.DataFrame(schema=read))[0]
    return frame.with_columns(
        _exact(frame[name], column)
        for name, column in zip(names, described, strict=True)
        if _type_name(cursor, column) == "numeric"
    )


def dtypes_of(cursor: Cursor[Any], names: Sequence[str]) -> pl.Schema:
    """Return the dtypes of the columns of a cursor before a row is known.

    Decimals for which Postgres has no bounds get those of sums of money.
    """
    dtypes = {}
    for name, column in zip(names, cursor.description or (), strict=True):
        dtypes[name] = _dtype(cursor, column)
        if _type_name(cursor, column) == "numeric":
            bounded = column.scale is not None and column.precision is not None
            dtypes[name] = (
                pl.Decimal(min(column.precision or 0, SUM_PRECISION), column.scale or 0)
                if bounded
                else pl.Decimal(SUM_PRECISION, PLACES)
            )
    return pl.Schema(dtypes)


def frames_of(
    cursor: Cursor[Any], names: Sequence[str], dtypes: pl.Schema
) -> Iterator[pl.DataFrame]:
    """Yield the rows of a cursor, some at a time, with the dtypes that are known of them.

    Raises
    ------
    ResultOverflowError
        If a number has more digits than its dtype.
    """
    # A decimal is read from text, in which it lost nothing.
    read = {
        name: pl.String() if isinstance(dtypes[name], pl.Decimal) else dtypes[name]
        for name in names
    }
    while rows := cursor.fetchmany(ROWS_AT_ONCE):
        frame = pl.DataFrame(rows, schema=read, orient="row")
        yield frame.with_columns(
            _cast(frame[name], dtype)
            for name in names
            if isinstance(dtype := dtypes[name], pl.Decimal)
        )


def _dtype(cursor: Cursor[Any], column: Column) -> pl.DataType:
    name = _type_name(cursor, column)
    if name.endswith("[]"):
        return pl.List(DTYPES.get(name.removesuffix("[]"), pl.String()))
    return DTYPES.get(name, pl.String())


def _type_name(cursor: Cursor[Any], column: Column) -> str:
    known = cursor.adapters.types.get(column.type_code)
    if known is None:
        return "text"
    return f"{known.name}[]" if column.type_code == known.array_oid else known.name


def _exact(written: pl.Series, column: Column) -> pl.Series:
    """Return decimals as they are written, none of them rounded."""
    scale = column.scale
    if scale is None:
        places = written.str.extract(r"\.(\d+)$").str.len_chars().max()
        scale = places if isinstance(places, int) else 0
    precision = SUM_PRECISION if column.precision is None else column.precision
    return _cast(written, pl.Decimal(min(precision, SUM_PRECISION), scale))


def _cast(written: pl.Series, dtype: pl.Decimal) -> pl.Series:
    if written.str.contains(rf"\.\d{{{dtype.scale}}}\d*[1-9]").any():
        message = (
            f"numbers of {written.name!r} have more than {dtype.scale} decimal places; leave "
            "the column out, or round it in a statement"
        )
        raise ResultOverflowError(message)
    try:
        return written.cast(dtype)
    except pl.exceptions.PolarsError as error:
        message = (
            f"numbers of {written.name!r} have more than {SUM_PRECISION} digits, or are none; "
            "round them in the statement"
        )
        raise ResultOverflowError(message) from error

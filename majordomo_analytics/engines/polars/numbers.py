"""Exact comparisons: a value is brought to the column's own type, never the other way.

A column of whole numbers or of money is compared with the nearest value it can hold, on the
side that keeps the answer, so that no number passes through a float.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

import polars as pl

from majordomo_analytics.engines.polars.columns import INSTANT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from majordomo_analytics.plan.filters import Order, Value

_EXACT = Context(prec=120)
_DIGITS = 38


class _Exact(NamedTuple):
    """What literals an exact number is compared with: their dtype, places and range."""

    dtype: pl.DataType
    places: int
    most: Decimal


def equal_to_one(column: pl.Expr, values: Sequence[Value], dtype: pl.DataType) -> pl.Expr:
    """Return whether a column has one of these values; null where it is null."""
    exact = _exact(dtype)
    if exact is None:
        literals, wanted = [_plain(value, dtype) for value in values], _literal_type(dtype)
    else:
        wanted = exact.dtype
        read = [(_at(value, exact, ROUND_FLOOR), Decimal(value)) for value in map(_number, values)]
        literals = [
            _whole(number, exact)
            for number, value in read
            if number == value and number.copy_abs() <= exact.most
        ]
    column = _as_literals(column, dtype)
    if not literals:
        return pl.lit(value=False)
    if len(literals) == 1:
        return column == pl.lit(literals[0], dtype=wanted)
    return column.is_in(pl.Series(literals, dtype=wanted).implode())


def compared(column: pl.Expr, order: Order, value: Value, dtype: pl.DataType) -> pl.Expr:
    """Return whether a column stands in this order to a value; null where it is null."""
    exact = _exact(dtype)
    column = _as_literals(column, dtype)
    if exact is None:
        than = pl.lit(_plain(value, dtype), dtype=_literal_type(dtype))
    else:
        rounding = ROUND_CEILING if order in ("<", ">=") else ROUND_FLOOR
        number = _at(_number(value), exact, rounding)
        if number.copy_abs() > exact.most:
            always = (number > 0) == (order in ("<", "<="))
            return column.is_not_null() if always else pl.lit(value=False)
        than = pl.lit(_whole(number, exact), dtype=exact.dtype)
    match order:
        case "<":
            return column < than
        case "<=":
            return column <= than
        case ">":
            return column > than
        case ">=":
            return column >= than


def _exact(dtype: pl.DataType) -> _Exact | None:
    """Return how literals for an exact number are held, None for what is none."""
    if isinstance(dtype, pl.Decimal):
        most = _EXACT.scaleb(Decimal(10**_DIGITS - 1), -dtype.scale)
        return _Exact(pl.Decimal(_DIGITS, dtype.scale), dtype.scale, most)
    if dtype == pl.Int64():
        return _Exact(pl.Int64(), 0, Decimal(2**63 - 1))
    return _Exact(pl.Int128(), 0, Decimal(10**_DIGITS - 1)) if dtype.is_integer() else None


def _as_literals(column: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """Return a column as the type of its literals; ours stay as they are stored."""
    if dtype.is_integer() and dtype != pl.Int64():
        return column.cast(pl.Int128())
    return column


def _literal_type(dtype: pl.DataType) -> pl.DataType:
    return INSTANT if isinstance(dtype, pl.Datetime) else dtype


def _plain(value: Value, dtype: pl.DataType) -> Any:
    return float(_number(value)) if dtype.is_float() else value


def _number(value: Value) -> Decimal:
    """Return a number of a filter; the plan has seen to it that it is one."""
    if isinstance(value, (int, float, Decimal)):
        return Decimal(value)
    message = f"{value!r} is no number"
    raise TypeError(message)


def _at(value: Decimal, exact: _Exact, rounding: str) -> Decimal:
    return value.quantize(Decimal(1).scaleb(-exact.places), rounding, _EXACT)


def _whole(number: Decimal, exact: _Exact) -> Decimal | int:
    return number if isinstance(exact.dtype, pl.Decimal) else int(number)

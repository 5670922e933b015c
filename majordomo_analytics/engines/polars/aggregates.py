"""Aggregates as columns: what is picked of each request, and what groups make of it.

Sums are made wide, so that one that leaves the range of its type is seen and never wraps.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from functools import reduce
from operator import add
from typing import TYPE_CHECKING

import polars as pl

from majordomo_analytics.engines.base import SUM_OF_MONEY
from majordomo_analytics.engines.polars.conditions import condition
from majordomo_analytics.engines.quantiles import hangs_on_quantile, rounded_quantile
from majordomo_analytics.errors import ResultOverflowError
from majordomo_analytics.plan.measures import Aggregate, Ratio
from majordomo_analytics.records.money import PLACES, SUM_PRECISION

if TYPE_CHECKING:
    from majordomo_analytics.engines.polars.expressions import Values
    from majordomo_analytics.plan.measures import Measure

_MOST_WHOLE = 2**63 - 1
_MOST_MONEY = Decimal((0, (9,) * SUM_PRECISION, -PLACES))
_NEVER_WRAPS = 28
"""Digits of a column of which ten billion values still add up to no more than 38."""


@dataclass(frozen=True, slots=True)
class Part:
    """One aggregate of a plan.

    Attributes
    ----------
    name
        The column of its number in the end.
    picked
        What of each request it needs, by column; null is left out.
    grouped
        What groups make of that.
    number
        The number of a group.
    wrapped
        Whether a sum has left its 128 bits; None where it never can.
    """

    name: str
    picked: dict[str, pl.Expr]
    grouped: tuple[pl.Expr, ...]
    number: pl.Expr
    wrapped: pl.Expr | None = None


def part(name: str, aggregate: Aggregate, values: Values) -> Part:
    """Return an aggregate as columns whose names begin with `name`."""
    holds = condition(aggregate.where, values.named)
    if aggregate.how == "count":
        if holds is None:
            return Part(name, {}, (pl.len().cast(pl.Int64).alias(name),), pl.col(name))
        counted = pl.col(name).sum().cast(pl.Int64)
        return Part(name, {name: holds}, (counted,), pl.col(name))
    found = [values.named(one) for one in aggregate.of]
    inputs = [value if holds is None else pl.when(holds).then(value) for value, _ in found]
    types = [dtype for _, dtype in found]
    if aggregate.how == "sum":
        return _sum(name, inputs, types)
    column = pl.col(name)
    if aggregate.how == "distinct":
        missing = (column.null_count() > 0).cast(pl.Int64)
        grouped = column.n_unique().cast(pl.Int64) - missing
        return Part(name, {name: inputs[0]}, (grouped,), column)
    grouped = column.quantile(aggregate.level or 0.0, "linear")
    return Part(name, {name: inputs[0].cast(pl.Float64)}, (grouped,), column)


def finish(groups: pl.DataFrame, parts: dict[Aggregate, Part]) -> pl.DataFrame:
    """Return groups with the number of each part.

    Raises
    ------
    ResultOverflowError
        If a sum leaves the range of its type.
    """
    for aggregate, made_by in parts.items():
        if made_by.wrapped is not None and groups.select(made_by.wrapped.any()).item():
            raise _overflow(aggregate, "more than 38 digits")
    made = groups.with_columns(part.number.alias(part.name) for part in parts.values())
    for aggregate, made_by in parts.items():
        if aggregate.how == "sum":
            _check(made.get_column(made_by.name), aggregate)
    narrow = [name for name, dtype in made.schema.items() if dtype == pl.Int128()]
    sums = {made_by.name for aggregate, made_by in parts.items() if aggregate.how == "sum"}
    return made.with_columns(pl.col(name).cast(pl.Int64) for name in narrow if name in sums)


def measured(measure: Measure, parts: dict[Aggregate, Part]) -> pl.Expr:
    """Return a measure of finished groups."""
    of = measure.of
    number = pl.col(parts[of].name) if isinstance(of, Aggregate) else _ratio(of, parts)
    return rounded_quantile(number) if hangs_on_quantile(measure) else number


def _ratio(ratio: Ratio, parts: dict[Aggregate, Part]) -> pl.Expr:
    above, below = (
        pl.col(parts[one].name).cast(pl.Float64) for one in (ratio.numerator, ratio.denominator)
    )
    divided = pl.when(below != 0).then(above / below)
    return divided if ratio.per == 1 else divided * ratio.per


def _sum(name: str, inputs: list[pl.Expr], types: list[pl.DataType]) -> Part:
    """Return a sum over one or several columns, null where nothing is known."""
    picked, grouped, sums, known, wrapped = {}, [], [], [], []
    for n, (value, dtype) in enumerate(zip(inputs, types, strict=True)):
        column, count = f"{name} {n}", f"{name} {n} known"
        picked[column] = value
        wide = pl.col(column).cast(pl.Int128) if dtype.is_integer() else pl.col(column)
        grouped += [wide.sum().alias(column), pl.col(column).count().alias(count)]
        sums.append(pl.col(column))
        known.append(pl.col(count) > 0)
        if isinstance(dtype, pl.Decimal) and dtype.precision > _NEVER_WRAPS:
            # Polars wraps at 128 bits in some plans; a float sum is near enough to tell.
            about = f"{name} {n} about"
            grouped.append(pl.col(column).cast(pl.Float64).sum().alias(about))
            away = (pl.col(column).cast(pl.Float64) - pl.col(about)).abs()
            wrapped.append(away > 2.0**127 / 10**dtype.scale)
    total = reduce(add, sums)
    if isinstance(types[0], pl.Decimal):
        total = total.cast(SUM_OF_MONEY)
    number = pl.when(pl.any_horizontal(known)).then(total)
    guard = pl.any_horizontal(wrapped) if wrapped else None
    return Part(name, picked, tuple(grouped), number, guard)


def _check(sums: pl.Series, aggregate: Aggregate) -> None:
    """Raise if a sum is out of range: Polars keeps money in 128 bits, not 38 digits."""
    if sums.dtype.is_float():
        return
    most = Decimal(_MOST_WHOLE) if sums.dtype.is_integer() else _MOST_MONEY
    for found in pl.concat([sums.bottom_k(1), sums.top_k(1)]).drop_nulls():
        if Decimal(found).copy_abs() > most:
            raise _overflow(aggregate, str(found))


def _overflow(aggregate: Aggregate, found: str) -> ResultOverflowError:
    said = f"{' + '.join(map(str, aggregate.of))} adds up to {found}"
    return ResultOverflowError(f"a sum leaves the range of its type: {said}")

"""What a plan's names stand for, as expressions over the scanned requests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, assert_never

import polars as pl

from majordomo_analytics.engines.polars.buckets import calendar_part
from majordomo_analytics.engines.polars.columns import dtype_of, metadata_value
from majordomo_analytics.engines.polars.numbers import compared
from majordomo_analytics.plan.dimensions import Bucketed, CalendarPart, Mapped, Part, Ruled
from majordomo_analytics.plan.fields import Field
from majordomo_analytics.records.columns import promoted_column

if TYPE_CHECKING:
    from collections.abc import Mapping
    from decimal import Decimal

    from majordomo_analytics.plan.dimensions import Dimension
    from majordomo_analytics.plan.fields import Name
    from majordomo_analytics.plan.plan import Plan


@dataclass(frozen=True, slots=True)
class Values:
    """Gives the value of a field or a derived dimension, and its dtype.

    Attributes
    ----------
    plan
        What its names mean.
    stored
        Name and dtype of each scanned column.
    """

    plan: Plan
    stored: Mapping[str, pl.DataType]

    def named(self, name: Name) -> tuple[pl.Expr, pl.DataType]:
        """Return what a name of the plan stands for."""
        return self.of(self.plan.fields[name])

    def of(self, dimension: Dimension) -> tuple[pl.Expr, pl.DataType]:
        """Return a field, or what is made of one; null where that is null."""
        if isinstance(dimension, Field):
            return self._field(dimension)
        value, dtype = self.named(dimension.of)
        match dimension:
            case Mapped(_, _, keys, values, default):
                looked_up = value.replace_strict(
                    keys, values, default=default, return_dtype=pl.String()
                )
                return pl.when(value.is_not_null()).then(looked_up), pl.String()
            case Ruled(_, _, rules, default):
                return _first_rule(value, rules, default), pl.String()
            case Bucketed(_, _, edges):
                return self._interval(value, dtype, edges), pl.Int64()
            case Part(_, _, separator, index):
                parts = value.str.split(separator)
                return parts.list.get(index, null_on_oob=True), pl.String()
            case CalendarPart(_, _, unit):
                return calendar_part(value, unit, self.plan.offsets), pl.Int64()
            case _:
                assert_never(dimension)

    def _field(self, field: Field) -> tuple[pl.Expr, pl.DataType]:
        if field.spellings is None:
            if field.name in self.stored:
                return pl.col(field.name), self.stored[field.name]
            return pl.lit(None, dtype=dtype_of(field.kind)), dtype_of(field.kind)
        if field.promoted:
            return pl.col(promoted_column(field.name)), pl.String()
        values = [metadata_value(key) for key in field.spellings]
        if not values:
            return pl.lit(None, dtype=pl.String()), pl.String()
        return values[0] if len(values) == 1 else pl.coalesce(values), pl.String()

    @staticmethod
    def _interval(value: pl.Expr, dtype: pl.DataType, edges: tuple[int | Decimal, ...]) -> pl.Expr:
        """Return how many edges a number has reached."""
        reached = pl.lit(0, dtype=pl.Int64())
        for edge in edges:
            reached = reached + compared(value, ">=", edge, dtype).cast(pl.Int64())
        return pl.when(value.is_not_null()).then(reached)


def _first_rule(value: pl.Expr, rules: tuple[tuple[str, str], ...], default: str | None) -> pl.Expr:
    """Return the label of the first pattern that is found."""
    label = pl.lit(default, dtype=pl.String())
    for pattern, name in reversed(rules):
        label = pl.when(value.str.contains(pattern)).then(pl.lit(name)).otherwise(label)
    return pl.when(value.is_not_null()).then(label)

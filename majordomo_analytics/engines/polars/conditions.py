"""Filters as conditions; a missing value matches only `None`, and `Not` is exact."""

from __future__ import annotations

from functools import reduce
from operator import and_, or_
from typing import TYPE_CHECKING

import polars as pl

from majordomo_analytics.engines.polars.numbers import compared, equal_to_one
from majordomo_analytics.plan.filters import (
    All,
    Compared,
    Filter,
    Like,
    Matches,
    Not,
    OneOf,
    Some,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from majordomo_analytics.plan.fields import Name


def condition(
    node: Filter, value_of: Callable[[Name], tuple[pl.Expr, pl.DataType]], *, negate: bool = False
) -> pl.Expr | None:
    """Return the condition that `node` means, None when it always holds.

    It is null where a value is missing and that decides, which counts as false. Negation
    is carried to the leaves, where it takes in what is missing.
    """
    match node:
        case Not(child):
            return condition(child, value_of, negate=not negate)
        case All(filters) | Some(filters):
            parts = [condition(child, value_of, negate=negate) for child in filters]
            known = [part for part in parts if part is not None]
            if isinstance(node, All) != negate:
                return reduce(and_, known) if known else None
            if len(known) < len(parts):
                return None
            return reduce(or_, known, pl.lit(value=False)) if not known else reduce(or_, known)
        case _:
            value, dtype = value_of(node.name)
            holds = _leaf(node, value, dtype)
            return ~holds.fill_null(value=False) if negate else holds


def _leaf(node: OneOf | Compared | Like | Matches, value: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    match node:
        case OneOf(_, values):
            known = [one for one in values if one is not None]
            if None not in values:
                return equal_to_one(value, known, dtype)
            missing = value.is_null()
            return missing | equal_to_one(value, known, dtype) if known else missing
        case Compared(_, order, than):
            return compared(value, order, than, dtype)
        case Like(_, "starts with", than):
            return value.str.starts_with(than)
        case Like(_, "ends with", than):
            return value.str.ends_with(than)
        case Like(_, _, than):
            return value.str.contains(than, literal=True)
        case Matches(_, pattern):
            return value.str.contains(pattern)

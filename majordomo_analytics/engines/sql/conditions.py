"""Filters as conditions; a missing value matches only `None`, and `Not` is exact."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from majordomo_analytics.engines.sql.expressions import literal
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

    from majordomo_analytics.engines.sql.dialects import Dialect
    from majordomo_analytics.plan.fields import Name

OPPOSITE = {"<": ">=", "<=": ">", ">": "<=", ">=": "<"}
COMPARISON: dict[str, type[exp.Binary]] = {"<": exp.LT, "<=": exp.LTE, ">": exp.GT, ">=": exp.GTE}


def condition(
    node: Filter,
    value_of: Callable[[Name], exp.Expr],
    dialect: Dialect,
    *,
    negate: bool = False,
) -> exp.Expr | None:
    """Return the condition that `node` means, None when it always holds.

    Negation is carried to the leaves, where it takes in what is missing: SQL's own NOT
    would lose it.
    """
    match node:
        case Not(child):
            return condition(child, value_of, dialect, negate=not negate)
        case All(filters) | Some(filters):
            parts = [condition(child, value_of, dialect, negate=negate) for child in filters]
            if isinstance(node, All) != negate:
                kept = [part for part in parts if part is not None]
                return exp.and_(*kept) if kept else None
            if None in parts:
                return None
            return exp.or_(*(part for part in parts if part is not None)) if parts else exp.false()
        case _:
            return _leaf(node, value_of(node.name), dialect, negate)


def _leaf(
    node: OneOf | Compared | Like | Matches, value: exp.Expr, dialect: Dialect, negate: bool
) -> exp.Expr:
    missing: exp.Expr = exp.Is(this=value, expression=exp.null())
    match node:
        case OneOf(_, values):
            known = [literal(one) for one in values if one is not None]
            holds: exp.Expr = exp.false()
            if known:
                holds = dialect.one_of(value.copy(), known)
            if None in values:
                holds = exp.or_(missing, holds) if known else missing
                return exp.not_(holds) if negate else holds
            if not negate:
                return holds
            return exp.or_(missing, exp.not_(holds)) if known else exp.true()
        case Compared(_, order, than):
            sign = OPPOSITE[order] if negate else order
            if isinstance(than, str):
                value = dialect.by_code_point(value)
            holds = COMPARISON[sign](this=value.copy(), expression=literal(than))
        case Like(_, part, than):
            match part:
                case "contains":
                    holds = dialect.contains(value.copy(), than)
                case "starts with":
                    holds = exp.StartsWith(this=value.copy(), expression=literal(than))
                case "ends with":
                    holds = dialect.ends_with(value.copy(), than)
            holds = exp.not_(holds) if negate else holds
        case Matches(_, pattern):
            holds = dialect.matches(value.copy(), pattern)
            holds = exp.not_(holds) if negate else holds
    return exp.or_(missing, holds) if negate else holds

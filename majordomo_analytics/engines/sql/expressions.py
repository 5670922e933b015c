"""Pieces of SQL that every statement is made of, quoted and typed."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from sqlglot import exp

if TYPE_CHECKING:
    from collections.abc import Sequence

    from majordomo_analytics.plan.fields import Kind
    from majordomo_analytics.plan.filters import Value

_TYPES: dict[Kind, str] = {
    "text": "text",
    "integer": "bigint",
    "money": "decimal(38, 10)",
    "date": "date",
    "boolean": "boolean",
}


def column(name: str, table: str | None = None) -> exp.Column:
    """Return a quoted column."""
    return exp.column(exp.to_identifier(name, quoted=True), table=table)


def table(name: str) -> exp.Table:
    """Return a table or a part of the statement; sqlglot would parse plain text."""
    return exp.Table(this=exp.to_identifier(name))


def text(value: str) -> exp.Literal:
    """Return a text literal."""
    return exp.Literal.string(value)


def coalesce(values: Sequence[exp.Expr]) -> exp.Expr:
    """Return the first of the values that is known."""
    first, *others = values
    if isinstance(first, exp.Coalesce):
        first, others = first.this, [*first.expressions, *others]
    return exp.Coalesce(this=first, expressions=others)


def typed_literal(value: object, kind: Kind) -> exp.Expr:
    """Return a value of a dimension as a literal of its kind, also where it is missing."""
    if value is None:
        return exp.cast(exp.null(), _TYPES[kind])
    if isinstance(value, (bool, int, Decimal, float, date, str)):
        # Else VALUES would have the narrowest type that holds them.
        made = literal(value)
        return exp.cast(made, _TYPES[kind]) if kind in ("integer", "money") else made
    raise TypeError(value)


def literal(value: Value | None) -> exp.Expr:
    """Return a value of a filter as a literal of its type."""
    match value:
        case bool():
            return exp.true() if value else exp.false()
        case int() | Decimal() | float():
            return exp.Literal.number(format(Decimal(value), "f"))
        case datetime():
            return exp.cast(text(value.isoformat(" ")), "timestamptz")
        case date():
            return exp.cast(text(value.isoformat()), "date")
        case _:
            return text(str(value))

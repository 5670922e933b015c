"""Columns that are not stored as our table of columns has them: what stands for each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlglot
from sqlglot import exp

from majordomo_analytics.engines.sql.expressions import coalesce, column, text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from majordomo_analytics.engines.sql.dialects import Dialect

UUID = "uuid"
"""Marks text that is made of a column of UUIDs."""


def from_sql(written: str, dialect: Dialect) -> exp.Expr:
    """Return an expression as it is written in a dialect."""
    return sqlglot.parse_one(written, read=dialect.name)


def uuid_text(name: str) -> exp.Expr:
    """Return a column of UUIDs as text; a comparison looks behind it for the index."""
    made = exp.cast(column(name), "text")
    made.meta[UUID] = True
    return made


def json_text(name: str, keys: Sequence[str]) -> exp.Expr:
    """Return the value of the first of these keys that a column of JSON objects has."""
    values: list[exp.Expr] = [
        exp.JSONExtractScalar(this=column(name), expression=text(key)) for key in keys
    ]
    if not values:
        return exp.cast(exp.null(), "text")
    return values[0] if len(values) == 1 else coalesce(values)


def selected(
    stored: Mapping[str, exp.Expr], names: Sequence[str], dialect: Dialect
) -> dict[str, str]:
    """Return each name with what stands for it, as it is written in a dialect."""
    return {
        name: (stored[name] if name in stored else column(name)).sql(dialect=dialect.name)
        for name in names
    }

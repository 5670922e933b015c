"""Where SQL dialects differ, beyond what sqlglot knows: a table, one row for each."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from sqlglot import exp

from majordomo_analytics.engines.sql.expressions import column, text
from majordomo_analytics.engines.sql.stored import UUID as MADE_OF_UUID

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def _one_of(value: exp.Expr, known: Sequence[exp.Expr]) -> exp.Expr:
    if len(known) == 1:
        return exp.EQ(this=value, expression=known[0])
    return exp.In(this=value, expressions=list(known))


def _contains(value: exp.Expr, part: str) -> exp.Expr:
    return exp.Contains(this=value, expression=text(part))


@dataclass(frozen=True, slots=True)
class Dialect:
    """Where SQL dialects differ, beyond what sqlglot knows.

    Attributes
    ----------
    name
        The dialect's name in sqlglot.
    metadata_value
        Value of one stored spelling of a metadata key, from the column `raw_metadata`.
    quantile
        Quantile of an expression at a level, with linear interpolation.
    by_code_point
        Text as it is to be ordered by code point.
    one_of
        Whether a value is one of some literals; null or false where it is missing.
    contains
        Whether text contains other text.
    most_name_bytes
        How long a name may be, None where that is not bounded; longer ones would be cut.
    """

    name: str
    metadata_value: Callable[[str], exp.Expr]
    quantile: Callable[[exp.Expr, float], exp.Expr]
    by_code_point: Callable[[exp.Expr], exp.Expr] = lambda text: text
    one_of: Callable[[exp.Expr, Sequence[exp.Expr]], exp.Expr] = _one_of
    contains: Callable[[exp.Expr, str], exp.Expr] = _contains
    most_name_bytes: int | None = None


DUCKDB = Dialect(
    "duckdb",
    metadata_value=lambda key: exp.Bracket(this=column("raw_metadata"), expressions=[text(key)]),
    quantile=lambda of, level: exp.Anonymous(
        this="QUANTILE_CONT", expressions=[of, exp.Literal.number(level)]
    ),
)


INDEXED = "indexed_metadata"


def _postgres_collated(of: exp.Expr) -> exp.Expr:
    # Collate binds tighter than ->>, and would be that of the key.
    of = of if isinstance(of, exp.Column) else exp.paren(of)
    return exp.Collate(this=of, expression=exp.to_identifier("C", quoted=True))


def _postgres_one_of(value: exp.Expr, known: Sequence[exp.Expr]) -> exp.Expr:
    """Compare what an index is on, where there is one.

    The index on ``indexed_metadata`` serves ``@>`` alone; ids are stored as UUIDs, and an
    index on them serves no text that is made of them.
    """
    if isinstance(value, exp.JSONExtractScalar) and value.this.name == INDEXED:
        key = value.expression.name
        pairs = (json.dumps({key: one.name}, ensure_ascii=False) for one in known)
        holds = [
            exp.ArrayContainsAll(this=column(INDEXED), expression=exp.cast(text(pair), "jsonb"))
            for pair in pairs
        ]
        return exp.or_(*holds)
    if isinstance(value, exp.Cast) and value.meta.get(MADE_OF_UUID):
        # Text that is no UUID as Postgres writes it equals none.
        ids = [one for one in known if _is_uuid(one.name)]
        return _one_of(value.this, [exp.cast(one, "uuid") for one in ids]) if ids else exp.false()
    return _one_of(value, known)


def _is_uuid(given: str) -> bool:
    try:
        return str(UUID(given)) == given
    except ValueError:
        return False


POSTGRES = Dialect(
    "postgres",
    metadata_value=lambda key: exp.JSONExtractScalar(
        this=column("raw_metadata"), expression=text(key)
    ),
    quantile=lambda of, level: exp.WithinGroup(
        this=exp.PercentileCont(this=exp.Literal.number(level)),
        expression=exp.Order(expressions=[exp.Ordered(this=of)]),
    ),
    by_code_point=_postgres_collated,
    one_of=_postgres_one_of,
    contains=lambda value, part: exp.GT(
        this=exp.Anonymous(this="STRPOS", expressions=[value, text(part)]),
        expression=exp.Literal.number(0),
    ),
    most_name_bytes=63,
)

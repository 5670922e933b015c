"""Where SQL dialects differ, beyond what sqlglot knows: a table, one row for each."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from sqlglot import exp

from majordomo_analytics.engines.sql.expressions import column, text
from majordomo_analytics.engines.sql.stored import UUID as MADE_OF_UUID
from majordomo_analytics.errors import QueryError
from majordomo_analytics.plan.patterns import for_postgres

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from majordomo_analytics.plan.fields import Kind

SEPARATORS = ("\n", "\x1f", "\x1e", "\x1d")


def _found(value: exp.Expr, pattern: str) -> exp.Expr:
    return exp.RegexpLike(this=value, expression=text(pattern))


def _split_lists(keys: Sequence[str], values: Sequence[str], names: Sequence[str]) -> exp.Expr:
    """Return a table of two lists, each one literal: a row for each would take seconds."""
    lists = [
        exp.alias_(
            exp.Unnest(expressions=[exp.Anonymous(this="STRING_SPLIT", expressions=joined)]),
            name,
            quoted=True,
        )
        for joined, name in zip(_joined(keys, values), names[1:], strict=True)
    ]
    return exp.select(*lists).subquery(exp.to_identifier(names[0], quoted=True))


def _unnested_arrays(keys: Sequence[str], values: Sequence[str], names: Sequence[str]) -> exp.Expr:
    arrays = [
        exp.Anonymous(this="STRING_TO_ARRAY", expressions=joined)
        for joined in _joined(keys, values)
    ]
    table, *columns = (exp.to_identifier(name, quoted=True) for name in names)
    return exp.Unnest(expressions=arrays, alias=exp.TableAlias(this=table, columns=columns))


def _rows(keys: Sequence[str], values: Sequence[str], names: Sequence[str]) -> exp.Expr:
    table, *columns = (exp.to_identifier(name, quoted=True) for name in names)
    rows = [exp.Tuple(expressions=[text(k), text(v)]) for k, v in zip(keys, values, strict=True)]
    return exp.Values(expressions=rows, alias=exp.TableAlias(this=table, columns=columns))


def _joined(*lists: Sequence[str]) -> Iterable[list[exp.Expr]]:
    """Yield each list as one text, and what it is to be split at."""
    whole = "".join("".join(one) for one in lists)
    for separator in SEPARATORS:
        if separator not in whole:
            return [[text(separator.join(one)), text(separator)] for one in lists]
    message = "a table to look up in holds line feeds and every separator of ASCII"
    raise QueryError(message)


def _one_of(value: exp.Expr, known: Sequence[exp.Expr]) -> exp.Expr:
    if len(known) == 1:
        return exp.EQ(this=value, expression=known[0])
    return exp.In(this=value, expressions=list(known))


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
    most_name_bytes
        How long a name may be, None where that is not bounded; longer ones would be cut.
    matches
        Whether a pattern in normal form is found in a text.
    contains, ends_with
        Whether a text does so.
    iso_weekday
        1 for Monday to 7 for Sunday, of a date.
    table
        A table of two columns of text; called as the first of the names says, its columns
        as the others do.
    addend
        Value of a kind as it is to be added up, where the engine's own sum would wrap.
    orders_by_selected
        Whether rows are ordered by an aggregate only if it is selected too.
    """

    name: str
    metadata_value: Callable[[str], exp.Expr]
    quantile: Callable[[exp.Expr, float], exp.Expr]
    by_code_point: Callable[[exp.Expr], exp.Expr] = lambda text: text
    one_of: Callable[[exp.Expr, Sequence[exp.Expr]], exp.Expr] = _one_of
    most_name_bytes: int | None = None
    matches: Callable[[exp.Expr, str], exp.Expr] = _found
    contains: Callable[[exp.Expr, str], exp.Expr] = lambda value, part: exp.Contains(
        this=value, expression=text(part)
    )
    ends_with: Callable[[exp.Expr, str], exp.Expr] = lambda value, part: exp.EndsWith(
        this=value, expression=text(part)
    )
    iso_weekday: Callable[[exp.Expr], exp.Expr] = lambda date: exp.DayOfWeekIso(this=date)
    table: Callable[[Sequence[str], Sequence[str], Sequence[str]], exp.Expr] = _rows
    addend: Callable[[exp.Expr, Kind], exp.Expr] = lambda value, kind: value
    orders_by_selected: bool = False


DUCKDB = Dialect(
    "duckdb",
    metadata_value=lambda key: exp.Bracket(this=column("raw_metadata"), expressions=[text(key)]),
    quantile=lambda of, level: exp.Anonymous(
        this="QUANTILE_CONT", expressions=[of, exp.Literal.number(level)]
    ),
    table=_split_lists,
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
    matches=lambda value, pattern: _found(value, for_postgres(pattern)),
    ends_with=lambda value, part: exp.EQ(
        this=exp.Right(this=value, expression=exp.Literal.number(len(part))),
        expression=text(part),
    ),
    iso_weekday=lambda date: exp.Extract(this=exp.var("ISODOW"), expression=date),
    table=_unnested_arrays,
    most_name_bytes=63,
)


def _spark_iso_weekday(date: exp.Expr) -> exp.Expr:
    # Sunday is 1; Sail's WEEKDAY makes -1 of it, where Spark's is 6.
    sunday_first = exp.Anonymous(this="DAYOFWEEK", expressions=[date])
    since_monday = exp.paren(exp.Add(this=sunday_first, expression=exp.Literal.number(5)))
    modulo = exp.Mod(this=since_monday, expression=exp.Literal.number(7))
    return exp.Add(this=modulo, expression=exp.Literal.number(1))


SPARK = Dialect(
    "spark",
    metadata_value=lambda key: exp.Bracket(this=column("raw_metadata"), expressions=[text(key)]),
    quantile=lambda of, level: exp.Anonymous(
        this="PERCENTILE", expressions=[of, exp.Literal.number(level)]
    ),
    iso_weekday=_spark_iso_weekday,
    # Sail's sum of 64-bit integers wraps; that of decimals has ten digits to spare.
    addend=lambda value, kind: exp.cast(value, "decimal(20, 0)") if kind == "integer" else value,
    orders_by_selected=True,  # Sail looks for a column of that name else
)

"""From a plan to one SQL statement over `llm_requests`; the only module that uses sqlglot.

Names and values reach SQL only as quoted identifiers and literals. Zones are settled in the
plan as offsets, so no engine's own time zone data or session zone plays a part.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from functools import reduce
from typing import TYPE_CHECKING

from sqlglot import exp

from majordomo_analytics.plan.filters import All, Compared, Filter, Like, Not, OneOf, Some
from majordomo_analytics.plan.measures import Aggregate, Measure, Ratio
from majordomo_analytics.plan.plan import OTHER, UNTAGGED, Plan
from majordomo_analytics.records.columns import promoted_column

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from majordomo_analytics.plan.fields import Field
    from majordomo_analytics.plan.filters import Value
    from majordomo_analytics.times import Offset

TABLE = "llm_requests"
PICKED = "requests"
KEPT = "kept"
OPPOSITE = {"<": ">=", "<=": ">", ">": "<=", ">=": "<"}
COMPARISON: dict[str, type[exp.Binary]] = {"<": exp.LT, "<=": exp.LTE, ">": exp.GT, ">=": exp.GTE}


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
    """

    name: str
    metadata_value: Callable[[str], exp.Expr]
    quantile: Callable[[exp.Expr, float], exp.Expr]
    by_code_point: Callable[[exp.Expr], exp.Expr] = lambda text: text


DUCKDB = Dialect(
    "duckdb",
    metadata_value=lambda key: exp.Bracket(this=column("raw_metadata"), expressions=[text(key)]),
    quantile=lambda of, level: exp.Anonymous(
        this="QUANTILE_CONT", expressions=[of, exp.Literal.number(level)]
    ),
)


def compile_plan(plan: Plan, dialect: Dialect) -> str:
    """Return the statement that answers `plan`.

    Its columns are the time bucket (a UTC timestamp or a date), the dimensions, a column
    ``is_other`` when a dimension that is no text may be beyond the limit, and the measures.
    """
    return _Compiler(plan, dialect).statement().sql(dialect=dialect.name, pretty=True)


def compile_requests(
    plan: Plan, dialect: Dialect, *, limit: int | None, in_order: bool = True
) -> str:
    """Return the statement that reads the plan's requests themselves, oldest first.

    Unless that is not wanted: all of them have to be read before the first is known.
    """
    rows = exp.select("*").from_(exp.to_table(TABLE))
    if in_order:
        rows = rows.order_by(column("requested_at"), column("id"))
    rows = _Compiler(plan, dialect).limited(rows)
    return (rows.limit(limit) if limit is not None else rows).sql(dialect=dialect.name, pretty=True)


def column(name: str, table: str | None = None) -> exp.Column:
    """Return a quoted column."""
    return exp.column(exp.to_identifier(name, quoted=True), table=table)


def text(value: str) -> exp.Literal:
    """Return a text literal."""
    return exp.Literal.string(value)


@dataclass(slots=True)
class _Compiler:
    """Compiles one plan; remembers which inputs the rows must be picked with."""

    plan: Plan
    dialect: Dialect
    _picked: dict[str, exp.Expr] = field(default_factory=dict)
    _aliases: dict[tuple[Field, bool], str] = field(default_factory=dict)
    _from: str | None = None

    def statement(self) -> exp.Select:
        plan = self.plan
        if plan.grain is not None:
            self._picked[plan.grain] = self._bucket()
        dimensions = [self._input(dimension, label=True) for dimension in plan.dimensions]
        cut = plan.limit is not None and bool(dimensions)
        self._from = PICKED if cut else None
        groups: list[exp.Expr] = [] if plan.grain is None else [column(plan.grain)]
        named: list[exp.Expr] = list(groups)
        for dimension, alias in zip(plan.dimensions, dimensions, strict=True):
            shown = self._shown(dimension, alias) if cut else column(alias)
            groups.append(shown)
            named.append(exp.alias_(shown, alias, quoted=True) if cut else shown)
        if cut and plan.other and any(d.kind != "text" for d in plan.dimensions):
            rest = exp.Is(this=column(KEPT, "ranked"), expression=exp.null())
            groups.append(rest)
            named.append(exp.alias_(rest, "is_other"))
        measures = [
            exp.alias_(self._measure(measure), measure.name, quoted=True)
            for measure in plan.measures
        ]
        answer = exp.select(*named, *measures).from_(PICKED)
        if groups:
            answer = answer.group_by(*(group.copy() for group in groups))
        ranked = self._ranked(dimensions) if cut else None
        answer = answer.with_(PICKED, as_=self._picked_rows())
        if ranked is None:
            return answer
        same = exp.and_(
            *(
                exp.NullSafeEQ(this=column(alias, PICKED), expression=column(alias, "ranked"))
                for alias in dimensions
            )
        )
        side = "left" if plan.other else "inner"
        return answer.with_("ranked", as_=ranked).join("ranked", on=same, join_type=side)

    def limited(self, rows: exp.Select) -> exp.Select:
        """Return `rows` with the plan's time range and filters."""
        plan, at = self.plan, column("requested_at")
        if plan.time_range.start is not None:
            rows = rows.where(exp.GTE(this=at, expression=_literal(plan.time_range.start)))
        if plan.time_range.end is not None:
            rows = rows.where(exp.LT(this=at.copy(), expression=_literal(plan.time_range.end)))
        condition = self._condition(plan.filters, self._stored)
        return rows if condition is None else rows.where(condition)

    def _picked_rows(self) -> exp.Select:
        inputs = [
            value if value == column(alias) else exp.alias_(value, alias, quoted=True)
            for alias, value in self._picked.items()
        ]
        return self.limited(exp.select(*inputs or [exp.Literal.number(1)]).from_(TABLE))

    def _ranked(self, dimensions: Sequence[str]) -> exp.Select:
        """Return the first combinations of dimension values over the whole range."""
        order: list[exp.Expr] = []
        measures = {measure.name: measure for measure in self.plan.measures}
        aliases = {
            dimension.name: (dimension, alias)
            for dimension, alias in zip(self.plan.dimensions, dimensions, strict=True)
        }
        falling = {ordering.name: ordering.descending for ordering in self.plan.order}
        for name in dict.fromkeys((*falling, *aliases)):
            if name in measures:
                by = self._measure(measures[name])
            elif name in aliases:
                dimension, alias = aliases[name]
                by = column(alias)
                if dimension.kind == "text":
                    by = self.dialect.by_code_point(by)
            else:
                continue  # the time column: the ranking is over the whole range
            order.append(exp.Ordered(this=by, desc=falling.get(name, False), nulls_first=False))
        keys = [column(alias) for alias in dimensions]
        kept = exp.alias_(exp.true(), KEPT)
        ranked = exp.select(*keys, kept).from_(PICKED).group_by(*(key.copy() for key in keys))
        return ranked.order_by(*order).limit(self.plan.limit or 0)

    def _shown(self, dimension: Field, alias: str) -> exp.Expr:
        known = column(alias, "ranked")
        if dimension.kind == "text" and self.plan.other:
            return exp.Coalesce(this=known, expressions=[text(OTHER)])
        return known

    def _input(self, known: Field, *, label: bool = False) -> str:
        """Return the alias of a field among the picked rows; unique, whatever its case."""
        label = label and known.kind == "text"
        if (known, label) not in self._aliases:
            taken = {alias.casefold() for alias in self._picked}
            alias, n = known.name, 1
            while alias.casefold() in taken:
                alias, n = f"{known.name} {n + 1}", n + 1
            value = self._stored(known)
            if label:
                value = exp.Coalesce(this=value, expressions=[text(UNTAGGED)])
            self._aliases[known, label] = alias
            self._picked[alias] = value
        return self._aliases[known, label]

    def _picked_column(self, known: Field) -> exp.Expr:
        """Return a field among the picked rows; said in full beside the ranking."""
        return column(self._input(known), self._from)

    def _stored(self, known: Field) -> exp.Expr:
        if known.spellings is None:
            return column(known.name)
        if known.promoted:
            return column(promoted_column(known.name))
        values = [self.dialect.metadata_value(key) for key in known.spellings]
        if not values:
            return exp.cast(exp.null(), "text")
        return values[0] if len(values) == 1 else _coalesce(values)

    def _measure(self, measure: Measure) -> exp.Expr:
        if isinstance(measure.of, Aggregate):
            return self._aggregate(measure.of)
        return self._ratio(measure.of)

    def _ratio(self, ratio: Ratio) -> exp.Expr:
        above = exp.cast(self._aggregate(ratio.numerator), "double")
        below = exp.cast(self._aggregate(ratio.denominator), "double")
        divided = exp.Div(
            this=above,
            expression=exp.Nullif(this=below, expression=exp.Literal.number(0)),
            typed=True,
        )
        return divided if ratio.per == 1 else exp.Literal.number(ratio.per) * divided

    def _aggregate(self, aggregate: Aggregate) -> exp.Expr:
        known = [self.plan.fields[name] for name in aggregate.of]
        inputs: list[exp.Expr] = [self._picked_column(one) for one in known]
        made: exp.Expr
        match aggregate.how:
            case "count":
                made = exp.Count(this=exp.Star())
            case "distinct":
                made = exp.Count(this=exp.Distinct(expressions=inputs))
            case "quantile":
                made = self.dialect.quantile(inputs[0], aggregate.level or 0.0)
            case "sum":
                made = exp.Sum(this=reduce(_known_sum, inputs))
        condition = self._condition(aggregate.where, self._picked_column)
        if condition is not None:
            made = exp.Filter(this=made, expression=exp.Where(this=condition))
        if aggregate.how == "sum" and (kind := _SUMS.get(known[0].kind)) is not None:
            return exp.cast(made, kind)
        return made

    def _bucket(self) -> exp.Expr:
        """Return the bucket of the plan's grain that a request is in."""
        plan = self.plan
        utc = exp.AtTimeZone(this=column("requested_at"), zone=text("UTC"))
        ahead = _ahead(plan.offsets)
        local: exp.Expr = utc if ahead is None else exp.paren(exp.Add(this=utc, expression=ahead))
        if plan.grain in ("minute", "hour"):
            started = exp.TimestampTrunc(this=local, unit=exp.var(plan.grain))
            return started if ahead is None else exp.Sub(this=started, expression=ahead.copy())
        day: exp.Expr = exp.cast(local, "date")
        for offset in plan.offsets:
            if offset.not_before is not None:
                begun = _literal(offset.not_before)
                again = exp.and_(_since(offset), exp.LT(this=day.copy(), expression=begun))
                day = exp.Case(ifs=[exp.If(this=again, true=begun.copy())], default=day)
        if plan.grain == "day":
            return day
        return exp.cast(exp.TimestampTrunc(this=day, unit=exp.var(str(plan.grain))), "date")

    def _condition(
        self, node: Filter, value_of: Callable[[Field], exp.Expr], *, negate: bool = False
    ) -> exp.Expr | None:
        """Return the condition, None when it always holds.

        Negation is carried to the leaves, where it takes in what is missing: SQL's own NOT
        would lose it.
        """
        match node:
            case Not(child):
                return self._condition(child, value_of, negate=not negate)
            case All(filters) | Some(filters):
                parts = [self._condition(child, value_of, negate=negate) for child in filters]
                if isinstance(node, All) != negate:
                    kept = [part for part in parts if part is not None]
                    return exp.and_(*kept) if kept else None
                if None in parts:
                    return None
                return exp.or_(*(part for part in parts if part is not None), exp.false())
            case _:
                return _leaf(node, value_of(self.plan.fields[node.name]), negate)


def _leaf(node: OneOf | Compared | Like, value: exp.Expr, negate: bool) -> exp.Expr:
    missing: exp.Expr = exp.Is(this=value, expression=exp.null())
    match node:
        case OneOf(_, values):
            known = [_literal(one) for one in values if one is not None]
            holds: exp.Expr = exp.false()
            if known:
                holds = exp.In(this=value.copy(), expressions=known)
                if len(known) == 1:
                    holds = exp.EQ(this=value.copy(), expression=known[0])
            if None in values:
                holds = exp.or_(missing, holds) if known else missing
                return exp.not_(holds) if negate else holds
            if not negate:
                return holds
            return exp.or_(missing, exp.not_(holds)) if known else exp.true()
        case Compared(_, order, than):
            sign = OPPOSITE[order] if negate else order
            holds = COMPARISON[sign](this=value.copy(), expression=_literal(than))
        case Like(_, part, than):
            made = exp.StartsWith if part == "starts with" else exp.Contains
            holds = made(this=value.copy(), expression=_literal(than))
            holds = exp.not_(holds) if negate else holds
    return exp.or_(missing, holds) if negate else holds


_SUMS: dict[str, str] = {"money": "decimal(38, 10)", "integer": "bigint"}


def _known_sum(one: exp.Expr, other: exp.Expr) -> exp.Expr:
    return exp.Coalesce(
        this=exp.Add(this=one, expression=other), expressions=[one.copy(), other.copy()]
    )


def _coalesce(values: Sequence[exp.Expr]) -> exp.Expr:
    return exp.Coalesce(this=values[0], expressions=list(values[1:]))


def _since(offset: Offset) -> exp.Expr:
    return exp.GTE(this=column("requested_at"), expression=_literal(offset.since))


def _ahead(offsets: Sequence[Offset]) -> exp.Expr | None:
    """Return how far local time is ahead of UTC, None when it never is."""
    if not any(offset.ahead for offset in offsets):
        return None
    first, *later = offsets
    if not later:
        return _interval(first)
    newest_first = [
        exp.If(this=_since(offset), true=_interval(offset)) for offset in reversed(later)
    ]
    return exp.Case(ifs=newest_first, default=_interval(first))


def _interval(offset: Offset) -> exp.Expr:
    seconds = round(offset.ahead.total_seconds())
    for unit, length in (("HOUR", 3600), ("MINUTE", 60), ("SECOND", 1)):
        if seconds % length == 0:
            return exp.Interval(this=text(str(seconds // length)), unit=exp.var(unit))
    raise AssertionError  # every offset is whole seconds


def _literal(value: Value | None) -> exp.Expr:
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

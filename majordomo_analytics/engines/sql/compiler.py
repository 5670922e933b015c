"""From a plan to one SQL statement over `llm_requests`.

Names and values reach SQL only as quoted identifiers and literals.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import reduce
from typing import TYPE_CHECKING

from sqlglot import exp

from majordomo_analytics.engines.sql.buckets import bucket
from majordomo_analytics.engines.sql.conditions import condition
from majordomo_analytics.engines.sql.expressions import coalesce, column, literal, text
from majordomo_analytics.plan.measures import Aggregate, Measure, Ratio
from majordomo_analytics.plan.plan import OTHER, UNTAGGED, Plan
from majordomo_analytics.records.columns import promoted_column

if TYPE_CHECKING:
    from collections.abc import Sequence

    from majordomo_analytics.engines.sql.dialects import Dialect
    from majordomo_analytics.plan.fields import Field, Name

TABLE = "llm_requests"
PICKED = "requests"
KEPT = "kept"


def compile_plan(plan: Plan, dialect: Dialect) -> str:
    """Return the statement that answers `plan`.

    Its columns are the time bucket (a UTC timestamp or a date), the dimensions, a column
    ``is_other`` when a dimension that is no text may be beyond the limit, and the measures.
    """
    return _Compiler(plan, dialect).statement().sql(dialect=dialect.name, pretty=True)


def compile_requests(plan: Plan, dialect: Dialect, *, limit: int | None) -> str:
    """Return the statement that reads the plan's requests themselves, oldest first."""
    rows = exp.select("*").from_(exp.to_table(TABLE)).order_by(column("requested_at"), column("id"))
    rows = _Compiler(plan, dialect).limited(rows)
    return (rows.limit(limit) if limit is not None else rows).sql(dialect=dialect.name, pretty=True)


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
            self._picked[plan.grain] = bucket(plan)
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
            rows = rows.where(exp.GTE(this=at, expression=literal(plan.time_range.start)))
        if plan.time_range.end is not None:
            rows = rows.where(exp.LT(this=at.copy(), expression=literal(plan.time_range.end)))
        holds = condition(plan.filters, self._stored_named)
        return rows if holds is None else rows.where(holds)

    def _picked_rows(self) -> exp.Select:
        inputs = [
            value if value == column(alias) else exp.alias_(value, alias, quoted=True)
            for alias, value in self._picked.items()
        ]
        return self.limited(exp.select(*inputs or [exp.Literal.number(1)]).from_(TABLE))

    def _ranked(self, dimensions: Sequence[str]) -> exp.Select:
        """Return the first combinations of dimension values over the whole range."""
        order: list[exp.Expr] = []
        ranks: list[exp.Expr] = []
        measures = {measure.name: measure for measure in self.plan.measures}
        aliases = {
            dimension.name: (dimension, alias)
            for dimension, alias in zip(self.plan.dimensions, dimensions, strict=True)
        }
        falling = {ordering.name: ordering.descending for ordering in self.plan.order}
        for name in dict.fromkeys((*falling, *aliases)):
            if name in measures:
                by = self._measure(measures[name])
                if self.dialect.orders_by_selected:
                    rank = f"rank {len(ranks) + 1}"
                    ranks.append(exp.alias_(by, rank, quoted=True))
                    by = column(rank)
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
        ranked = (
            exp.select(*keys, *ranks, kept).from_(PICKED).group_by(*(key.copy() for key in keys))
        )
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
            taken = {KEPT, *(alias.casefold() for alias in self._picked)}
            alias, n = known.name, 1
            while alias.casefold() in taken:
                alias, n = f"{known.name} {n + 1}", n + 1
            value = self._stored(known)
            if label:
                value = exp.Coalesce(this=value, expressions=[text(UNTAGGED)])
            self._aliases[known, label] = alias
            self._picked[alias] = value
        return self._aliases[known, label]

    def _picked_named(self, name: Name) -> exp.Expr:
        return self._picked_column(self.plan.fields[name])

    def _stored_named(self, name: Name) -> exp.Expr:
        return self._stored(self.plan.fields[name])

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
        return values[0] if len(values) == 1 else coalesce(values)

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
                addends = [
                    self.dialect.addend(value, one.kind)
                    for value, one in zip(inputs, known, strict=True)
                ]
                made = exp.Sum(this=reduce(_known_sum, addends))
        holds = condition(aggregate.where, self._picked_named)
        if holds is not None:
            made = exp.Filter(this=made, expression=exp.Where(this=holds))
        if aggregate.how == "sum" and (kind := _SUMS.get(known[0].kind)) is not None:
            return exp.cast(made, kind)
        return made


_SUMS: dict[str, str] = {"money": "decimal(38, 10)", "integer": "bigint"}


def _known_sum(one: exp.Expr, other: exp.Expr) -> exp.Expr:
    return exp.Coalesce(
        this=exp.Add(this=one, expression=other), expressions=[one.copy(), other.copy()]
    )

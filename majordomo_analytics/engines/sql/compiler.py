"""From a plan to one SQL statement over `llm_requests`.

Names and values reach SQL only as quoted identifiers and literals.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import reduce
from types import MappingProxyType
from typing import TYPE_CHECKING

from sqlglot import exp

from majordomo_analytics.engines.sql.buckets import bucket
from majordomo_analytics.engines.sql.conditions import condition
from majordomo_analytics.engines.sql.expressions import (
    coalesce,
    column,
    literal,
    table,
    text,
    typed_literal,
)
from majordomo_analytics.engines.sql.values import StoredValues
from majordomo_analytics.plan.measures import Aggregate, Measure, Ratio
from majordomo_analytics.plan.plan import OTHER, UNTAGGED, Plan

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from majordomo_analytics.engines.sql.dialects import Dialect
    from majordomo_analytics.plan.dimensions import Dimension
    from majordomo_analytics.plan.fields import Field, Name

TABLE = "llm_requests"
PICKED = "requests"
RANKED = "ranked"
KEPT = "kept"
TOTAL = "coverage: of all"
AS_THEY_ARE: Mapping[str, exp.Expr] = MappingProxyType({})


def compile_plan(
    plan: Plan,
    dialect: Dialect,
    stored: Mapping[str, exp.Expr] = AS_THEY_ARE,
    *,
    stands_for: Field | None = None,
) -> str:
    """Return the statement that answers `plan`.

    Its columns are the time bucket (a UTC timestamp or a date), the dimensions, a column
    ``is_other`` when a dimension that is no text may be beyond the limit, and the measures.
    `stored` says what stands for a column that the table does not have as it is. With
    `stands_for`, a row is not one request but as many as that column says.
    """
    return (
        _Compiler(plan, dialect, stored, stands_for)
        .statement()
        .sql(dialect=dialect.name, pretty=True, copy=False)
    )


def compile_with_total(
    plan: Plan,
    dialect: Dialect,
    stored: Mapping[str, exp.Expr] = AS_THEY_ARE,
    *,
    stands_for: Field | None = None,
) -> str:
    """Return the statement that answers `plan` and its grand total in one reading.

    Its columns are those of `compile_plan`, those of `COVERAGE`, and one that is 1 in the
    row of the total and 0 in the others. The plan has groups, and none of them is left out.
    """
    compiler = _Compiler(plan, dialect, stored, stands_for)
    return compiler.statement(with_total=True).sql(dialect=dialect.name, pretty=True, copy=False)


def compile_requests(
    plan: Plan,
    dialect: Dialect,
    *,
    limit: int | None = None,
    columns: Sequence[str] = (),
    stored: Mapping[str, exp.Expr] = AS_THEY_ARE,
    ordered: bool = True,
) -> str:
    """Return the statement that reads the plan's requests themselves, oldest first.

    With all columns, or with those named, under other names if they would be too long. Not
    ordered if that is not wanted: all have to be read before the first is known.
    """
    compiler = _Compiler(plan, dialect, stored)
    every = exp.Column(this=exp.Star(), table=exp.to_identifier(TABLE))
    rows = exp.select(*[compiler.named(name) for name in columns] or [every])
    rows = compiler.limited(rows)
    if ordered:
        rows = rows.order_by(column("requested_at"), column("id"))
    return (rows.limit(limit) if limit is not None else rows).sql(
        dialect=dialect.name, pretty=True, copy=False
    )


@dataclass(slots=True)
class _Compiler:
    """Compiles one plan; remembers which inputs the rows must be picked with."""

    plan: Plan
    dialect: Dialect
    stored: Mapping[str, exp.Expr]
    stands_for: Field | None = None
    _picked: dict[str, exp.Expr] = field(default_factory=dict)
    _aliases: dict[tuple[Dimension, bool], str] = field(default_factory=dict)
    _from: str | None = None
    _stored: StoredValues = field(init=False)

    def __post_init__(self) -> None:
        self._stored = StoredValues(self.plan, self.dialect, self.stored)

    def statement(self, *, with_total: bool = False) -> exp.Select:
        plan = self.plan
        if plan.grain is not None:
            self._picked[plan.grain] = bucket(plan)
        dimensions = [self._input(dimension, label=True) for dimension in plan.dimensions]
        cut = bool(dimensions) and (plan.limit is not None or plan.kept is not None)
        self._from = PICKED if cut else None
        groups: list[exp.Expr] = [] if plan.grain is None else [column(plan.grain)]
        named: list[exp.Expr] = list(groups)
        for dimension, alias in zip(plan.dimensions, dimensions, strict=True):
            shown = self._shown(dimension, alias) if cut else column(alias)
            groups.append(shown)
            named.append(exp.alias_(shown, alias, quoted=True) if cut else shown)
        if cut and plan.other and any(d.kind != "text" for d in plan.dimensions):
            rest = exp.Is(this=column(KEPT, RANKED), expression=exp.null())
            groups.append(rest)
            named.append(exp.alias_(rest, "is_other"))
        measures = [
            exp.alias_(self._measure(measure), measure.name, quoted=True)
            for measure in (plan.grand_total() if with_total else plan).measures
        ]
        if with_total:
            of_all = exp.Anonymous(this="GROUPING", expressions=[groups[0].copy()])
            measures.append(exp.alias_(of_all, TOTAL, quoted=True))
        answer = exp.select(*named, *measures, copy=False).from_(table(PICKED), copy=False)
        keys = [group.copy() for group in groups]
        if with_total:
            sets = exp.GroupingSets(expressions=[exp.Tuple(expressions=keys), exp.Tuple()])
            answer = answer.group_by(exp.Group(grouping_sets=[sets]), copy=False)
        elif groups:
            answer = answer.group_by(*keys, copy=False)
        ranked = None
        if cut:
            ranked = self._ranked(dimensions) if plan.kept is None else self._kept(dimensions)
        answer = answer.with_(_named(PICKED), as_=self._picked_rows(), copy=False)
        if ranked is None:
            return answer
        same = exp.and_(
            *(
                # Text has its label by now and is never missing. What is plainly equal is
                # hashed; else each row would be compared with each combination.
                (exp.EQ if dimension.kind == "text" else exp.NullSafeEQ)(
                    this=column(alias, PICKED), expression=column(alias, RANKED)
                )
                for dimension, alias in zip(plan.dimensions, dimensions, strict=True)
            )
        )
        side = "left" if plan.other else "inner"
        answer = answer.with_(_named(RANKED), as_=ranked, copy=False)
        return answer.join(table(RANKED), on=same, join_type=side, copy=False)

    def limited(self, rows: exp.Select) -> exp.Select:
        """Return `rows` from the table, with the plan's time range and filters."""
        plan, at = self.plan, column("requested_at")
        holds = condition(plan.filters, self._stored.named, self.dialect)
        rows = self._stored.joins(rows.from_(table(TABLE), copy=False))
        if plan.time_range.start is not None:
            rows = rows.where(
                exp.GTE(this=at, expression=literal(plan.time_range.start)), copy=False
            )
        if plan.time_range.end is not None:
            rows = rows.where(
                exp.LT(this=at.copy(), expression=literal(plan.time_range.end)), copy=False
            )
        return rows if holds is None else rows.where(holds, copy=False)

    def _picked_rows(self) -> exp.Select:
        inputs = [
            value if value == column(alias) else exp.alias_(value, alias, quoted=True)
            for alias, value in self._picked.items()
        ]
        return self.limited(exp.select(*inputs or [exp.Literal.number(1)], copy=False))

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

    def _kept(self, dimensions: Sequence[str]) -> exp.Select:
        """Return the combinations that the plan names, as a ranking would."""
        keys = [column(alias) for alias in dimensions]
        kinds = [dimension.kind for dimension in self.plan.dimensions]
        rows = [
            exp.Tuple(expressions=list(map(typed_literal, row, kinds)))
            for row in self.plan.kept or ()
        ]
        chosen = exp.select(*keys, exp.alias_(exp.true(), KEPT))
        if not rows:
            return chosen.from_(PICKED).where(exp.false())
        names = [exp.to_identifier(alias, quoted=True) for alias in dimensions]
        alias = exp.TableAlias(this=exp.to_identifier("named"), columns=names)
        return chosen.from_(exp.Values(expressions=rows, alias=alias))

    def _shown(self, dimension: Dimension, alias: str) -> exp.Expr:
        known = column(alias, RANKED)
        if dimension.kind == "text" and self.plan.other:
            return exp.Coalesce(this=known, expressions=[text(OTHER)])
        return known

    def _input(self, known: Dimension, *, label: bool = False) -> str:
        """Return the alias of a field among the picked rows; unique, whatever its case."""
        label = label and known.kind == "text"
        if (known, label) not in self._aliases:
            alias = self._free_alias(known.name)
            value = self._stored.of(known)
            if label:
                value = coalesce([value, text(UNTAGGED)])
            self._aliases[known, label] = alias
            self._picked[alias] = value
        return self._aliases[known, label]

    def _free_alias(self, name: str) -> str:
        """Return a name that no input has yet, and that no database cuts."""
        taken = {KEPT, *(alias.casefold() for alias in self._picked)}
        alias, n = self._cut(name), 1
        while alias.casefold() in taken:
            n += 1
            alias = self._cut(name, f" {n}")
        return alias

    def _cut(self, name: str, end: str = "") -> str:
        most = self.dialect.most_name_bytes
        if most is None or len(f"{name}{end}".encode()) <= most:
            return name + end
        return name.encode()[: most - len(end)].decode("utf-8", "ignore") + end

    def _picked_named(self, name: Name) -> exp.Expr:
        return self._picked_column(self.plan.fields[name])

    def _picked_column(self, known: Dimension) -> exp.Expr:
        """Return a field among the picked rows; said in full beside the ranking."""
        return column(self._input(known), self._from)

    def named(self, name: str) -> exp.Expr:
        """Return a column of the table under its own name."""
        value, alias = self._stored.column(name), self._cut(name)
        return value if value == column(alias) else exp.alias_(value, alias, quoted=True)

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
            case "count" if self.stands_for is not None:
                made = exp.Sum(this=self._picked_column(self.stands_for))
            case "count":
                made = exp.Count(this=exp.Star())
            case "distinct":
                made = exp.Count(this=exp.Distinct(expressions=inputs))
            case "quantile":
                of = inputs[0] if known[0].kind == "integer" else exp.cast(inputs[0], "double")
                made = self.dialect.quantile(of, aggregate.level or 0.0)
            case "sum":
                addends = [
                    self.dialect.addend(value, one.kind)
                    for value, one in zip(inputs, known, strict=True)
                ]
                made = exp.Sum(this=reduce(_known_sum, addends))
        holds = condition(aggregate.where, self._picked_named, self.dialect)
        if holds is not None:
            made = exp.Filter(this=made, expression=exp.Where(this=holds))
        if aggregate.how == "count" and self.stands_for is not None:
            return exp.cast(coalesce([made, exp.Literal.number(0)]), "bigint")
        if aggregate.how == "sum" and (kind := _SUMS.get(known[0].kind)) is not None:
            return exp.cast(made, kind)
        return made


_SUMS: dict[str, str] = {"money": "decimal(38, 10)", "integer": "bigint"}


def _named(part: str) -> exp.TableAlias:
    return exp.TableAlias(this=exp.to_identifier(part))


def _known_sum(one: exp.Expr, other: exp.Expr) -> exp.Expr:
    return exp.Coalesce(
        this=exp.Add(this=one, expression=other), expressions=[one.copy(), other.copy()]
    )

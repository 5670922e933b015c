"""What a column, a metadata key or a dimension of one's own is in SQL."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlglot import exp

from majordomo_analytics.engines.sql.buckets import local_date, local_time
from majordomo_analytics.engines.sql.expressions import coalesce, column, literal, text
from majordomo_analytics.plan.dimensions import Bucketed, CalendarPart, Mapped, Part, Ruled
from majordomo_analytics.records.columns import promoted_column

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from majordomo_analytics.engines.sql.dialects import Dialect
    from majordomo_analytics.plan.dimensions import Dimension
    from majordomo_analytics.plan.fields import Field, Name
    from majordomo_analytics.plan.plan import Plan

MOST_INLINE = 32
"""A longer table is joined with: a CASE of it is slow to run and long to read."""


@dataclass(slots=True)
class StoredValues:
    """Gives the values that one plan speaks of; remembers the tables to join with."""

    plan: Plan
    dialect: Dialect
    stored: Mapping[str, exp.Expr]
    _joined: dict[Mapped, exp.Expr] = field(default_factory=dict)
    _tables: dict[Mapped, tuple[str, str, str]] = field(default_factory=dict)

    def named(self, name: Name) -> exp.Expr:
        """Return what a name of the plan means."""
        return self.of(self.plan.fields[name])

    def of(self, known: Dimension) -> exp.Expr:
        """Return the value of a dimension, null where it is missing."""
        match known:
            case Mapped():
                return self._mapped(known)
            case Ruled(rules=rules, default=default):
                value = self.named(known.of)
                found = [
                    (self.dialect.matches(value.copy(), pattern), text(label))
                    for pattern, label in rules
                ]
                return _first(value, found, default)
            case Bucketed(edges=edges):
                value = self.named(known.of)
                below = [
                    exp.If(
                        this=exp.LT(this=value.copy(), expression=literal(edge)), true=_number(n)
                    )
                    for n, edge in enumerate(edges)
                ]
                above = exp.GTE(this=value, expression=literal(edges[-1]))
                return exp.Case(ifs=[*below, exp.If(this=above, true=_number(len(edges)))])
            case Part():
                return self._part(known)
            case CalendarPart(unit=unit):
                return exp.cast(self._calendar_part(unit), "bigint")
            case _:
                return self._stored(known)

    def joins(self, rows: exp.Select) -> exp.Select:
        """Return `rows` joined with the tables that its values are looked up in."""
        for known, on in self._joined.items():
            table = self.dialect.table(known.keys, known.values, self._names(known))
            rows = rows.join(table, on=on, join_type="left")
        return rows

    def column(self, name: str) -> exp.Expr:
        """Return a column of the table, or what stands for it."""
        return self.stored[name].copy() if name in self.stored else column(name)

    def _stored(self, known: Field) -> exp.Expr:
        if known.spellings is None:
            return self.column(known.name)
        if known.promoted:
            return self.column(promoted_column(known.name))
        values = [self.dialect.metadata_value(key) for key in known.spellings]
        if not values:
            return exp.cast(exp.null(), "text")
        return values[0] if len(values) == 1 else coalesce(values)

    def _mapped(self, known: Mapped) -> exp.Expr:
        value = self.named(known.of)
        if len(known.keys) > MOST_INLINE:
            table, key, becomes = self._names(known)
            if known not in self._joined:
                same = exp.EQ(this=value.copy(), expression=column(key, table))
                self._joined[known] = same
            found: exp.Expr = column(becomes, table)
            if known.default is None:
                return found
            rest = exp.Case(ifs=[exp.If(this=_known(value), true=text(known.default))])
            return coalesce([found, rest])
        keys_of: dict[str, list[exp.Expr]] = {}
        for key, becomes in zip(known.keys, known.values, strict=True):
            keys_of.setdefault(becomes, []).append(text(key))
        cases = [
            (
                exp.In(this=value.copy(), expressions=keys)
                if len(keys) > 1
                else exp.EQ(this=value.copy(), expression=keys[0]),
                text(becomes),
            )
            for becomes, keys in keys_of.items()
        ]
        return _first(value, cases, known.default)

    def _names(self, known: Mapped) -> tuple[str, str, str]:
        """Return what its table and the columns of it are called; no column of requests is.

        A name that the database would cut is given up: two might be cut to one.
        """
        if known not in self._tables:
            name, most = known.name, self.dialect.most_name_bytes
            if most is not None and len(f"{name} table".encode()) > most:
                name = f"mapping {len(self._tables) + 1}"
            self._tables[known] = f"{name} table", f"{name} of", f"{name} is"
        return self._tables[known]

    def _part(self, known: Part) -> exp.Expr:
        value, separator = self.named(known.of), text(known.separator)
        place = known.index + 1 if known.index >= 0 else known.index
        part = exp.SplitPart(this=value, delimiter=separator, part_index=_number(place))
        needed = abs(place) - 1
        if not needed:
            return part
        without = exp.Replace(this=value.copy(), expression=separator.copy(), replacement=text(""))
        length = exp.Sub(this=exp.Length(this=value.copy()), expression=exp.Length(this=without))
        enough = exp.GTE(this=length, expression=_number(needed * len(known.separator)))
        return exp.Case(ifs=[exp.If(this=enough, true=part)])

    def _calendar_part(self, unit: str) -> exp.Expr:
        match unit:
            case "hour of day":
                return exp.Extract(this=exp.var("HOUR"), expression=local_time(self.plan))
            case "weekday":
                return self.dialect.iso_weekday(local_date(self.plan))
            case "day of month":
                return exp.Extract(this=exp.var("DAY"), expression=local_date(self.plan))
            case _:
                return exp.Extract(this=exp.var("MONTH"), expression=local_date(self.plan))


def _first(
    value: exp.Expr, cases: Iterable[tuple[exp.Expr, exp.Expr]], default: str | None
) -> exp.Expr:
    """Return the first case that holds, else the default; null where the value is."""
    ifs = [exp.If(this=holds, true=becomes) for holds, becomes in cases]
    if default is None:
        return exp.Case(ifs=ifs) if ifs else exp.cast(exp.null(), "text")
    missing = exp.Is(this=value, expression=exp.null())
    return exp.Case(ifs=[exp.If(this=missing, true=exp.null()), *ifs], default=text(default))


def _known(value: exp.Expr) -> exp.Expr:
    return exp.not_(exp.Is(this=value, expression=exp.null()))


def _number(value: int) -> exp.Expr:
    return exp.Literal.number(value)

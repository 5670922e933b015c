"""Answer from what the drain added up of days that are over, and from the rows of the rest.

A group of requests stands for each of them: it has one value of the columns that it is
grouped by, and known values only, or none, of each that is added up. Whatever counts and
adds such requests may count and add groups instead.
"""

# ruff: noqa: S608 - names are quoted, and nothing else is put in

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

from majordomo_analytics.engines.sql.compiler import TABLE, compile_plan, compile_with_total
from majordomo_analytics.engines.sql.dialects import POSTGRES
from majordomo_analytics.engines.sql.expressions import column, literal
from majordomo_analytics.plan.fields import Field
from majordomo_analytics.plan.filters import All, Not, OneOf, Some
from majordomo_analytics.plan.measures import Aggregate
from majordomo_analytics.records.days import GROUPED, NO_KEY, SUMMED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from majordomo_analytics.engines.postgres.database import Database
    from majordomo_analytics.plan.fields import Name
    from majordomo_analytics.plan.filters import Filter
    from majordomo_analytics.plan.plan import Plan

DAYS, BY_DAY = "llm_requests_days", "llm_requests_by_day"
MOST_GAPS = 8
"""Ranges of days that were not added up; with more, all rows are read."""

_VALUE, _REQUESTS = "key_value", "requests"
_SUMMED_DAYS = f"""
SELECT requested_date FROM {{schema}}.{DAYS}
WHERE key_name = %s AND is_summed
  AND requested_date >= coalesce(%s, '-infinity'::date)
  AND requested_date < coalesce(%s, 'infinity'::date)
ORDER BY requested_date
"""
_DAY = timedelta(days=1)

Instants = tuple[datetime | None, datetime | None]


@dataclass(frozen=True, slots=True)
class ByDays:
    """A plan that groups of requests can answer.

    Attributes
    ----------
    plan
        The plan, in which the metadata key is a column.
    field
        The metadata key that it speaks of, None if of none.
    key
        As it is stored.
    """

    plan: Plan
    field: Field | None
    key: str

    def groups(self, database: Database, schema: str, value: str) -> str | None:
        """Return the query that gives its groups in the snapshot that is read.

        None if too little was added up. `value` is what stands for the key in a row.
        """
        asked = self.plan.time_range
        first = None if asked.start is None else _next_midnight(asked.start)
        last = None if asked.end is None else asked.end.astimezone(UTC).date()
        query = _SUMMED_DAYS.format(schema=schema)
        days = [day for (day,) in database.rows(query, (self.key, first, last))]
        runs = list(_runs(days))
        rest = list(_rest(runs, (asked.start, asked.end)))
        if not runs or len(rest) > MOST_GAPS:
            return None
        branches = [_groups(schema, self.key, runs), *(_rows(schema, value, one) for one in rest)]
        return "\n  UNION ALL\n".join(branches)

    def statement(self, groups: str, *, with_total: bool = False) -> str:
        """Return the statement that answers it over such groups."""
        stored = {} if self.field is None else {self.field.name: column(_VALUE)}
        compiled = compile_with_total if with_total else compile_plan
        written = compiled(self.plan, POSTGRES, stored, stands_for=Field(_REQUESTS, "integer"))
        return f"WITH {TABLE} AS (\n{groups}\n), " + written.removeprefix("WITH ")


def read_by_days(plan: Plan, spellings: Callable[[Field], Sequence[str]]) -> ByDays | None:
    """Return the plan if groups of requests can answer it, else None.

    They can if it speaks of one metadata key at most, and else of columns that requests are
    grouped by, and adds up what is added up in them.
    """
    if plan.grain in ("minute", "hour") or (plan.grain is not None and plan.zone.key != "UTC"):
        return None
    keys: set[Field] = set()

    def is_one_value(known: object) -> bool:
        """Whether all requests of a group have the same value of it."""
        if not isinstance(known, Field):
            return False
        if known.spellings is None and not known.promoted:
            return known.name in GROUPED
        keys.add(known)
        return True

    def is_uniform(node: Filter) -> bool:
        """Whether the filter holds for all requests of a group, or for none."""
        match node:
            case All(filters) | Some(filters):
                return all(map(is_uniform, filters))
            case Not(child):
                return is_uniform(child)
            case OneOf(name, (None,)) if is_summed(name):
                return True
            case _:
                return is_one_value(plan.fields[node.name])

    def is_summed(name: Name) -> bool:
        known = plan.fields[name]
        return (
            isinstance(known, Field)
            and not known.promoted
            and (known.spellings is None and known.name in SUMMED)
        )

    aggregates = [
        aggregate
        for measure in plan.measures
        for aggregate in (
            (measure.of,)
            if isinstance(measure.of, Aggregate)
            else (measure.of.numerator, measure.of.denominator)
        )
    ]
    fits = (
        all(map(is_one_value, plan.dimensions))
        and is_uniform(plan.filters)
        and all(
            aggregate.how in ("count", "sum")
            and all(map(is_summed, aggregate.of))
            and is_uniform(aggregate.where)
            for aggregate in aggregates
        )
    )
    if not fits or len(keys) > 1:
        return None
    if not keys:
        return ByDays(plan, None, NO_KEY)
    (key,) = keys
    stored = spellings(key)
    if len(stored) != 1:
        return None
    as_column = replace(key, spellings=None, promoted=False)
    plan = replace(
        plan,
        dimensions=tuple(as_column if known == key else known for known in plan.dimensions),
        fields={name: as_column if known == key else known for name, known in plan.fields.items()},
    )
    return ByDays(plan, as_column, stored[0])


def _groups(schema: str, key: str, runs: Sequence[tuple[date, date]]) -> str:
    named = literal(key).sql(dialect=POSTGRES.name)
    within = " OR ".join(f"requested_date BETWEEN '{first}' AND '{last}'" for first, last in runs)
    return (
        "  SELECT\n    CAST(requested_date AS TIMESTAMP) AT TIME ZONE 'UTC' AS requested_at,\n"
        f"    {', '.join((_VALUE, _REQUESTS, *GROUPED))},\n    {', '.join(SUMMED)}\n"
        f"  FROM {schema}.{BY_DAY}\n  WHERE key_name = {named} AND ({within})"
    )


def _rows(schema: str, value: str, instants: Instants) -> str:
    bounds = [
        f"requested_at {sign} {literal(instant).sql(dialect=POSTGRES.name)}"
        for sign, instant in zip((">=", "<"), instants, strict=True)
        if instant is not None
    ]
    return (
        f"  SELECT\n    requested_at, {value} AS {_VALUE}, 1 AS {_REQUESTS}, "
        f"{', '.join(GROUPED)},\n    {', '.join(SUMMED)}\n"
        f"  FROM {schema}.{TABLE}\n  WHERE {' AND '.join(bounds)}"
    )


def _runs(days: Iterable[date]) -> Iterable[tuple[date, date]]:
    """Yield the first and the last of days that follow one another."""
    first = last = None
    for day in days:
        if first is None or last is None or day != last + _DAY:
            if first is not None and last is not None:
                yield first, last
            first = day
        last = day
    if first is not None and last is not None:
        yield first, last


def _rest(runs: Iterable[tuple[date, date]], asked: Instants) -> Iterable[Instants]:
    """Yield what of the time asked about lies outside of the runs."""
    at, end = asked
    for first, last in runs:
        begin = _midnight(first)
        if at is None or at < begin:
            yield at, begin
        at = _midnight(last + _DAY)
    if end is None or at is None or at < end:
        yield at, end


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, UTC)


def _next_midnight(instant: datetime) -> date:
    day = instant.astimezone(UTC).date()
    return day if instant == _midnight(day) else day + _DAY

"""Time buckets: from an instant to the hour, day or fiscal month of a zone that it is in.

Zones are settled in the plan as offsets, so no engine's own time zone data or session zone
plays a part.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from sqlglot import exp

from majordomo_analytics.engines.sql.expressions import column, literal, text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from majordomo_analytics.plan.plan import Plan
    from majordomo_analytics.times import Calendar, Offset


def bucket(plan: Plan) -> exp.Expr:
    """Return the bucket of the plan's grain that a request is in."""
    if plan.grain in ("minute", "hour"):
        ahead = _ahead(plan.offsets)
        started = exp.TimestampTrunc(this=local_time(plan), unit=exp.var(plan.grain))
        return started if ahead is None else exp.Sub(this=started, expression=ahead)
    day = local_date(plan)
    if plan.grain == "day":
        return day
    return _first_day(day, str(plan.grain), plan.calendar)


def local_time(plan: Plan) -> exp.Expr:
    """Return the wall clock in the plan's zone at a request."""
    utc = exp.AtTimeZone(this=column("requested_at"), zone=text("UTC"))
    ahead = _ahead(plan.offsets)
    return utc if ahead is None else exp.paren(exp.Add(this=utc, expression=ahead))


def local_date(plan: Plan) -> exp.Expr:
    """Return the date in the plan's zone on which a request was."""
    day: exp.Expr = exp.cast(local_time(plan), "date")
    # Of the changes over midnight the newest before a request counts: one CASE for all of
    # them, as the date in front of it is long, and would be twice in each.
    newest_first = [
        exp.If(this=_since(offset), true=literal(offset.not_before))
        for offset in reversed(plan.offsets)
        if offset.not_before is not None
    ]
    if not newest_first:
        return day
    begun = exp.Case(ifs=newest_first, default=literal(date.min))
    return exp.Greatest(this=day, expressions=[begun])


def _first_day(day: exp.Expr, grain: str, calendar: Calendar) -> exp.Expr:
    """Return the first day of the week, month, quarter or year that a day is in.

    A calendar that begins elsewhere is SQL's own, moved back and forth.
    """
    if grain == "week":
        months, days = 0, calendar.week_starts_on - 1
    else:
        months, days = calendar.year_starts_in - 1, calendar.month_starts_on - 1
        months %= {"month": 1, "quarter": 3}.get(grain, 12)
    parts = [(count, unit) for count, unit in ((days, "DAY"), (months, "MONTH")) if count]
    for count, unit in parts:
        day = exp.Sub(this=day, expression=_length(count, unit))
    first: exp.Expr = exp.TimestampTrunc(this=day, unit=exp.var(grain))
    for count, unit in reversed(parts):
        first = exp.Add(this=first, expression=_length(count, unit))
    return exp.cast(first, "date")


def _since(offset: Offset) -> exp.Expr:
    return exp.GTE(this=column("requested_at"), expression=literal(offset.since))


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
            return _length(seconds // length, unit)
    raise AssertionError  # every offset is whole seconds


def _length(count: int, unit: str) -> exp.Expr:
    return exp.Interval(this=text(str(count)), unit=exp.var(unit))

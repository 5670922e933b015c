"""Time buckets: from an instant to the hour, day or month of a zone that it is in.

Zones are settled in the plan as offsets, so no engine's own time zone data or session zone
plays a part.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from majordomo_analytics.engines.sql.expressions import column, literal, text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from majordomo_analytics.plan.plan import Plan
    from majordomo_analytics.times import Offset


def bucket(plan: Plan) -> exp.Expr:
    """Return the bucket of the plan's grain that a request is in."""
    utc = exp.AtTimeZone(this=column("requested_at"), zone=text("UTC"))
    ahead = _ahead(plan.offsets)
    local: exp.Expr = utc if ahead is None else exp.paren(exp.Add(this=utc, expression=ahead))
    if plan.grain in ("minute", "hour"):
        started = exp.TimestampTrunc(this=local, unit=exp.var(plan.grain))
        return started if ahead is None else exp.Sub(this=started, expression=ahead.copy())
    day: exp.Expr = exp.cast(local, "date")
    for offset in plan.offsets:
        if offset.not_before is not None:
            begun = literal(offset.not_before)
            again = exp.and_(_since(offset), exp.LT(this=day.copy(), expression=begun))
            day = exp.Case(ifs=[exp.If(this=again, true=begun.copy())], default=day)
    if plan.grain == "day":
        return day
    return exp.cast(exp.TimestampTrunc(this=day, unit=exp.var(str(plan.grain))), "date")


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
            return exp.Interval(this=text(str(seconds // length)), unit=exp.var(unit))
    raise AssertionError  # every offset is whole seconds

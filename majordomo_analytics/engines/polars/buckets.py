"""Time buckets: from an instant to the hour, day or month of a zone that it is in.

Zones are settled in the plan as offsets, so Polars' own time zone data plays no part.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from majordomo_analytics.plan.dimensions import CalendarUnit
    from majordomo_analytics.plan.plan import Plan
    from majordomo_analytics.times import Calendar, Offset, TimeGrain


def bucket(plan: Plan) -> pl.Expr:
    """Return the bucket of the plan's grain that a request is in: UTC time, or a date."""
    at, grain = pl.col("requested_at"), plan.grain
    if grain == "minute" or grain == "hour":
        every = "1m" if grain == "minute" else "1h"
        return _local(at, plan.offsets).dt.truncate(every) - _ahead(at, plan.offsets)
    day = _local_date(at, plan.offsets)
    return day if grain is None else start_of(grain, day, plan.calendar)


def start_of(grain: TimeGrain, day: pl.Expr, calendar: Calendar) -> pl.Expr:
    """Return the first date of the week, month, quarter or year that a date is in.

    A calendar that begins later is the ordinary one, seen from an earlier date.
    """
    if grain == "week":
        behind = calendar.week_starts_on - 1
        return _later(_later(day, -behind, "d").dt.truncate("1w"), behind, "d")
    if grain == "day":
        return day
    behind, months = calendar.month_starts_on - 1, calendar.year_starts_in - 1
    begun = _later(day, -behind, "d").dt.truncate("1mo")
    if grain != "month":
        every = "1q" if grain == "quarter" else "1y"
        begun = _later(_later(begun, -months, "mo").dt.truncate(every), months, "mo")
    return _later(begun, behind, "d")


def calendar_part(at: pl.Expr, unit: CalendarUnit, offsets: Sequence[Offset]) -> pl.Expr:
    """Return the hour, or a part of the date that a day's bucket has, of an instant."""
    if unit == "hour of day":
        return _local(at, offsets).dt.hour().cast(pl.Int64())
    day = _local_date(at, offsets)
    match unit:
        case "weekday":
            part = day.dt.weekday()
        case "day of month":
            part = day.dt.day()
        case "month of year":
            part = day.dt.month()
    return part.cast(pl.Int64())


def _local_date(at: pl.Expr, offsets: Sequence[Offset]) -> pl.Expr:
    """Return the local date; one that had begun does not end when clocks go back."""
    day = _local(at, offsets).dt.date()
    begun = pl.lit(None, dtype=pl.Date())
    for offset in offsets:  # oldest first: the last one that holds decides
        if offset.not_before is not None:
            begun = pl.when(_since(at, offset)).then(pl.lit(offset.not_before)).otherwise(begun)
    # The date is named once: a copy for each change would double what there is to work out.
    return pl.max_horizontal(day, begun)


def _local(at: pl.Expr, offsets: Sequence[Offset]) -> pl.Expr:
    return at.dt.replace_time_zone(None) + _ahead(at, offsets)


def _ahead(at: pl.Expr, offsets: Sequence[Offset]) -> pl.Expr:
    """Return how far local time is ahead of UTC."""
    if not offsets:
        return pl.duration(microseconds=0)
    ahead = _duration(offsets[0].ahead)
    for offset in offsets[1:]:
        ahead = pl.when(_since(at, offset)).then(_duration(offset.ahead)).otherwise(ahead)
    return ahead


def _since(at: pl.Expr, offset: Offset) -> pl.Expr:
    return at >= pl.lit(offset.since, dtype=pl.Datetime("us", "UTC"))


def _duration(ahead: timedelta) -> pl.Expr:
    return pl.lit(ahead, dtype=pl.Duration("us"))


def _later(day: pl.Expr, count: int, unit: str) -> pl.Expr:
    return day.dt.offset_by(f"{count}{unit}") if count else day

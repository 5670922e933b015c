"""The time buckets of a plan: which there are, and which of them are not complete.

A bucket is named by its beginning: an instant for minutes and hours, a local date else.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, TypeAlias

from majordomo_analytics.errors import QueryError
from majordomo_analytics.times import offsets_between, start_of, start_of_day

if TYPE_CHECKING:
    from collections.abc import Iterator
    from zoneinfo import ZoneInfo

    from majordomo_analytics.plan.plan import Plan
    from majordomo_analytics.times import Calendar, TimeGrain, TimeRange

Bucket: TypeAlias = "date | datetime"

MOST_BUCKETS = 200_000
_LENGTH = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1)}
_ROUGH_SECONDS = {
    "minute": 60, "hour": 3600, "day": 86_400, "week": 604_800, "month": 2_500_000,
    "quarter": 7_700_000, "year": 31_000_000,
}  # fmt: skip


def buckets_between(plan: Plan, within: TimeRange) -> list[Bucket]:
    """Return every bucket of the plan's grain that has an instant of `within`, in order.

    Raises
    ------
    QueryError
        If they are more than `MOST_BUCKETS`.
    """
    grain, start, end = plan.grain, within.start, within.end
    if grain is None or start is None or end is None or start >= end:
        return []
    if (end - start).total_seconds() / _ROUGH_SECONDS[grain] > MOST_BUCKETS:
        message = (
            f"the time range has more than {MOST_BUCKETS:,} buckets of a {grain}; ask for a "
            "longer time_grain or a shorter time_range, or say fill_gaps=False"
        )
        raise QueryError(message)
    if grain in _LENGTH:
        return list(_instants(_LENGTH[grain], start, end, plan.zone))
    first = start.astimezone(plan.zone).date()
    last = (end - timedelta(microseconds=1)).astimezone(plan.zone).date()
    left_out = _dates_left_out(start, end, plan.zone) if grain == "day" else frozenset()
    found: list[Bucket] = []
    here = start_of(grain, first, plan.calendar)
    while here <= last:
        if here not in left_out:
            found.append(here)
        here = _next(grain, here, plan.calendar)
    return found


def incomplete_buckets(plan: Plan, buckets: list[Bucket], now: datetime) -> tuple[Bucket, ...]:
    """Return which of `buckets` reach beyond what was asked about, or beyond `now`."""
    grain, asked = plan.grain, plan.time_range
    if grain is None:
        return ()
    end = now if asked.end is None else min(asked.end, now)

    def is_incomplete(bucket: Bucket) -> bool:
        first, last = _instants_of(grain, bucket, plan)
        return last > end or (asked.start is not None and first < asked.start)

    return tuple(bucket for bucket in buckets if is_incomplete(bucket))


def _instants_of(grain: TimeGrain, bucket: Bucket, plan: Plan) -> tuple[datetime, datetime]:
    """Return the first instant of a bucket, and the first after it."""
    if isinstance(bucket, datetime):
        return bucket.astimezone(UTC), bucket.astimezone(UTC) + _LENGTH[grain]
    following = _next(grain, bucket, plan.calendar)
    return start_of_day(bucket, plan.zone), start_of_day(following, plan.zone)


def _dates_left_out(start: datetime, end: datetime, zone: ZoneInfo) -> frozenset[date]:
    """Return the dates that never were: a zone that moves over the date line skips one."""
    found: set[date] = set()
    offsets = offsets_between(zone, start, end)
    for before, after in pairwise(offsets):
        day = (after.since + before.ahead + timedelta(days=1, microseconds=-1)).date()
        while (after.since + after.ahead).date() > day:
            found.add(day)
            day += timedelta(days=1)
    return frozenset(found)


def _next(grain: TimeGrain, begun: date, calendar: Calendar) -> date:
    """Return the first date of the bucket after the one that begins on a date."""
    longest = {"day": 1, "week": 7, "month": 31, "quarter": 92, "year": 366}[grain]
    return start_of(grain, begun + timedelta(days=longest), calendar)


def _instants(
    length: timedelta, start: datetime, end: datetime, zone: ZoneInfo
) -> Iterator[datetime]:
    """Yield the local hours, or minutes, that begin with their own offset from UTC."""
    offsets = offsets_between(zone, start, end)
    last: datetime | None = None
    for i, offset in enumerate(offsets):
        until = offsets[i + 1].since if i + 1 < len(offsets) else end
        local = max(offset.since, start) + offset.ahead
        here = local - (local - datetime.min.replace(tzinfo=UTC)) % length - offset.ahead
        while here < until:
            if last is None or here > last:
                yield here.astimezone(zone)
                last = here
            here += length

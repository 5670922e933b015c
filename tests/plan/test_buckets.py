"""The buckets of a range are those that its instants lie in, on every clock."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import majordomo_analytics as ma
from majordomo_analytics.plan.buckets import buckets_between, incomplete_buckets
from majordomo_analytics.times import Calendar, TimeRange

FIRST = datetime(2026, 1, 1, tzinfo=UTC)
ZONES = ["UTC", "Europe/Berlin", "Australia/Lord_Howe", "America/Havana", "Asia/Kathmandu"]


def plan_of(grain: str, zone: str, asked: Any = None) -> Any:
    ledger = ma.open(pl.DataFrame({"requested_at": ["2026-10-05T09:00Z"]}))
    return ledger.query(time_grain=grain, timezone=zone, time_range=asked).plan  # type: ignore[arg-type]


def bucket_of(instant: datetime, grain: str, zone: ZoneInfo) -> date | datetime:
    """Return the bucket by the clock on the wall, as the oracle does it."""
    local = instant.astimezone(zone)
    if grain == "hour":
        offset = local.utcoffset() or timedelta()
        wall = (instant + offset).replace(minute=0, second=0, microsecond=0)
        return (wall - offset).astimezone(UTC)
    day = local.date()
    return {"day": day, "week": day - timedelta(days=day.weekday()), "month": day.replace(day=1)}[
        grain
    ]


@given(
    st.integers(0, 334 * 86_400).map(lambda s: FIRST + timedelta(seconds=s)),
    st.integers(1, 6 * 24 * 4),
    st.sampled_from(["hour", "day", "week", "month"]),
    st.sampled_from(ZONES),
)
def test_every_instant_is_in_one_of_them(
    start: datetime, quarters: int, grain: str, zone: str
) -> None:
    """And none of them is without an instant: a probe every fifteen minutes."""
    end = start + timedelta(minutes=15 * quarters)
    probes = [start + timedelta(minutes=15 * i) for i in range(quarters)]
    probes.append(end - timedelta(microseconds=1))

    found = buckets_between(plan_of(grain, zone), TimeRange(start, end))

    shown = {b.astimezone(UTC) if isinstance(b, datetime) else b for b in found}
    assert shown == {bucket_of(probe, grain, ZoneInfo(zone)) for probe in probes}
    assert len(found) == len(shown)
    assert found == sorted(found)


def test_a_date_that_a_zone_left_out_is_no_bucket() -> None:
    """Samoa went from the 29th of December 2011 to the 31st."""
    within = TimeRange(datetime(2011, 12, 28, tzinfo=UTC), datetime(2012, 1, 2, tzinfo=UTC))

    days = buckets_between(plan_of("day", "Pacific/Apia"), within)

    assert [day.day for day in days] == [27, 28, 29, 31, 1, 2]


def test_fiscal_months_follow_the_calendar() -> None:
    """A month from the 26th on is named by that day."""
    plan = plan_of("month", "UTC")
    within = TimeRange(datetime(2026, 9, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC))
    object.__setattr__(plan, "calendar", Calendar(month_starts_on=26))

    assert buckets_between(plan, within) == [
        date(2026, 8, 26), date(2026, 9, 26), date(2026, 10, 26),
    ]  # fmt: skip


def test_a_bucket_beyond_now_or_the_range_is_not_complete() -> None:
    """The week that the month cuts, and the week we are in."""
    plan = plan_of("week", "UTC", ("2026-10-01", "2026-12-01"))
    now = datetime(2026, 11, 4, 12, tzinfo=UTC)
    weeks: list[date | datetime] = [date(2026, 9, 28), date(2026, 10, 26), date(2026, 11, 2)]

    assert incomplete_buckets(plan, weeks, now) == (date(2026, 9, 28), date(2026, 11, 2))


def test_too_many_buckets_are_refused() -> None:
    """Minutes of many years would fill memory with zeros."""
    plan = plan_of("minute", "UTC")

    with pytest.raises(ma.QueryError, match="fill_gaps=False"):
        buckets_between(
            plan, TimeRange(datetime(2020, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC))
        )

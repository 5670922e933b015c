"""The earlier period: as long, of the same calendar, and no more of it than has passed."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

import majordomo_analytics as ma
from majordomo_analytics.plan.comparing import read_comparison
from majordomo_analytics.times import TimeRange, read_time_range

UTC_ZONE, BERLIN = ZoneInfo("UTC"), ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 24, 12, 30, tzinfo=UTC)


def earlier(asked: object, compare: object, zone: ZoneInfo = UTC_ZONE) -> tuple[str, str, bool]:
    whole = read_time_range(asked, timezone=zone, now=NOW)  # type: ignore[arg-type]
    found = read_comparison(compare, whole, zone=zone, now=NOW, said=asked)  # type: ignore[arg-type]
    assert found.earlier.start is not None
    assert found.earlier.end is not None
    start, end = (moment.astimezone(zone) for moment in (found.earlier.start, found.earlier.end))
    return f"{start:%Y-%m-%d %H:%M}", f"{end:%Y-%m-%d %H:%M}", found.is_cut


@pytest.mark.parametrize(
    ("asked", "compare", "start", "end", "is_cut"),
    [
        ("2026-10", "previous period", "2026-09-01 00:00", "2026-10-01 00:00", False),
        ("2026-03", "previous period", "2026-02-01 00:00", "2026-03-01 00:00", False),
        ("2026-Q3", "previous period", "2026-04-01 00:00", "2026-07-01 00:00", False),
        ("2025", "previous period", "2024-01-01 00:00", "2025-01-01 00:00", False),
        ("2026-10-05", "previous period", "2026-10-04 00:00", "2026-10-05 00:00", False),
        (("2026-10-05", "2026-10-12"), "previous period",
         "2026-09-28 00:00", "2026-10-05 00:00", False),
        ("this month", "previous period", "2026-10-01 00:00", "2026-10-24 12:30", True),
        ("last 30 days", "previous period", "2026-09-26 00:00", "2026-10-25 12:30", True),
        ("today", "previous period", "2026-11-23 00:00", "2026-11-23 12:30", True),
        ("last 6 hours", "previous period", "2026-11-24 00:30", "2026-11-24 06:30", False),
        ("2026-10", "previous year", "2025-10-01 00:00", "2025-11-01 00:00", False),
        ("this month", "previous year", "2025-11-01 00:00", "2025-11-24 12:30", True),
        (("2024-02-29", "2024-03-01"), "previous year",
         "2023-02-28 00:00", "2023-03-01 00:00", False),
        ("2026-10", "2026-08", "2026-08-01 00:00", "2026-09-01 00:00", False),
        ("this month", "2026-08", "2026-08-01 00:00", "2026-08-24 12:30", True),
    ],
)  # fmt: skip
def test_the_earlier_period(
    asked: object, compare: object, start: str, end: str, is_cut: bool
) -> None:
    """Months stand beside months, days beside days, and a part beside the same part."""
    assert earlier(asked, compare) == (start, end, is_cut)


def test_days_are_local_and_may_have_25_hours() -> None:
    """The week with the long Sunday is compared with a week that is an hour shorter."""
    week = ("2026-10-19", "2026-10-26")

    assert earlier(week, "previous period", BERLIN)[:2] == ("2026-10-12 00:00", "2026-10-19 00:00")


@pytest.mark.parametrize(
    ("asked", "compare", "says"),
    [
        (None, "previous period", "begins somewhere"),
        ("2026-10", "previous perid", "previous period"),
        ("2026-10", ("2026-08-01", None), "begin and end"),
        (("2026-10-05", "2026-10-05"), "previous period", "empty"),
    ],
)
def test_what_cannot_be_compared_says_why(asked: object, compare: object, says: str) -> None:
    """A typing error is answered with the word that was meant."""
    with pytest.raises(ma.TimeRangeError, match=says):
        earlier(asked, compare)


@given(
    st.dates(date(2020, 1, 1), date(2026, 10, 1)),
    st.integers(1, 400),
    st.sampled_from(["UTC", "Europe/Berlin", "Australia/Lord_Howe", "America/Havana"]),
)
def test_the_previous_period_ends_where_this_one_begins(day: date, days: int, name: str) -> None:
    """And is as many days long, unless both are whole months."""
    zone, end = ZoneInfo(name), day + timedelta(days=days)
    asked = read_time_range((day, end), timezone=zone, now=NOW)

    found = read_comparison("previous period", asked, zone=zone, now=NOW).whole

    assert found.end == asked.start
    assert found.start is not None
    length = (day - found.start.astimezone(zone).date()).days
    months = end.day == day.day == 1
    assert length == days or (months and length >= 28 and abs(length - days) <= 3)


def test_an_open_end_is_now() -> None:
    """From the first of the month on: as much before it as has passed since."""
    start = datetime(2026, 11, 1, tzinfo=UTC)

    found = read_comparison("previous period", TimeRange(start), zone=UTC_ZONE, now=NOW)

    assert found.earlier == TimeRange(start - (NOW - start), start)


@pytest.mark.parametrize("days", [28, 30, 31])
def test_so_many_days_are_compared_with_as_many(days: int) -> None:
    """Whatever the date is, and also where they happen to be a month."""
    for month in range(1, 13):
        for day in (1, 28):
            now = datetime(2026, month, day, 12, tzinfo=UTC)
            said = f"last {days} days"
            asked = read_time_range(said, timezone=UTC_ZONE, now=now)

            found = read_comparison("previous period", asked, zone=UTC_ZONE, now=now, said=said)

            assert found.whole.start is not None
            assert found.whole.end is not None
            assert (found.whole.end - found.whole.start).days == days

"""Fiscal weeks, months, quarters and years begin where a company's calendar says."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import majordomo_analytics as ma
from majordomo_analytics.times import start_of, start_of_day

CALENDARS = st.builds(
    ma.Calendar,
    week_starts_on=st.integers(1, 7),
    month_starts_on=st.integers(1, 28),
    year_starts_in=st.integers(1, 12),
)
GRAINS = st.sampled_from(["day", "week", "month", "quarter", "year"])
DAYS = [date(2025, 12, 1) + timedelta(days=n) for n in range(800)]


def begins(day: date, grain: str, calendar: ma.Calendar) -> bool:
    """Say whether a period begins on a day, without any arithmetic of months."""
    if grain in ("day", "week"):
        return grain == "day" or day.isoweekday() == calendar.week_starts_on
    months = list(range(1, 13)) * 2
    first = calendar.year_starts_in - 1
    starts = {"month": months, "quarter": months[first : first + 12 : 3], "year": [first + 1]}
    return day.day == calendar.month_starts_on and day.month in starts[grain]


def first_day(day: date, grain: str, calendar: ma.Calendar) -> date:
    while not begins(day, grain, calendar):
        day -= timedelta(days=1)
    return day


@given(st.dates(date(1900, 1, 1), date(2200, 1, 1)), GRAINS, CALENDARS)
def test_a_period_begins_on_the_last_day_that_begins_one(
    day: date, grain: Any, calendar: ma.Calendar
) -> None:
    assert start_of(grain, day, calendar) == first_day(day, grain, calendar)


@given(GRAINS, CALENDARS, st.sampled_from(["UTC", "America/New_York", "Asia/Kolkata"]))
@settings(max_examples=40, deadline=None)
def test_requests_are_in_the_period_of_their_local_day(
    grain: Any, calendar: ma.Calendar, zone: str
) -> None:
    """One request at the first instant of each local day, and one at its last."""
    edges = [start_of_day(day, ZoneInfo(zone)) for day in [*DAYS, DAYS[-1] + timedelta(days=1)]]
    times = edges[:-1] + [edge - timedelta(microseconds=1) for edge in edges[1:]]
    counted: dict[date, int] = {}
    for day in DAYS:
        first = first_day(day, grain, calendar)
        counted[first] = counted.get(first, 0) + 2

    result = ma.open(pl.DataFrame({"requested_at": times})).query(
        "requests", time_grain=grain, timezone=zone, calendar=calendar
    )

    assert dict(result.to_polars().iter_rows()) == counted


@pytest.mark.parametrize(
    ("words", "first", "last"),
    [
        ("2026-10", "2026-10-05", "2026-11-04"),
        ("2026", "2026-04-05", "2027-04-04"),
        ("2026-Q1", "2026-04-05", "2026-07-04"),
        ("2026-Q4", "2027-01-05", "2027-04-04"),
        ("2026-11-03", "2026-11-03", "2026-11-03"),
        ("this week", "2026-11-01", "2026-11-07"),
        ("last week", "2026-10-25", "2026-10-31"),
        ("this month", "2026-10-05", "2026-11-04"),
        ("last month", "2026-09-05", "2026-10-04"),
        ("month to date", "2026-10-05", "2026-11-03"),
        ("this quarter", "2026-10-05", "2027-01-04"),
        ("quarter to date", "2026-10-05", "2026-11-03"),
        ("last year", "2025-04-05", "2026-04-04"),
        ("year to date", "2026-04-05", "2026-11-03"),
    ],
)
def test_words_follow_the_calendar(words: str, first: str, last: str) -> None:
    """On 3 November 2026, weeks from Sunday, months from the 5th, years from April."""
    from majordomo_analytics.times import read_time_range

    calendar = ma.Calendar(week_starts_on=7, month_starts_on=5, year_starts_in=4)
    zone = ZoneInfo("Europe/Berlin")

    found = read_time_range(
        words, timezone=zone, now=datetime(2026, 11, 3, 12, tzinfo=UTC), calendar=calendar
    )

    end = date.fromisoformat(last) + timedelta(days=1)
    assert found == ma.TimeRange(
        start_of_day(date.fromisoformat(first), zone), start_of_day(end, zone)
    )


@pytest.mark.parametrize(
    "wrong",
    [{"week_starts_on": 0}, {"week_starts_on": 8}, {"month_starts_on": 29}, {"year_starts_in": 13},
     {"year_starts_in": True}, {"week_starts_on": "sunday"}],
)  # fmt: skip
def test_a_calendar_that_is_none_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ma.TimeRangeError, match=next(iter(wrong))):
        ma.Calendar(**wrong)

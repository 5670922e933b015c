"""Time ranges, grains and zones mean what a person in that zone would say."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from majordomo_analytics.errors import TimeRangeError
from majordomo_analytics.times import (
    TimeRange,
    TimeRangeLike,
    offsets_between,
    read_grain,
    read_time_range,
    read_zone,
    start_of_day,
)

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 22, 23, 30, tzinfo=UTC)  # the 23rd already in Berlin


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type,misc]  # year to second


@pytest.mark.parametrize(
    ("said", "start", "end"),
    [
        ("2026-10-25", utc(2026, 10, 24, 22), utc(2026, 10, 25, 23)),  # 25 hours long
        ("2026-10", utc(2026, 9, 30, 22), utc(2026, 10, 31, 23)),
        ("2026-Q4", utc(2026, 9, 30, 22), utc(2026, 12, 31, 23)),
        ("2026", utc(2025, 12, 31, 23), utc(2026, 12, 31, 23)),
        ("today", utc(2026, 11, 22, 23), utc(2026, 11, 23, 23)),
        ("Yesterday", utc(2026, 11, 21, 23), utc(2026, 11, 22, 23)),
        ("this week", utc(2026, 11, 22, 23), utc(2026, 11, 29, 23)),
        ("last month", utc(2026, 9, 30, 22), utc(2026, 10, 31, 23)),
        ("last quarter", utc(2026, 6, 30, 22), utc(2026, 9, 30, 22)),
        ("last 30 days", utc(2026, 10, 24, 22), utc(2026, 11, 23, 23)),
        ("30d", utc(2026, 10, 24, 22), utc(2026, 11, 23, 23)),
        ("last 2 weeks", utc(2026, 11, 9, 23), utc(2026, 11, 23, 23)),
        ("12h", utc(2026, 11, 22, 11, 30), NOW),
        ("last 90 minutes", utc(2026, 11, 22, 22), NOW),
        (date(2026, 10, 25), utc(2026, 10, 24, 22), utc(2026, 10, 25, 23)),
        (("2026-10-01", "2026-11-01"), utc(2026, 9, 30, 22), utc(2026, 10, 31, 23)),
        (("2026-10-01T12:00", None), utc(2026, 10, 1, 10), None),
        ((None, "2026-10-01 12:00+00:00"), None, utc(2026, 10, 1, 12)),
        ((datetime(2026, 10, 1, 12), utc(2026, 10, 2)), utc(2026, 10, 1, 10), utc(2026, 10, 2)),  # noqa: DTZ001
        (("7d", None), utc(2026, 11, 16, 23), None),
        (None, None, None),
    ],
)
def test_a_range_in_berlin(
    said: TimeRangeLike, start: datetime | None, end: datetime | None
) -> None:
    """Days, months and relative ranges are those of the zone, daylight saving included."""
    assert read_time_range(said, timezone=BERLIN, now=NOW) == TimeRange(start, end)


@pytest.mark.parametrize(
    "said",
    ["last tuesday", "2026-13", "2026-02-30", "0d", "", "30", utc(2026, 10, 1),
     ("2026-11-01", "2026-10-01"), ("2026-10-01T99:00", None), 7, ("a",),
     "999999999d"],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_with_its_value(said: TimeRangeLike) -> None:
    """The message holds the value that was given, and never a traceback of another kind."""
    with pytest.raises(TimeRangeError, match="cannot be read") as caught:
        read_time_range(said, timezone=BERLIN, now=NOW)

    assert repr(said) in str(caught.value)


def test_zones_and_grains_are_checked() -> None:
    """A zone or grain that does not exist is refused, with the nearest one."""
    with pytest.raises(TimeRangeError, match="Europe/Berlin"):
        read_zone("Europe/Berln")
    with pytest.raises(TimeRangeError, match="no time zone"):
        read_zone("../etc/passwd")
    with pytest.raises(TimeRangeError, match="did you mean 'month'"):
        read_grain("months")


@pytest.mark.parametrize(
    ("zone", "day", "first"),
    [
        ("UTC", date(2026, 3, 29), utc(2026, 3, 29)),
        ("Africa/Cairo", date(2026, 4, 24), utc(2026, 4, 23, 22)),  # no midnight: starts at 01:00
        ("America/St_Johns", date(2010, 11, 7), utc(2010, 11, 7, 2, 30)),  # begins, goes back
        ("Pacific/Apia", date(2011, 12, 30), utc(2011, 12, 30, 10)),  # a day that never was
    ],
)
def test_a_day_starts_at_its_first_instant(zone: str, day: date, first: datetime) -> None:
    """Also where clocks jump over midnight, back across it, or over a whole day."""
    assert start_of_day(day, ZoneInfo(zone)) == first


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Australia/Lord_Howe", "Africa/Casablanca"])
def test_offsets_are_those_of_every_instant(zone: str) -> None:
    """At each hour of two years, the last offset listed is the zone's own."""
    info = ZoneInfo(zone)
    start, end = utc(2026, 1, 1), utc(2028, 1, 1)

    offsets = offsets_between(info, start, end)

    for hours in range(2 * 365 * 24):
        instant = start + timedelta(hours=hours)
        listed = [offset for offset in offsets if offset.since <= instant][-1]
        assert listed.ahead == instant.astimezone(info).utcoffset()


def test_an_iso_week_begins_on_its_monday() -> None:
    """The first of 2026 begins in 2025; there is no 54th."""
    now = datetime(2026, 11, 22, tzinfo=UTC)
    utc = ZoneInfo("UTC")

    week = read_time_range("2026-W01", timezone=utc, now=now)

    assert week == read_time_range(("2025-12-29", "2026-01-05"), timezone=utc, now=now)
    with pytest.raises(TimeRangeError, match="no such date"):
        read_time_range("2026-W54", timezone=utc, now=now)

"""Which earlier period a period is compared with, like for like.

A period that is not over yet is compared with the same elapsed part of the earlier one: on
the 24th at noon this month stands beside last month up to its 24th at noon.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from majordomo_analytics.errors import TimeRangeError, did_you_mean, nearest
from majordomo_analytics.times import (
    ISO_CALENDAR,
    TimeRange,
    later,
    read_time_range,
    start_of,
    start_of_day,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from zoneinfo import ZoneInfo

    from majordomo_analytics.times import Calendar, TimeRangeLike

PREVIOUS_PERIOD = "previous period"
PREVIOUS_YEAR = "previous year"
KNOWN = (PREVIOUS_PERIOD, PREVIOUS_YEAR)
_PAST = re.compile(r"(?:last\s+)?\d+\s*([a-z]+?)s?")
_MONTHS = ("mo", "month", "q", "quarter", "y", "year")


@dataclass(frozen=True, slots=True)
class Compared:
    """Two ranges of time that are compared.

    Attributes
    ----------
    earlier
        The instants of the earlier period that are counted.
    whole
        The earlier period as a whole, where a part of it is left out.
    """

    earlier: TimeRange
    whole: TimeRange

    @property
    def is_cut(self) -> bool:
        """Whether only the elapsed part of the earlier period is counted."""
        return self.earlier != self.whole


def read_comparison(
    given: TimeRangeLike,
    asked: TimeRange,
    *,
    zone: ZoneInfo,
    now: datetime,
    calendar: Calendar = ISO_CALENDAR,
    said: TimeRangeLike = None,
) -> Compared:
    """Return the period that `given` means for the period `asked`.

    Parameters
    ----------
    given
        ``"previous period"``: as long as the one asked about, and just before it; whole
        months are compared with as many whole months. ``"previous year"``: the same dates
        a year before. Or a range of one's own, as in `Ledger.query`.
    asked
        The period that is asked about.
    zone
        Whose days and months count.
    now
        What comes after it has not happened.
    calendar
        Where months and years begin.
    said
        How the period was asked for: thirty days are thirty days, also where they happen to
        be a month.

    Raises
    ------
    TimeRangeError
        If `given` cannot be read, or the period asked about has no beginning.
    """
    if asked.start is None:
        message = (
            f"compare={given!r} needs a time_range that begins somewhere, such as "
            "'last 30 days', 'this month' or '2026-10'"
        )
        raise TimeRangeError(message)
    end = now if asked.end is None else asked.end
    if end <= asked.start:
        message = f"the time range {asked.label(zone)} is empty; there is nothing to compare"
        raise TimeRangeError(message)
    words = " ".join(given.lower().split()) if isinstance(given, str) else None
    if words == PREVIOUS_PERIOD:
        whole = _before(asked.start, end, zone, _months_asked_for(said, calendar))
    elif words == PREVIOUS_YEAR:
        whole = TimeRange(_a_year_before(asked.start, zone), _a_year_before(end, zone))
    else:
        whole = _own(given, zone, now, calendar)
    if now >= end or now <= asked.start or whole.start is None or whole.end is None:
        return Compared(whole, whole)
    if words == PREVIOUS_YEAR:
        elapsed = _a_year_before(now, zone)
    else:
        elapsed = _same_part(asked.start, now, whole.start, zone)
    return Compared(TimeRange(whole.start, min(elapsed, whole.end)), whole)


def _own(given: TimeRangeLike, zone: ZoneInfo, now: datetime, calendar: Calendar) -> TimeRange:
    try:
        found = read_time_range(given, timezone=zone, now=now, calendar=calendar)
    except TimeRangeError as error:
        hint = did_you_mean(nearest(given, KNOWN), KNOWN) if isinstance(given, str) else ""
        message = f"compare={given!r} is no period{hint}: {error}"
        raise TimeRangeError(message) from error
    if found.start is None or found.end is None:
        message = f"compare={given!r} must begin and end somewhere"
        raise TimeRangeError(message)
    return found


def _months_asked_for(said: TimeRangeLike, calendar: Calendar) -> Callable[[date, date], int]:
    """Return what tells how many months lie between two dates, 0 where days were meant."""
    match = _PAST.fullmatch(said.strip().lower()) if isinstance(said, str) else None
    if match is not None:
        return _months_between if match[1] in _MONTHS else lambda first, last: 0

    def between(first: date, last: date) -> int:
        begun = all(start_of("month", day, calendar) == day for day in (first, last))
        return _months_between(first, last) if begun else 0

    return between


def _before(
    start: datetime, end: datetime, zone: ZoneInfo, months_in: Callable[[date, date], int]
) -> TimeRange:
    """Return the period before; by months, days or, where it has no whole days, time."""
    first, last = _as_day(start, zone), _as_day(end, zone)
    if first is None or last is None:
        return TimeRange(start - (end - start), start)
    count = months_in(first, last)
    if count:
        return TimeRange(start_of_day(_earlier(first, count), zone), start)
    return TimeRange(start_of_day(first - (last - first), zone), start)


def _months_between(first: date, last: date) -> int:
    """Return how many months lie between two dates with the same day, 0 if not whole."""
    if first.day != last.day:
        return 0
    return (last.year - first.year) * 12 + last.month - first.month


def _as_day(instant: datetime, zone: ZoneInfo) -> date | None:
    """Return the local date that begins at an instant, None if none does."""
    day = instant.astimezone(zone).date()
    return day if start_of_day(day, zone) == instant else None


def _same_part(start: datetime, now: datetime, earlier: datetime, zone: ZoneInfo) -> datetime:
    """Return the instant that is as many local days and hours after `earlier`."""
    begun, here = _local(start, zone), _local(now, zone)
    return _instant(_local(earlier, zone) + (here - begun), zone)


def _a_year_before(instant: datetime, zone: ZoneInfo) -> datetime:
    day = _as_day(instant, zone)
    if day is not None:
        return start_of_day(_earlier(day, 12), zone)
    local = _local(instant, zone)
    return _instant(datetime.combine(_earlier(local.date(), 12), local.time()), zone)


def _earlier(day: date, count: int) -> date:
    """Return the date `count` months before, at most the end of a shorter month."""
    try:
        return later(day, "month", -count)
    except OverflowError:
        message = f"{count} months before {day} lie outside the years 1 to 9999"
        raise TimeRangeError(message) from None


def _local(instant: datetime, zone: ZoneInfo) -> datetime:
    return instant.astimezone(zone).replace(tzinfo=None)


def _instant(local: datetime, zone: ZoneInfo) -> datetime:
    return local.replace(tzinfo=zone).astimezone(UTC)

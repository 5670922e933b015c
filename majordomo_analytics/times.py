"""Instants, half-open time ranges, time grains and zones; every instant is aware, in UTC.

A range is read once, against one `now`, so that rows and totals of a question see the same
instants. Days, weeks and months are those of a zone of the tz database.
"""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from majordomo_analytics.errors import TimeRangeError, did_you_mean, nearest

if TYPE_CHECKING:
    from collections.abc import Callable

TimeGrain = Literal["minute", "hour", "day", "week", "month", "quarter", "year"]
TIME_GRAINS: tuple[TimeGrain, ...] = get_args(TimeGrain)

Moment: TypeAlias = datetime | date | str
TimeRangeLike: TypeAlias = "TimeRange | Moment | tuple[Moment | None, Moment | None] | None"

FORMS = (
    "a day '2026-10-03', ISO week '2026-W41', month '2026-10', quarter '2026-Q4', year '2026', "
    "'today', 'yesterday', 'this month', 'last month', 'month to date', 'last 30 days', '30d', "
    "or a pair (start, end) of which the end is not included"
)

_PAST = re.compile(r"(?:last\s+)?(\d+)\s*([a-z]+)")
_CALENDAR = re.compile(r"(\d{4})(?:-(\d{2})(?:-(\d{2}))?|-?Q([1-4])|-?W(\d{2}))?", re.IGNORECASE)
_TO_DATE = re.compile(r"(week|month|quarter|year) to date")
_CLOCK = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d")
_UNITS = {
    "min": "minute",
    "h": "hour",
    "d": "day",
    "w": "week",
    "mo": "month",
    "q": "quarter",
    "y": "year",
}
_MONTHS_IN = {"month": 1, "quarter": 3, "year": 12}


@dataclass(frozen=True, slots=True, kw_only=True)
class Calendar:
    """Where weeks, months and years begin, in a company whose books do not follow ISO.

    ``"2026-10"``, ``"2026-Q4"``, ``"this month"`` and time grains all follow it: with
    ``year_starts_in=4``, ``"2026-Q1"`` begins in April 2026.

    Parameters
    ----------
    week_starts_on
        ISO weekday, 1 for Monday to 7 for Sunday.
    month_starts_on
        Day of the month, 1 to 28, that a fiscal month begins on. A month, quarter or year
        is named by its first day.
    year_starts_in
        Month, 1 to 12, that the fiscal year begins in; its quarters follow.

    Raises
    ------
    TimeRangeError
        If one of them is outside its range.

    Examples
    --------
    >>> Calendar(week_starts_on=7, year_starts_in=4).week_starts_on
    7
    """

    week_starts_on: int = 1
    month_starts_on: int = 1
    year_starts_in: int = 1

    def __post_init__(self) -> None:
        for name, last in (("week_starts_on", 7), ("month_starts_on", 28), ("year_starts_in", 12)):
            value = getattr(self, name)
            if type(value) is not int or not 1 <= value <= last:
                message = f"{name} {value!r} is no whole number from 1 to {last}"
                raise TimeRangeError(message)

    def first_of(self, grain: TimeGrain, year: int, month: int) -> date:
        """Return the first day of the month, or year, that is named so."""
        if grain == "year":
            return date(year, self.year_starts_in, self.month_starts_on)
        return date(year, month, self.month_starts_on)


ISO_CALENDAR = Calendar()


@dataclass(frozen=True, slots=True)
class TimeRange:
    """The instants from `start` up to, but not including, `end`.

    Attributes
    ----------
    start, end
        Aware instants in UTC; None on a side that is open.
    """

    start: datetime | None = None
    end: datetime | None = None

    def label(self, zone: ZoneInfo) -> str:
        """Return the range as a person in `zone` would write it."""
        if self.start is None and self.end is None:
            return f"all time, {zone.key}"
        first = "…" if self.start is None else _wall_clock(self.start, zone)
        last = "…" if self.end is None else _wall_clock(self.end, zone)
        return f"{first} to before {last}, {zone.key}"


@dataclass(frozen=True, slots=True)
class Offset:
    """How far local time is ahead of UTC from an instant on.

    Attributes
    ----------
    since
        The first instant it holds for; in UTC.
    ahead
        Local time minus UTC.
    not_before
        Set where clocks went back over midnight: the local date that had begun already,
        and that instants from `since` on therefore belong to at least.
    """

    since: datetime
    ahead: timedelta
    not_before: date | None = None


def utc_now() -> datetime:
    """Return the present instant."""
    return datetime.now(UTC)


def read_zone(name: str) -> ZoneInfo:
    """Return a zone of the tz database.

    Raises
    ------
    TimeRangeError
        If there is no such zone.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError, TypeError) as error:
        zones = sorted(available_timezones())
        message = f"no time zone is named {name!r}"
        if isinstance(name, str) and (close := nearest(name, zones)):
            message += did_you_mean(close, zones)
        else:
            message += "; a zone is a name such as 'UTC' or 'Europe/Berlin'"
        raise TimeRangeError(message) from error


def read_grain(name: str) -> TimeGrain:
    """Return a time grain.

    Raises
    ------
    TimeRangeError
        If there is no such grain.
    """
    for grain in TIME_GRAINS:
        if grain == name:
            return grain
    known = did_you_mean(nearest(str(name), TIME_GRAINS), TIME_GRAINS)
    message = f"no time grain is named {name!r}{known}"
    raise TimeRangeError(message)


def offsets_between(zone: ZoneInfo, start: datetime, end: datetime) -> tuple[Offset, ...]:
    """Return the offset at `start` and every change of it up to `end`, oldest first.

    >>> berlin = ZoneInfo("Europe/Berlin")
    >>> october = datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC)
    >>> [(str(o.since), o.ahead.seconds // 3600) for o in offsets_between(berlin, *october)]
    [('2026-10-01 00:00:00+00:00', 2), ('2026-10-25 01:00:00+00:00', 1)]
    """

    def ahead(instant: datetime) -> timedelta:
        return instant.astimezone(zone).utcoffset() or timedelta()

    found = [Offset(start, ahead(start))]
    here = start
    while here < end:
        there = min(here + timedelta(days=1), end)
        before, after = ahead(here), ahead(there)
        if before != after:
            since = _first_with(ahead, after, here, there)
            ended = (since + before - timedelta(microseconds=1)).date()
            begun = ended if (since + after).date() < ended else None
            found.append(Offset(since, after, begun))
        here = there
    return tuple(found)


def start_of_day(day: date, zone: ZoneInfo) -> datetime:
    """Return the first instant of a local date, also where midnight is left out.

    >>> str(start_of_day(date(2026, 3, 8), ZoneInfo("America/Havana")))
    '2026-03-08 05:00:00+00:00'
    """
    midnight = datetime.combine(day, time(), UTC)
    offsets = offsets_between(zone, midnight - timedelta(days=2), midnight + timedelta(days=2))
    for i, offset in enumerate(offsets):
        first = max(offset.since, midnight - offset.ahead)
        if i + 1 == len(offsets) or first < offsets[i + 1].since:
            return first
    raise AssertionError  # the last offset always returns


def start_of(grain: TimeGrain, day: date, calendar: Calendar = ISO_CALENDAR) -> date:
    """Return the first date of the week, month, quarter or year that `day` is in.

    >>> start_of("quarter", date(2026, 10, 3), Calendar(year_starts_in=2))
    datetime.date(2026, 8, 1)
    """
    if grain == "week":
        return day - timedelta(days=(day.isoweekday() - calendar.week_starts_on) % 7)
    if (months := _MONTHS_IN.get(grain)) is None:
        return day
    # Counted in months from a year's start, a period begins at a multiple of its length.
    number = day.year * 12 + day.month - 1 - (day.day < calendar.month_starts_on)
    number -= (number - calendar.year_starts_in + 1) % months
    if number < 12:
        raise OverflowError
    return date(number // 12, number % 12 + 1, calendar.month_starts_on)


def read_time_range(
    value: TimeRangeLike, *, timezone: ZoneInfo, now: datetime, calendar: Calendar = ISO_CALENDAR
) -> TimeRange:
    """Return the half-open range that `value` means to someone in `timezone` at `now`.

    "last 30 days" and "30d" are thirty local days of which today is the last; hours and
    minutes are counted back from `now`. Wall-clock times without an offset are those of
    `timezone`; weeks, months, quarters and years those of `calendar`. None is everything.

    Raises
    ------
    TimeRangeError
        If `value` cannot be read, or ends before it starts.

    Examples
    --------
    >>> now = datetime(2026, 11, 22, 12, tzinfo=UTC)
    >>> berlin = ZoneInfo("Europe/Berlin")
    >>> read_time_range("last month", timezone=berlin, now=now).label(berlin)
    '2026-10-01 to before 2026-11-01, Europe/Berlin'
    """
    try:
        found = _Reader(timezone, now, calendar).read(value)
    except OverflowError as error:
        raise _refused(value, "it lies outside the years 1 to 9999") from error
    if found.start is not None and found.end is not None and found.end < found.start:
        raise _refused(value, f"it ends ({found.end}) before it starts ({found.start})")
    return found


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads time ranges as someone in a zone means them, at an instant, by a calendar."""

    zone: ZoneInfo
    now: datetime
    calendar: Calendar

    def read(self, value: TimeRangeLike) -> TimeRange:
        if value is None:
            return TimeRange()
        if isinstance(value, TimeRange):
            return value
        if isinstance(value, datetime):
            pair = f"({value.isoformat()!r}, None)"
            raise _refused(value, f"one instant is no range; give a pair {pair}")
        if isinstance(value, date):
            return self._days(value, value + timedelta(days=1))
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, (tuple, list)) and len(value) == 2:
            start, end = (self._moment(moment, value) for moment in value)
            return TimeRange(start, end)
        raise _refused(value, f"a time range is {FORMS}")

    def _moment(self, moment: Moment | None, whole: TimeRangeLike) -> datetime | None:
        """Return one side of a pair; what is a range itself stands for its start."""
        if moment is None:
            return None
        if isinstance(moment, str) and _CLOCK.match(moment):
            try:
                moment = datetime.fromisoformat(moment)
            except ValueError as error:
                raise _refused(whole, f"{moment!r} is no ISO 8601 time") from error
        if isinstance(moment, datetime):
            aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=self.zone)
            return aware.astimezone(UTC)
        if isinstance(moment, (str, date)):
            return self.read(moment).start
        raise _refused(whole, f"{moment!r} is no date, datetime or ISO 8601 text")

    def _text(self, text: str) -> TimeRange:
        words = " ".join(text.lower().split())
        today = self.now.astimezone(self.zone).date()
        tomorrow = today + timedelta(days=1)
        if words == "today":
            return self._days(today, tomorrow)
        if words == "yesterday":
            return self._days(today - timedelta(days=1), today)
        if match := _CALENDAR.fullmatch(words):
            return self._named(text, match)
        if match := _TO_DATE.fullmatch(words):
            return self._days(start_of(read_grain(match[1]), today, self.calendar), tomorrow)
        which, _, grain = words.partition(" ")
        if which in {"this", "last", "previous"} and grain in TIME_GRAINS[2:]:
            start = start_of(read_grain(grain), today, self.calendar)
            if which == "this":
                return self._days(start, later(start, grain, 1))
            return self._days(later(start, grain, -1), start)
        if match := _PAST.fullmatch(words):
            count, unit = int(match[1]), match[2]
            unit = _UNITS.get(unit, unit.removesuffix("s"))
            if count and unit in {"minute", "hour"}:
                return TimeRange(self.now - timedelta(**{f"{unit}s": count}), self.now)
            if count and unit in TIME_GRAINS:
                return self._days(later(tomorrow, unit, -count), tomorrow)
        raise _refused(text, f"a time range is {FORMS}")

    def _named(self, text: str, match: re.Match[str]) -> TimeRange:
        """Return the days that a text such as ``2026-Q4`` names."""
        year, month, day, quarter, week = match.groups()
        try:
            if week:
                first = date.fromisocalendar(int(year), int(week), 1)
                return self._days(first, first + timedelta(days=7))
            if day:
                first = date(int(year), int(month), int(day))
                return self._days(first, first + timedelta(days=1))
            if month:
                first = self.calendar.first_of("month", int(year), int(month))
                return self._days(first, later(first, "month", 1))
            first = self.calendar.first_of("year", int(year), 1)
            if not quarter:
                return self._days(first, later(first, "year", 1))
            first = later(first, "quarter", int(quarter) - 1)
            return self._days(first, later(first, "quarter", 1))
        except ValueError as error:
            raise _refused(text, f"the calendar has no such date ({error})") from error

    def _days(self, first: date, end: date) -> TimeRange:
        return TimeRange(start_of_day(first, self.zone), start_of_day(end, self.zone))


def later(day: date, unit: str, count: int) -> date:
    """Return the date `count` units later, at most the end of a shorter month.

    Outside the years 1 to 9999 there is none, but an OverflowError.
    """
    if unit not in _MONTHS_IN:
        return day + timedelta(days=count * (7 if unit == "week" else 1))
    months = day.year * 12 + day.month - 1 + count * _MONTHS_IN[unit]
    year, month = divmod(months, 12)
    if not 1 <= year <= 9999:
        raise OverflowError
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def _first_with(
    ahead: Callable[[datetime], timedelta], new: timedelta, low: datetime, high: datetime
) -> datetime:
    """Return the first second after `low` at which `ahead` is `new`, as it is at `high`."""
    low = low.replace(microsecond=0)
    while high - low > timedelta(seconds=1):
        middle = low + timedelta(seconds=(high - low) // timedelta(seconds=2))
        low, high = (low, middle) if ahead(middle) == new else (middle, high)
    return low + timedelta(seconds=1)


def _wall_clock(instant: datetime, zone: ZoneInfo) -> str:
    local = instant.astimezone(zone)
    if instant == start_of_day(local.date(), zone):
        return str(local.date())
    return local.strftime("%Y-%m-%d %H:%M" if not local.second else "%Y-%m-%d %H:%M:%S")


def _refused(value: object, why: str) -> TimeRangeError:
    return TimeRangeError(f"time range {value!r} cannot be read: {why}")

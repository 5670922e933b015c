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
    "a day '2026-10-03', month '2026-10', quarter '2026-Q4' or year '2026', "
    "'today', 'yesterday', 'this month', 'last month', 'last 30 days', '30d', "
    "or a pair (start, end) of which the end is not included"
)

_PAST = re.compile(r"(?:last\s+)?(\d+)\s*([a-z]+)")
_CALENDAR = re.compile(r"(\d{4})(?:-(\d{2})(?:-(\d{2}))?|-?Q([1-4]))?", re.IGNORECASE)
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

    Attributes
    ----------
    week_starts_on
        ISO weekday, 1 for Monday to 7 for Sunday.
    month_starts_on
        Day of the month, 1 to 28, that a fiscal month begins on. A month, quarter or year
        is named by its first day.
    year_starts_in
        Month, 1 to 12, that the fiscal year begins in; its quarters follow.
    """

    week_starts_on: int = 1
    month_starts_on: int = 1
    year_starts_in: int = 1


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

    >>> start_of("month", date(2026, 10, 5), Calendar(month_starts_on=26)).isoformat()
    '2026-09-26'
    """
    if grain == "week":
        return day - timedelta(days=(day.isoweekday() - calendar.week_starts_on) % 7)
    if grain not in _MONTHS_IN:
        return day
    months = day.year * 12 + day.month - 1 - (day.day < calendar.month_starts_on)
    months -= (months - calendar.year_starts_in + 1) % _MONTHS_IN[grain]
    return date(months // 12, months % 12 + 1, calendar.month_starts_on)


def read_time_range(value: TimeRangeLike, *, timezone: ZoneInfo, now: datetime) -> TimeRange:
    """Return the half-open range that `value` means to someone in `timezone` at `now`.

    "last 30 days" and "30d" are thirty local days of which today is the last; hours and
    minutes are counted back from `now`. Wall-clock times without an offset are those of
    `timezone`. None is everything.

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
        found = _read(value, timezone, now)
    except OverflowError as error:
        raise _refused(value, "it lies outside the years 1 to 9999") from error
    if found.start is not None and found.end is not None and found.end < found.start:
        raise _refused(value, f"it ends ({found.end}) before it starts ({found.start})")
    return found


def _read(value: TimeRangeLike, zone: ZoneInfo, now: datetime) -> TimeRange:
    if value is None:
        return TimeRange()
    if isinstance(value, TimeRange):
        return value
    if isinstance(value, datetime):
        raise _refused(value, f"one instant is no range; give a pair ({value.isoformat()!r}, None)")
    if isinstance(value, date):
        return _days(value, value + timedelta(days=1), zone)
    if isinstance(value, str):
        return _read_text(value, zone, now)
    if isinstance(value, (tuple, list)) and len(value) == 2:
        start, end = (_read_moment(moment, value, zone, now) for moment in value)
        return TimeRange(start, end)
    raise _refused(value, f"a time range is {FORMS}")


def _read_moment(
    moment: Moment | None, whole: TimeRangeLike, zone: ZoneInfo, now: datetime
) -> datetime | None:
    """Return one side of a pair; a day, month or relative range stands for its start."""
    if moment is None:
        return None
    if isinstance(moment, str) and _CLOCK.match(moment):
        try:
            moment = datetime.fromisoformat(moment)
        except ValueError as error:
            raise _refused(whole, f"{moment!r} is no ISO 8601 time") from error
    if isinstance(moment, datetime):
        aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=zone)
        return aware.astimezone(UTC)
    if isinstance(moment, (str, date)):
        return _read(moment, zone, now).start
    raise _refused(whole, f"{moment!r} is no date, datetime or ISO 8601 text")


def _read_text(text: str, zone: ZoneInfo, now: datetime) -> TimeRange:
    words = " ".join(text.lower().split())
    today = now.astimezone(zone).date()
    if words == "today":
        return _days(today, today + timedelta(days=1), zone)
    if words == "yesterday":
        return _days(today - timedelta(days=1), today, zone)
    if match := _CALENDAR.fullmatch(words):
        return _calendar(text, match, zone)
    which, _, grain = words.partition(" ")
    if which in {"this", "last", "previous"} and grain in TIME_GRAINS[2:]:
        start = start_of(read_grain(grain), today)
        if which == "this":
            return _days(start, _later(start, grain, 1), zone)
        return _days(_later(start, grain, -1), start, zone)
    if match := _PAST.fullmatch(words):
        count, unit = int(match[1]), match[2]
        unit = _UNITS.get(unit, unit.removesuffix("s"))
        if count and unit in {"minute", "hour"}:
            return TimeRange(now - timedelta(**{f"{unit}s": count}), now)
        if count and unit in TIME_GRAINS:
            tomorrow = today + timedelta(days=1)
            return _days(_later(tomorrow, unit, -count), tomorrow, zone)
    raise _refused(text, f"a time range is {FORMS}")


def _calendar(text: str, match: re.Match[str], zone: ZoneInfo) -> TimeRange:
    year, month, day, quarter = match.groups()
    try:
        if day:
            first = date(int(year), int(month), int(day))
            return _days(first, _later(first, "day", 1), zone)
        if quarter:
            first = date(int(year), int(quarter) * 3 - 2, 1)
            return _days(first, _later(first, "quarter", 1), zone)
        first = date(int(year), int(month or 1), 1)
        return _days(first, _later(first, "month" if month else "year", 1), zone)
    except ValueError as error:
        raise _refused(text, f"the calendar has no such date ({error})") from error


def _days(first: date, end: date, zone: ZoneInfo) -> TimeRange:
    return TimeRange(start_of_day(first, zone), start_of_day(end, zone))


def _later(day: date, unit: str, count: int) -> date:
    """Return the date `count` units later, at most the end of a shorter month."""
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

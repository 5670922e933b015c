"""What a question's answer is, worked out row by row in plain Python.

It shares nothing with the plan or the engines: instants go through `zoneinfo`, money
through whole numbers, quantiles through fractions. A quantile lies at a place that is a
float, ``level * (n - 1)``, and is given to twelve digits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Context, Decimal
from fractions import Fraction
from functools import cache
from math import floor
from operator import ge, gt, le, lt
from typing import Any
from zoneinfo import ZoneInfo

import majordomo_analytics as ma
from majordomo_analytics.plan.filters import (
    All,
    Compared,
    Filter,
    Like,
    Not,
    OneOf,
    Some,
)
from tests.agreement.ledgers import Row
from tests.agreement.own import CALENDAR_PARTS, OwnDimension, OwnMeasure
from tests.agreement.patterns import Spelled
from tests.agreement.questions import Question, name_of, value_of

Number = Decimal | int | float | None
TEN_PLACES = 10**10
MOST_WHOLE, MOST_STEPS = 2**63 - 1, 10**38 - 1
QUARTER = timedelta(minutes=15)
ORDERS: dict[str, Callable[[Any, Any], bool]] = {"<": lt, "<=": le, ">": gt, ">=": ge}
P95 = "p95_response_time_ms"
NOT_TEXT = {"status_code", "is_streamed", "requested_date", "total_cost", *CALENDAR_PARTS}


class AmbiguousError(Exception):
    """A limit lies between two combinations whose quantiles are the same to twelve digits.

    Which is kept hangs on the digits after them, in which engines differ.
    """


class OutOfRangeError(Exception):
    """A sum that its type cannot hold."""


def answer(question: Question, rows: list[Row]) -> tuple[list[tuple[Any, ...]], dict[str, Number]]:
    """Return the rows of the answer in order, and its total."""
    asked = [
        row for row in rows if _in_range(row, question) and holds(question.filters, row, question)
    ]
    total = {name_of(one): measured(one, asked, question) for one in question.measures}
    combinations = _kept(question, asked)
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in asked:
        shown = _dimensions(question, row)
        if combinations is not None and shown not in combinations:
            if not question.other:
                continue
            shown = tuple(
                "(other)" if is_text(name, question) else _Other() for name in question.dimensions
            )
        groups.setdefault((bucket(row["requested_at"], question), *shown), []).append(row)
    if not asked and not question.dimensions and question.time_grain is None:
        groups[(None,)] = []
    found = [
        (*key, *(measured(one, group, question) for one in question.measures))
        for key, group in groups.items()
    ]
    return _labelled_and_sorted(question, found), total


def holds(node: Filter, row: Row, question: Question) -> bool:
    """Return whether a filter holds for a row; what is missing matches only None."""
    match node:
        case All(some):
            return all(holds(one, row, question) for one in some)
        case Some(some):
            return any(holds(one, row, question) for one in some)
        case Not(one):
            return not holds(one, row, question)
    name = str(node.name)
    value, intervals = valued(row, name, question), _intervals(name, question)

    def meant(given: Any) -> Any:
        return intervals.index(given) if given in intervals else given

    if isinstance(node, OneOf):
        missing = {None, "(untagged)"} & {*node.values}
        return value in [*map(meant, node.values)] or (value is None and bool(missing))
    if value is None:
        return False
    match node:
        case Compared(_, order, than):
            return ORDERS[order](value, meant(than))
        case Like(_, "starts with", than):
            return str(value).startswith(than)
        case Like(_, "ends with", than):
            return str(value).endswith(than)
        case Like(_, _, than):
            return than in value
        case Spelled():
            return node.by_python.found_in(value)
        case _:
            raise NotImplementedError(node)


def valued(row: Row, name: str, question: Question) -> Any:
    """Return the value of whatever can be named, None where it is missing."""
    if (own := _own(name, question)) is not None:
        return _derived(row, own, question)
    if name in CALENDAR_PARTS:
        return _calendar_part(row, CALENDAR_PARTS[name], question)
    return value_of(row, name)


def is_text(name: str, question: Question) -> bool:
    """Return whether a dimension is text before it has its labels."""
    own = _own(name, question)
    return name not in NOT_TEXT if own is None else own.way not in ("edges", "calendar")


def measured(measure: str | OwnMeasure, rows: list[Row], question: Question) -> Number:
    """Return a measure of some rows."""
    if isinstance(measure, str):
        return MEASURES[measure](rows)
    some = [row for row in rows if holds(measure.where, row, question)]
    above: Number
    match measure.how:
        case "of":
            of = measure.of[0]
            above = MEASURES[of](some) if of != P95 else _between(some, "response_time_ms", 0.95)
        case "sum":
            above = _sum(some, *measure.of)
        case "mean":
            return _mean(some, measure.of[0])
        case "quantile":
            above = _between(some, measure.of[0], measure.level)
        case _:
            above = len({valued(row, measure.of[0], question) for row in some} - {None})
    if measure.per is not None:
        above = _ratio(above, MEASURES[measure.per](rows), measure.scale)
    return _rounded(above) if _is_quantile(measure) else above


def _own(name: str, question: Question) -> OwnDimension | None:
    return next((own for own in question.own if own.name == name), None)


def _intervals(name: str, question: Question) -> tuple[str, ...]:
    own = _own(name, question)
    return own.interval_labels if own is not None and own.way == "edges" else ()


def _derived(row: Row, own: OwnDimension, question: Question) -> Any:
    value = valued(row, own.of, question)
    if value is None:
        return None
    match own.way:
        case "mapping":
            return dict(own.how).get(value, own.default)
        case "patterns":
            labels = (label for pattern, label in own.how if pattern.found_in(value))
            return next(labels, own.default)
        case "edges":
            return sum(value >= edge for edge in own.how)
        case "split":
            parts = value.split(own.how)
            return parts[own.part] if -len(parts) <= own.part < len(parts) else None
        case _:
            return _calendar_part(row, own.how, question)


def _calendar_part(row: Row, unit: str, question: Question) -> int:
    instant, zone = row["requested_at"], ZoneInfo(question.timezone)
    if unit == "hour of day":
        return int(instant.astimezone(zone).hour)
    day = local_day(instant, zone)
    return {"weekday": day.isoweekday(), "day of month": day.day}.get(unit, day.month)


def first_instant(day: date, zone: ZoneInfo) -> datetime:
    """Return when a local date begins: the first quarter of an hour that has it."""
    return _first_instant(day, zone)


@cache
def _first_instant(day: date, zone: ZoneInfo) -> datetime:
    instant = datetime.combine(day, time(), UTC) - timedelta(hours=30)
    for _ in range(4 * 72):
        if instant.astimezone(zone).date() >= day:
            return instant
        instant += QUARTER
    raise AssertionError(day)


def bucket(instant: datetime, question: Question) -> datetime | date | None:
    """Return the bucket of an instant."""
    zone, grain = ZoneInfo(question.timezone), question.time_grain
    local = instant.astimezone(zone)
    match grain:
        case None:
            return None
        case "minute" | "hour":
            naive = local.replace(tzinfo=None, fold=0, second=0, microsecond=0)
            naive = naive.replace(minute=0) if grain == "hour" else naive
            return (naive - (local.utcoffset() or timedelta())).replace(tzinfo=UTC)
    return _beginning(grain, local_day(instant, zone), question.calendar)


def local_day(instant: datetime, zone: ZoneInfo) -> date:
    """Return the local date; one that has begun does not end when clocks go back."""
    day = instant.astimezone(zone).date()
    following = day + timedelta(days=1)
    return following if first_instant(following, zone) <= instant else day


@cache
def _beginning(grain: str, day: date, calendar: ma.Calendar) -> date:
    """Return the first day of a period: from day to day back to one that begins it."""

    def begins(one: date) -> bool:
        if grain in ("day", "week"):
            return grain == "day" or one.isoweekday() == calendar.week_starts_on
        months = {"month": 1, "quarter": 3, "year": 12}[grain]
        ahead = one.month - calendar.year_starts_in
        return one.day == calendar.month_starts_on and ahead % months == 0

    while not begins(day):
        day -= timedelta(days=1)
    return day


class _Other:
    """What is beyond the limit, before it has its label."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Other)

    def __hash__(self) -> int:
        return 0


def _in_range(row: Row, question: Question) -> bool:
    start, end = question.time_range or (None, None)
    at = row["requested_at"]
    return (start is None or at >= start) and (end is None or at < end)


def _dimensions(question: Question, row: Row) -> tuple[Any, ...]:
    values = ((name, valued(row, name, question)) for name in question.dimensions)
    return tuple(
        "(untagged)" if value is None and is_text(name, question) else value
        for name, value in values
    )


def _orders(question: Question) -> list[tuple[str, bool]]:
    given = [(name.removeprefix("-"), name.startswith("-")) for name in question.order_by]
    if not given:
        given = [(name_of(question.measures[0]), True)]
        if question.time_grain is not None:
            given.insert(0, (question.time_grain, False))
    return given


def _kept(question: Question, rows: list[Row]) -> set[tuple[Any, ...]] | None:
    """Return the combinations within the limit, None where there is no limit."""
    if question.limit is None or not question.dimensions:
        return None
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(_dimensions(question, row), []).append(row)
    measures = {name_of(one): one for one in question.measures}

    @cache
    def numbers(combination: tuple[Any, ...], name: str) -> Number:
        return measured(measures[name], groups[combination], question)

    def value(combination: tuple[Any, ...], name: str) -> Any:
        if name in measures:
            return numbers(combination, name)
        return combination[question.dimensions.index(name)]

    order = [(name, falling) for name, falling in _orders(question) if name != question.time_grain]
    named = {name for name, _ in order}
    order += [(name, False) for name in question.dimensions if name not in named]
    ranked = list(groups)
    for name, falling in reversed(order):
        ranked = _sorted(ranked, lambda one, name=name: value(one, name), falling)  # type: ignore[misc]
    if len(ranked) > question.limit:
        last, next_one = ranked[question.limit - 1 : question.limit + 1]
        for name, _ in order:
            if value(last, name) != value(next_one, name):
                break
            if _is_quantile(measures.get(name)) and value(last, name) is not None:
                raise AmbiguousError
    return set(ranked[: question.limit])


def _is_quantile(measure: str | OwnMeasure | None) -> bool:
    """Return whether a measure hangs on a quantile, itself or divided."""
    if isinstance(measure, OwnMeasure):
        return measure.how == "quantile" or _is_quantile(measure.of[0])
    return measure is not None and measure[0] == "p" and measure.endswith("_response_time_ms")


def _labelled_and_sorted(question: Question, found: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    rows = [list(row) for row in found]
    for place, name in enumerate(question.dimensions, start=1):
        if intervals := _intervals(name, question):
            for row in rows:
                known = isinstance(row[place], int)
                row[place] = intervals[row[place]] if known else _label(row[place], as_text=True)
            continue
        column = [row[place] for row in rows]
        if any(value is None or isinstance(value, _Other) for value in column):
            for row in rows:
                row[place] = _label(row[place], as_text=not is_text(name, question))
    if question.time_grain is None:
        rows = [row[1:] for row in rows]
    columns = [
        *([question.time_grain] if question.time_grain else []),
        *question.dimensions,
        *map(name_of, question.measures),
    ]
    order = _orders(question)
    named = {name for name, _ in order}
    order += [(name, False) for name in columns if name not in named]
    for name, falling in reversed(order):
        rows = _sorted(rows, lambda row, name=name: row[columns.index(name)], falling)  # type: ignore[misc]
        if intervals := _intervals(name, question):  # their labels decide in the end
            numbers = {label: number for number, label in enumerate(intervals)}
            place = columns.index(name)
            rows = _sorted(rows, lambda row, n=numbers, at=place: n.get(row[at]), falling)  # type: ignore[misc]
    return [tuple(row) for row in rows]


def _label(value: Any, *, as_text: bool) -> str:
    if isinstance(value, _Other):
        return "(other)"
    if value is None:
        return "(untagged)"
    if not as_text:
        return str(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return format(value, ".10f") if isinstance(value, Decimal) else str(value)


def _sorted(items: list[Any], key: Callable[[Any], Any], falling: bool) -> list[Any]:
    """Sort stably, nulls last either way."""
    known = sorted((one for one in items if key(one) is not None), key=key, reverse=falling)
    return known + [one for one in items if key(one) is None]


def _sum(rows: Iterable[Row], *columns: str) -> Number:
    values = [row.get(name) for row in rows for name in columns]
    known = [value for value in values if value is not None]
    if not known:
        return None
    if isinstance(known[0], Decimal):
        steps = sum(int(value.scaleb(10)) for value in known)
        if abs(steps) > MOST_STEPS:
            raise OutOfRangeError
        return Decimal((int(steps < 0), tuple(map(int, str(abs(steps)))), -10))
    whole = sum(map(int, known))
    if abs(whole) > MOST_WHOLE:
        raise OutOfRangeError
    return whole


def _ratio(above: Number, below: Number, per: int = 1) -> float | None:
    if above is None or not below:
        return None
    return per * (float(above) / float(below))  # the one place where money is a float


def _between(rows: Iterable[Row], column: str, level: float) -> float | None:
    """Return a quantile as exactly as a float can be."""
    known = sorted(row[column] for row in rows if row[column] is not None)
    if not known:
        return None
    place = Fraction(level * (len(known) - 1))
    low = floor(place)
    low_value, high_value = (Fraction(known[min(at, len(known) - 1)]) for at in (low, low + 1))
    found = low_value + (high_value - low_value) * (place - low)
    return float(found)


def _rounded(value: Number) -> float | None:
    if value is None:
        return None
    sure = Context(prec=15, rounding=ROUND_HALF_EVEN).plus(Decimal(value))
    return float(Context(prec=12, rounding=ROUND_HALF_UP).plus(sure))


def _mean(rows: Iterable[Row], column: str) -> float | None:
    known = [row for row in rows if row[column] is not None]
    return _ratio(_sum(known, column), len(known))


def _percent(percent: int) -> Callable[[list[Row]], Number]:
    return lambda rows: _rounded(_between(rows, "response_time_ms", percent / 100))


def _failed(row: Row) -> bool:
    return (row["status_code"] or 0) >= 400 or row["outcome"] not in (None, "completed")


def _hit_rate(rows: list[Row]) -> float | None:
    both = [
        row for row in rows if row["cached_tokens"] is not None and row["input_tokens"] is not None
    ]
    return _ratio(_sum(both, "cached_tokens"), _sum(both, "input_tokens"))


def _errors(rows: list[Row]) -> int:
    return sum(map(_failed, rows))


def _sum_of(*columns: str) -> Callable[[list[Row]], Number]:
    return lambda rows: _sum(rows, *columns)


MEASURES: dict[str, Callable[[list[Row]], Number]] = {
    "requests": len,
    "errors": _errors,
    "error_rate": lambda rows: _ratio(_errors(rows), len(rows)),
    "cache_hit_rate": _hit_rate,
    "cost_per_request": lambda rows: _ratio(_sum(rows, "total_cost"), len(rows)),
    "cost_per_1k_tokens": lambda rows: _ratio(
        _sum(rows, "total_cost"), _sum(rows, "input_tokens", "output_tokens"), 1000
    ),
    "avg_response_time_ms": lambda rows: _mean(rows, "response_time_ms"),
    "unpriced_requests": lambda rows: sum(row["total_cost"] is None for row in rows),
    "users": lambda rows: len({value_of(row, "User-Id") for row in rows} - {None}),
    "total_tokens": _sum_of("input_tokens", "output_tokens"),
    **{f"p{percent}_response_time_ms": _percent(percent) for percent in (50, 95, 99)},
    **{
        name: _sum_of(name)
        for name in (
            "total_cost", "input_cost", "output_cost", "tool_cost", "input_tokens",
            "output_tokens", "cached_tokens", "cache_creation_tokens", "reasoning_tokens",
        )
    },
}  # fmt: skip

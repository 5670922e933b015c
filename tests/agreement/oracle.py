"""What a question's answer is, worked out row by row in plain Python.

It shares nothing with the plan or the engines: instants go through `zoneinfo`, money
through whole numbers, quantiles through fractions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import cache
from math import floor
from operator import ge, gt, le, lt
from typing import Any
from zoneinfo import ZoneInfo

from majordomo_analytics.plan.filters import (
    All,
    Compared,
    Filter,
    Like,
    Matches,
    Not,
    OneOf,
    Some,
)
from tests.agreement.ledgers import Row
from tests.agreement.questions import Own, Question, value_of

Number = Decimal | int | float | None
TEN_PLACES = 10**10
MOST_WHOLE, MOST_STEPS = 2**63 - 1, 10**38 - 1
QUARTER = timedelta(minutes=15)
ORDERS: dict[str, Callable[[Any, Any], bool]] = {"<": lt, "<=": le, ">": gt, ">=": ge}
COLUMN_TYPES = {"status_code": int, "is_streamed": bool, "requested_date": date,
                "total_cost": Decimal}  # fmt: skip


class OutOfRangeError(Exception):
    """A sum that its type cannot hold."""


def answer(question: Question, rows: list[Row]) -> tuple[list[tuple[Any, ...]], dict[str, Number]]:
    """Return the rows of the answer in order, and its total."""
    asked = [row for row in rows if _in_range(row, question) and holds(question.filters, row)]
    total = {name_of(one): measured(one, asked) for one in question.measures}
    combinations = _kept(question, asked)
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in asked:
        shown = _dimensions(question, row)
        if combinations is not None and shown not in combinations:
            if not question.other:
                continue
            shown = tuple(
                _Other() if name in COLUMN_TYPES else "(other)" for name in question.dimensions
            )
        groups.setdefault((bucket(row["requested_at"], question), *shown), []).append(row)
    if not asked and not question.dimensions and question.time_grain is None:
        groups[(None,)] = []
    found = [
        (*key, *(measured(one, group) for one in question.measures))
        for key, group in groups.items()
    ]
    return _labelled_and_sorted(question, found), total


def holds(node: Filter, row: Row) -> bool:
    """Return whether a filter holds for a row; what is missing matches only None."""
    match node:
        case All(some):
            return all(holds(one, row) for one in some)
        case Some(some):
            return any(holds(one, row) for one in some)
        case Not(one):
            return not holds(one, row)
    value = value_of(row, str(node.name))
    if isinstance(node, OneOf):
        return value in node.values
    if value is None:
        return False
    match node:
        case Compared(_, order, than):
            return ORDERS[order](value, than)
        case Like(_, "starts with", than):
            return str(value).startswith(than)
        case Like(_, "ends with", than):
            return str(value).endswith(than)
        case Like(_, _, than):
            return than in value
        case Matches():
            raise NotImplementedError


def name_of(measure: str | Own) -> str:
    return measure if isinstance(measure, str) else measure.name


def measured(measure: str | Own, rows: list[Row]) -> Number:
    """Return a measure of some rows."""
    if isinstance(measure, str):
        return MEASURES[measure](rows)
    some = [row for row in rows if _where(measure.where, row)]
    above = MEASURES[measure.of](some)
    return above if measure.per is None else _ratio(above, MEASURES[measure.per](rows))


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
    day = local.date()
    if first_instant(day + timedelta(days=1), zone) <= instant:
        day += timedelta(days=1)
    match grain:
        case "week":
            return date.fromisocalendar(*day.isocalendar()[:2], 1)
        case "month":
            return date(day.year, day.month, 1)
        case "quarter":
            return date(day.year, (1, 1, 1, 4, 4, 4, 7, 7, 7, 10, 10, 10)[day.month - 1], 1)
        case "year":
            return date(day.year, 1, 1)
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
    values = ((name, value_of(row, name)) for name in question.dimensions)
    return tuple(
        "(untagged)" if value is None and name not in COLUMN_TYPES else value
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

    def value(combination: tuple[Any, ...], name: str) -> Any:
        if name in measures:
            return measured(measures[name], groups[combination])
        return combination[question.dimensions.index(name)]

    order = [(name, falling) for name, falling in _orders(question) if name != question.time_grain]
    named = {name for name, _ in order}
    order += [(name, False) for name in question.dimensions if name not in named]
    ranked = list(groups)
    for name, falling in reversed(order):
        ranked = _sorted(ranked, lambda one, name=name: value(one, name), falling)  # type: ignore[misc]
    return set(ranked[: question.limit])


def _labelled_and_sorted(question: Question, found: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    rows = [list(row) for row in found]
    for place, name in enumerate(question.dimensions, start=1):
        column = [row[place] for row in rows]
        if any(value is None or isinstance(value, _Other) for value in column):
            for row in rows:
                row[place] = _label(row[place], as_text=name in COLUMN_TYPES)
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


def _where(conditions: dict[str, Any], row: Row) -> bool:
    for name, wanted in conditions.items():
        value = value_of(row, name)
        if isinstance(wanted, tuple):
            if value is None or not ORDERS[wanted[0]](value, wanted[1]):
                return False
        elif value != wanted:
            return False
    return True


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


def _quantile(rows: Iterable[Row], level: Fraction) -> float | None:
    known = sorted(row["response_time_ms"] for row in rows if row["response_time_ms"] is not None)
    if not known:
        return None
    place = (len(known) - 1) * level
    low = floor(place)
    high = min(low + 1, len(known) - 1)
    return float(known[low] + (known[high] - known[low]) * (place - low))


def _percent(percent: int) -> Callable[[list[Row]], Number]:
    return lambda rows: _quantile(rows, Fraction(percent, 100))


def _failed(row: Row) -> bool:
    return (row["status_code"] or 0) >= 400 or row["outcome"] not in (None, "completed")


def _hit_rate(rows: list[Row]) -> float | None:
    both = [
        row for row in rows if row["cached_tokens"] is not None and row["input_tokens"] is not None
    ]
    return _ratio(_sum(both, "cached_tokens"), _sum(both, "input_tokens"))


def _errors(rows: list[Row]) -> int:
    return sum(map(_failed, rows))


def _mean_time(rows: list[Row]) -> float | None:
    timed = [row for row in rows if row["response_time_ms"] is not None]
    return _ratio(_sum(timed, "response_time_ms"), len(timed))


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
    "avg_response_time_ms": _mean_time,
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

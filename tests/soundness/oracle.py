"""The answer to a question, worked out row by row in plain Python, the slow and plain way.

It shares no code with the package: money is added as `Decimal`, ratios as `Fraction`, and
local days are found by asking `zoneinfo` about single instants.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

Row = dict[str, Any]
TEXT = {"Team", "Plan", "model"}


def value_of(row: Row, name: str) -> Any:
    """Return a column, or a metadata key under any spelling."""
    if name in row:
        return row[name]
    for key, value in row["raw_metadata"].items():
        if key.lower().replace("_", "-") == name.lower().replace("_", "-"):
            return value
    return None


def as_text(value: Any) -> str:
    if value is None:
        return "(untagged)"
    return str(value).lower() if isinstance(value, bool) else str(value)


def known(rows: Iterable[Row], *columns: str) -> list[Any]:
    return [row[c] for row in rows for c in columns if row[c] is not None]


def total(values: Sequence[Any]) -> Any:
    return sum(values[1:], values[0]) if values else None


def ratio(above: Any, below: Any, per: int = 1) -> float | None:
    if above is None or not below:
        return None
    return float(Fraction(above) * per / Fraction(below))


def quantile(values: Sequence[int], level: Fraction) -> float | None:
    if not values:
        return None
    ordered = sorted(values)
    place = level * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return float(ordered[low] + (place - low) * (ordered[high] - ordered[low]))


def failed(row: Row) -> bool:
    status, outcome = row["status_code"], row["outcome"]
    return (status is not None and status >= 400) or (outcome not in (None, "completed"))


def _cached(rows: Sequence[Row]) -> float | None:
    both = [r for r in rows if r["cached_tokens"] is not None and r["input_tokens"] is not None]
    return ratio(total(known(both, "cached_tokens")), total(known(both, "input_tokens")))


MEASURES: dict[str, Callable[[Sequence[Row]], Any]] = {
    "requests": len,
    "total_cost": lambda rows: total(known(rows, "total_cost")),
    "input_tokens": lambda rows: total(known(rows, "input_tokens")),
    "total_tokens": lambda rows: total(known(rows, "input_tokens", "output_tokens")),
    "errors": lambda rows: sum(map(failed, rows)),
    "error_rate": lambda rows: ratio(sum(map(failed, rows)), len(rows)),
    "cache_hit_rate": _cached,
    "cost_per_request": lambda rows: ratio(total(known(rows, "total_cost")), len(rows)),
    "cost_per_1k_tokens": lambda rows: ratio(
        total(known(rows, "total_cost")),
        total(known(rows, "input_tokens", "output_tokens")),
        per=1000,
    ),
    "avg_response_time_ms": lambda rows: ratio(
        total(known(rows, "response_time_ms")), len(known(rows, "response_time_ms"))
    ),
    "p50_response_time_ms": lambda rows: quantile(
        known(rows, "response_time_ms"), Fraction(50, 100)
    ),
    "p95_response_time_ms": lambda rows: quantile(
        known(rows, "response_time_ms"), Fraction(95, 100)
    ),
    "unpriced_requests": lambda rows: sum(row["total_cost"] is None for row in rows),
    "users": lambda rows: len({value_of(r, "User-Id") for r in rows} - {None}),
}
ADDITIVE = ("requests", "total_cost", "input_tokens", "total_tokens", "errors", "unpriced_requests")


def matches(value: Any, condition: Any) -> bool:
    """Return whether a value meets a condition as `Ledger.query` takes it."""
    if isinstance(condition, list):
        return value in condition
    if not isinstance(condition, tuple):
        return bool(value == condition)
    operator, other = condition
    match operator:
        case "!=":
            return bool(value != other)
        case "not in":
            return value not in other
        case "<":
            return value is not None and value < other
        case _:
            return value is not None and value >= other


def local_date(instant: datetime, zone: ZoneInfo) -> date:
    """Return the latest local date that has begun: minute by minute over the last hours."""
    hours = (instant - timedelta(minutes=m) for m in range(0, 181, 1))
    return max(moment.astimezone(zone).date() for moment in hours)


def bucket(instant: datetime, grain: str, zone: ZoneInfo) -> date | datetime:
    if grain in ("minute", "hour"):
        local = instant.astimezone(zone)
        ahead = local.utcoffset() or timedelta()
        wall = instant.replace(tzinfo=None) + ahead
        wall = wall.replace(second=0, microsecond=0)
        if grain == "hour":
            wall = wall.replace(minute=0)
        return (wall - ahead).replace(tzinfo=UTC)
    day = local_date(instant, zone)
    while not _begins(day, grain):
        day -= timedelta(days=1)
    return day


def _begins(day: date, grain: str) -> bool:
    return {
        "day": True,
        "week": day.isoweekday() == 1,
        "month": day.day == 1,
        "quarter": day.day == 1 and day.month in (1, 4, 7, 10),
        "year": day.day == 1 and day.month == 1,
    }[grain]


@dataclass(frozen=True)
class Question:
    measures: tuple[str, ...]
    dimensions: tuple[str, ...] = ()
    filters: tuple[tuple[str, Any], ...] = ()
    start: datetime | None = None
    end: datetime | None = None
    grain: str | None = None
    zone: str = "UTC"
    order_by: str | None = None
    limit: int | None = None
    other: bool = True


def chosen(rows: Iterable[Row], asked: Question) -> list[Row]:
    return [
        row
        for row in rows
        if (asked.start is None or row["requested_at"] >= asked.start)
        and (asked.end is None or row["requested_at"] < asked.end)
        and all(matches(value_of(row, name), condition) for name, condition in asked.filters)
    ]


def answer(rows: Iterable[Row], asked: Question) -> tuple[list[Row], Row]:
    """Return the rows and the total."""
    found = chosen(rows, asked)
    zone = ZoneInfo(asked.zone)
    texts = [name in TEXT for name in asked.dimensions]

    def combination(row: Row) -> tuple[Any, ...]:
        values = (value_of(row, name) for name in asked.dimensions)
        return tuple(
            "(untagged)" if value is None and text else value
            for value, text in zip(values, texts, strict=True)
        )

    key, falling = asked.order_by or "-" + asked.measures[0], True
    falling, key = key.startswith("-"), key.removeprefix("-")

    groups: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in found:
        groups[combination(row)].append(row)
    ranked = sorted(groups, key=lambda c: tuple((v is None, v if v is not None else 0) for v in c))

    def rank(c: tuple[Any, ...]) -> tuple[bool, Any]:
        if key in asked.dimensions:
            value = c[asked.dimensions.index(key)]
        else:
            value = MEASURES[key](groups[c])
        return value is not None, value if value is not None else 0

    if key != asked.grain:
        with_value = [c for c in ranked if rank(c)[0]]
        with_value.sort(key=lambda c: rank(c)[1], reverse=falling)
        ranked = with_value + [c for c in ranked if not rank(c)[0]]
    limit = asked.limit if asked.limit is not None and asked.dimensions else len(ranked)
    kept = set(ranked[:limit])

    cells: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in found:
        c = combination(row)
        if c not in kept:
            if not asked.other:
                continue
            c = ("(other)",) * len(c)
        when = () if asked.grain is None else (bucket(row["requested_at"], asked.grain, zone),)
        cells[(*when, *c)].append(row)
    if not asked.dimensions and asked.grain is None:
        cells[()] = found
    names = (*([asked.grain] if asked.grain else []), *asked.dimensions)
    shown = [
        dict(zip(names, cell, strict=True)) | {m: MEASURES[m](rs) for m in asked.measures}
        for cell, rs in cells.items()
    ]
    for name, text in zip(asked.dimensions, texts, strict=True):
        if not text and any(row[name] in (None, "(other)") for row in shown):
            for row in shown:
                row[name] = as_text(row[name])
    return shown, {m: MEASURES[m](found) for m in asked.measures}

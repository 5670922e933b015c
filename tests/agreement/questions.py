"""Random questions about a ledger: any measures, dimensions, filters and time."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

import majordomo_analytics as ma
from majordomo_analytics.plan.filters import (
    EVERYTHING,
    All,
    Compared,
    Filter,
    Like,
    Not,
    OneOf,
    Some,
)
from tests.agreement.ledgers import SHAPES, Row, make_rows

TEXTS = ("provider", "model", "outcome", "request_path")
WHOLE = ("status_code", "retry_attempt", "input_tokens", "response_time_ms")
MONEY = ("total_cost", "output_cost")
ZONES = (
    "UTC", "Europe/Berlin", "Asia/Kolkata", "Asia/Kathmandu", "America/St_Johns",
    "Australia/Lord_Howe", "America/Havana", "America/Santiago", "Pacific/Apia",
)  # fmt: skip
GRAINS = ("minute", "hour", "day", "week", "month", "quarter", "year")
QUANTILES = ("p50_response_time_ms", "p95_response_time_ms", "p99_response_time_ms")


@dataclass(frozen=True)
class Own:
    """A measure of a user's own, as the arguments of `ma.measure`."""

    name: str
    of: str
    where: dict[str, Any] = field(default_factory=dict)
    per: str | None = None

    def made(self) -> ma.Measure:
        return ma.measure(self.name, self.of, where=self.where, per=self.per)


OWN = (
    Own("legal_cost", "total_cost", {"Team": "legal"}),
    Own("failed_users", "users", {"status_code": (">=", 400)}),
    Own("cost_per_user", "total_cost", per="users"),
    Own("streamed_share", "requests", {"is_streamed": True}, per="requests"),
    Own("untagged_p95", "p95_response_time_ms", {"Plan": None}),
)


@dataclass(frozen=True)
class Question:
    """What `Ledger.query` is asked; values are in their own types."""

    measures: tuple[str | Own, ...]
    dimensions: tuple[str, ...] = ()
    filters: Filter = EVERYTHING
    time_range: tuple[datetime | None, datetime | None] | None = None
    time_grain: str | None = None
    timezone: str = "UTC"
    order_by: tuple[str, ...] = ()
    limit: int | None = None
    other: bool = True

    def asked(self) -> dict[str, Any]:
        """Return the arguments of `Ledger.query`."""
        measures = [one.made() if isinstance(one, Own) else one for one in self.measures]
        return {
            "measures": measures,
            "dimensions": self.dimensions,
            "filters": self.filters,
            "time_range": self.time_range,
            "time_grain": self.time_grain,
            "timezone": self.timezone,
            "order_by": self.order_by or None,
            "limit": self.limit,
            "other": self.other,
        }


def keys_in(rows: list[Row]) -> list[str]:
    """Return the metadata keys of some rows, each in its canonical spelling."""
    found = {key for row in rows for key, _ in row["raw_metadata"]}
    return sorted({"-".join(part.capitalize() for part in key.split("-")) for key in found})


@st.composite
def questions(draw: st.DrawFn, ledger: str) -> Question:
    """Draw a question that has an answer for a ledger."""
    keys = keys_in(make_rows(ledger))
    names = ["status_code", *keys, "is_streamed", *TEXTS, "requested_date", "total_cost"]
    dimensions = draw(st.lists(st.sampled_from(names), max_size=3, unique=True))
    known: list[str | Own] = [*ma.MEASURES, *_own(keys)]
    measures = draw(st.lists(st.sampled_from(known), min_size=1, max_size=4, unique_by=_name))
    # No two columns of a result have one name.
    dimensions = [name for name in dimensions if name not in {*map(_name, measures)}]
    grain = draw(st.sampled_from([None, None, *GRAINS]))
    limit = draw(st.sampled_from([2, 3, 10, 1, None, None])) if dimensions else None
    columns = [*dimensions, *map(_name, measures), *([grain] if grain else [])]
    ordered = draw(st.lists(st.sampled_from(columns), max_size=2, unique=True))
    falling = [draw(st.sampled_from(["", "-"])) + name for name in ordered]
    if limit is not None and {*ordered, _name(measures[0])} & {*QUANTILES, "untagged_p95"}:
        # Engines round quantiles differently in the last bit: what comes first may differ.
        limit = None
    return Question(
        measures=tuple(measures),
        dimensions=tuple(dimensions),
        filters=draw(filters(ledger)),
        time_range=draw(st.none() | time_ranges(ledger)),
        time_grain=grain,
        timezone=draw(st.sampled_from(ZONES)),
        order_by=tuple(falling),
        limit=limit,
        other=draw(st.sampled_from([True, True, False])),
    )


@st.composite
def time_ranges(draw: st.DrawFn, ledger: str) -> tuple[datetime | None, datetime | None]:
    """Draw a range between two requests of a ledger, or one that is open."""
    instants = sorted(row["requested_at"] for row in make_rows(ledger)) or [*SHAPES[ledger].between]
    places = st.integers(0, len(instants) - 1)
    first, last = (instants[place] for place in sorted(draw(st.tuples(places, places))))
    ranges: list[tuple[datetime | None, datetime | None]] = [
        (first, last), (first, None), (None, last),
    ]  # fmt: skip
    return draw(st.sampled_from(ranges))


def filters(ledger: str) -> st.SearchStrategy[Filter]:
    """Draw conditions and what `Not`, `All` and `Some` make of them."""
    made = st.recursive(
        leaves(ledger),
        lambda inner: (
            inner.map(Not)
            | st.lists(inner, min_size=1, max_size=3).map(lambda some: All(tuple(some)))
            | st.lists(inner, min_size=1, max_size=3).map(lambda some: Some(tuple(some)))
        ),
        max_leaves=5,
    )
    filtered = st.sampled_from([True, True, True, False])  # what shrinks goes to the first
    return filtered.flatmap(lambda some: made if some else st.just(EVERYTHING))


@st.composite
def leaves(draw: st.DrawFn, ledger: str) -> Filter:
    """Draw one condition; its value occurs, or is near to one that does."""
    kind = draw(st.sampled_from(["text", "text", "whole", "money", "boolean", "date", "instant"]))
    rows = make_rows(ledger)
    row = rows[draw(st.integers(0, len(rows) - 1))] if rows else {}
    if kind == "text":
        name = draw(st.sampled_from([*keys_in(rows), *TEXTS]))
        near = value_of(row, name) or "x"
        text = draw(st.sampled_from([near, near[:2], near[1:], near + "x", "", "%", "_"]))
        some = st.lists(st.sampled_from([None, near, text]), min_size=1, max_size=3)
        made: list[st.SearchStrategy[Filter]] = [
            some.map(lambda values: OneOf(name, tuple(values))),
            st.sampled_from([Like(name, "contains", text), Like(name, "starts with", text)]),
            orders().map(lambda order: Compared(name, order, text)),
        ]
        return draw(st.one_of(made))
    if kind == "boolean":
        return OneOf("is_streamed", draw(st.sampled_from([(True,), (False,), (None, True)])))
    if kind in ("date", "instant"):
        name = "requested_date" if kind == "date" else "responded_at"
        known = value_of(row, name) or value_of(row, "requested_at")
        if known is None:
            return OneOf(name, (None,))
        known = known if kind == "instant" or not isinstance(known, datetime) else known.date()
        return draw(
            st.sampled_from([OneOf(name, (known,)), OneOf(name, (known, None))])
            | orders().map(lambda order: Compared(name, order, known))
        )
    name = draw(st.sampled_from(WHOLE if kind == "whole" else MONEY))
    near_by = value_of(row, name) or 0
    shift = Decimal(draw(st.sampled_from(["0", "0", "1", "-1", "0.5", "1e-11", "1e19", "-1e19"])))
    value = Decimal(near_by) + shift if shift else near_by
    return draw(
        st.sampled_from([OneOf(name, (value,)), OneOf(name, (value, None)), OneOf(name, (None,))])
        | orders().map(lambda order: Compared(name, order, value))
    )


def orders() -> st.SearchStrategy[Any]:
    return st.sampled_from(["<", "<=", ">", ">="])


def value_of(row: Row, name: str) -> Any:
    """Return a column or a metadata key of a row; canonical spellings come first."""
    if name in row:
        return row[name]
    tags: dict[str, str] = dict(row.get("raw_metadata", []))
    return tags.get(name, tags.get(name.lower()))


def _own(keys: list[str]) -> list[Own]:
    """Return the measures of a user's own that can be asked of these keys."""
    return [own for own in OWN if {"Team", "Plan"} & {*own.where} <= {*keys}]


def _name(measure: str | Own) -> str:
    return measure if isinstance(measure, str) else measure.name

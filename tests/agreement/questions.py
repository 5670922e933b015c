"""Random questions about a ledger: any measures, dimensions, filters and time."""

from __future__ import annotations

from dataclasses import dataclass
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
from tests.agreement.own import (
    CALENDAR_PARTS,
    TEXTS,
    OwnDimension,
    OwnMeasure,
    own_dimensions,
    own_measures,
    texts_of,
)
from tests.agreement.patterns import matches, patterns

WHOLE = ("status_code", "retry_attempt", "input_tokens", "response_time_ms")
MONEY = ("total_cost", "output_cost")
ZONES = (
    "UTC", "Europe/Berlin", "Asia/Kolkata", "Asia/Kathmandu", "America/St_Johns",
    "Australia/Lord_Howe", "America/Havana", "America/Santiago", "Pacific/Apia",
)  # fmt: skip
GRAINS = ("minute", "hour", "day", "week", "month", "quarter", "year")
ISO = ma.Calendar()


@dataclass(frozen=True)
class Question:
    """What `Ledger.query` is asked; values are in their own types."""

    measures: tuple[str | OwnMeasure, ...]
    dimensions: tuple[str, ...] = ()
    filters: Filter = EVERYTHING
    time_range: tuple[datetime | None, datetime | None] | None = None
    time_grain: str | None = None
    timezone: str = "UTC"
    order_by: tuple[str, ...] = ()
    limit: int | None = None
    other: bool = True
    calendar: ma.Calendar = ISO
    own: tuple[OwnDimension, ...] = ()

    def asked_of(self, ledger: ma.Ledger) -> ma.Ledger:
        """Return a ledger that knows the dimensions of one's own."""
        return ledger.define(*(one.made() for one in self.own))

    def asked(self) -> dict[str, Any]:
        """Return the arguments of `Ledger.query`."""
        measures = [one.made() if isinstance(one, OwnMeasure) else one for one in self.measures]
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
            "calendar": self.calendar,
        }


def keys_in(rows: list[Row]) -> list[str]:
    """Return the metadata keys of some rows, each in its canonical spelling."""
    found = {key for row in rows for key, _ in row["raw_metadata"]}
    return sorted({"-".join(part.capitalize() for part in key.split("-")) for key in found})


@st.composite
def questions(draw: st.DrawFn, ledger: str) -> Question:
    """Draw a question that has an answer for a ledger."""
    rows = make_rows(ledger)
    keys = keys_in(rows)
    own = draw(own_dimensions(rows, keys))
    mine = [one.name for one in own]
    stored = ["status_code", *keys, "is_streamed", *TEXTS, "requested_date", "total_cost"]
    names = [*mine, *mine, *stored, *CALENDAR_PARTS, *mine]
    dimensions = draw(st.lists(st.sampled_from(names), max_size=3, unique=True))
    measures = draw(_measures(ledger, own, [*mine, *stored, "responded_at"]))
    # No two columns of a result have one name.
    dimensions = [name for name in dimensions if name not in {*map(name_of, measures)}]
    grain = draw(st.sampled_from([None, None, *GRAINS]))
    limit = draw(st.sampled_from([2, 3, 10, 1, None, None])) if dimensions else None
    columns = [*dimensions, *map(name_of, measures), *([grain] if grain else [])]
    ordered = draw(st.lists(st.sampled_from(columns), max_size=2, unique=True))
    falling = [draw(st.sampled_from(["", "-"])) + name for name in ordered]
    return Question(
        measures=tuple(measures),
        dimensions=tuple(dimensions),
        filters=draw(filters(ledger, own)),
        time_range=draw(st.none() | time_ranges(ledger)),
        time_grain=grain,
        timezone=draw(st.sampled_from(ZONES)),
        order_by=tuple(falling),
        limit=limit,
        other=draw(st.sampled_from([True, True, False])),
        calendar=draw(st.just(ISO) | calendars()),
        own=own,
    )


@st.composite
def _measures(
    draw: st.DrawFn, ledger: str, own: tuple[OwnDimension, ...], distinct: list[str]
) -> list[str | OwnMeasure]:
    known = st.sampled_from([*ma.MEASURES])
    measures: list[str | OwnMeasure] = [*draw(st.lists(known, min_size=1, max_size=3, unique=True))]
    for name in draw(st.sampled_from([(), ("my measure",), ("my measure", "b")])):
        made = draw(own_measures(name, made_filters(ledger, own), distinct))
        measures.insert(draw(st.integers(0, len(measures))), made)
    return measures


def calendars() -> st.SearchStrategy[ma.Calendar]:
    return st.builds(
        ma.Calendar,
        week_starts_on=st.integers(1, 7),
        month_starts_on=st.integers(1, 28),
        year_starts_in=st.integers(1, 12),
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


def filters(ledger: str, own: tuple[OwnDimension, ...] = ()) -> st.SearchStrategy[Filter]:
    """Draw conditions and what `Not`, `All` and `Some` make of them, or none."""
    made = made_filters(ledger, own)
    filtered = st.sampled_from([True, True, True, False])  # what shrinks goes to the first
    return filtered.flatmap(lambda some: made if some else st.just(EVERYTHING))


def made_filters(ledger: str, own: tuple[OwnDimension, ...]) -> st.SearchStrategy[Filter]:
    """Draw conditions and what `Not`, `All` and `Some` make of them."""
    return st.recursive(
        leaves(ledger, own),
        lambda inner: (
            inner.map(Not)
            | st.lists(inner, min_size=1, max_size=3).map(lambda some: All(tuple(some)))
            | st.lists(inner, min_size=1, max_size=3).map(lambda some: Some(tuple(some)))
        ),
        max_leaves=5,
    )


@st.composite
def leaves(draw: st.DrawFn, ledger: str, own: tuple[OwnDimension, ...]) -> Filter:
    """Draw one condition; its value occurs, or is near to one that does."""
    kinds = ["text", "text", "pattern", "whole", "money", "boolean", "date", "instant", "calendar"]
    if own:
        kinds += ["own", "own"]
    kind = draw(st.sampled_from(kinds))
    rows = make_rows(ledger)
    row = rows[draw(st.integers(0, len(rows) - 1))] if rows else {}
    if kind == "text":
        name = draw(st.sampled_from([*keys_in(rows), *TEXTS]))
        near = value_of(row, name) or "x"
        text = draw(st.sampled_from([near, near[:2], near[1:], near + "x", "", "%", "_"]))
        some = st.lists(st.sampled_from([None, near, text]), min_size=1, max_size=3)
        made: list[st.SearchStrategy[Filter]] = [
            some.map(lambda values: OneOf(name, tuple(values))),
            st.sampled_from(
                [
                    Like(name, "contains", text),
                    Like(name, "starts with", text),
                    Like(name, "ends with", near[-2:]),
                    Like(name, "ends with", text),
                ]
            ),
            orders().map(lambda order: Compared(name, order, text)),
        ]
        return draw(st.one_of(made))
    if kind == "pattern":
        name = draw(st.sampled_from([*keys_in(rows), *TEXTS]))
        return matches(name, draw(patterns(texts_of(rows, name))))
    if kind == "own":
        return draw(_about(draw(st.sampled_from(own))))
    if kind == "calendar":
        name = draw(st.sampled_from([*CALENDAR_PARTS]))
        number = draw(st.integers(0, 24))
        return draw(
            st.just(OneOf(name, (number, 1, 5)))
            | orders().map(lambda order: Compared(name, order, number))
        )
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


def _about(own: OwnDimension) -> st.SearchStrategy[Filter]:
    """Draw a condition on a dimension of one's own."""
    if own.way == "calendar":
        return orders().map(lambda order: Compared(own.name, order, 7))
    values: list[str | None] = ["a", "b-a", "Z", None]
    if own.way == "edges":
        labels = own.interval_labels
        values = [*labels, None]
    else:
        labels = ("a", "b-a", "é")
    some = st.lists(st.sampled_from(values), min_size=1, max_size=3)
    made: list[st.SearchStrategy[Filter]] = [
        some.map(lambda chosen: OneOf(own.name, tuple(chosen))),
        st.builds(Compared, st.just(own.name), orders(), st.sampled_from(labels)),
    ]
    if own.way != "edges":
        parts: list[Any] = ["contains", "starts with", "ends with"]
        made.append(st.sampled_from([Like(own.name, part, "a") for part in parts]))
        made.append(patterns(["a", "b-a", "it's"]).map(lambda one: matches(own.name, one)))
    return st.one_of(made)


def orders() -> st.SearchStrategy[Any]:
    return st.sampled_from(["<", "<=", ">", ">="])


def value_of(row: Row, name: str) -> Any:
    """Return a column or a metadata key of a row; canonical spellings come first."""
    if name in row:
        return row[name]
    tags: dict[str, str] = dict(row.get("raw_metadata", []))
    return tags.get(name, tags.get(name.lower()))


def name_of(measure: str | OwnMeasure) -> str:
    return measure if isinstance(measure, str) else measure.name

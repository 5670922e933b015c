"""Dimensions and filters of a user's own mean what plain Python says they mean."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, get_args
from zoneinfo import ZoneInfo

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

import majordomo_analytics as ma
from majordomo_analytics.plan.dimensions import CalendarUnit
from tests.soundness.oracle import Row, local_date

TEXTS = st.none() | st.sampled_from(
    ["", "-", "a", "a-b", "-b", "a--b", "b-a-b", "é\U0001f600-x", "it's", "a%b_", "a\nb", "\\"]
)
MONEY = st.none() | st.sampled_from([Decimal(n) for n in ("-1", "0", "0.5", "1", "99.9999999999")])
COUNTS = st.none() | st.sampled_from([-(2**62), -1, 0, 1, 2, 10, 2**62])
MOMENTS = st.integers(0, 400 * 24 * 60).map(
    lambda minutes: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
)
ZONES = st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kolkata", "Australia/Lord_Howe"])
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "requested_at": MOMENTS, "model": TEXTS, "total_cost": MONEY,
            "input_tokens": COUNTS, "Team": TEXTS,
        }
    ), max_size=20,
)  # fmt: skip
EDGES = st.sampled_from([Decimal(n) for n in ("-0.5", "0", "1", "1.5", "10")])
Value = str | int | None
Holds = Callable[[Any], bool]
Meaning = Callable[[Row, str], Value]
Made = tuple[Any, Meaning]


def frame(rows: list[Row]) -> pl.DataFrame:
    stored = [
        row | {"raw_metadata": [{"key": "team", "value": row["Team"]}] if row["Team"] else []}
        for row in rows
    ]
    schema: dict[str, Any] = {
        "requested_at": pl.Datetime("us", "UTC"),
        "model": pl.String,
        "total_cost": pl.Decimal(20, 10),
        "input_tokens": pl.Int64,
        "raw_metadata": pl.List(pl.Struct({"key": pl.String, "value": pl.String})),
    }
    kept = [{name: row[name] for name in schema} for row in stored]
    return pl.DataFrame(kept, schema=schema)


@st.composite
def mapped(draw: st.DrawFn, of: str = "model") -> Made:
    keys = draw(st.lists(TEXTS.filter(lambda one: one is not None), unique=True, max_size=6))
    table = {key: draw(st.sampled_from(["x", "y", "", "it's"])) for key in keys}
    if draw(st.booleans()):  # a table that is joined with
        table |= {f"user {n}\n": f"plan {n % 3}" for n in range(40)}
    default = draw(st.sampled_from([None, "rest", "x"]))
    made = ma.dimension("own", of, mapping=table, default=default)

    def meaning(row: Row, zone: str) -> Value:
        return None if row[of] is None else table.get(row[of], default)

    return made, meaning


@st.composite
def ruled(draw: st.DrawFn) -> Made:
    rules = draw(
        st.dictionaries(
            st.sampled_from(["^a", "b$", "[^a-z]", r"\W", "a.b", "-", "^$"]),
            st.sampled_from(["x", "y"]), max_size=3,
        )
    )  # fmt: skip
    default = draw(st.sampled_from([None, "rest"]))

    def meaning(row: Row, zone: str) -> Value:
        if row["model"] is None:
            return None
        found = (
            label
            for pattern, label in rules.items()
            if re.search(pattern.replace("$", r"\Z"), row["model"], re.ASCII)
        )
        label: str | None = next(found, default)
        return label

    return ma.dimension("own", "model", patterns=rules, default=default), meaning


@st.composite
def bucketed(draw: st.DrawFn) -> Made:
    of = draw(st.sampled_from(["total_cost", "input_tokens"]))
    edges = sorted(draw(st.sets(EDGES, min_size=1)))
    labels = [f"b{chr(122 - n)}" for n in range(len(edges) + 1)]

    def meaning(row: Row, zone: str) -> Value:
        return None if row[of] is None else labels[sum(row[of] >= edge for edge in edges)]

    return ma.dimension("own", of, edges=edges, labels=labels), meaning


@st.composite
def parted(draw: st.DrawFn) -> Made:
    separator = draw(st.sampled_from(["-", "--", "a", "\U0001f600"]))
    index = draw(st.integers(-3, 3))

    def meaning(row: Row, zone: str) -> Value:
        parts = [] if row["model"] is None else row["model"].split(separator)
        inside = -len(parts) <= index < len(parts)
        return str(parts[index]) if inside else None

    return ma.dimension("own", "model", split=separator, part=index), meaning


@st.composite
def calendar_part(draw: st.DrawFn) -> Made:
    unit = draw(st.sampled_from(get_args(CalendarUnit)))

    def meaning(row: Row, zone: str) -> Value:
        local = row["requested_at"].astimezone(ZoneInfo(zone))
        day = local_date(row["requested_at"], ZoneInfo(zone))
        parts: dict[str, int] = {
            "hour of day": local.hour,
            "weekday": day.isoweekday(),
            "day of month": day.day,
            "month of year": day.month,
        }
        return parts[unit]

    return ma.dimension("own", calendar=unit), meaning


DIMENSIONS = st.one_of(mapped(), ruled(), bucketed(), parted(), calendar_part())


@given(ROWS, DIMENSIONS, ZONES)
@settings(max_examples=60)
def test_rows_are_grouped_by_what_python_says(rows: list[Row], made: Made, zone: str) -> None:
    """Each request is in the row of its value, and what has none is untagged."""
    own, meaning = made
    expected = Counter(meaning(row, zone) for row in rows)
    if None in expected:
        expected["(untagged)"] = expected.pop(None)

    result = ma.open(frame(rows)).query("requests", own, timezone=zone)

    found = {str(value): count for value, count in result.to_polars().iter_rows()}
    assert found == {str(value): count for value, count in expected.items()}
    assert result.total == {"requests": len(rows)}


@given(ROWS, DIMENSIONS, ZONES, st.data())
@settings(max_examples=60)
def test_what_a_row_shows_can_be_filtered_by(
    rows: list[Row], made: Made, zone: str, data: st.DataObject
) -> None:
    """By a value, its complement, in a measure, and as a part of another dimension."""
    own, meaning = made
    values = [meaning(row, zone) for row in rows]
    value = data.draw(st.sampled_from([*values, None]))
    shown = "(untagged)" if value is None else value
    expected = values.count(value) + (values.count("(untagged)") if value is None else 0)
    ledger = ma.open(frame(rows)).define(own).during(None, timezone=zone)
    some = ma.measure("some", "requests", where={"own": shown})

    assert ledger.query("requests", filters={"own": shown}).total["requests"] == expected
    rest = ledger.query("requests", filters=~ma.where(own=shown)).total["requests"]
    assert rest == len(rows) - expected
    assert ledger.query(some).total["some"] == expected
    by_row = ledger.query(some, "own", limit=1)
    assert sum(row["some"] for row in by_row) == expected  # type: ignore[misc]  # counts


@given(ROWS, mapped(), st.integers(-2, 2))
@settings(max_examples=30)
def test_a_dimension_may_be_made_of_another(rows: list[Row], made: Made, index: int) -> None:
    """A table of a part of a metadata key, whatever the order they are defined in."""
    table = dict.fromkeys(["a", "b", "é\U0001f600"], "known")
    first = ma.dimension("first", "Team", split="-", part=index)
    second = ma.dimension("second", "first", mapping=table, default="other")
    parts = [(row["Team"] or "").split("-") if row["Team"] else [] for row in rows]
    values = [p[index] if -len(p) <= index < len(p) else None for p in parts]
    expected = Counter(
        "(untagged)" if value is None else table.get(value, "other") for value in values
    )
    if not any(row["Team"] for row in rows):
        return  # no such key occurs

    ledger = ma.open(frame(rows)).define(second, first)

    assert dict(ledger.query("requests", "second").to_polars().iter_rows()) == expected


def joined(sign: str, one: Holds, other: Holds) -> Holds:
    return {
        "and": lambda value: one(value) and other(value),
        "or": lambda value: one(value) or other(value),
        "and not": lambda value: one(value) and not other(value),
        "nor": lambda value: not (one(value) or other(value)),
    }[sign]


CONDITIONS: list[tuple[Any, Holds]] = [
    (("matches", "^a"), lambda v: v is not None and v.startswith("a")),
    (("not matches", "^a"), lambda v: v is None or not v.startswith("a")),
    (("ends with", "b"), lambda v: v is not None and v.endswith("b")),
    (("ends_with", "\U0001f600-x"), lambda v: v is not None and v.endswith("\U0001f600-x")),
    (("not ends with", ""), lambda v: v is None),
    (("contains", "%"), lambda v: v is not None and "%" in v),
    (("not contains", "-"), lambda v: v is None or "-" not in v),
    (("starts with", "a%"), lambda v: v is not None and v.startswith("a%")),
    (("between", "a", "b"), lambda v: v is not None and "a" <= v <= "b"),
    (("not between", ("a", "b")), lambda v: v is None or not "a" <= v <= "b"),
    (("in", {"a", "it's"}), lambda v: v in {"a", "it's"}),
    ("(untagged)", lambda v: v is None),
    (("!=", "(untagged)"), lambda v: v is not None),
    (["a", None], lambda v: v in ("a", None)),
]


@given(ROWS, st.lists(st.sampled_from(CONDITIONS), min_size=1, max_size=3), st.data())
@settings(max_examples=60)
def test_filters_join_by_and_or_and_not(
    rows: list[Row], conditions: list[tuple[Any, Holds]], data: st.DataObject
) -> None:
    """Any expression of them keeps the requests that Python's own keeps."""
    first, *others = conditions
    node, holds = ma.where(model=first[0]), first[1]
    for condition, meaning in others:
        other = ma.where({"model": condition})
        sign = data.draw(st.sampled_from(["and", "or", "and not", "nor"]))
        holds = joined(sign, holds, meaning)
        match sign:
            case "and":
                node = node & other
            case "or":
                node = node | other
            case "and not":
                node = node & ~other
            case _:
                node = ~(node | other)

    found = ma.open(frame(rows)).query("requests", filters=node).total["requests"]

    assert found == sum(holds(row["model"]) for row in rows)

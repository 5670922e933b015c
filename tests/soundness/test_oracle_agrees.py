"""Any question over any requests is answered as the plain Python oracle answers it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import majordomo_analytics as ma
from tests.soundness import oracle
from tests.soundness.oracle import Question, Row

ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Asia/Kolkata",
    "Africa/Casablanca",
)
TEAMS = st.sampled_from([None, "legal", "sales", "Zoë", "(other)", "(untagged)", "", "it's", "ß"])
KEYS = st.sampled_from(["Team", "team", "TEAM"])
SPRING, AUTUMN = datetime(2026, 3, 28, tzinfo=UTC), datetime(2026, 10, 24, 12, tzinfo=UTC)
MOMENTS = st.builds(
    lambda start, seconds: start + timedelta(seconds=seconds),
    st.sampled_from([SPRING, AUTUMN, datetime(2026, 12, 31, tzinfo=UTC)]),
    st.integers(0, 2 * 86_400) | st.integers(0, 16 * 86_400),
)
TOKENS = st.none() | st.integers(0, 5_000)
MONEY = st.none() | st.decimals(0, 20, places=10)


@st.composite
def requests(draw: st.DrawFn) -> Row:
    metadata = {}
    if (team := draw(TEAMS)) is not None:
        metadata[draw(KEYS)] = team
    if (plan := draw(st.sampled_from([None, "a", "b"]))) is not None:
        metadata["Plan"] = plan
    if (user := draw(st.sampled_from([None, "u1", "u2", "u3"]))) is not None:
        metadata["user-id"] = user
    return {
        "requested_at": draw(MOMENTS),
        "model": draw(st.sampled_from([None, "small", "large"])),
        "status_code": draw(st.sampled_from([None, 200, 200, 404, 500])),
        "is_streamed": draw(st.sampled_from([None, True, False])),
        "outcome": draw(st.sampled_from(["completed", "completed", "timeout"])),
        "total_cost": draw(MONEY),
        "input_tokens": draw(TOKENS),
        "output_tokens": draw(TOKENS),
        "cached_tokens": draw(TOKENS),
        "response_time_ms": draw(TOKENS),
        "raw_metadata": metadata,
    }


SCHEMA: dict[str, Any] = {
    "requested_at": pl.Datetime("us", "UTC"),
    "model": pl.String,
    "status_code": pl.Int64,
    "is_streamed": pl.Boolean,
    "outcome": pl.String,
    "total_cost": pl.Decimal(20, 10),
    "input_tokens": pl.Int64,
    "output_tokens": pl.Int64,
    "cached_tokens": pl.Int64,
    "response_time_ms": pl.Int64,
    "raw_metadata": pl.List(pl.Struct({"key": pl.String, "value": pl.String})),
}
EVERY_KEY = {"Team": "x", "Plan": "x", "user-id": "x"}
FIRST = {  # one request outside every range, so that each metadata key occurs
    **dict.fromkeys(SCHEMA),
    "requested_at": datetime(2020, 1, 1, tzinfo=UTC),
    "outcome": "completed",
    "raw_metadata": EVERY_KEY,
}
CONDITIONS = st.sampled_from(
    [
        ("Team", "legal"),
        ("Team", None),
        ("Team", ("!=", "legal")),
        ("Team", ("not in", ["legal", "it's"])),
        ("Team", ("not in", ["legal", None])),
        ("Team", [None, "sales", "Zoë"]),
        ("status_code", ("<", 400)),
        ("status_code", (">=", 400)),
        ("status_code", ("!=", 200)),
        ("is_streamed", True),
        ("total_cost", ("<", Decimal("5.5"))),
        ("model", ["small"]),
        ("model", ("!=", None)),
    ]
)
RANGES = st.sampled_from(
    [
        (datetime(2026, 1, 1, tzinfo=UTC), None),
        (datetime(2026, 3, 28, 23, tzinfo=UTC), datetime(2026, 10, 25, 1, 30, tzinfo=UTC)),
        (datetime(2026, 10, 25, 0, 59, 59, 999_999, tzinfo=UTC), None),
        (datetime(2027, 6, 1, tzinfo=UTC), datetime(2027, 6, 1, tzinfo=UTC)),
    ]
)


@st.composite
def questions(draw: st.DrawFn) -> Question:
    measures = draw(
        st.lists(st.sampled_from(list(oracle.MEASURES)), min_size=1, max_size=4, unique=True)
    )
    dimensions = draw(
        st.lists(
            st.sampled_from(["Team", "Plan", "model", "status_code", "is_streamed"]),
            max_size=2,
            unique=True,
        )
    )
    start, end = draw(RANGES)
    first = draw(st.sampled_from([None, *measures, *dimensions]))
    return Question(
        measures=tuple(measures),
        dimensions=tuple(dimensions),
        filters=tuple(dict(draw(st.lists(CONDITIONS, max_size=2))).items()),
        start=start,
        end=end,
        grain=draw(
            st.sampled_from([None, "minute", "hour", "day", "week", "month", "quarter", "year"])
        ),
        zone=draw(st.sampled_from(ZONES)),
        order_by=None if first is None else draw(st.sampled_from(["", "-"])) + first,
        limit=draw(st.sampled_from([None, 1, 2, 3])),
        other=draw(st.booleans()),
    )


def frame(rows: list[Row]) -> pl.DataFrame:
    stored = [
        row | {"raw_metadata": [{"key": k, "value": v} for k, v in row["raw_metadata"].items()]}
        for row in rows
    ]
    return pl.DataFrame(stored, schema=SCHEMA)


def ask(rows: list[Row], asked: Question) -> ma.QueryResult:
    return ma.open(frame(rows)).query(
        measures=asked.measures,
        dimensions=asked.dimensions,
        filters=dict(asked.filters),
        time_range=(asked.start, asked.end),
        time_grain=asked.grain,  # type: ignore[arg-type]  # drawn from the grains
        timezone=asked.zone,
        order_by=asked.order_by,
        limit=asked.limit,
        other=asked.other,
        fill_gaps=False,
    )


def comparable(row: Row, names: list[str]) -> tuple[Any, ...]:
    """Return the cells: floats to twelve digits, instants in UTC, as those have no fold."""

    def cell(value: Any) -> Any:
        if isinstance(value, float):
            return float(f"{value:.12g}")
        return value.astimezone(UTC) if isinstance(value, datetime) else value

    return tuple(cell(row[name]) for name in names)


def in_order(rows: list[dict[str, Any]], asked: Question) -> list[dict[str, Any]]:
    """Sort rows by the rule: the order asked for, time, dimensions; nulls last."""
    time = [asked.grain] if asked.grain else []
    key = asked.order_by or "-" + asked.measures[0]
    keys = [*([] if asked.order_by else time), key, *time, *asked.dimensions]
    for each in reversed(keys):
        name = each.removeprefix("-")
        present = [row for row in rows if row[name] is not None]
        present.sort(key=lambda row: row[name], reverse=each.startswith("-"))
        rows = present + [row for row in rows if row[name] is None]
    return rows


@given(st.lists(requests(), max_size=25), questions())
@settings(max_examples=60)
def test_any_question_is_answered_as_the_oracle_does(rows: list[Row], asked: Question) -> None:
    """Rows, their order and the totals equal those of the plain Python answer."""
    every = [FIRST, *rows]

    result = ask(every, asked)

    expected, total = oracle.answer(every, asked)
    names = result.to_polars().columns
    assert [comparable(row, names) for row in result] == [
        comparable(row, names) for row in in_order(expected, asked)
    ]
    assert comparable(result.total, [*total]) == comparable(total, [*total])


@given(st.lists(requests(), max_size=25), questions())
@settings(max_examples=40)
def test_rows_add_up_to_the_total_exactly(rows: list[Row], asked: Question) -> None:
    """Whatever the dimensions, filters, grain and limit, nothing is lost or doubled."""
    every = [FIRST, *rows]
    measures = oracle.ADDITIVE
    dimensions, zone = asked.dimensions, asked.zone

    result = ma.open(frame(every)).query(
        measures,
        dimensions,
        dict(asked.filters),
        (asked.start, asked.end),
        asked.grain,  # type: ignore[arg-type]  # drawn from the grains
        zone,
        limit=asked.limit,
        fill_gaps=False,
    )

    for name in measures:
        parts = [row[name] for row in result if row[name] is not None]
        expected = oracle.MEASURES[name](oracle.chosen(every, asked))
        assert result.total[name] == expected
        assert (oracle.total(parts) or 0) == (expected or 0)


@pytest.mark.parametrize("zone", ["America/St_Johns", "America/Havana", "Pacific/Apia"])
@pytest.mark.parametrize("grain", ["hour", "day", "week"])
def test_clocks_that_cross_midnight(zone: str, grain: str) -> None:
    """Where clocks jump over or back across midnight, every request is in one local day."""
    starts = [datetime(2010, 11, 6, tzinfo=UTC), datetime(2011, 12, 29, tzinfo=UTC)]
    rows = [
        FIRST | {"requested_at": start + timedelta(minutes=7 * i), "total_cost": Decimal(1)}
        for start in starts
        for i in range(400)
    ]
    asked = Question(("requests",), grain=grain, zone=zone)

    result = ask(rows, asked)

    expected, _ = oracle.answer(rows, asked)
    names = [grain, "requests"]
    assert [comparable(row, names) for row in result] == [
        comparable(row, names) for row in in_order(expected, asked)
    ]
    if grain == "day":
        for day, counted in result.to_polars().iter_rows():
            inside = ma.open(frame(rows)).query("requests", time_range=day, timezone=zone)
            assert inside.total["requests"] == counted

"""Plain frames of any kind are drawn like results, nulls as gaps."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import duckdb
import polars as pl
import pytest

import majordomo_analytics as ma

ROWS = {"team": ["legal", "ops", "(untagged)"], "cost": [1.5, 2.5, 4.0]}


@pytest.mark.parametrize("kind", ["polars", "lazy", "pandas", "indexed", "arrow", "duckdb"])
def test_any_kind_of_frame_can_be_drawn(kind: str) -> None:
    frame = pl.DataFrame(ROWS)
    given: Any = {
        "polars": lambda: frame,
        "lazy": frame.lazy,
        "pandas": frame.to_pandas,
        "indexed": lambda: frame.to_pandas().set_index("team"),
        "arrow": frame.to_arrow,
        "duckdb": lambda: duckdb.from_arrow(frame.to_arrow()),  # type: ignore[no-untyped-call]
    }[kind]()

    bar = ma.plots.bars(given).data[0]

    assert dict(zip(bar.y, bar.x, strict=True)) == dict(zip(*ROWS.values(), strict=True))
    assert bar.y[-1] == "(untagged)"
    assert bar.customdata[0][0] == "$1.50"


def test_something_else_is_refused_by_name() -> None:
    with pytest.raises(ma.QueryError, match="'dict' cannot be drawn"):
        ma.plots.bars(ROWS)
    with pytest.raises(ma.UnknownNameError, match="teem"):
        ma.plots.bars(pl.DataFrame(ROWS), by="teem")
    with pytest.raises(ma.QueryError, match="holds text"):
        ma.plots.lines(pl.DataFrame({"day": ["2026-10-05"], "cost": [1.0]}))


def test_rows_of_one_label_are_added_exactly_or_refused() -> None:
    """Money adds up as decimals; a rate cannot be added."""
    frame = pl.DataFrame({"team": ["a", "a"], "cost": [Decimal("0.1"), Decimal("0.2")]})

    assert ma.plots.bars(frame).data[0].customdata[0][0] == "$0.30"
    with pytest.raises(ma.QueryError, match="does not add up"):
        ma.plots.bars(frame.rename({"cost": "error_rate"}))


@pytest.mark.parametrize("name", ["lines", "bars", "areas"])
def test_what_is_not_known_is_a_gap_and_never_zero(name: str) -> None:
    """A null is nowhere drawn as 0, in no kind of figure over time."""
    days = [date(2026, 10, 1) + timedelta(days=n) for n in range(6)]
    costs = [1.0, 2.0, None, 3.0, 1.0, 2.0]
    frame = pl.DataFrame({"day": days, "team": ["a"] * 6, "cost": costs})

    figure = getattr(ma.plots, name)(frame, by="team")

    drawn = {x: y for trace in figure.data for x, y in zip(trace.x, trace.y, strict=True)}
    assert drawn.get(days[2]) is None
    assert 0 not in drawn.values()
    assert {x: y for x, y in drawn.items() if y} == {
        x: y for x, y in zip(days, costs, strict=True) if y
    }


def test_an_unknown_cost_has_a_bar_of_no_length_and_says_so() -> None:
    bar = ma.plots.bars(pl.DataFrame({"team": ["a", "b"], "cost": [1.0, None]}))

    assert bar.data[0].x[1] is None
    assert bar.data[0].customdata[1][0] == "not known"
    assert "1 without a bar" in bar.layout.title.subtitle.text


def test_hover_has_every_digit_of_money() -> None:
    """Ten places of a decimal are shown as they are, and a float without its tail."""
    exact = pl.DataFrame({"team": ["a"], "cost": [Decimal("1234567.0123456789")]})
    float_ = pl.DataFrame({"team": ["a"], "cost": [0.1 + 0.2]})

    assert ma.plots.bars(exact).data[0].customdata[0][0] == "$1,234,567.0123456789"
    assert ma.plots.bars(float_).data[0].customdata[0][0] == "$0.30"


@pytest.mark.parametrize("kind", ["lines", "bars", "areas"])
def test_a_bucket_that_is_not_over_looks_so(kind: Any) -> None:
    """Today is hatched, or dashed with a hollow point; the days before are not."""
    now = datetime.now(UTC)
    moments = [now - timedelta(days=n) for n in range(8)]
    rows = {"requested_at": moments, "total_cost": [Decimal(2)] * 8, "Team": ["legal", "ops"] * 4}
    ledger = ma.open(pl.DataFrame(rows))
    range_ = (moments[-1].date(), now.date() + timedelta(days=1))
    result = ledger.query("total_cost", "Team", time_range=range_, time_grain="day")
    assert len(result.incomplete) == 1

    figure = result.plot(kind)

    marked = set()
    for trace in figure.data:
        if trace.type == "bar":
            shapes = trace.marker.pattern.shape
            marked |= {x for x, shape in zip(trace.x, shapes, strict=True) if shape}
        elif trace.mode == "markers":
            marked |= set(trace.x)
            assert trace.marker.symbol == "circle-open"
    assert marked == {now.date()}
    assert "not complete" in figure.layout.title.subtitle.text
    if kind == "areas":
        assert any(trace.fillpattern.shape == "/" for trace in figure.data)
    if kind == "lines":
        assert any(trace.line.dash for trace in figure.data)


@pytest.mark.parametrize("name", ["bars", "treemap"])
def test_two_hundred_values_are_as_many_as_can_be_read(name: str) -> None:
    """The rest is one grey mark, the sum is the whole, and the note says so."""
    frame = pl.DataFrame({"user": [f"user-{n}" for n in range(200)], "cost": [Decimal(1)] * 200})

    figure = getattr(ma.plots, name)(frame)

    mark = figure.data[0]
    values = mark.x if name == "bars" else mark.values
    assert len(values) <= 62
    assert sum(values) == 200
    assert "of 200" in figure.layout.title.subtitle.text
    labels = mark.y if name == "bars" else mark.labels
    assert labels[-1] == "(other)"


def test_a_distribution_is_that_of_the_numbers() -> None:
    """Half of the curve lies below the median; a null is left out, and counted."""
    frame = pl.DataFrame({"took_ms": [*range(1, 101), None]})

    figure = ma.plots.ecdf(frame, "took_ms")

    at = dict(zip(figure.data[0].y, figure.data[0].x, strict=True))
    assert [at[share] for share in (0.01, 0.5, 0.95, 1.0)] == [1, 50, 95, 100]
    assert "1 of 101 not known" in figure.layout.title.subtitle.text

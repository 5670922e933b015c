"""What a figure draws is what the frame holds."""

from __future__ import annotations

from pathlib import Path

import pytest

import majordomo_analytics as ma
from majordomo_analytics.plots.theme import GREYS
from tests.support.requests import write_lake


@pytest.fixture
def ledger(tmp_path: Path) -> ma.Ledger:
    return ma.open(write_lake(tmp_path / "lake"))


def test_bars_are_ranked_with_the_rest_grey_and_last(ledger: ma.Ledger) -> None:
    """Each bar is a row; `(untagged)` stands below the teams, whatever it cost."""
    result = ledger.query(dimensions="Team")

    figure = result.plot()

    bar = figure.data[0]
    drawn = dict(zip(bar.y, bar.x, strict=True))
    assert drawn == {row["Team"]: float(str(row["total_cost"])) for row in result}
    assert figure.layout.yaxis.categoryarray[0] == "(untagged)"  # drawn from the bottom up
    assert dict(zip(bar.y, bar.marker.color, strict=True))["(untagged)"] == GREYS["(untagged)"]
    assert bar.customdata[0] == "$12.00"
    assert "all time, UTC" in figure.layout.title.text


@pytest.mark.parametrize("kind", [None, "line", "bar", "area"])
def test_time_is_drawn_for_each_combination(ledger: ma.Ledger, kind: str | None) -> None:
    """The values of a trace are those of its rows, in order of time."""
    result = ledger.query("requests", "Feature", time_grain="day")

    figure = result.plot(kind)  # type: ignore[arg-type]  # one of the kinds

    drawn = {
        (trace.name, day): value
        for trace in figure.data
        for day, value in zip(trace.x, trace.y, strict=True)
        if value
    }
    assert drawn == {(r["Feature"], r["day"]): r["requests"] for r in result if r["requests"]}


def test_labels_are_no_markup(ledger: ma.Ledger) -> None:
    """Plotly reads HTML in labels: what a caller sent is escaped."""
    requests = ledger.requests().collect()
    frame = requests.with_columns(Team=requests["Team"] + "<b>")

    figure = ma.open(frame).query(dimensions="Team").plot()

    assert "legal&lt;b&gt;" in figure.data[0].y


def test_what_cannot_be_drawn_says_why(ledger: ma.Ledger) -> None:
    """One number, bars of time without time, and stacks of what does not add up."""
    with pytest.raises(ma.QueryError, match="by a dimension"):
        ledger.query().plot()
    with pytest.raises(ma.QueryError, match="cannot be drawn"):
        ledger.query(dimensions="Team").plot("line")
    with pytest.raises(ma.QueryError, match="does not add up"):
        ledger.query("error_rate", "Team", time_grain="day").plot("area")
    assert ledger.query("error_rate", "Team", time_grain="day").plot().data[0].mode

"""The shape of a result chooses its figure, and what is drawn is what the rows hold."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

import majordomo_analytics as ma
from majordomo_analytics.plots.choice import KINDS
from majordomo_analytics.plots.colours import GREYS

QUANTILES = ["p50_response_time_ms", "p95_response_time_ms", "p99_response_time_ms"]


@pytest.fixture(scope="module")
def sample() -> ma.Ledger:
    return ma.sample()


def kinds(figure: Any) -> set[tuple[str, str | None]]:
    """Return the type of each trace, and its orientation or mode."""
    return {
        (t.type, getattr(t, "orientation", None) or getattr(t, "mode", None)) for t in figure.data
    }


def test_bars_are_ranked_with_the_rest_grey_and_last(ledger: ma.Ledger) -> None:
    """Each bar is a row; `(untagged)` stands below the teams, whatever it cost."""
    result = ledger.query(dimensions="Team")

    figure = result.plot()

    bar = figure.data[0]
    drawn = dict(zip(bar.y, bar.x, strict=True))
    assert drawn == {row["Team"]: float(str(row["total_cost"])) for row in result}
    assert figure.layout.yaxis.categoryarray[0] == "(untagged)"  # drawn from the bottom up
    assert dict(zip(bar.y, bar.marker.color, strict=True))["(untagged)"] == GREYS["(untagged)"]
    assert bar.customdata[0][0] == "$12.00"
    assert "all time, UTC" in figure.layout.title.subtitle.text


def test_the_share_of_a_bar_is_that_of_the_total(ledger: ma.Ledger) -> None:
    """Also where a limit has left rows out: the total is that of the whole question."""
    result = ledger.query(dimensions="Team", limit=1, other=False)
    whole = result.total["total_cost"]
    assert isinstance(whole, Decimal)

    figure = result.plot()

    first = next(iter(result))
    share = Decimal(str(first["total_cost"])) / whole
    assert figure.data[0].text[0].endswith(f"{share * 100:.1f}%")


@pytest.mark.parametrize(
    ("asked", "type_"),
    [
        ({"dimensions": "Feature"}, ("bar", "h")),
        ({"dimensions": ["Team", "provider"]}, ("bar", "h")),
        ({"dimensions": ["Team", "Feature"]}, ("treemap", None)),
        ({"dimensions": ["Feature", "Team", "model"]}, ("treemap", None)),
        ({"measures": "error_rate", "dimensions": ["Feature", "Team"]}, ("heatmap", None)),
        ({"measures": "requests", "time_grain": "week"}, ("scatter", "lines+markers")),
        (
            {"measures": "requests", "dimensions": "Team", "time_grain": "week"},
            ("scatter", "lines"),
        ),
        ({"measures": "requests", "dimensions": "Team", "time_grain": "quarter"}, ("bar", None)),
        ({"measures": QUANTILES, "dimensions": "model"}, ("scatter", "markers")),
        ({"measures": QUANTILES, "time_grain": "week"}, ("scatter", "lines")),
        (
            {"dimensions": "Feature", "time_range": "2026-08", "compare": "previous period"},
            ("bar", "h"),
        ),
        ({"time_range": "2026-08", "compare": "previous period"}, ("scatter", "lines+markers")),
    ],
)
def test_each_shape_has_its_figure(
    sample: ma.Ledger, asked: dict[str, Any], type_: tuple[str, str]
) -> None:
    figure = sample.query(**asked).plot()

    assert type_ in kinds(figure)


@pytest.mark.parametrize("kind", [None, "lines", "bars", "areas", "line", "bar", "area"])
def test_time_is_drawn_for_each_combination(ledger: ma.Ledger, kind: Any) -> None:
    """The values of a trace are those of its rows, in order of time."""
    result = ledger.query("requests", "Feature", time_grain="day")

    figure = result.plot(kind)

    drawn = {
        (trace.name, day): value
        for trace in figure.data
        if trace.hoverinfo != "skip"
        for day, value in zip(trace.x, trace.y, strict=True)
        if value
    }
    assert drawn == {(r["Feature"], r["day"]): r["requests"] for r in result if r["requests"]}


def test_a_stack_over_time_stands_as_high_as_the_total(sample: ma.Ledger) -> None:
    """The areas of one week add up to its requests, asked without a dimension."""
    by_week = {r["week"]: r["requests"] for r in sample.query("requests", time_grain="week")}

    figure = sample.query("requests", "User-Id", time_grain="week").plot("areas")

    stack: dict[object, int] = {}
    for trace in figure.data:
        for week, value in zip(trace.x, trace.y, strict=True):
            stack[week] = stack.get(week, 0) + value
    assert stack == by_week
    assert "the rest is in (other)" in figure.layout.title.subtitle.text


def test_changes_are_the_differences_of_two_questions(sample: ma.Ledger) -> None:
    """Each bar is this month minus the one before, as two queries tell them."""
    compared = sample.query("requests", "Team", time_range="2026-08", compare="previous period")
    now, before = (
        {r["Team"]: int(str(r["requests"])) for r in sample.during(month).query("requests", "Team")}
        for month in ("2026-08", "2026-07")
    )

    bar = compared.plot().data[0]

    found = dict(zip(bar.y, bar.x, strict=True))
    assert found == {team: now.get(team, 0) - before.get(team, 0) for team in now.keys() | before}
    own = [abs(value) for team, value in found.items() if team != "(untagged)"]
    assert own == sorted(own, reverse=True)


def test_a_slope_has_both_periods(sample: ma.Ledger) -> None:
    total = sample.query("requests", time_range="2026-08", compare="previous period")
    month = [sample.during(m).query("requests").total["requests"] for m in ("2026-07", "2026-08")]

    figure = total.plot()

    assert list(figure.data[0].y) == month
    assert figure.layout.xaxis.ticktext[0] == "2026-07-01 to before 2026-08-01, UTC"


def test_quantiles_are_drawn_side_by_side(sample: ma.Ledger) -> None:
    result = sample.query(QUANTILES, "provider")

    drawn = {t.name: dict(zip(t.y, t.x, strict=True)) for t in result.plot().data if t.name}

    for row in result:
        assert [drawn[p][row["provider"]] for p in ("p50", "p95", "p99")] == [
            row[name] for name in QUANTILES
        ]


def test_another_measure_can_be_drawn(sample: ma.Ledger) -> None:
    figure = sample.query(["total_cost", "requests"], "Team").plot(measure="requests")

    assert figure.data[0].customdata[0][0].endswith(" requests")
    with pytest.raises(ma.UnknownNameError, match="did you mean"):
        sample.query(["total_cost", "requests"], "Team").plot(measure="request")


def test_what_cannot_be_drawn_says_why(ledger: ma.Ledger) -> None:
    """One number, bars of time without time, and stacks of what does not add up."""
    with pytest.raises(ma.QueryError, match="by a dimension"):
        ledger.query().plot()
    with pytest.raises(ma.QueryError, match="cannot be drawn as 'lines'; it can as 'bars'"):
        ledger.query(dimensions="Team").plot("line")
    with pytest.raises(ma.QueryError, match=r"does not add up.* it can be drawn as 'lines'"):
        ledger.query("error_rate", "Team", time_grain="day").plot("areas")
    with pytest.raises(ma.QueryError, match=r"there is no figure 'heatmaps'.*'heatmap'"):
        ledger.query(dimensions="Team").plot("heatmaps")  # type: ignore[arg-type]
    with pytest.raises(ma.QueryError, match="'light' or 'dark'"):
        ledger.query(dimensions="Team").plot(theme="drak")  # type: ignore[arg-type]
    with pytest.raises(ma.QueryError, match="compare='previous period'"):
        ma.plots.changes(ledger.query(dimensions="Team"))


def test_every_kind_that_an_error_offers_can_be_drawn(sample: ma.Ledger) -> None:
    """What the error lists is no promise only."""
    for asked in (
        {"dimensions": "Team"},
        {"dimensions": ["Team", "provider"]},
        {"measures": "requests", "dimensions": "Team", "time_grain": "week"},
        {"measures": QUANTILES, "time_grain": "month"},
        {"dimensions": "Team", "time_range": "2026-08", "compare": "previous period"},
    ):
        result = sample.query(**asked)
        drawable = []
        for kind in KINDS:
            try:
                drawable.append(len(result.plot(kind).data))
            except ma.QueryError as error:
                assert "it can" in str(error)  # noqa: PT017
        assert len(drawable) >= 2
        assert all(drawable)

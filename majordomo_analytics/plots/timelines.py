"""Numbers over time: lines, stacked areas, columns. What is not complete looks so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from majordomo_analytics.errors import QueryError
from majordomo_analytics.plots.colours import SLATE, colours_of
from majordomo_analytics.plots.figure import finish, new_figure
from majordomo_analytics.plots.table import BEFORE, limited, read_table
from majordomo_analytics.plots.timeaxis import (
    axis_values,
    incomplete,
    instant,
    is_beside,
    runs,
    stands_alone,
    time_axis,
    with_neighbours,
)
from majordomo_analytics.plots.words import (
    NOT_KNOWN,
    drawn,
    exact,
    number_axis,
    short_labels,
    words,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    import plotly.graph_objects as go

    from majordomo_analytics.plots.figure import Look
    from majordomo_analytics.plots.table import Frame, Names, Row, Table

MOST_SERIES = 8
MARKERS_BELOW = 45
NOT_COMPLETE = "not complete"
ONE = "#1F77C4"


def lines(
    data: object | Frame,
    measure: str | None = None,
    *,
    by: Names = None,
    time: str | None = None,
    unit: str | None = None,
    limit: int = MOST_SERIES,
    subtitle: str | None = None,
    **look: Unpack[Look],
) -> go.Figure:
    """Return a line over time for each combination of values; with gaps, never with zeros.

    Of a comparison the earlier period is a dotted line below.

    Parameters
    ----------
    data, measure, by, time, unit, subtitle
        As in `bars`; there is a time column.
    limit
        How many lines at most; what adds up has one of ``(other)`` beyond.
    **look
        ``title`` and ``theme``.

    Raises
    ------
    QueryError
        If there is no time column.

    Examples
    --------
    >>> from datetime import date
    >>> import polars as pl
    >>> import majordomo_analytics as ma
    >>> days = [date(2026, 10, day) for day in (5, 6, 7)]
    >>> rates = pl.DataFrame({"day": days, "error_rate": [0.01, None, 0.02]})
    >>> ma.plots.lines(rates).data[0].y
    (0.01, None, 0.02)
    """
    table = read_table(data, measure=measure, by=by, time=time, unit=unit, subtitle=subtitle)
    table = limited(table, limit, "lines")
    series, buckets = _over_time(table)
    figure = new_figure(look.get("theme"))
    if table.shape.periods is not None:
        _add_earlier(figure, table, buckets)
    open_ = incomplete(table, buckets)
    shown = axis_values(buckets)
    for row, label, colour in _named(table, series):
        values = [series[row].get(bucket) for bucket in buckets]
        whole = [None if cut else value for value, cut in zip(values, open_, strict=True)]
        mode = "lines+markers" if len(buckets) < MARKERS_BELOW or stands_alone(whole) else "lines"
        figure.add_scatter(
            name=label,
            legendgroup=label,
            x=shown,
            y=[drawn(value) for value in whole],
            mode=mode,
            line={"color": colour, "width": 2},
            marker={"size": 5},
            customdata=[exact(value, table.measure.unit) for value in whole],
            hovertemplate="%{customdata}",
        )
        if any(open_):
            joined = with_neighbours(values, open_)
            figure.add_scatter(
                x=shown,
                y=[drawn(value) for value in joined],
                mode="lines",
                line={"color": colour, "width": 2, "dash": "4px,3px"},
                legendgroup=label,
                hoverinfo="skip",
                showlegend=False,
            )
        _add_open_points(figure, table, shown, values, open_, label, colour)
    return _finished(figure, table, buckets, any(open_), **look)


def areas(
    data: object | Frame,
    measure: str | None = None,
    *,
    by: Names = None,
    time: str | None = None,
    unit: str | None = None,
    limit: int = MOST_SERIES,
    subtitle: str | None = None,
    **look: Unpack[Look],
) -> go.Figure:
    """Return areas over time, stacked; buckets that are not complete are hatched.

    Where a number is not known, the height of the stack is not either: there is a gap.

    Parameters
    ----------
    data, measure, by, time, unit, subtitle
        As in `bars`; there is a time column, and the measure adds up.
    limit
        How many areas at most; the rest is ``(other)``.
    **look
        ``title`` and ``theme``.

    Raises
    ------
    QueryError
        If there is no time column, or the measure does not add up.

    Examples
    --------
    >>> import majordomo_analytics as ma
    >>> spend = ma.sample().query("total_cost", "Team", time_grain="week", limit=3)
    >>> figure = ma.plots.areas(spend)
    >>> sum(trace.showlegend is not False for trace in figure.data)
    4
    """
    table = read_table(data, measure=measure, by=by, time=time, unit=unit, subtitle=subtitle)
    _check_additive(table)
    table = limited(table, limit, "areas")
    series, buckets = _over_time(table)
    figure = new_figure(look.get("theme"))
    open_ = incomplete(table, buckets)
    known = [all(bucket not in one or one[bucket] is not None for one in series.values())
             for bucket in buckets]  # fmt: skip
    whole, cut = runs([k and not o for k, o in zip(known, open_, strict=True)]), []
    if any(open_):
        near = [o or is_beside(open_, i) for i, o in enumerate(open_)]
        cut = runs([k and n for k, n in zip(known, near, strict=True)])
    shown = axis_values(buckets)
    heights = [0.0] * len(buckets)
    named = set()
    for hatched, spans in ((False, whole), (True, cut)):
        for number, run in enumerate(spans):
            for row, label, colour in _named(table, series):
                values = [series[row].get(buckets[i], 0) for i in run]
                figure.add_scatter(
                    name=label,
                    legendgroup=label,
                    showlegend=row not in named,
                    x=[shown[i] for i in run],
                    y=[drawn(value) for value in values],
                    mode="lines",
                    stackgroup=f"{'open' if hatched else 'whole'} {number}",
                    line={"color": colour, "width": 0.8},
                    fillcolor=None if hatched else _see_through(colour),
                    fillpattern=(
                        {"shape": "/", "size": 6, "solidity": 0.35, "fgcolor": colour}
                        if hatched
                        else None
                    ),
                    customdata=[exact(value, table.measure.unit) for value in values],
                    **({"hoverinfo": "skip"} if hatched else {"hovertemplate": "%{customdata}"}),
                )
                named.add(row)
    for row, label, colour in _named(table, series):
        values = [series[row].get(bucket, 0) for bucket in buckets]
        heights = [h + (drawn(v) or 0) for h, v in zip(heights, values, strict=True)]
        at = [value if k else None for value, k in zip(values, known, strict=True)]
        _add_open_points(figure, table, shown, at, open_, label, colour, heights)
    if not all(known):
        table = table.noting(f"gaps where the {words(table.measure.name)} is {NOT_KNOWN}")
    return _finished(figure, table, buckets, any(open_), **look)


def columns(table: Table, **look: Unpack[Look]) -> go.Figure:
    """Return columns over time, stacked; those that are not complete are hatched."""
    if table.shape.dimensions:
        _check_additive(table)
    series, buckets = _over_time(table)
    figure = new_figure(look.get("theme"))
    open_ = incomplete(table, buckets)
    marked = [f"  ({NOT_COMPLETE})" if cut else "" for cut in open_]
    for row, label, colour in _named(table, series):
        values = [series[row].get(bucket) for bucket in buckets]
        figure.add_bar(
            name=label,
            x=axis_values(buckets),
            y=[drawn(value) for value in values],
            marker={
                "color": colour,
                "pattern": {
                    "shape": ["/" if cut else "" for cut in open_],
                    "size": 6,
                    "solidity": 0.35,
                    "fillmode": "replace",
                },
            },
            customdata=[
                exact(value, table.measure.unit) + mark
                for value, mark in zip(values, marked, strict=True)
            ],
            hovertemplate="%{customdata}",
        )
    figure.update_layout(barmode="stack", bargap=0.2)
    return _finished(figure, table, buckets, any(open_), **look)


def _over_time(table: Table) -> tuple[dict[Row, dict[object, object]], list[object]]:
    if table.shape.grain is None:
        message = "there is no time column; ask with a time_grain, or say 'time'"
        raise QueryError(message)
    series = table.series()
    buckets = {bucket for one in series.values() for bucket in one if bucket is not None}
    return series, sorted(buckets, key=instant)


def _named(table: Table, series: dict[Row, dict[object, object]]) -> list[tuple[Row, str, str]]:
    """Return row, label and colour of each series."""
    rows, names = list(series), table.shape.dimensions
    if not names:
        return [(row, short_labels([(words(table.measure.name),)])[0], ONE) for row in rows]
    labels = short_labels(rows, 26)
    values = [row[0] if len(row) == 1 else _joined(row) for row in rows]
    shades = colours_of(" ".join(names), values)
    return list(zip(rows, labels, shades, strict=True))


def _joined(row: Row) -> object:
    from majordomo_analytics.plots.colours import GREYS

    rest = next((value for value in row if value in GREYS), None)
    return rest or "\0".join(map(str, row))


def _add_open_points(
    figure: go.Figure,
    table: Table,
    shown: Sequence[object],
    values: Sequence[object],
    open_: Sequence[bool],
    label: str,
    colour: str,
    heights: Sequence[float] | None = None,
) -> None:
    """Add a hollow point, with its number, for each bucket that is not complete."""
    places = [i for i, cut in enumerate(open_) if cut and values[i] is not None]
    if not places:
        return
    figure.add_scatter(
        name=label,
        legendgroup=label,
        x=[shown[i] for i in places],
        y=[drawn(values[i]) if heights is None else heights[i] for i in places],
        mode="markers",
        marker={"symbol": "circle-open", "size": 7, "color": colour, "line": {"width": 1.5}},
        customdata=[f"{exact(values[i], table.measure.unit)}  ({NOT_COMPLETE})" for i in places],
        hovertemplate="%{customdata}",
        showlegend=False,
    )


def _add_earlier(figure: go.Figure, table: Table, buckets: Sequence[object]) -> None:
    """Add the earlier period of a comparison, each bucket below the one it is beside."""
    name, shape = table.measure.name + BEFORE, table.shape
    if name not in table.rows.columns:
        return
    found: dict[Row, dict[object, object]] = {}
    for *keys, bucket, value in table.rows.select(
        [*shape.dimensions, str(shape.grain), name]
    ).iter_rows():
        found.setdefault(tuple(keys), {})[bucket] = value
    said = (shape.periods or ("", "before"))[1]
    several = bool(shape.dimensions)
    for row, label, colour in _named(table, table.series()):
        earlier = found.get(row, {})
        values = [earlier.get(bucket) for bucket in buckets]
        figure.add_scatter(
            name=short_labels([(said,)], 40)[0] if not several else f"{label}, before",
            legendgroup=label if several else "before",
            showlegend=not several,
            legendrank=2000,  # below the present, though it is drawn behind it
            x=axis_values(buckets),
            y=[drawn(value) for value in values],
            mode="lines",
            line={"color": colour if several else SLATE, "width": 1.5, "dash": "2px,3px"},
            customdata=[exact(value, table.measure.unit) for value in values],
            hovertemplate="%{customdata}",
        )


def _check_additive(table: Table) -> None:
    if not table.measure.additive:
        message = (
            f"{table.measure.name!r} does not add up over groups and cannot be stacked; "
            "draw it as 'lines'"
        )
        raise QueryError(message)


def _see_through(colour: str) -> str:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.82)"


def _finished(
    figure: go.Figure,
    table: Table,
    buckets: Sequence[object],
    is_cut: bool,
    **look: Unpack[Look],
) -> go.Figure:
    names = table.shape.dimensions
    numbers = [y for trace in figure.data for y in trace.y or ()]
    axis = number_axis(table.measure.name, table.measure.unit, numbers)
    figure.update_yaxes(axis, rangemode="tozero")
    time_axis(figure, table, buckets)
    title = short_labels([names], 40)[0] if names else None
    compared = table.shape.periods is not None and not names
    figure.update_layout(
        hovermode="x unified",
        showlegend=bool(names) or compared,
        legend={"title": {"text": title}} if names else {"orientation": "h", "y": -0.12},
    )
    if is_cut:
        table = table.noting(f"hatched or dashed: {NOT_COMPLETE}")
    said = table.shape.length or table.shape.grain
    return finish(figure, table, by=[*names, str(said)], title=look.get("title"))

"""How long requests take: their quantiles side by side, and their whole distribution."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Unpack

import polars as pl

from majordomo_analytics.errors import QueryError, UnknownNameError
from majordomo_analytics.plan.plan import UNTAGGED
from majordomo_analytics.plots.colours import colours_of, is_rest
from majordomo_analytics.plots.figure import finish, new_figure
from majordomo_analytics.plots.ranking import HEIGHT_OF_BAR
from majordomo_analytics.plots.table import (
    Column,
    Shape,
    Table,
    level_of,
    limited,
    read_frame,
    read_table,
)
from majordomo_analytics.plots.timeaxis import axis_values, runs, time_axis
from majordomo_analytics.plots.timelines import ONE
from majordomo_analytics.plots.words import (
    axis_title,
    drawn,
    exact,
    heading,
    long_label,
    number_axis,
    short,
    short_labels,
    words,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    import plotly.graph_objects as go

    from majordomo_analytics.plots.figure import Look
    from majordomo_analytics.plots.table import Frame, Names

MOST_VALUES = 25
MOST_CURVES = 8
_STEPS = 400
_SHADES = ("#1F77C4", "#D38209", "#AC4405", "#904C83")
_SYMBOLS = ("circle", "diamond", "square", "triangle-up")


def percentiles(
    data: object | Frame,
    *,
    by: Names = None,
    time: str | None = None,
    limit: int = MOST_VALUES,
    subtitle: str | None = None,
    **look: Unpack[Look],
) -> go.Figure:
    """Return p50, p95, p99 … of each value as points on a line, or as bands over time.

    Parameters
    ----------
    data, by, time, subtitle
        As in `bars`; there are two measures or more like ``p50_response_time_ms`` and
        ``p95_response_time_ms``, and a dimension or a time column.
    limit
        How many values at most.
    **look
        ``title`` and ``theme``.

    Raises
    ------
    QueryError
        If there are no two quantiles of one thing, or nothing to draw them along.

    Examples
    --------
    >>> import majordomo_analytics as ma
    >>> asked = ["p50_response_time_ms", "p95_response_time_ms"]
    >>> figure = ma.plots.percentiles(ma.sample().query(asked, "model"))
    >>> [trace.name for trace in figure.data if trace.mode == "markers"]
    ['p50', 'p95']
    """
    table = read_table(data, by=by, time=time, subtitle=subtitle)
    levels = table.levels()
    if len(levels) < 2:
        message = (
            "there are no two quantiles of one thing, such as 'p50_response_time_ms' and "
            "'p95_response_time_ms'"
        )
        raise QueryError(message)
    table = Table(table.rows, table.shape, levels[0], table.notes)
    if table.shape.grain is not None:
        if table.shape.dimensions:
            message = "quantiles over time are drawn of all requests together; leave out 'by'"
            raise QueryError(message)
        return _bands(table, levels, **look)
    if not table.shape.dimensions:
        message = "one number makes no figure; ask by a dimension or with a time_grain"
        raise QueryError(message)
    return _dumbbells(limited(table, limit), levels, **look)


def _dumbbells(table: Table, levels: Sequence[Column], **look: Unpack[Look]) -> go.Figure:
    names, unit = list(table.shape.dimensions), levels[0].unit
    found = table.rows.select([*names, *(column.name for column in levels)]).rows()
    found.sort(key=lambda row: is_rest(row[: len(names)]))
    rows = [row[: len(names)] for row in found]
    labels = short_labels(rows)
    columns = list(zip(*(row[len(names) :] for row in found), strict=True))
    figure = new_figure(look.get("theme"))
    reach_x: list[object] = []
    reach_y: list[object] = []
    for label, *ends in zip(labels, *columns, strict=True):
        known = [drawn(value) for value in ends if value is not None]
        if known:
            reach_x += [min(known), max(known), None]  # type: ignore[type-var]
            reach_y += [label, label, None]
    figure.add_scatter(
        x=reach_x, y=reach_y, mode="lines", line={"width": 4, "color": "rgba(128,136,150,0.35)"},
        hoverinfo="skip", showlegend=False,
    )  # fmt: skip
    for column, values, shade, symbol in zip(levels, columns, _SHADES, _SYMBOLS, strict=False):
        last = column is levels[-1]
        figure.add_scatter(
            name=level_of(column),
            x=[drawn(value) for value in values],
            y=labels,
            mode="markers",
            marker={"size": 11, "color": shade, "symbol": symbol},
            customdata=[
                [exact(value, unit), long_label(row)]
                for value, row in zip(values, rows, strict=True)
            ],
            hovertemplate=(
                f"%{{customdata[1]}}<br>{level_of(column)} <b>%{{customdata[0]}}</b><extra></extra>"
            ),
        )
        if last:
            figure.add_scatter(
                x=[drawn(value) for value in values],
                y=labels,
                mode="text",
                text=[f"   {short(value, unit)}" for value in values],
                textposition="middle right",
                cliponaxis=False,
                hoverinfo="skip",
                showlegend=False,
            )
    numbers = [drawn(value) for values in columns for value in values]
    stem = words(levels[0].name.partition("_")[2])
    figure.update_xaxes(number_axis(levels[0].name, unit, numbers), rangemode="tozero")
    most = max((number for number in numbers if number is not None), default=0)
    figure.update_xaxes(title={"text": axis_title(stem, unit)}, range=[0, most * 1.15 or 1])
    figure.update_yaxes(
        type="category", categoryorder="array", categoryarray=labels[::-1], showgrid=False
    )
    height = 90 + HEIGHT_OF_BAR * max(len(labels), 3)
    return finish(
        figure, table, by=names, title=look.get("title"), main=heading(stem), height=height
    )


def _bands(table: Table, levels: Sequence[Column], **look: Unpack[Look]) -> go.Figure:
    grain, unit = str(table.shape.grain), levels[0].unit
    rows = table.rows.sort(grain)
    buckets = rows[grain].to_list()
    shown = axis_values(buckets)
    figure = new_figure(look.get("theme"))
    known = rows.select(pl.all_horizontal(pl.col(c.name).is_not_null() for c in levels))
    mark = known.to_series().to_list()
    for below, above, depth in zip(levels, levels[1:], (0.28, 0.14, 0.08), strict=False):
        for run in runs(mark):
            for column, fill in ((below, None), (above, "tonexty")):
                figure.add_scatter(
                    x=[shown[i] for i in run],
                    y=[drawn(rows[column.name][i]) for i in run],
                    mode="lines",
                    line={"width": 0},
                    fill=fill,
                    fillcolor=f"rgba(31,119,196,{depth})",
                    hoverinfo="skip",
                    showlegend=False,
                )
    cut = set(table.shape.incomplete)
    for column, dash, width in zip(levels, ("solid", "5px,3px", "1px,3px"), (2.5, 1.5, 1.5),
                                   strict=False):  # fmt: skip
        values = rows[column.name].to_list()
        figure.add_scatter(
            name=level_of(column),
            x=shown,
            y=[drawn(value) for value in values],
            mode="lines+markers" if len(buckets) < 3 else "lines",
            line={"color": ONE, "width": width, "dash": dash},
            customdata=[
                exact(value, unit) + ("  (not complete)" if at in cut else "")
                for value, at in zip(values, buckets, strict=True)
            ],
            hovertemplate="%{customdata}",
        )
    stem = words(levels[0].name.partition("_")[2])
    numbers = [drawn(value) for column in levels for value in rows[column.name]]
    figure.update_yaxes(number_axis(levels[0].name, unit, numbers), rangemode="tozero")
    figure.update_yaxes(title={"text": axis_title(stem, unit)})
    time_axis(figure, table, buckets)
    figure.update_layout(hovermode="x unified")
    by = [table.shape.length or grain]
    return finish(figure, table, by=by, title=look.get("title"), main=heading(stem))


def ecdf(
    data: object | Frame,
    column: str = "response_time_ms",
    *,
    by: str | None = None,
    unit: str | None = None,
    limit: int = MOST_CURVES,
    log: bool = True,
    subtitle: str = "",
    **look: Unpack[Look],
) -> go.Figure:
    """Return which share of rows has at most each value: the whole distribution.

    Parameters
    ----------
    data
        The requests themselves, such as `Ledger.requests` gives, or any frame with a row
        for each of them.
    column
        The column of numbers; rows where it is not known are left out, and counted in the
        line below the title.
    by
        A column with a curve for each of its values.
    unit
        Of the numbers, by default what the column's name ends with.
    limit
        How many curves at most: those with the most rows.
    log
        Whether the axis of numbers is logarithmic, as durations spread over decades.
    subtitle
        The line below the title.
    **look
        ``title`` and ``theme``.

    Raises
    ------
    UnknownNameError
        If a column is not there.
    QueryError
        If the column holds no numbers.

    Examples
    --------
    >>> import majordomo_analytics as ma
    >>> figure = ma.plots.ecdf(ma.sample().requests(), by="Team", limit=3)
    >>> figure.data[0].y[-1]
    1.0
    """
    frame = read_frame(data)
    for name in (column, by):
        if name is not None and name not in frame.columns:
            raise UnknownNameError(kind="column", name=name, known=frame.columns)
    if not frame.schema[column].is_numeric():
        message = f"the column {column!r} holds {frame.schema[column]}, no numbers"
        raise QueryError(message)
    kept = frame.filter(pl.col(column).is_not_null())
    lacking = frame.height - kept.height
    said = unit if unit is not None else "ms" if column.endswith("_ms") else ""
    shape = Shape((Column(column, said, additive=False),), (by,) if by else (), subtitle=subtitle)
    table = Table(kept, shape, shape.measures[0])
    if lacking:
        table = table.noting(f"{lacking:,} of {frame.height:,} not known")
    groups: list[tuple[object, pl.Series]] = [("all", kept[column])]
    if by is not None:
        named = kept.select(pl.col(by).cast(pl.String).fill_null(UNTAGGED), column)
        counts = (
            named[by].value_counts(sort=True, name="n").sort(["n", by], descending=[True, False])
        )
        values = counts[by].to_list()
        if len(values) > limit:
            table = table.noting(f"the {limit:,} most frequent of {len(values):,} values of {by}")
        values = sorted(values[:limit], key=lambda value: is_rest([value]))
        groups = [(value, named.filter(pl.col(by) == value)[column]) for value in values]
    colours = colours_of(by or "", [value for value, _ in groups]) if by else [ONE]
    labels = short_labels([(value,) for value, _ in groups], 26)
    figure = new_figure(look.get("theme"))
    for label, colour, (_, numbers) in zip(labels, colours, groups, strict=True):
        shares = [step / _STEPS for step in range(_STEPS + 1)]
        ranked = numbers.sort()
        at = [ranked[max(0, ceil(share * len(ranked)) - 1)] for share in shares]
        figure.add_scatter(
            name=label,
            x=[drawn(value) for value in at],
            y=shares,
            mode="lines",
            line={"color": colour, "width": 2, "shape": "hv"},
            customdata=[exact(value, said) for value in at],
            hovertemplate="%{y:.0%} within <b>%{customdata}</b>",
        )
    figure.update_xaxes(title={"text": axis_title(column, said)})
    if log and (kept.is_empty() or (kept[column] > 0).all()):
        figure.update_xaxes(type="log", dtick=1, minor={"ticks": "outside"})
    share = f"Share of {'rows' if 'requested_at' not in frame.columns else 'requests'}"
    figure.update_yaxes(title={"text": share}, tickformat=".0%", range=[0, 1.02])
    title = short_labels([(by,)], 40)[0] if by else None
    figure.update_layout(showlegend=by is not None, legend={"title": {"text": title}})
    main = f"Distribution of {heading(column)[:1].lower()}{heading(column)[1:]}"
    return finish(figure, table, by=table.shape.dimensions, title=look.get("title"), main=main)

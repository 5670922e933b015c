"""Ranked bars: one for each combination of values, or stacked by a second."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Unpack

from majordomo_analytics.errors import QueryError
from majordomo_analytics.plots.colours import SLATE, colours_of, is_rest
from majordomo_analytics.plots.figure import finish, new_figure
from majordomo_analytics.plots.table import fold, limited, read_table, share_of, sum_of
from majordomo_analytics.plots.words import (
    NOT_KNOWN,
    SEPARATOR,
    drawn,
    exact,
    long_label,
    number_axis,
    short,
    short_labels,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    import plotly.graph_objects as go

    from majordomo_analytics.plots.figure import Look
    from majordomo_analytics.plots.table import Frame, Names, Row, Table

HEIGHT_OF_BAR = 30
MOST_BARS = 25
MOST_COLOURS = 10
MOST_PARTS = 8
_ROOM_FOR_TEXT = 1.22


def bars(
    data: object | Frame,
    measure: str | None = None,
    *,
    by: Names = None,
    time: str | None = None,
    unit: str | None = None,
    limit: int = MOST_BARS,
    subtitle: str | None = None,
    **look: Unpack[Look],
) -> go.Figure:
    """Return ranked bars with the share of each; columns over time where there is time.

    Parameters
    ----------
    data
        A result of `Ledger.query`, or a Polars, pandas or Arrow table or DuckDB relation
        with one row for each bar. What adds up is added where there are more.
    measure
        The column to draw, by default the first measure.
    by, time
        Of a frame: the columns that tell the bars apart, by default all that are no
        numbers, and the column of dates or times.
    unit
        Of the numbers: ``USD``, ``tokens``, ``ms``, ``share`` …; by default that of the
        measure of this name, or what the name ends with.
    limit
        How many bars at most; what adds up is drawn as ``(other)`` beyond.
    subtitle
        The line below the title, by default the time range.
    **look
        ``title``, and ``theme``: ``"light"`` or ``"dark"``.

    Returns
    -------
    plotly.graph_objects.Figure
        Up to ten bars have the colour that their value has in every figure.

    Raises
    ------
    UnknownNameError
        If a column that is named is not there.
    QueryError
        If it cannot be told what to draw.

    Examples
    --------
    >>> import polars as pl
    >>> import majordomo_analytics as ma
    >>> spend = pl.DataFrame({"team": ["legal", "sales"], "cost": [12.5, 7.5]})
    >>> figure = ma.plots.bars(spend)
    >>> figure.data[0].text
    ('$12.50 · 62.5%', '$7.50 · 37.5%')
    """
    table = read_table(data, measure=measure, by=by, time=time, unit=unit, subtitle=subtitle)
    if table.shape.grain is not None:
        from majordomo_analytics.plots.timelines import columns

        return columns(limited(table, min(limit, MOST_PARTS)), **look)
    if not table.shape.dimensions:
        message = "bars need a column to tell them apart; say 'by', or ask by a dimension"
        raise QueryError(message)
    return _ranked(limited(table, limit), **look)


def _ranked(table: Table, **look: Unpack[Look]) -> go.Figure:
    name, unit = table.measure.name, table.measure.unit
    found = table.values()
    rows, values = list(found), list(found.values())
    labels = short_labels(rows)
    numbers = [drawn(value) for value in values]
    shares = share_of(table, values)
    texts = [
        short(value, unit) + ("" if share is None else f"{SEPARATOR}{share:.1%}")
        for value, share in zip(values, shares, strict=True)
    ]
    of_total = ["" if share is None else f"<br>{share:.2%} of all" for share in shares]
    figure = new_figure(look.get("theme"))
    figure.add_bar(
        orientation="h",
        x=numbers,
        y=labels,
        marker={"color": bar_colours(table, rows)},
        text=texts,
        textposition="outside",
        cliponaxis=False,
        customdata=[
            [exact(value, unit), long_label(row), share]
            for value, row, share in zip(values, rows, of_total, strict=True)
        ],
        hovertemplate="%{customdata[1]}<br><b>%{customdata[0]}</b>%{customdata[2]}<extra></extra>",
    )
    _label_axis(figure, labels)
    most = max((number for number in numbers if number is not None), default=0)
    least = min((number for number in numbers if number is not None), default=0)
    figure.update_xaxes(number_axis(name, unit, numbers))
    if most > 0:
        figure.update_xaxes(range=[min(least * _ROOM_FOR_TEXT, 0), most * _ROOM_FOR_TEXT])
    figure.update_layout(bargap=0.28, showlegend=False)
    if None in numbers:
        table = table.noting(f"{numbers.count(None):,} without a bar: {NOT_KNOWN}")
    height = 70 + HEIGHT_OF_BAR * max(len(labels), 3)
    return finish(figure, table, by=table.shape.dimensions, title=look.get("title"), height=height)


def bar_colours(table: Table, rows: Sequence[Row]) -> list[str]:
    """Return the colour of each bar: its value's own, or slate where there are too many."""
    names = table.shape.dimensions
    if len(names) > 1 or len(rows) > MOST_COLOURS + 2:
        return [
            colours_of("", [next(v for v in row if is_rest([v]))])[0] if is_rest(row) else SLATE
            for row in rows
        ]
    return colours_of(names[0], [row[0] for row in rows])


def stacked_bars(
    data: object | Frame,
    measure: str | None = None,
    *,
    by: Names = None,
    unit: str | None = None,
    limit: int = MOST_BARS,
    parts: int = MOST_PARTS,
    subtitle: str | None = None,
    **look: Unpack[Look],
) -> go.Figure:
    """Return one bar for each value of a first dimension, cut by the values of a second.

    Parameters
    ----------
    data, measure, by, unit, subtitle
        As in `bars`; there are two dimensions, and the measure adds up.
    limit, parts
        How many bars, and how many colours at most; the rest is ``(other)``.
    **look
        ``title`` and ``theme``.

    Raises
    ------
    QueryError
        If there are not two dimensions, or the measure does not add up.

    Examples
    --------
    >>> import polars as pl
    >>> import majordomo_analytics as ma
    >>> rows = [("legal", "a", 1), ("legal", "b", 2), ("ops", "a", 4)]
    >>> frame = pl.DataFrame(rows, schema=["team", "model", "cost"], orient="row")
    >>> figure = ma.plots.stacked_bars(frame)
    >>> {trace.name: trace.x for trace in figure.data if trace.type == "bar"}
    {'a': (4, 1), 'b': (None, 2)}
    """
    table = read_table(data, measure=measure, by=by, unit=unit, subtitle=subtitle)
    names, column = table.shape.dimensions, table.measure
    if len(names) != 2 or table.shape.grain is not None:
        message = f"stacked bars need two dimensions and no time, not {list(names)}"
        raise QueryError(message)
    if not column.additive:
        message = f"{column.name!r} does not add up over groups and cannot be stacked"
        raise QueryError(message)
    table = fold_each(table, (limit, parts))
    cells = table.values()
    outer, inner = ranked_values(table, 0), ranked_values(table, 1)
    labels = short_labels([(value,) for value in outer], 28)
    figure = new_figure(look.get("theme"))
    for value, label, colour in zip(
        inner,
        short_labels([(value,) for value in inner], 20),
        colours_of(names[1], inner),
        strict=True,
    ):
        mine = [cells.get((first, value)) for first in outer]
        figure.add_bar(
            name=label,
            orientation="h",
            x=[drawn(number) for number in mine],
            y=labels,
            marker={"color": colour},
            customdata=[
                [exact(number, column.unit), long_label((first, value))]
                for first, number in zip(outer, mine, strict=True)
            ],
            hovertemplate="%{customdata[1]}<br><b>%{customdata[0]}</b><extra></extra>",
        )
    sums = [sum_of(cells.get((first, value)) for value in inner) for first in outer]
    figure.add_scatter(
        mode="text",
        x=[drawn(total) for total in sums],
        y=labels,
        text=[f" {short(total, column.unit)}" for total in sums],
        textposition="middle right",
        cliponaxis=False,
        hoverinfo="skip",
        showlegend=False,
    )
    _label_axis(figure, labels)
    numbers = [drawn(total) for total in sums]
    most = max((number for number in numbers if number is not None), default=0)
    figure.update_xaxes(number_axis(column.name, column.unit, numbers))
    if most > 0:
        figure.update_xaxes(range=[0, most * (_ROOM_FOR_TEXT + 0.06)])
    title = short_labels([(names[1],)], 40)[0]
    figure.update_layout(barmode="stack", bargap=0.28, legend={"title": {"text": title}})
    height = 70 + HEIGHT_OF_BAR * max(len(labels), len(inner) * 2 // 3 + 1, 3)
    return finish(figure, table, by=names, title=look.get("title"), height=height)


def fold_each(table: Table, most: Sequence[int]) -> Table:
    """Return a table in which each dimension has at most so many values."""
    for place, (name, bound) in enumerate(zip(table.shape.dimensions, most, strict=False)):
        own = [value for value in ranked_values(table, place) if not is_rest([value])]
        if len(own) <= bound:
            continue
        kept = {str(value) for value in own[:bound]}
        one = replace(table, shape=replace(table.shape, dimensions=(name,)))
        folded = fold(
            one,
            lambda row, kept=kept: str(row[0]) in kept or is_rest(row),  # type: ignore[misc]
            len(own),
            bound,
            f"values of {name}",
            regroup=table.shape,
        )
        table = replace(folded, shape=table.shape)
    return table


def ranked_values(table: Table, place: int) -> list[object]:
    """Return the values of one dimension, the largest first, the rest last.

    Of what does not add up, in the order of the rows.
    """
    sums: dict[object, list[object]] = {}
    for row, number in table.values().items():
        sums.setdefault(row[place], []).append(number)
    order = list(sums)
    if table.measure.additive:
        order.sort(key=lambda value: -(sum_of(sums[value]) or 0))
    return sorted(order, key=lambda value: is_rest([value]))


def _label_axis(figure: go.Figure, labels: Sequence[str]) -> None:
    figure.update_yaxes(
        type="category",
        categoryorder="array",
        categoryarray=list(labels)[::-1],
        showgrid=False,
        tickfont={"color": None},
        ticklabelstandoff=6,
    )

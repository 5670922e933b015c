"""What changed between two periods: bars to both sides, or a line from one to the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

from majordomo_analytics.errors import QueryError
from majordomo_analytics.plots.colours import FALL, RISE, is_rest
from majordomo_analytics.plots.figure import finish, new_figure
from majordomo_analytics.plots.ranking import HEIGHT_OF_BAR, bar_colours
from majordomo_analytics.plots.table import BEFORE, read_table
from majordomo_analytics.plots.words import (
    NOT_KNOWN,
    SEPARATOR,
    drawn,
    escaped,
    exact,
    heading,
    long_label,
    number_axis,
    short,
    short_labels,
    signed,
    words,
)

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from majordomo_analytics.plots.figure import Look
    from majordomo_analytics.plots.table import Frame, Names, Row, Table

MOST_CHANGES = 20
MOST_SLOPES = 12


def changes(
    data: object | Frame,
    measure: str | None = None,
    *,
    by: Names = None,
    unit: str | None = None,
    limit: int = MOST_CHANGES,
    subtitle: str | None = None,
    **look: Unpack[Look],
) -> go.Figure:
    """Return what rose to the right and what fell to the left, the largest change on top.

    Parameters
    ----------
    data
        A result with ``compare=``, or a frame that has a column ``…_before`` beside that of
        the measure.
    measure, by, unit, subtitle
        As in `bars`.
    limit
        How many values at most: those that changed most. What the others changed together
        is ``(other)``, if it adds up.
    **look
        ``title`` and ``theme``.

    Raises
    ------
    QueryError
        If there is no earlier period, or no dimension.

    Examples
    --------
    >>> import polars as pl
    >>> import majordomo_analytics as ma
    >>> rows = {"team": ["legal", "ops"], "cost": [3.0, 5.0], "cost_before": [4.0, 1.0]}
    >>> figure = ma.plots.changes(pl.DataFrame(rows))
    >>> dict(zip(figure.data[0].y, figure.data[0].x))
    {'ops': 4.0, 'legal': -1.0}
    """
    table = read_table(data, measure=measure, by=by, unit=unit, subtitle=subtitle)
    _check(table)
    if not table.shape.dimensions:
        message = "bars of change need a dimension; draw it as 'slope'"
        raise QueryError(message)
    name, unit = table.measure.name, table.measure.unit
    found = _pairs(table)
    found = dict(sorted(found.items(), key=lambda item: -abs(drawn(_change(item[1])) or 0)))
    own = [row for row in found if not is_rest(row)]
    if len(own) > limit:
        found, table = _folded(found, own, limit, table)
    found = dict(sorted(found.items(), key=lambda item: is_rest(item[0])))
    rows, pairs = list(found), list(found.values())
    moved = [_change(pair) for pair in pairs]
    labels = short_labels(rows)
    numbers = [drawn(value) for value in moved]
    figure = new_figure(look.get("theme"))
    figure.add_bar(
        orientation="h",
        x=numbers,
        y=labels,
        marker={
            "color": [
                colour if is_rest(row) else RISE if (number or 0) > 0 else FALL
                for row, number, colour in zip(rows, numbers, bar_colours(table, rows), strict=True)
            ]
        },
        text=[_text(pair, unit) for pair in pairs],
        textposition="outside",
        cliponaxis=False,
        customdata=[
            [signed(exact(change, unit), change), long_label(row), *_both(pair, unit)]
            for change, row, pair in zip(moved, rows, pairs, strict=True)
        ],
        hovertemplate=(
            "%{customdata[1]}<br><b>%{customdata[0]}</b><br>now %{customdata[2]}<br>"
            "before %{customdata[3]}<extra></extra>"
        ),
    )
    known = [number for number in numbers if number is not None]
    least, most = min([*known, 0]), max([*known, 0])
    room = (most - least) * 0.32 or 1
    axis = number_axis(name, unit, known)
    figure.update_xaxes(
        axis,
        title={"text": f"change of {words_escaped(name)}"},
        range=[least - room * (least < 0), most + room * (most > 0)],
        zeroline=True,
        zerolinewidth=1,
        zerolinecolor="rgba(128,136,150,0.8)",
    )
    figure.update_yaxes(
        type="category", categoryorder="array", categoryarray=labels[::-1], showgrid=False,
        ticklabelstandoff=6,
    )  # fmt: skip
    figure.update_layout(bargap=0.28, showlegend=False)
    if len(known) < len(numbers):
        table = table.noting(f"{len(numbers) - len(known):,} without a bar: {NOT_KNOWN}")
    height = 70 + HEIGHT_OF_BAR * max(len(labels), 3)
    return finish(
        figure, table.noting(_periods(table)), by=table.shape.dimensions,
        title=look.get("title"), main=f"Change of {words_escaped(name)}", height=height,
    )  # fmt: skip


def slope(
    data: object | Frame,
    measure: str | None = None,
    *,
    by: Names = None,
    unit: str | None = None,
    limit: int = MOST_SLOPES,
    subtitle: str | None = None,
    **look: Unpack[Look],
) -> go.Figure:
    """Return a line for each value, from the earlier period to this one.

    Parameters
    ----------
    data, measure, by, unit, subtitle
        As in `changes`; a dimension is not needed.
    limit
        How many lines at most, the first of the rows.
    **look
        ``title`` and ``theme``.

    Raises
    ------
    QueryError
        If there is no earlier period.

    Examples
    --------
    >>> import polars as pl
    >>> import majordomo_analytics as ma
    >>> rows = {"team": ["legal", "ops"], "cost": [3.0, 5.0], "cost_before": [4.0, 1.0]}
    >>> [trace.y for trace in ma.plots.slope(pl.DataFrame(rows)).data]
    [(4.0, 3.0), (1.0, 5.0)]
    """
    table = read_table(data, measure=measure, by=by, unit=unit, subtitle=subtitle)
    _check(table)
    name, unit = table.measure.name, table.measure.unit
    found = dict(sorted(_pairs(table).items(), key=lambda item: is_rest(item[0])))
    if len(found) > limit:
        table = table.noting(f"the first {limit:,} of {len(found):,} values are shown")
        found = dict(list(found.items())[:limit])
    rows = list(found)
    labels = short_labels(rows, 24) if table.shape.dimensions else [heading(name)]
    colours = bar_colours(table, rows) if table.shape.dimensions else [FALL]
    figure = new_figure(look.get("theme"))
    ends = _spread_out([drawn(pair[0]) for pair in found.values()])
    starts = _spread_out([drawn(pair[1]) for pair in found.values()])
    for row, label, colour, start, end in zip(rows, labels, colours, starts, ends, strict=True):
        now, before = found[row]
        figure.add_scatter(
            name=label,
            x=[0, 1],
            y=[drawn(before), drawn(now)],
            mode="lines+markers",
            line={"color": colour, "width": 2.5},
            marker={"size": 9},
            customdata=[[text, long_label(row) if row else label]
                        for text in (exact(before, unit), exact(now, unit))],
            hovertemplate="%{customdata[1]}<br><b>%{customdata[0]}</b><extra></extra>",
            showlegend=False,
        )  # fmt: skip
        for x, y, text, anchor in (
            (0, start, short(before, unit), "right"),
            (1, end, f"{short(now, unit)}  {label}", "left"),
        ):
            if y is not None:
                figure.add_annotation(
                    x=x, y=y, text=text, showarrow=False, xanchor=anchor,
                    xshift=-10 if anchor == "right" else 10, font={"color": colour},
                )  # fmt: skip
    now_name, before_name = table.shape.periods or ("now", "before")
    figure.update_xaxes(
        tickvals=[0, 1],
        ticktext=short_labels([(before_name,), (now_name,)], 48),
        range=[-0.3, 1.55],
        showgrid=True,
        gridwidth=1,
    )
    numbers = [number for number in (*starts, *ends) if number is not None]
    figure.update_yaxes(number_axis(name, unit, numbers), showgrid=False)
    low, high = min([*numbers, 0]), max([*numbers, 0])
    edge = (high - low) * 0.05 or 1
    figure.update_yaxes(range=[low - edge, high + edge])
    figure.update_yaxes(showticklabels=False, title=None)
    height = 130 + 30 * max(len(rows), 6)
    return finish(figure, table, by=table.shape.dimensions, title=look.get("title"), height=height)


def words_escaped(name: str) -> str:
    """Return a measure's name as words, escaped."""
    return escaped(words(name))


def _check(table: Table) -> None:
    if table.shape.periods is None or table.measure.name + BEFORE not in table.rows.columns:
        message = (
            f"there is no earlier {table.measure.name!r} to compare with; ask with "
            "compare='previous period'"
        )
        raise QueryError(message)
    if table.shape.grain is not None:
        message = "a comparison over time is drawn as 'lines'; leave out the time_grain for this"
        raise QueryError(message)


def _pairs(table: Table) -> dict[Row, tuple[Any, Any]]:
    name = table.measure.name
    rows = table.rows.select([*table.shape.dimensions, name, name + BEFORE])
    return {tuple(row): (now, before) for *row, now, before in rows.iter_rows()}


def _change(pair: tuple[Any, Any]) -> Any:
    now, before = pair
    return None if now is None or before is None else now - before


def _folded(
    found: dict[Row, tuple[Any, Any]], own: list[Row], limit: int, table: Table
) -> tuple[dict[Row, tuple[Any, Any]], Table]:
    """Keep what changed most; add the others up where that has a meaning."""
    kept = set(own[:limit])
    first = f"the {limit:,} of {len(own):,} values that changed most"
    left = {row: pair for row, pair in found.items() if row in kept or is_rest(row)}
    if not table.measure.additive:
        return left, table.noting(f"{first} are shown")
    rest = tuple("(other)" for _ in own[0])
    parts = [pair for row, pair in found.items() if row not in left or row == rest]
    known = [pair for pair in parts if None not in pair]
    left[rest] = tuple(sum(pair[i] for pair in known) for i in (0, 1)) if known else (None, None)
    return left, table.noting(f"{first}; the rest is in (other)")


def _text(pair: tuple[Any, Any], unit: str) -> str:
    change, before = _change(pair), pair[1]
    if change is None:
        return ""
    if unit == "share":
        return f"{float(change) * 100:+.1f} points"
    text = signed(short(change, unit), change)
    if not before:
        return f"{text}{SEPARATOR}new" if change else text
    return f"{text}{SEPARATOR}{float(change) / float(before):+.0%}"


def _both(pair: tuple[Any, Any], unit: str) -> tuple[str, str]:
    return exact(pair[0], unit).replace("$", "&#36;"), exact(pair[1], unit).replace("$", "&#36;")


def _periods(table: Table) -> str:
    return f"before: {(table.shape.periods or ('', 'before'))[1]}"


def _spread_out(places: list[Any]) -> list[Any]:
    """Return where labels go so that none stands on another: as near as there is room."""
    known = sorted((place, i) for i, place in enumerate(places) if place is not None)
    if not known:
        return places
    room = (max(known[-1][0], 0) - min(known[0][0], 0)) * 0.055 or 1
    found, last = list(places), None
    for place, i in known:
        found[i] = place if last is None else max(place, last + room)
        last = found[i]
    return found

"""Figures of a query result: ranked bars for dimensions, lines or areas over time."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Literal

import plotly.graph_objects as go
import polars as pl

from majordomo_analytics.errors import QueryError
from majordomo_analytics.plots.theme import COLOURS, TEMPLATE, colours, rest_last, title

if TYPE_CHECKING:
    from collections.abc import Sequence

    from majordomo_analytics.times import TimeGrain

Kind = Literal["bar", "line", "area"]
_LABEL = "__label"
_HEIGHT_OF_BAR = 30
_SPELLED = {"ms": "ms", "p50": "p50", "p95": "p95", "p99": "p99", "avg": "average", "1k": "1k"}


@dataclass(frozen=True, slots=True)
class Shape:
    """What a frame to draw holds.

    Attributes
    ----------
    measures
        Name, unit, and whether groups add up, of each measure; the first is drawn.
    dimensions
        Names of the dimension columns.
    grain
        Name of the time column, None if there is none.
    subtitle
        The range and zone, below the title.
    """

    measures: tuple[tuple[str, str, bool], ...]
    dimensions: tuple[str, ...]
    grain: TimeGrain | None
    subtitle: str


def plot_rows(rows: pl.DataFrame, shape: Shape, kind: Kind | None = None) -> go.Figure:
    """Return a figure of the first measure, by time if there is a time column.

    Raises
    ------
    QueryError
        If there is nothing to draw along, or `kind` does not fit.
    """
    if shape.grain is None and not shape.dimensions:
        message = "one number makes no figure; ask by a dimension or with a time_grain"
        raise QueryError(message)
    name, _, additive = shape.measures[0]
    fitting: tuple[Kind, ...] = ("bar",) if shape.grain is None else ("line", "bar", "area")
    if kind is None:
        kind = fitting[0]
        if shape.grain is not None and shape.dimensions and additive:
            kind = "area"
    if kind not in fitting:
        message = f"this result cannot be drawn as {kind!r}; it can as {' or '.join(fitting)}"
        raise QueryError(message)
    if kind != "line" and shape.grain is not None and shape.dimensions and not additive:
        message = f"{name!r} does not add up over groups and cannot be stacked; draw it as 'line'"
        raise QueryError(message)
    figure = _ranked(rows, shape) if shape.grain is None else _over_time(rows, shape, kind)
    by = [*shape.dimensions, *([shape.grain] if shape.grain else [])]
    main = f"{_words(name).capitalize()} by {' and '.join(map(escape, by))}"
    figure.update_layout(template=TEMPLATE, title=title(main, escape(shape.subtitle)))
    return figure


def _ranked(rows: pl.DataFrame, shape: Shape) -> go.Figure:
    """Draw one horizontal bar for each row, the first on top."""
    name, unit, _ = shape.measures[0]
    labelled = _with_labels(rows, shape.dimensions)
    order = rest_last(labelled[_LABEL].to_list())
    colour = dict.fromkeys(order, COLOURS[0]) | {
        label: shade for label, shade in colours(order).items() if shade not in COLOURS
    }
    values = labelled[name].to_list()
    labels = labelled[_LABEL].to_list()
    bars = go.Bar(
        orientation="h",
        x=[_drawn(value) for value in values],
        y=labels,
        marker={"color": [colour[label] for label in labels]},
        customdata=[_exact(value, unit) for value in values],
        text=[_short(value, unit) for value in values],
        textposition="outside",
        cliponaxis=False,
        hovertemplate="%{y}<br><b>%{customdata}</b><extra></extra>",
    )
    figure = go.Figure(bars)
    figure.update_yaxes(
        type="category", categoryorder="array", categoryarray=order[::-1], showgrid=False
    )
    figure.update_xaxes(_axis(name, unit), rangemode="tozero")
    figure.update_layout(height=150 + _HEIGHT_OF_BAR * max(len(order), 3), bargap=0.25)
    return figure


def _over_time(rows: pl.DataFrame, shape: Shape, kind: Kind) -> go.Figure:
    """Draw one line, area or stack of bars for each combination of dimension values."""
    name, unit, _ = shape.measures[0]
    grain = str(shape.grain)
    labelled = _with_labels(rows, shape.dimensions).sort(grain)
    ranked = labelled.group_by(_LABEL, maintain_order=True).agg(pl.col(name).sum())
    order = rest_last(ranked.sort(name, descending=True, nulls_last=True)[_LABEL].to_list())
    colour = colours(order)
    moments = labelled.select(grain).unique().sort(grain)
    figure = go.Figure()
    for label in order:
        mine = moments.join(labelled.filter(pl.col(_LABEL) == label), on=grain, how="left")
        values = mine[name].to_list()
        drawn = [_drawn(value) for value in values]
        if kind == "area":
            drawn = [value or 0 for value in drawn]  # a gap would tear the stack
        common = {
            "name": label or _words(name),
            "x": mine[grain].to_list(),
            "y": drawn,
            "customdata": [_exact(value, unit) for value in values],
            "hovertemplate": "%{customdata}",
        }
        if kind == "bar":
            figure.add_bar(marker={"color": colour[label]}, **common)
        else:
            line = {"color": colour[label], "width": 2 if kind == "line" else 0.5}
            stack = {"stackgroup": "one"} if kind == "area" else {}
            mode = "lines+markers" if len(moments) < 60 and kind == "line" else "lines"
            figure.add_scatter(mode=mode, line=line, **stack, **common)
    figure.update_yaxes(_axis(name, unit), rangemode="tozero")
    figure.update_layout(
        barmode="stack",
        hovermode="x unified",
        showlegend=bool(shape.dimensions),
        legend={"title": {"text": " · ".join(map(escape, shape.dimensions))}},
    )
    return figure


def _with_labels(rows: pl.DataFrame, dimensions: Sequence[str]) -> pl.DataFrame:
    """Add the dimension values of each row as one text; escaped, as Plotly reads HTML."""
    texts = [
        " · ".join("—" if value is None else escape(str(value), quote=False) for value in row)
        for row in rows.select(dimensions).iter_rows()
    ] or [""] * rows.height
    return rows.with_columns(pl.Series(_LABEL, texts, pl.String))


def _axis(name: str, unit: str) -> dict[str, object]:
    shown = "" if unit in ("share", "") or unit in name.split("_") else f" [{unit}]"
    axis: dict[str, object] = {"title": {"text": f"{_words(name)}{shown}"}}
    if unit.startswith("USD"):
        axis["tickprefix"] = "$"
    if unit == "share":
        axis["tickformat"] = ".0%"
    return axis


def _words(name: str) -> str:
    return " ".join(_SPELLED.get(word, word) for word in name.removesuffix("_ms").split("_"))


def _drawn(value: object) -> float | int | None:
    """Return a number as Plotly draws it; the exact one is in the hover text."""
    return value if value is None or isinstance(value, int) else float(str(value))


def _exact(value: object, unit: str) -> str:
    if value is None:
        return "not known"
    if unit.startswith("USD") and not isinstance(value, float):
        whole, _, places = f"{value:,f}".partition(".")
        return f"${whole}.{places.rstrip('0').ljust(2, '0')}"
    if isinstance(value, float):
        return f"{value:.2%}" if unit == "share" else f"{value:,.6g} {unit}"
    return f"{value:,} {unit}"


def _short(value: object, unit: str) -> str:
    if value is None:
        return ""
    number = float(str(value))
    if unit == "share":
        return f"{number:.1%}"
    if unit.startswith("USD"):
        return f"${number:,.2f}" if abs(number) >= 1 or not number else f"${number:.3g}"
    return f"{number:,.0f}"

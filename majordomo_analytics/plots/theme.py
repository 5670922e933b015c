"""Colours and layout of every figure, safe for colour-blind readers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import plotly.graph_objects as go

from majordomo_analytics.plan.plan import OTHER, UNTAGGED

if TYPE_CHECKING:
    from collections.abc import Sequence

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#8C6BB1", "#A68A00")
"""Okabe and Ito's, with yellow and black, which vanish on a page, replaced."""

GREYS = {OTHER: "#8A8F98", UNTAGGED: "#BFC4CC"}
_INK = "#1F2430"
_QUIET = "#5B6270"
_GRID = "#E6E8EC"

TEMPLATE = go.layout.Template(
    layout=go.Layout(
        colorway=COLOURS,
        font={"family": "Inter, system-ui, sans-serif", "size": 13, "color": _INK},
        paper_bgcolor="white",
        plot_bgcolor="white",
        title={"x": 0, "xref": "paper", "xanchor": "left", "font": {"size": 18}},
        margin={"l": 16, "r": 24, "t": 84, "b": 48},
        hoverlabel={"bgcolor": "white", "font": {"color": _INK}},
        legend={"title": {"font": {"color": _QUIET}}, "traceorder": "normal"},
        xaxis={"gridcolor": _GRID, "zeroline": False, "automargin": True, "linecolor": _GRID},
        yaxis={"gridcolor": _GRID, "zeroline": False, "automargin": True, "linecolor": _GRID},
    )
)


def is_rest(label: str) -> bool:
    """Return whether a label stands for no value of its own."""
    return any(part in GREYS for part in label.split(" · "))


def rest_last(labels: Sequence[str]) -> list[str]:
    """Return the labels in their order, with ``(other)`` and ``(untagged)`` at the end."""
    return sorted(labels, key=is_rest)


def colours(labels: Sequence[str]) -> dict[str, str]:
    """Return a colour for each label; those without a value of their own are grey."""
    own = [label for label in labels if not is_rest(label)]
    chosen = {label: COLOURS[i % len(COLOURS)] for i, label in enumerate(own)}
    for label in labels:
        if label not in chosen:
            chosen[label] = GREYS[OTHER] if OTHER in label else GREYS[UNTAGGED]
    return chosen


def title(main: str, below: str) -> dict[str, str]:
    """Return a title with a quieter line below it."""
    return {"text": f'{main}<br><span style="font-size:13px;color:{_QUIET}">{below}</span>'}

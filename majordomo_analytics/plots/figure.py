"""The frame around every figure: title, range and notes, height, theme."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING, TypedDict

import plotly.graph_objects as go

from majordomo_analytics.plots.theme import template_name
from majordomo_analytics.plots.words import SEPARATOR, cut, escaped, heading, plain_label

if TYPE_CHECKING:
    from collections.abc import Sequence

    from majordomo_analytics.plots.table import Table
    from majordomo_analytics.plots.theme import Theme

TOP, LINE = 62, 18
_LINE_OF_SUBTITLE = 96


class Look(TypedDict, total=False):
    """What every function takes for how its figure looks.

    Attributes
    ----------
    title
        Instead of the title that tells measure and dimensions.
    theme
        ``"light"`` or ``"dark"``; by default as `use_theme` says.
    """

    title: str | None
    theme: Theme | None


def new_figure(theme: Theme | None) -> go.Figure:
    """Return an empty figure of the house style."""
    return go.Figure(layout={"template": template_name(theme)})


def finish(
    figure: go.Figure,
    table: Table,
    *,
    by: Sequence[str],
    title: str | None,
    main: str | None = None,
    height: int = 420,
) -> go.Figure:
    """Give a figure its title, the range and notes below it, and room for both."""
    if title is None:
        title = main or heading(table.measure.name)
        if by:
            title += f" by {' and '.join(escaped(cut(plain_label(name), 40)) for name in by)}"
    else:
        title = escaped(plain_label(title))
    said = [part for part in (table.shape.subtitle, *table.notes) if part]
    lines = wrap(plain_label(SEPARATOR.join(said)), _LINE_OF_SUBTITLE) if said else []
    below = "<br>".join(map(escaped, lines))
    top = TOP + LINE * max(len(lines), 1)
    figure.update_layout(
        title={"text": title, "subtitle": {"text": below}},
        margin={"t": top},
        height=height + top,
    )
    return figure

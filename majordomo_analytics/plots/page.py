"""Figures inside an HTML page of one's own: Plotly once, then a small script for each."""

from __future__ import annotations

import json
from html import escape, unescape
from typing import TYPE_CHECKING

from plotly.offline import get_plotlyjs

if TYPE_CHECKING:
    import plotly.graph_objects as go

HEIGHT_OF_LINES = 340
ROOM_FOR_NUMBERS = 56
MOST_CHARACTERS = 32

_DRAW = """
const drawnFigures = [];

// Figures take the page's colours, so that they follow it from light to dark.
function pageColours() {
  const style = getComputedStyle(document.documentElement);
  const [ink, rule, card] = ["--ink", "--rule", "--card"].map((n) => style.getPropertyValue(n));
  const axes = ["xaxis", "yaxis"].flatMap((axis) => [
    [`${axis}.gridcolor`, rule], [`${axis}.linecolor`, rule], [`${axis}.tickfont.color`, ink],
  ]);
  return {
    "font.color": ink, "hoverlabel.bgcolor": card, "hoverlabel.font.color": ink,
    "hoverlabel.bordercolor": rule, "legend.title.font.color": ink, ...Object.fromEntries(axes),
  };
}

function drawFigure(id, figure) {
  const config = {displayModeBar: false, responsive: true};
  drawnFigures.push(id);
  Plotly.newPlot(id, figure.data, figure.layout, config)
    .then(() => Plotly.relayout(id, pageColours()));
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  for (const id of drawnFigures) Plotly.relayout(id, pageColours());
});
"""


def plotly_script() -> str:
    """Return the script element that every figure of a page needs before it, once.

    The page says its colours as the CSS variables ``--ink``, ``--rule`` and ``--card``.
    """
    return f"<script>{get_plotlyjs()}</script>\n<script>{_DRAW}</script>"


def figure_html(figure: go.Figure, *, name: str, says: str) -> str:
    """Return the elements that draw a figure, without its titles, in the page's colours.

    Parameters
    ----------
    figure
        The figure; it is not changed.
    name
        The id of the element, unlike that of every other on the page.
    says
        What the figure shows, for those who do not see it.
    """
    placed = type(figure)(figure)
    clear = "rgba(0,0,0,0)"
    placed.update_layout(
        title=None,
        height=_height(placed),
        margin={"t": 8, "l": 8, "r": ROOM_FOR_NUMBERS},
        legend={"orientation": "h", "x": 0, "y": -0.16, "yanchor": "top", "title": None},
        paper_bgcolor=clear,
        plot_bgcolor=clear,
    )
    placed.update_xaxes(title=None)
    placed.update_yaxes(title=None)
    if placed.layout.yaxis.categoryarray:
        labels = placed.layout.yaxis.categoryarray
        placed.update_yaxes(tickmode="array", tickvals=labels, ticktext=list(map(_short, labels)))
    placed.for_each_trace(lambda trace: trace.update(name=trace.name and _short(trace.name)))
    return (
        f'<div class="figure" id="{escape(name)}" role="img" aria-label="{escape(says)}"></div>\n'
        f"<script>drawFigure({_script_text(name)}, {placed.to_json()});</script>"
    )


def _height(figure: go.Figure) -> int:
    """Return the height without the room for the title."""
    height: int | None = figure.layout.height
    if height is None:
        return HEIGHT_OF_LINES
    return height - int(figure.layout.margin.t or 0)


def _short(label: str) -> str:
    """Cut a label that would leave no room for the figure; labels are escaped."""
    plain = unescape(label)
    return label if len(plain) <= MOST_CHARACTERS else f"{escape(plain[:MOST_CHARACTERS])}…"


def _script_text(text: str) -> str:
    """Return a JavaScript string that cannot end the script element it stands in."""
    return json.dumps(text).replace("<", "\\u003c")

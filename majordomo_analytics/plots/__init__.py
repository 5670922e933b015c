"""Figures of what LLM calls cost, in one style; the only home of Plotly.

    result.plot()                              # what fits the shape of the result
    ma.plots.heatmap(result)                   # one kind, by its function
    ma.plots.bars(frame, "cost", by="team")    # of any Polars or pandas frame

Every function returns a `plotly.graph_objects.Figure`, which can be changed further, shown,
and written with ``write_html`` and ``write_image``. Plotly is loaded by the first figure.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from majordomo_analytics.plots.change import changes, slope
    from majordomo_analytics.plots.choice import plot
    from majordomo_analytics.plots.colours import forget_colours, pin_colours
    from majordomo_analytics.plots.grids import heatmap, treemap
    from majordomo_analytics.plots.latency import ecdf, percentiles
    from majordomo_analytics.plots.ranking import bars, stacked_bars
    from majordomo_analytics.plots.theme import use_theme
    from majordomo_analytics.plots.timelines import areas, lines

_HOMES = {
    "change": ("changes", "slope"),
    "choice": ("plot",),
    "colours": ("forget_colours", "pin_colours"),
    "grids": ("heatmap", "treemap"),
    "latency": ("ecdf", "percentiles"),
    "ranking": ("bars", "stacked_bars"),
    "theme": ("use_theme",),
    "timelines": ("areas", "lines"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "areas",
    "bars",
    "changes",
    "ecdf",
    "forget_colours",
    "heatmap",
    "lines",
    "percentiles",
    "pin_colours",
    "plot",
    "slope",
    "stacked_bars",
    "treemap",
    "use_theme",
]


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    value: object = getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

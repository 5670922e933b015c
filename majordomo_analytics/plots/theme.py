"""The house style: two Plotly templates, ``majordomo`` and ``majordomo_dark``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

import plotly.graph_objects as go
import plotly.io as pio

from majordomo_analytics.errors import QueryError, did_you_mean, nearest
from majordomo_analytics.plots.colours import PALETTE

if TYPE_CHECKING:
    from collections.abc import Sequence

Theme = Literal["light", "dark"]
THEMES: tuple[Theme, ...] = get_args(Theme)
TEMPLATES: dict[Theme, str] = {"light": "majordomo", "dark": "majordomo_dark"}

TEXT_SIZE = 13
LEFT, RIGHT = 16, 24
_FONT = "Inter, system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', sans-serif"
_INK: dict[Theme, str] = {"light": "#1F2430", "dark": "#E8EAEE"}
_QUIET: dict[Theme, str] = {"light": "#5B6270", "dark": "#A4ABB8"}
_GRID: dict[Theme, str] = {"light": "#E6E8EC", "dark": "#2C313B"}
_PAGE: dict[Theme, str] = {"light": "#FFFFFF", "dark": "#14171C"}
_CARD: dict[Theme, str] = {"light": "#FFFFFF", "dark": "#1E232B"}
_SHADES: dict[Theme, Sequence[str]] = {
    "light": ("#EEF4FA", "#C3DBF0", "#86B6DF", "#4A8FCB", "#1F68AE", "#0E4379"),
    "dark": ("#1B2733", "#1C3F61", "#1F5C93", "#2F80C6", "#6AAEE6", "#BFDFFA"),
}

_chosen: list[Theme] = []


def _template(theme: Theme) -> go.layout.Template:
    quiet, grid, ink = _QUIET[theme], _GRID[theme], _INK[theme]
    axis = {
        "gridcolor": grid,
        "linecolor": grid,
        "zeroline": False,
        "automargin": True,
        "tickfont": {"color": quiet},
        "title": {"font": {"color": quiet, "size": TEXT_SIZE}, "standoff": 10},
        "exponentformat": "B",
    }
    shades = _SHADES[theme]
    scale = [[place / (len(shades) - 1), shade] for place, shade in enumerate(shades)]
    return go.layout.Template(
        layout=go.Layout(
            colorway=PALETTE,
            colorscale={"sequential": scale},
            font={"family": _FONT, "size": TEXT_SIZE, "color": ink},
            paper_bgcolor=_PAGE[theme],
            plot_bgcolor=_PAGE[theme],
            title={
                "x": 0,
                "xref": "container",
                "xanchor": "left",
                "y": 1,
                "yref": "container",
                "yanchor": "top",
                "pad": {"t": 18, "l": LEFT},
                "font": {"size": 18},
                "subtitle": {"font": {"size": TEXT_SIZE, "color": quiet}},
            },
            margin={"l": LEFT, "r": RIGHT, "t": 84, "b": 48},
            hoverlabel={"bgcolor": _CARD[theme], "bordercolor": grid, "font": {"color": ink}},
            legend={
                "title": {"font": {"color": quiet, "size": TEXT_SIZE}},
                "traceorder": "normal",
                "bgcolor": "rgba(0,0,0,0)",
            },
            xaxis=axis,
            yaxis=axis,
        )
    )


pio.templates["majordomo"] = _template("light")
pio.templates["majordomo_dark"] = _template("dark")


def use_theme(theme: Theme | None) -> None:
    """Draw figures light or dark from now on.

    Parameters
    ----------
    theme
        ``"light"`` or ``"dark"``; None goes back to what is set by default: dark where
        ``plotly.io.templates.default`` is a dark template, light else.

    Raises
    ------
    QueryError
        If there is no such theme.

    Examples
    --------
    >>> import majordomo_analytics as ma
    >>> ma.plots.use_theme("dark")
    >>> ma.plots.use_theme(None)
    """
    _chosen[:] = [] if theme is None else [_known(theme)]


def template_name(theme: Theme | None) -> str:
    """Return the name of the template to draw with."""
    if theme is not None:
        return TEMPLATES[_known(theme)]
    if _chosen:
        return TEMPLATES[_chosen[-1]]
    return TEMPLATES["dark" if "dark" in str(pio.templates.default) else "light"]


def page_colour(template: str) -> str:
    """Return the colour behind the figures of a template."""
    return _PAGE["dark" if template == TEMPLATES["dark"] else "light"]


def _known(theme: Theme) -> Theme:
    if theme not in THEMES:
        hint = did_you_mean(nearest(str(theme), THEMES), THEMES)
        message = f"there is no theme {theme!r}{hint}; it is 'light' or 'dark'"
        raise QueryError(message)
    return theme

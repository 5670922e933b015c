"""Two dimensions at once: a heat map; and a treemap of one inside the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

from majordomo_analytics.errors import QueryError
from majordomo_analytics.plots.colours import GREYS, SLATE, colours_of, ink_on, is_rest
from majordomo_analytics.plots.figure import finish, new_figure
from majordomo_analytics.plots.ranking import fold_each, ranked_values
from majordomo_analytics.plots.table import limited, read_table, sum_of
from majordomo_analytics.plots.timeaxis import axis_values, time_axis
from majordomo_analytics.plots.words import (
    axis_title,
    drawn,
    exact,
    heading,
    is_money,
    long_label,
    short,
    short_labels,
)

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from majordomo_analytics.plots.figure import Look
    from majordomo_analytics.plots.table import Frame, Names, Row

MOST_ROWS, MOST_COLUMNS = 25, 14
MOST_WRITTEN = 14
MOST_TILES = 60
_HEIGHT_OF_ROW = 34


def heatmap(
    data: object | Frame,
    measure: str | None = None,
    *,
    by: Names = None,
    time: str | None = None,
    unit: str | None = None,
    limit: tuple[int, int] = (MOST_ROWS, MOST_COLUMNS),
    subtitle: str | None = None,
    **look: Unpack[Look],
) -> go.Figure:
    """Return a field for each pair of values, or of a value and a time.

    Parameters
    ----------
    data, measure, by, time, unit, subtitle
        As in `bars`; there are two dimensions, or one and time.
    limit
        How many rows and columns at most; what adds up is ``(other)`` beyond.
    **look
        ``title`` and ``theme``.

    Raises
    ------
    QueryError
        If there are not two dimensions, or one and time.

    Examples
    --------
    >>> import polars as pl
    >>> import majordomo_analytics as ma
    >>> rows = {"team": ["legal", "ops"], "model": ["a", "b"], "error_rate": [0.25, None]}
    >>> ma.plots.heatmap(pl.DataFrame(rows), by=["team", "model"]).data[0].z
    ([0.25, None], [None, None])
    """
    table = read_table(data, measure=measure, by=by, time=time, unit=unit, subtitle=subtitle)
    names, grain, unit = table.shape.dimensions, table.shape.grain, table.measure.unit
    if len(names) + (grain is not None) != 2:
        message = f"a heat map needs two dimensions, or one and time, not {list(names)}"
        raise QueryError(message)
    if grain is None:
        table = fold_each(table, limit)
        down, across = ranked_values(table, 0), ranked_values(table, 1)
        cells = table.values()
        heads: list[Any] = short_labels([(value,) for value in across], 20)
    else:
        table = limited(table, limit[0])
        series = table.series()
        down = [row[0] for row in series]
        across = sorted({bucket for one in series.values() for bucket in one})  # type: ignore[type-var]
        cells = {(row[0], at): value for row, one in series.items() for at, value in one.items()}
        heads = axis_values(across)
    labels = short_labels([(value,) for value in down])
    values = [[cells.get((one, other)) for other in across] for one in down]
    written = [[short(value, unit) for value in row] for row in values]
    figure = new_figure(look.get("theme"))
    figure.add_heatmap(
        x=heads,
        y=labels,
        z=[[drawn(value) for value in row] for row in values],
        text=written if grain is None and len(across) <= MOST_WRITTEN else None,
        texttemplate="%{text}" if grain is None and len(across) <= MOST_WRITTEN else None,
        customdata=[
            [[exact(cells.get((one, other)), unit), long_label((one, other))] for other in across]
            for one in down
        ],
        hovertemplate="%{customdata[1]}<br><b>%{customdata[0]}</b><extra></extra>",
        hoverongaps=False,
        autocolorscale=True,
        xgap=2,
        ygap=2,
        colorbar={
            "title": {"text": axis_title(table.measure.name, unit), "side": "right"},
            "thickness": 12,
            "outlinewidth": 0,
            "tickprefix": "$" if is_money(unit) else "",
            "tickformat": ".1%" if unit == "share" else None,
            "exponentformat": "B",
        },
    )
    bare = {"showgrid": False, "showline": False, "ticks": ""}
    figure.update_yaxes(bare, type="category", autorange="reversed")
    if grain is None:
        figure.update_xaxes(bare, type="category")
    else:
        time_axis(figure, table, across)
    by_ = [*names, *([table.shape.length or grain] if grain else [])]
    height = 110 + _HEIGHT_OF_ROW * max(len(down), 4)
    return finish(figure, table, by=by_, title=look.get("title"), height=height)


def treemap(
    data: object | Frame,
    measure: str | None = None,
    *,
    by: Names = None,
    unit: str | None = None,
    limit: int = MOST_TILES,
    subtitle: str | None = None,
    **look: Unpack[Look],
) -> go.Figure:
    """Return a tile for each combination, as large as its share, each inside that before.

    Parameters
    ----------
    data, measure, by, unit, subtitle
        As in `bars`; the measure adds up and is nowhere below 0.
    limit
        How many tiles at most; the rest is ``(other)``.
    **look
        ``title`` and ``theme``.

    Raises
    ------
    QueryError
        If there is no dimension, or the measure does not add up or is below 0.

    Examples
    --------
    >>> import polars as pl
    >>> import majordomo_analytics as ma
    >>> rows = {"team": ["legal", "ops"], "model": ["a", "b"], "cost": [3.0, 1.0]}
    >>> ma.plots.treemap(pl.DataFrame(rows), by=["team", "model"]).data[0].labels
    ('Cost', 'legal', 'ops', 'a', 'b')
    """
    table = read_table(data, measure=measure, by=by, unit=unit, subtitle=subtitle)
    names, column = table.shape.dimensions, table.measure
    if not names or table.shape.grain is not None:
        message = "a treemap needs dimensions and no time"
        raise QueryError(message)
    if not column.additive:
        message = f"{column.name!r} does not add up over groups and has no shares to draw"
        raise QueryError(message)
    table = limited(table, limit, "tiles")
    leaves = table.values()
    if any((drawn(value) or 0) < 0 for value in leaves.values()):
        message = f"{column.name!r} is below 0 somewhere, which no tile can show; draw it as 'bars'"
        raise QueryError(message)
    if unknown := sum(value is None for value in leaves.values()):
        table = table.noting(f"{unknown:,} not known and without a tile")
    tiles = _tiles(leaves, len(names))
    ids = {path: str(number) for number, path in enumerate(tiles)}
    tops = colours_of(names[0], [path[0] for path in tiles if len(path) == 1])
    shade = dict(zip([path[0] for path in tiles if len(path) == 1], tops, strict=True))
    whole = tiles.get(())
    shares = [float(value) / float(whole) if whole else None for value in tiles.values()]
    figure = new_figure(look.get("theme"))
    fills = [_colour(path, shade) for path in tiles if path]
    figure.add_treemap(
        ids=list(ids.values()),
        parents=[ids[path[:-1]] if path else "" for path in tiles],
        labels=[heading(column.name) if not path else _name(path) for path in tiles],
        values=[drawn(value) if len(path) == len(names) else 0 for path, value in tiles.items()],
        branchvalues="remainder",
        marker={"colors": ["rgba(0,0,0,0)", *fills]},
        textfont={"color": [SLATE, *map(ink_on, fills)]},
        customdata=[
            [exact(value, column.unit), short(value, column.unit), _hover(path), _of_all(share)]
            for (path, value), share in zip(tiles.items(), shares, strict=True)
        ],
        texttemplate="%{label}<br>%{customdata[1]}%{customdata[3]}",
        hovertemplate="%{customdata[2]}<br><b>%{customdata[0]}</b>%{customdata[3]}<extra></extra>",
        sort=False,
        tiling={"pad": 2},
        pathbar={"visible": False},
        root={"color": "rgba(0,0,0,0)"},
    )
    figure.update_layout(uniformtext={"minsize": 10, "mode": "hide"})
    figure = finish(figure, table, by=names, title=look.get("title"), height=420)
    return figure.update_layout(margin={"l": 10, "r": 10, "b": 16})


def _tiles(leaves: dict[Row, object], depth: int) -> dict[Row, Any]:
    """Return the sum of each path from the whole down, parents before what is in them."""
    parts: dict[Row, list[object]] = {}
    for row, value in leaves.items():
        if value is not None:
            for end in range(depth + 1):
                parts.setdefault(row[:end], []).append(value)
    sums = {path: sum_of(values) for path, values in parts.items()}
    return {
        path: sums[path] for path in sorted(sums, key=lambda p: (len(p), is_rest(p[-1:]), -sums[p]))
    }


def _name(path: Row) -> str:
    return short_labels([path[-1:]])[0]


def _hover(path: Row) -> str:
    return long_label(path) if path else "all"


def _of_all(share: float | None) -> str:
    return "" if share is None else f" · {share:.1%}"


def _colour(path: Row, shade: dict[object, str]) -> str:
    rest = next((str(part) for part in path if str(part) in GREYS), None)
    return GREYS[rest] if rest else shade.get(path[0], SLATE)

"""Which figure fits: from the shape of what is drawn to a kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypedDict, get_args

from majordomo_analytics.errors import QueryError, did_you_mean, nearest
from majordomo_analytics.plots.change import changes, slope
from majordomo_analytics.plots.colours import is_rest
from majordomo_analytics.plots.grids import heatmap, treemap
from majordomo_analytics.plots.latency import percentiles
from majordomo_analytics.plots.ranking import MOST_PARTS, bars, stacked_bars
from majordomo_analytics.plots.table import read_table
from majordomo_analytics.plots.timelines import areas, lines

if TYPE_CHECKING:
    from collections.abc import Callable

    import plotly.graph_objects as go

    from majordomo_analytics.plots.table import Frame, Table
    from majordomo_analytics.plots.theme import Theme

Kind = Literal[
    "bars", "lines", "areas", "stacked_bars", "heatmap", "treemap", "percentiles", "changes",
    "slope", "bar", "line", "area",
]  # fmt: skip
KINDS: tuple[Kind, ...] = get_args(Kind)
_SAME: dict[str, Kind] = {"bar": "bars", "line": "lines", "area": "areas"}
_DRAW: dict[str, Callable[..., go.Figure]] = {
    "bars": bars,
    "lines": lines,
    "areas": areas,
    "stacked_bars": stacked_bars,
    "heatmap": heatmap,
    "treemap": treemap,
    "percentiles": percentiles,
    "changes": changes,
    "slope": slope,
}
FEWEST_FOR_AREAS = 6


class PlotOptions(TypedDict, total=False):
    """The options of `plot`, as `Ledger.plot` passes them on."""

    measure: str | None
    limit: int | None
    title: str | None
    subtitle: str | None
    theme: Theme | None


def plot(
    data: object | Frame,
    kind: Kind | None = None,
    *,
    measure: str | None = None,
    limit: int | None = None,
    title: str | None = None,
    subtitle: str | None = None,
    theme: Theme | None = None,
) -> go.Figure:
    """Return the figure that fits the shape of a result or a frame.

    Parameters
    ----------
    data
        A result of `Ledger.query`, or a Polars, pandas or Arrow table or DuckDB relation.
    kind
        ``bars``, ``lines``, ``areas``, ``stacked_bars``, ``heatmap``, ``treemap``,
        ``percentiles``, ``changes`` or ``slope``. By default: over time lines, or stacked
        areas of what adds up by a dimension; without time ranked bars for one dimension,
        stacked bars, a treemap or a heat map for two; quantiles as percentiles; changes
        of a comparison.
    measure
        What to draw, by default the first measure.
    limit
        How many values at most, by default as many as can be read.
    title, subtitle
        Instead of those that tell measure, dimensions, range and zone.
    theme
        ``"light"`` or ``"dark"``; by default as `use_theme` says.

    Raises
    ------
    QueryError
        If nothing can be drawn, or `kind` does not fit; the error says what does.

    Examples
    --------
    >>> import majordomo_analytics as ma
    >>> figure = ma.plots.plot(ma.sample().query("total_cost", ["Team", "provider"]))
    >>> figure.data[0].type
    'bar'
    """
    table = read_table(data, measure=measure)
    kinds = fitting(table)
    chosen = kinds[0] if kind is None else _SAME.get(kind, kind)
    if chosen not in kinds:
        raise QueryError(_refusal(chosen, kinds, table))
    options: dict[str, object] = {"subtitle": subtitle, "title": title, "theme": theme}
    if chosen != "percentiles":
        options["measure"] = measure
    if limit is not None:
        options["limit"] = (limit, limit) if chosen == "heatmap" else limit
    return _DRAW[chosen](data, **options)


def fitting(table: Table) -> tuple[Kind, ...]:
    """Return the kinds that a table can be drawn as, the best first.

    Raises
    ------
    QueryError
        If there is nothing to draw along.
    """
    shape, additive = table.shape, table.measure.additive
    by, is_compared = len(shape.dimensions), shape.periods is not None
    has_levels = len(table.levels()) > 1 and table.measure in table.levels()
    if shape.grain is not None:
        return _over_time(table, by, additive=additive, has_levels=has_levels)
    if not by:
        if is_compared:
            return ("slope",)
        message = "one number makes no figure; ask by a dimension or with a time_grain"
        raise QueryError(message)
    found: list[Kind] = ["changes", "slope"] if is_compared else []
    found += ["percentiles"] if has_levels else []
    if by == 2:
        found += _of_two(table) if additive else ["heatmap"]
    elif by > 2 and additive:
        found.append("treemap")
    found.append("bars")
    if by == 1 and additive:
        found.append("treemap")
    return tuple(found)


def _over_time(table: Table, by: int, *, additive: bool, has_levels: bool) -> tuple[Kind, ...]:
    if not by:
        lines_first: tuple[Kind, ...] = ("lines", "bars", *(("areas",) if additive else ()))
        return ("percentiles", *lines_first) if has_levels else lines_first
    grid: tuple[Kind, ...] = ("heatmap",) if by == 1 else ()
    if not additive or table.shape.periods is not None:
        stacks: tuple[Kind, ...] = ("bars", "areas") if additive else ()
        return ("lines", *stacks, *grid)
    # A stack with a gap in one of its parts has no height, columns have all the others.
    is_broken = table.rows[table.measure.name].null_count() > 0
    few = table.rows[str(table.shape.grain)].n_unique() < FEWEST_FOR_AREAS
    return ("bars", "areas", "lines", *grid) if is_broken or few else (
        "areas", "bars", "lines", *grid)  # fmt: skip


def _of_two(table: Table) -> list[Kind]:
    first, second = ({row[place] for row in table.values() if not is_rest(row)} for place in (0, 1))
    pairs = sum(not is_rest(row) for row in table.values())
    order: list[Kind] = ["stacked_bars", "heatmap", "treemap"]
    if len(second) > MOST_PARTS:
        # Most values of the second belong to one of the first: parts of a whole.
        nested = pairs <= len(second) * 1.5 and len(first) < len(second)
        order = ["treemap", "heatmap", "stacked_bars"] if nested else [
            "heatmap", "treemap", "stacked_bars"]  # fmt: skip
    return order


def _refusal(kind: str, kinds: tuple[Kind, ...], table: Table) -> str:
    if kind not in KINDS:
        return f"there is no figure {kind!r}{did_you_mean(nearest(kind, KINDS), KINDS)}"
    listed = " or ".join(repr(one) for one in kinds)
    if kind in ("areas", "treemap", "stacked_bars") and not table.measure.additive:
        why = f"{table.measure.name!r} does not add up over groups and cannot be stacked"
        return f"{why}; it can be drawn as {listed}"
    return f"this result cannot be drawn as {kind!r}; it can as {listed}"

"""What is drawn: the rows of a result or of any frame, and what their columns mean."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from decimal import Decimal
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias

import polars as pl

from majordomo_analytics.errors import QueryError, UnknownNameError
from majordomo_analytics.plan.measures import MEASURES
from majordomo_analytics.plan.plan import OTHER
from majordomo_analytics.plots.colours import is_rest
from majordomo_analytics.times import TIME_GRAINS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pandas as pd  # type: ignore[import-untyped]
    import pyarrow as pa

Frame: TypeAlias = "pl.DataFrame | pl.LazyFrame | pd.DataFrame | pa.Table"
Row: TypeAlias = tuple[object, ...]
Names: TypeAlias = "str | Sequence[str] | None"

BEFORE, CHANGE, SHARE = "_before", "_change", "_change_share"
_LEVEL = re.compile(r"(p\d+)_(.+)")
_NO_SUM = re.compile(r"(^|_)(avg|mean|median|p\d+|rate|ratio|share|per|min|max)(_|$)")
_UNITS = (
    (re.compile(r"(^|_)(cost|costs|usd|spend|price)(_|$)"), "USD"),
    (re.compile(r"_ms$"), "ms"),
    (re.compile(r"(^|_)tokens$"), "tokens"),
    (re.compile(r"(^|_)(rate|share|ratio)$"), "share"),
    (re.compile(r"^requests$"), "requests"),
)


@dataclass(frozen=True, slots=True)
class Column:
    """A column of numbers: its name, its unit, and whether groups add up."""

    name: str
    unit: str
    additive: bool


@dataclass(frozen=True, slots=True)
class Shape:
    """What the columns of a frame mean.

    Attributes
    ----------
    measures
        The columns of numbers; by default the first is drawn.
    dimensions
        The columns that numbers are by.
    grain
        The time column, None if there is none.
    length
        How long a bucket is: a time grain, None where that is not known.
    subtitle
        The range and the zone.
    incomplete
        The time buckets that are not complete.
    total
        The grand totals that shares are of, by measure.
    periods
        What the two periods of a comparison are called, None without one.
    """

    measures: tuple[Column, ...]
    dimensions: tuple[str, ...]
    grain: str | None = None
    length: str | None = None
    subtitle: str = ""
    incomplete: tuple[object, ...] = ()
    total: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))
    periods: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """Rows to draw, of which one measure is drawn.

    Attributes
    ----------
    rows
        One row for each combination of dimension values and time bucket.
    shape
        What the columns mean.
    measure
        The column to draw.
    notes
        What a reader has to know: what was left out, and why.
    """

    rows: pl.DataFrame
    shape: Shape
    measure: Column
    notes: tuple[str, ...] = ()

    def noting(self, *notes: str) -> Table:
        """Return the table with more notes."""
        return replace(self, notes=(*self.notes, *notes))

    def levels(self) -> tuple[Column, ...]:
        """Return the quantiles of one thing among the measures, in rising order."""
        found: dict[str, list[Column]] = {}
        for column in self.shape.measures:
            if match := _LEVEL.fullmatch(column.name):
                found.setdefault(match[2], []).append(column)
        several = next((columns for columns in found.values() if len(columns) > 1), [])
        return tuple(sorted(several, key=lambda column: int(level_of(column)[1:])))

    def series(self) -> dict[Row, dict[object, object]]:
        """Return the numbers over time of each combination, largest first, rest last."""
        found: dict[Row, dict[object, object]] = {}
        names = [*self.shape.dimensions, str(self.shape.grain), self.measure.name]
        for *row, bucket, value in self.rows.select(names).iter_rows():
            found.setdefault(tuple(row), {})[bucket] = value
        sums = {row: sum_of(values.values()) for row, values in found.items()}
        order = sorted(found, key=lambda row: (is_rest(row), -(sums[row] or 0)))
        return {row: found[row] for row in order}

    def values(self) -> dict[Row, object]:
        """Return the number of each combination in the order of rows, the rest last."""
        names = [*self.shape.dimensions, self.measure.name]
        found = {tuple(row): value for *row, value in self.rows.select(names).iter_rows()}
        return {row: found[row] for row in sorted(found, key=is_rest)}


def level_of(column: Column) -> str:
    """Return the ``p95`` of a quantile's name."""
    match = _LEVEL.fullmatch(column.name)
    return match[1] if match else column.name


def sum_of(values: Any) -> Any:
    """Return the sum of what is known, None if nothing is."""
    known = [value for value in values if value is not None]
    return sum(known[1:], known[0]) if known else None


def read_table(
    data: object,
    *,
    measure: str | None = None,
    by: Names = None,
    time: str | None = None,
    unit: str | None = None,
    subtitle: str | None = None,
) -> Table:
    """Return what to draw of a result or a frame.

    Raises
    ------
    UnknownNameError
        If a column that is named is not there.
    QueryError
        If it cannot be told what to draw, or there is more than one row for a combination
        of what does not add up.
    """
    asked = getattr(data, "to_draw", None)
    if asked is not None:
        rows, shape = asked()
        if by is not None or time is not None:
            message = "'by' and 'time' are for plain frames; a result says what it is by itself"
            raise QueryError(message)
    else:
        rows = read_frame(data)
        shape = _shape_of(rows, measure, by, time)
    chosen = _measure(shape, measure)
    if unit is not None:
        other = replace(chosen, unit=unit)
        measures = tuple(other if one == chosen else one for one in shape.measures)
        shape, chosen = replace(shape, measures=measures), other
    if subtitle is not None:
        shape = replace(shape, subtitle=subtitle)
    return _grouped(Table(rows, shape, chosen))


def read_frame(data: object) -> pl.DataFrame:
    """Return any kind of frame as a Polars frame; a named index of pandas is a column."""
    if isinstance(data, pl.DataFrame):
        return data
    if isinstance(data, pl.LazyFrame):
        return data.collect()
    kind = type(data)
    if kind.__module__.partition(".")[0] == "pandas" and hasattr(data, "reset_index"):
        named = [name for name in data.index.names if name is not None]  # type: ignore[attr-defined]
        return pl.from_pandas(data.reset_index() if named else data)
    if callable(read := getattr(data, "pl", None)):  # a relation of DuckDB
        found: pl.DataFrame = read()
        return found
    if hasattr(data, "__arrow_c_stream__"):
        return pl.DataFrame(data)
    message = (
        f"{kind.__name__!r} cannot be drawn; give a result of ledger.query, or a Polars, "
        "pandas or Arrow table"
    )
    raise QueryError(message)


def _shape_of(rows: pl.DataFrame, measure: str | None, by: Names, time: str | None) -> Shape:
    """Tell dimensions, time and measures of a frame apart, by names and types."""
    dimensions = [by] if isinstance(by, str) else None if by is None else list(by)
    for name in (measure, time, *(dimensions or ())):
        if name is not None and name not in rows.columns:
            raise UnknownNameError(kind="column", name=name, known=rows.columns)
    if time is None:
        taken = dimensions or ()
        free = [name for name in rows.columns if name not in taken]
        timely = [name for name in free if name in TIME_GRAINS or rows.schema[name].is_temporal()]
        time = timely[0] if timely else None
    numbers = [
        name
        for name, kind in rows.schema.items()
        if kind.is_numeric() and name != time and name not in (dimensions or ())
    ]
    if dimensions is None:
        dimensions = [name for name in rows.columns if name != time and name not in numbers]
    added = {n + end for n in numbers for end in (BEFORE, CHANGE, SHARE) if n + BEFORE in numbers}
    columns = tuple(_column(name) for name in numbers if name not in added)
    is_compared = any(name.endswith(BEFORE) for name in added)
    if time is not None and rows.schema[time] == pl.String:
        message = f"the column {time!r} holds text; make it dates with .str.to_date() first"
        raise QueryError(message)
    return Shape(
        measures=columns,
        dimensions=tuple(dimensions),
        grain=time,
        length=time if time in TIME_GRAINS else None,
        periods=("now", "before") if is_compared else None,
    )


def _column(name: str) -> Column:
    if name in MEASURES:
        known = MEASURES[name]
        return Column(name, known.unit, known.additive)
    unit = next((unit for pattern, unit in _UNITS if pattern.search(name.lower())), "")
    return Column(name, unit, additive=not _NO_SUM.search(name.lower()))


def _measure(shape: Shape, name: str | None) -> Column:
    if not shape.measures:
        message = "there is no column of numbers to draw"
        raise QueryError(message)
    if name is None:
        return shape.measures[0]
    found = next((column for column in shape.measures if column.name == name), None)
    if found is None:
        known = [column.name for column in shape.measures]
        raise UnknownNameError(kind="measure", name=name, known=known)
    return found


def _grouped(table: Table) -> Table:
    """Return the table with one row for each combination: what adds up is added."""
    rows, shape = table.rows, table.shape
    keys = [*shape.dimensions, *([shape.grain] if shape.grain else [])]
    if not keys or not rows.select(pl.struct(keys).is_duplicated().any()).item():
        return table
    if not table.measure.additive:
        message = (
            f"{table.measure.name!r} does not add up, and there is more than one row for the "
            f"same {' and '.join(keys)}; group the frame first"
        )
        raise QueryError(message)
    adding = [column.name for column in shape.measures if column.additive]
    sums = [pl.when(pl.col(n).count() > 0).then(pl.col(n).sum()).alias(n) for n in adding]
    kept = tuple(column for column in shape.measures if column.additive)
    return replace(
        table,
        rows=rows.group_by(keys, maintain_order=True).agg(sums),
        shape=replace(shape, measures=kept, periods=None),
    )


def limited(table: Table, most: int, what: str = "values") -> Table:
    """Return the table with at most so many combinations, the rest in ``(other)``.

    What does not add up has no rest: it is left out, and the note says so.
    """
    names = list(table.shape.dimensions)
    if not names:
        return table
    rank = _ranking(table)
    own = [row for row in rank if not is_rest(row)]
    if len(own) <= most:
        return table
    kept = set(own[:most])
    return fold(table, lambda row: row in kept or is_rest(row), len(own), most, what)


def _ranking(table: Table) -> list[Row]:
    """Return the combinations as they are drawn: over time by sum, else as they come."""
    return list(table.series() if table.shape.grain else table.values())


def fold(
    table: Table,
    keeps: Callable[[Row], bool],
    count: int,
    most: int,
    what: str,
    *,
    regroup: Shape | None = None,
) -> Table:
    """Return the table in which combinations that are not kept are one, ``(other)``.

    `regroup` is the whole shape where only some of its dimensions are folded.
    """
    names, column = list(table.shape.dimensions), table.measure
    is_kept = pl.Series([keeps(row) for row in table.rows.select(names).iter_rows()])
    rows = table.rows.with_columns(pl.col(name).cast(pl.String) for name in names)
    first = f"the first {most:,} of {count:,} {what}"
    if not column.additive:
        return replace(table, rows=rows.filter(is_kept)).noting(f"{first} are shown")
    rest = rows.filter(~is_kept).with_columns(pl.lit(OTHER).alias(name) for name in names)
    both = pl.concat([rows.filter(is_kept), rest])
    folded = replace(table, rows=both, shape=regroup or table.shape)
    return _grouped(folded.noting(f"{first}; the rest is in {OTHER}"))


def share_of(table: Table, values: Sequence[object]) -> list[float | None]:
    """Return the share of each number in the total, None where there is none."""
    if not table.measure.additive:
        return [None] * len(values)
    total = table.shape.total.get(table.measure.name)
    whole = sum_of(values) if total is None else total
    if not whole or float(str(whole)) <= 0:
        return [None] * len(values)
    return [None if v is None else float(Decimal(str(v)) / Decimal(str(whole))) for v in values]

"""The answer to a question: rows, exact totals, and how to look at them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from majordomo_analytics.errors import MissingExtraError
from majordomo_analytics.ledger.comparing import compared_units
from majordomo_analytics.ledger.display import (
    INCOMPLETE,
    MOST_ROWS,
    Shown,
    as_html,
    as_text,
    plain,
    show,
)
from majordomo_analytics.ledger.gaps import instant_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from decimal import Decimal

    import pandas as pd  # type: ignore[import-untyped]
    import plotly.graph_objects as go
    import polars as pl
    import pyarrow as pa

    from majordomo_analytics.engines.base import Number
    from majordomo_analytics.ledger.display import Cell
    from majordomo_analytics.plan.buckets import Bucket
    from majordomo_analytics.plan.comparing import Compared
    from majordomo_analytics.plan.coverage import Coverage
    from majordomo_analytics.plan.plan import Plan
    from majordomo_analytics.plots.series import Kind


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class QueryResult:
    """The answer to a question; `Ledger.query` makes it.

    The rows of every additive measure add up to `total` exactly, the rows ``(untagged)``
    and ``(other)`` included.

    Attributes
    ----------
    plan
        What was asked, with every name and instant settled.
    coverage
        How many of the requests have a cost, and how that is known.
    incomplete
        The time buckets that are not over yet, or that the time range cuts.
    compared
        The earlier period beside it, None when none was asked for.
    """

    plan: Plan
    _rows: pl.DataFrame
    _total: dict[str, Number]
    coverage: Coverage
    _sql: str | Callable[[], str] | None
    incomplete: tuple[Bucket, ...] = ()
    compared: Compared | None = None

    def to_polars(self) -> pl.DataFrame:
        """Return the rows as a Polars frame.

        Returns
        -------
        polars.DataFrame
            The time column (``Date``, or ``Datetime("us", zone)`` for hours and minutes),
            the dimensions, and the measures: money ``Decimal(38, 10)`` in US dollars,
            counts ``Int64``, ratios and quantiles ``Float64``. With a comparison each
            measure has ``…_before`` and ``…_change`` in its dtype, and ``…_change_share``
            (``Float64``).
        """
        return self._rows

    def to_arrow(self) -> pa.Table:
        """Return the rows as an Arrow table; money is ``decimal128(38, 10)``."""
        return self._rows.to_arrow()

    def to_pandas(self) -> pd.DataFrame:
        """Return the rows as a pandas frame; money stays exact, as `decimal.Decimal`.

        Raises
        ------
        MissingExtraError
            If pandas is not installed.
        """
        try:
            return self._rows.to_pandas()
        except ModuleNotFoundError as error:
            raise MissingExtraError(feature="to_pandas()", extra="notebook") from error

    @property
    def total(self) -> dict[str, Decimal | int | float | None]:
        """Each measure over all the requests asked about, whatever the dimensions."""
        return dict(self._total)

    @property
    def sql(self) -> str | None:
        """A statement that gives the rows, and that `Ledger.sql` takes; None without SQL.

        Totals are read with the rows, from the same state of the source.
        """
        return self._sql() if callable(self._sql) else self._sql

    def plot(self, kind: Kind | None = None) -> go.Figure:
        """Return a figure that fits the shape of the result.

        Parameters
        ----------
        kind
            ``bar``, ``line`` or ``area``; by default bars for dimensions, lines for time,
            and stacked areas for an additive measure over time by dimension.

        Raises
        ------
        QueryError
            If the result has no dimension and no time grain, or `kind` does not fit.
        """
        from majordomo_analytics.plots.series import Shape, plot_rows

        plan = self.plan
        shape = Shape(
            measures=tuple((m.name, m.unit, m.additive) for m in plan.measures),
            dimensions=tuple(dimension.name for dimension in plan.dimensions),
            grain=plan.grain,
            subtitle=self._range(),
        )
        return plot_rows(self._rows, shape, kind)

    def shown(self, most_rows: int | None = MOST_ROWS) -> Shown:
        """Return the result as a table of text, as it is printed.

        Parameters
        ----------
        most_rows
            How many rows at most, None for all; how many are left out is noted.
        """
        plan, rows = self.plan, self._rows
        units = {measure.name: measure.unit for measure in plan.measures}
        if self.compared is not None:
            units |= compared_units(plan.measures)
        head = rows if most_rows is None else rows.head(most_rows)
        return show(
            [
                (name, units.get(name, ""), self._cells(head, name), self._total.get(name))
                for name in rows.columns
            ],
            labels=len(plan.columns) - len(plan.measures),
            hidden=rows.height - head.height,
            notes=self._notes(),
        )

    def __len__(self) -> int:
        return self._rows.height

    def __iter__(self) -> Iterator[dict[str, object]]:
        """Yield each row as a dict of column name and value."""
        return self._rows.iter_rows(named=True)

    def __repr__(self) -> str:
        return as_text(self.shown())

    def _repr_html_(self) -> str:
        return as_html(self.shown())

    def _cells(self, rows: pl.DataFrame, name: str) -> list[Cell]:
        """Return the cells of a column; a bucket that is not complete is marked."""
        cells: list[Cell] = rows[name].to_list()
        if name != self.plan.grain or not self.incomplete:
            return cells
        cut = set(map(instant_of, self.incomplete))
        return [f"{plain(c)} {INCOMPLETE}" if instant_of(c) in cut else c for c in cells]

    def _notes(self) -> list[str]:
        notes = [self._range()]
        if self.compared is not None:
            compared, zone = self.compared, self.plan.zone
            said = "before: as much of that period as has passed of this one, "
            notes.append((said if compared.is_cut else "before: ") + compared.earlier.label(zone))
        if set(map(instant_of, self.incomplete)) & set(map(instant_of, self._shown_buckets())):
            notes.append(f"{INCOMPLETE} not complete")
        is_money = any(measure.unit.startswith("USD") for measure in self.plan.measures)
        if is_money and self.coverage.priced != self.coverage.requests:
            notes.append(str(self.coverage))
        return notes

    def _shown_buckets(self) -> list[Bucket]:
        return [] if self.plan.grain is None else self._rows[self.plan.grain].to_list()

    def _range(self) -> str:
        return self.plan.time_range.label(self.plan.zone)

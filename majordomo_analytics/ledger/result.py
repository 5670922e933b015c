"""The answer to a question: rows, exact totals, and how to look at them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from majordomo_analytics.errors import MissingExtraError
from majordomo_analytics.ledger.display import MOST_ROWS, Shown, as_html, as_text, show

if TYPE_CHECKING:
    from collections.abc import Iterator
    from decimal import Decimal

    import pandas as pd  # type: ignore[import-untyped]
    import plotly.graph_objects as go
    import polars as pl
    import pyarrow as pa

    from majordomo_analytics.engines.base import Answer
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
    """

    plan: Plan
    _answer: Answer

    def to_polars(self) -> pl.DataFrame:
        """Return the rows as a Polars frame.

        Returns
        -------
        polars.DataFrame
            The time column (``Date``, or ``Datetime("us", zone)`` for hours and minutes),
            the dimensions, and the measures: money ``Decimal(38, 10)`` in US dollars,
            counts ``Int64``, ratios and quantiles ``Float64``.
        """
        return self._answer.rows

    def to_arrow(self) -> pa.Table:
        """Return the rows as an Arrow table; money is ``decimal128(38, 10)``."""
        return self._answer.rows.to_arrow()

    def to_pandas(self) -> pd.DataFrame:
        """Return the rows as a pandas frame; money stays exact, as `decimal.Decimal`.

        Raises
        ------
        MissingExtraError
            If pandas is not installed.
        """
        try:
            return self._answer.rows.to_pandas()
        except ModuleNotFoundError as error:
            raise MissingExtraError(feature="to_pandas()", extra="notebook") from error

    @property
    def total(self) -> dict[str, Decimal | int | float | None]:
        """Each measure over all the requests asked about, whatever the dimensions."""
        return dict(self._answer.total)

    @property
    def sql(self) -> str | None:
        """The statement that ran, which `Ledger.sql` takes; None when there was none."""
        return self._answer.sql

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
        return plot_rows(self._answer.rows, shape, kind)

    def shown(self, most_rows: int | None = MOST_ROWS) -> Shown:
        """Return the result as a table of text, as it is printed.

        Parameters
        ----------
        most_rows
            How many rows at most, None for all; how many are left out is noted.
        """
        plan, rows = self.plan, self._answer.rows
        units = {measure.name: measure.unit for measure in plan.measures}
        head = rows if most_rows is None else rows.head(most_rows)
        return show(
            [
                (name, units.get(name, ""), head[name].to_list(), self._answer.total.get(name))
                for name in plan.columns
            ],
            labels=len(plan.columns) - len(plan.measures),
            hidden=rows.height - head.height,
            notes=[self._range()],
        )

    def __len__(self) -> int:
        return self._answer.rows.height

    def __iter__(self) -> Iterator[dict[str, object]]:
        """Yield each row as a dict of column name and value."""
        return self._answer.rows.iter_rows(named=True)

    def __repr__(self) -> str:
        return as_text(self.shown())

    def _repr_html_(self) -> str:
        return as_html(self.shown())

    def _range(self) -> str:
        return self.plan.time_range.label(self.plan.zone)

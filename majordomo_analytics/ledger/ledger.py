"""The ledger: the requests of one source, and a way to ask about them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Unpack

from majordomo_analytics.engines.base import read
from majordomo_analytics.errors import QueryError
from majordomo_analytics.ledger.asking import ask, plan_for
from majordomo_analytics.ledger.changing import Changing
from majordomo_analytics.ledger.display import days_said, writer
from majordomo_analytics.ledger.keys import MetadataReports
from majordomo_analytics.ledger.notebook import ledger_html
from majordomo_analytics.ledger.requests import RequestFrames
from majordomo_analytics.ledger.waiting import waiting
from majordomo_analytics.plan.dimensions import Derived
from majordomo_analytics.plan.filters import FilterLike, both, read_filters
from majordomo_analytics.plan.measures import Measure
from majordomo_analytics.plan.plan import Query, as_tuple, several

if TYPE_CHECKING:
    from collections.abc import Sequence
    from decimal import Decimal

    import pandas as pd  # type: ignore[import-untyped]
    import plotly.graph_objects as go
    import polars as pl
    import pyarrow as pa

    from majordomo_analytics.ledger.result import QueryResult
    from majordomo_analytics.ledger.sources import Source
    from majordomo_analytics.plan.measures import MeasureLike
    from majordomo_analytics.plan.plan import DimensionLike, OneOrMany
    from majordomo_analytics.plots.choice import Kind, PlotOptions
    from majordomo_analytics.times import Calendar, TimeGrain, TimeRangeLike


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Ledger(Changing, MetadataReports, RequestFrames):
    """The requests of one source, and a question that may be begun.

    `open` makes one. It never changes: `filter`, `during` and `by` return a new ledger with
    more of the question settled, and `query` answers it.

    Attributes
    ----------
    source
        Where the requests are.
    question
        What is settled so far.

    Examples
    --------
    >>> import polars as pl
    >>> import majordomo_analytics as ma
    >>> times = ["2026-10-05T09:00Z", "2026-10-05T22:30Z", "2026-10-06T09:00Z"]
    >>> costs = ["0.0125", "0.50", "0.25"]
    >>> teams = ["legal", "sales", None]
    >>> rows = {"requested_at": times, "total_cost": costs, "Team": teams}
    >>> ledger = ma.open(pl.DataFrame(rows))
    >>> ledger
    Ledger of a frame: 3 requests, $0.7625, 2026-10-05 to 2026-10-06 UTC
    >>> ledger.query(dimensions="Team")
    Team        total_cost  requests
    ──────────  ──────────  ────────
    sales          $0.5000         1
    (untagged)     $0.2500         1
    legal          $0.0125         1
    ──────────  ──────────  ────────
    total          $0.7625         3
    all time, UTC
    >>> ledger.filter(Team="legal").during("2026-10").query().total
    {'total_cost': Decimal('0.0125000000'), 'requests': 1}
    """

    source: Source
    question: Query = field(default_factory=Query)

    def query(
        self,
        measures: MeasureLike | Sequence[MeasureLike] | None = None,
        dimensions: OneOrMany = None,
        filters: FilterLike = None,
        time_range: TimeRangeLike = None,
        time_grain: TimeGrain | None = None,
        timezone: str | None = None,
        order_by: str | Sequence[str] | None = None,
        limit: int | None = None,
        other: bool | None = None,
        compare: TimeRangeLike = None,
        fill_gaps: bool | None = None,
        engine: str | None = None,
        calendar: Calendar | None = None,
    ) -> QueryResult:
        """Ask what requests cost, or any other measure, by dimensions and over time.

        What is not given is as `filter`, `during` and `by` settled it; filters add up.

        Parameters
        ----------
        measures
            Names of measures, or measures made with `measure`; ``total_cost`` and
            ``requests`` by default.
        dimensions
            Columns, metadata keys or dimensions made with `dimension` to group by; case
            does not count, and ``_`` is ``-``. Requests without a value are ``(untagged)``.
        filters
            Conditions by name, all of which must hold: a value, a list of values, None for
            requests without one, or a pair such as ``("<", 400)``, ``("matches", "^gpt")``;
            or what `where` makes. ``"!="`` and ``"not …"`` keep requests without a value.
        time_range
            ``"last 30 days"``, ``"2026-10"``, ``"today"`` …, or a pair (start, end) whose
            end is not included; days are those of `timezone`. Everything by default.
        time_grain
            The length of time buckets; adds a column of that name.
        timezone
            A zone of the tz database, UTC by default.
        order_by
            Columns of the result, ``-`` in front for falling; by default by time, and then
            the first measure falling. Nulls are last.
        limit
            How many combinations of dimension values to keep: the first by `order_by` over
            the whole range, the same in every time bucket.
        other
            Whether what is beyond the limit is shown as ``(other)``; True by default.
        compare
            An earlier period to show beside it: ``"previous period"``, ``"previous year"``
            or a time range. Each measure then has ``…_before``, ``…_change`` and
            ``…_change_share``, which `order_by` may name. A period that is not over is
            compared with the same elapsed part.
        fill_gaps
            Whether time buckets without a request are rows, of 0 where nothing adds up to
            that; True by default.
        engine
            What works it out: ``"duckdb"``, ``"polars"``, ``"postgres"`` or ``"spark"``. By
            default DuckDB for files and frames, and Postgres for what is there.
        calendar
            Where weeks, months and years begin; as in ISO by default.

        Returns
        -------
        QueryResult
            The time column (``Date``, or ``Datetime("us", zone)`` for hours and minutes),
            then dimensions, then measures: money ``Decimal(38, 10)`` in US dollars, counts
            ``Int64``, ratios and quantiles ``Float64``.

        Raises
        ------
        UnknownNameError
            If there is no such measure, dimension or engine.
        TimeRangeError
            If the time range, grain or zone cannot be read.
        FilterError
            If a filter cannot be read.
        ResultOverflowError
            If a sum leaves the range of its type.
        UnsupportedByEngineError
            If the engine cannot read the source, or cannot do it.

        Examples
        --------
        >>> import polars as pl
        >>> import majordomo_analytics as ma
        >>> times = ["2026-10-05T09:00Z", "2026-10-05T22:30Z"]
        >>> rows = pl.DataFrame({"requested_at": times, "total_cost": ["1.50", None]})
        >>> asked = ["total_cost", "unpriced_requests"]
        >>> ma.open(rows).query(asked, time_grain="day", timezone="Europe/Berlin")
        day         total_cost  unpriced_requests
        ──────────  ──────────  ─────────────────
        2026-10-05     $1.5000                  0
        2026-10-06           —                  1
        ──────────  ──────────  ─────────────────
        total          $1.5000                  1
        all time, Europe/Berlin
        cost of 50.0 % of 2 requests is known: 50.0 % priced; 50.0 % unknown
        """
        given = {
            "measures": None if measures is None else several(measures),
            "dimensions": None if dimensions is None else as_tuple(dimensions),
            "time_range": time_range,
            "time_grain": time_grain,
            "timezone": timezone,
            "order_by": None if order_by is None else several(order_by),
            "limit": limit,
            "other": other,
            "compare": compare,
            "fill_gaps": fill_gaps,
            "calendar": calendar,
        }
        settled = {name: value for name, value in given.items() if value is not None}
        question = replace(
            self.question,
            filters=both(self.question.filters, read_filters(filters)),
            **settled,  # type: ignore[arg-type]  # each under its own name
        )
        with waiting(f"asking {self.source.label}"):
            return ask(question, self.source.engine(engine))

    def filter(self, filters: FilterLike = None, /, **conditions: object) -> Ledger:
        """Return a ledger of the requests for which these conditions hold too.

        Parameters
        ----------
        filters
            Conditions as in `query`.
        **conditions
            The same by name: ``Team="legal"``, ``User_Tier=["pro", "team"]``,
            ``status_code=("<", 400)``.

        Raises
        ------
        FilterError
            If a condition cannot be read.
        """
        more = both(read_filters(filters), read_filters(conditions))
        question = replace(self.question, filters=both(self.question.filters, more))
        return replace(self, question=question)

    def during(self, time_range: TimeRangeLike, *, timezone: str | None = None) -> Ledger:
        """Return a ledger of the requests in a time range, as in `query`."""
        question = replace(
            self.question,
            time_range=time_range,
            timezone=self.question.timezone if timezone is None else timezone,
        )
        return replace(self, question=question)

    def define(self, *own: Derived | Measure) -> Ledger:
        """Return a ledger that knows dimensions and measures of your own by their names.

        Parameters
        ----------
        *own
            What `dimension` and `measure` made; filters, and other dimensions, can then
            name a dimension too. What was called so before is replaced by a measure.

        Raises
        ------
        QueryError
            If something else is given, or two different ones of one name.
        """
        named: dict[str, Derived | Measure] = {}
        for one in own:
            if not isinstance(one, (Derived, Measure)):
                message = f"{one!r} was made neither by ma.dimension nor by ma.measure"
                raise QueryError(message)
            if named.setdefault(one.name, one) != one:
                message = f"two different things are called {one.name!r}; give one another name"
                raise QueryError(message)
        return replace(self, question=replace(self.question, own=(*self.question.own, *own)))

    def by(self, *dimensions: DimensionLike, every: TimeGrain | None = None) -> Ledger:
        """Return a ledger whose question is asked by these dimensions, and over time.

        Parameters
        ----------
        *dimensions
            As in `query`, added to those already settled.
        every
            The length of time buckets.
        """
        question = replace(
            self.question,
            dimensions=(*self.question.dimensions, *dimensions),
            time_grain=self.question.time_grain if every is None else every,
        )
        return replace(self, question=question)

    def to_polars(self) -> pl.DataFrame:
        """Return the answer to the question so far; short for ``query().to_polars()``."""
        return self.query().to_polars()

    def to_pandas(self) -> pd.DataFrame:
        """Return the answer to the question so far; short for ``query().to_pandas()``."""
        return self.query().to_pandas()

    def to_arrow(self) -> pa.Table:
        """Return the answer to the question so far; short for ``query().to_arrow()``."""
        return self.query().to_arrow()

    @property
    def total(self) -> dict[str, Decimal | int | float | None]:
        """The totals of the question so far; short for ``query().total``."""
        return self.query().total

    def plot(self, kind: Kind | None = None, **options: Unpack[PlotOptions]) -> go.Figure:
        """Return a figure of the answer so far; short for ``query().plot()``."""
        return self.query().plot(kind, **options)

    def __repr__(self) -> str:
        if self._asks_for_rows():
            return repr(self.query())
        return f"Ledger of {self.source.label}: {self._summary()}"

    def _repr_html_(self) -> str:
        if self._asks_for_rows():
            return self.query()._repr_html_()
        return ledger_html(self.source.label, self._facts(), self.metadata_keys())

    def _asks_for_rows(self) -> bool:
        return bool(self.question.dimensions or self.question.time_grain)

    def plain_question(self) -> Query:
        """Return the question for the requests themselves."""
        question = self.question
        return Query(
            filters=question.filters,
            time_range=question.time_range,
            timezone=question.timezone,
            calendar=question.calendar,
            own=question.own,
        )

    def _summary(self) -> str:
        names = self.source.engine().catalogue().keys()
        by = f"by {', '.join(names[:12])}{' …' if len(names) > 12 else ''}"
        return ", ".join([*self._facts(), *([by] if names else [])])

    def _facts(self) -> list[str]:
        engine = self.source.engine()
        plan = plan_for(self.plain_question(), engine)
        with engine.session():
            total = read(engine, plan).total
        count, cost = total["requests"], total["total_cost"]
        return [
            f"{count:,} request{'' if count == 1 else 's'}",
            "no known cost" if cost is None else writer("USD", [cost])(cost),
            *days_said(plan.time_range, engine.span(), plan.zone),
        ]

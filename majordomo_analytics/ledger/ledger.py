"""The ledger: the requests of one source, and a way to ask about them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from html import escape
from typing import TYPE_CHECKING

from majordomo_analytics.engines.base import answer
from majordomo_analytics.errors import QueryError
from majordomo_analytics.ledger.display import writer
from majordomo_analytics.ledger.result import QueryResult
from majordomo_analytics.ledger.sources import Source, SourceLike, read_source, with_spark
from majordomo_analytics.plan.filters import FilterLike, both, read_filters
from majordomo_analytics.plan.measures import Measure
from majordomo_analytics.plan.plan import Plan, Query, as_tuple, make_plan
from majordomo_analytics.times import utc_now

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from decimal import Decimal
    from zoneinfo import ZoneInfo

    import pandas as pd  # type: ignore[import-untyped]
    import plotly.graph_objects as go
    import polars as pl
    import pyarrow as pa

    from majordomo_analytics.engines.base import Engine
    from majordomo_analytics.plan.fields import Name
    from majordomo_analytics.plan.measures import MeasureLike
    from majordomo_analytics.plan.plan import OneOrMany
    from majordomo_analytics.plots.series import Kind
    from majordomo_analytics.times import TimeGrain, TimeRange, TimeRangeLike

DEFAULT_ENGINE = "duckdb"


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Ledger:
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
        engine: str = DEFAULT_ENGINE,
    ) -> QueryResult:
        """Ask what requests cost, or any other measure, by dimensions and over time.

        What is not given is as `filter`, `during` and `by` settled it; filters add up.

        Parameters
        ----------
        measures
            Names of measures, or measures made with `measure`; ``total_cost`` and
            ``requests`` by default.
        dimensions
            Columns or metadata keys to group by; case does not count, and ``_`` is ``-``.
            Requests without a value are in the row ``(untagged)``.
        filters
            Conditions by column or metadata key, all of which must hold: a value, a list
            of values, None for requests without one, or a pair such as ``("<", 400)``.
            ``"!="`` and ``"not in"`` keep requests without a value.
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
        engine
            What works it out; ``"duckdb"``, or ``"spark"`` on a Spark Connect server.

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
        """
        given = {
            "measures": None if measures is None else _several(measures),
            "dimensions": None if dimensions is None else as_tuple(dimensions),
            "time_range": time_range,
            "time_grain": time_grain,
            "timezone": timezone,
            "order_by": None if order_by is None else _several(order_by),
            "limit": limit,
            "other": other,
        }
        settled = {name: value for name, value in given.items() if value is not None}
        question = replace(
            self.question,
            filters=both(self.question.filters, read_filters(filters)),
            **settled,  # type: ignore[arg-type]  # each under its own name
        )
        working = self.source.engine(engine)
        plan = _plan(question, working)
        return QueryResult(plan, answer(working, plan))

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

    def by(self, *dimensions: Name, every: TimeGrain | None = None) -> Ledger:
        """Return a ledger whose question is asked by these dimensions, and over time.

        Parameters
        ----------
        *dimensions
            Columns or metadata keys, added to those already settled.
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

    def plot(self, kind: Kind | None = None) -> go.Figure:
        """Return a figure of the answer so far; short for ``query().plot()``."""
        return self.query().plot(kind)

    def requests(self, *, limit: int | None = None) -> pl.DataFrame:
        """Return the requests themselves, oldest first.

        Parameters
        ----------
        limit
            How many at most; all of them by default.

        Returns
        -------
        polars.DataFrame
            The columns of `llm_requests`, and each promoted metadata key as a column of
            its name.
        """
        engine = self.source.engine(DEFAULT_ENGINE)
        return engine.requests(_plan(self._plain(), engine), limit=limit)

    def metadata_keys(self) -> pl.DataFrame:
        """Return which metadata keys the requests carry, most used first.

        Returns
        -------
        polars.DataFrame
            ``name`` (String), ``promoted`` (Boolean), ``requests`` (Int64),
            ``distinct_values`` (Int64), ``first_seen`` and ``last_seen`` (UTC).
        """
        engine = self.source.engine(DEFAULT_ENGINE)
        return engine.metadata_keys(_plan(self._plain(), engine))

    def sql(self, statement: str) -> pl.DataFrame:
        """Return what a statement over all requests of the source gives.

        Parameters
        ----------
        statement
            DuckDB SQL over ``llm_requests``; a promoted metadata key is the column
            ``"indexed_Team"``, any other is ``raw_metadata['Plan']``.

        Raises
        ------
        QueryError
            If DuckDB refuses the statement.
        """
        return self.source.engine(DEFAULT_ENGINE).sql(statement)

    def __repr__(self) -> str:
        if self._asks_for_rows():
            return repr(self.query())
        return f"Ledger of {self.source.label}: {self._summary()}"

    def _repr_html_(self) -> str:
        if self._asks_for_rows():
            return self.query()._repr_html_()
        return f"<p><b>Ledger</b> of {escape(self.source.label)}<br>{escape(self._summary())}</p>"

    def _asks_for_rows(self) -> bool:
        return bool(self.question.dimensions or self.question.time_grain)

    def _plain(self) -> Query:
        """Return the question for the requests themselves."""
        question = self.question
        return Query(
            filters=question.filters, time_range=question.time_range, timezone=question.timezone
        )

    def _summary(self) -> str:
        engine = self.source.engine(DEFAULT_ENGINE)
        plan = _plan(self._plain(), engine)
        total = answer(engine, plan).total
        count, cost = total["requests"], total["total_cost"]
        said = [
            f"{count:,} request{'' if count == 1 else 's'}",
            "no known cost" if cost is None else writer("USD", [cost])(cost),
            *_days_said(plan.time_range, engine.span(), plan.zone),
        ]
        names = engine.catalogue().keys()
        if names:
            said.append(f"by {', '.join(names[:12])}{' …' if len(names) > 12 else ''}")
        return ", ".join(said)


def open(source: SourceLike, *, spark: str | None = None) -> Ledger:
    """Open requests to ask about them.

    Parameters
    ----------
    source
        A data directory, a Delta table, a Parquet file, folder or glob, a Polars frame or
        an Arrow table. It needs a column ``requested_at``; what else it lacks is unknown.
        A frame's times without a zone are UTC.
    spark
        ``sc://HOST:PORT`` of a Spark Connect server, which finds the files under the same
        paths; ``engine="spark"`` asks it. That of ``SPARK_REMOTE`` by default.

    Raises
    ------
    SourceError
        If it is none of these, or `spark` is no address.
    DataDirectoryError
        If it is a folder, but not a data directory.
    LakeNotFoundError
        If the data directory has no lake yet.

    Examples
    --------
    >>> import polars as pl
    >>> import majordomo_analytics as ma
    >>> rows = pl.DataFrame({"requested_at": ["2026-10-05T09:00Z"], "total_cost": ["1.25"]})
    >>> ma.open(rows)
    Ledger of a frame: 1 request, $1.2500, 2026-10-05 to 2026-10-05 UTC
    """
    ledger = Ledger(with_spark(read_source(source), spark))
    ledger.source.engine(DEFAULT_ENGINE)
    return ledger


def _plan(question: Query, engine: Engine) -> Plan:
    return make_plan(question, engine.catalogue(), span=engine.span, now=utc_now())


def _several(given: object) -> tuple[object, ...]:
    if isinstance(given, (str, Measure)):
        return (given,)
    if isinstance(given, Iterable):
        return tuple(given)
    message = f"{given!r} is no name, and no list of names"
    raise QueryError(message)


def _days_said(asked: TimeRange, held: TimeRange, zone: ZoneInfo) -> Iterator[str]:
    """Yield the first and the last day that are both asked about and held."""
    if held.start is None or held.end is None:
        return
    start = held.start if asked.start is None else max(asked.start, held.start)
    end = held.end if asked.end is None else min(asked.end, held.end)
    if start < end:
        last = end - timedelta(microseconds=1)
        days = (instant.astimezone(zone).date() for instant in (start, last))
        yield f"{' to '.join(map(str, days))} {zone.key}"

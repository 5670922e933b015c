"""The requests of a ledger themselves: as a lazy frame, and as a view in SQL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import polars as pl

from majordomo_analytics.engines.requests import shown
from majordomo_analytics.errors import QueryError, UnknownNameError
from majordomo_analytics.ledger.asking import plan_for
from majordomo_analytics.plan.fields import MetadataName
from majordomo_analytics.plan.filters import FilterLike, both, read_filters
from majordomo_analytics.records.metadata import lookup_name

if TYPE_CHECKING:
    from majordomo_analytics.engines.base import Engine
    from majordomo_analytics.ledger.ledger import Ledger
    from majordomo_analytics.plan.fields import Field, Name
    from majordomo_analytics.plan.plan import Query
    from majordomo_analytics.times import TimeRangeLike


class RequestFrames:
    """The part of a ledger that gives out its requests."""

    __slots__ = ()

    def requests(
        self,
        filters: FilterLike = None,
        time_range: TimeRangeLike = None,
        columns: Name | Sequence[Name] | None = None,
        *,
        engine: str | None = None,
    ) -> pl.LazyFrame:
        """Return the requests themselves as a lazy frame, of which nothing is read yet.

        Polars reads of files only the columns and row groups that its query needs. Postgres
        and Spark send the columns it needs, some rows at a time; there `filters` and
        `time_range` are looked at by the server, and what Polars filters by on this side.

        Parameters
        ----------
        filters
            Conditions as in `query`, on top of those that are settled.
        time_range
            As in `query`.
        columns
            Names of columns and metadata keys, in any spelling; all columns by default, to
            which a key that is not promoted does not belong.
        engine
            As in `query`. DuckDB's files are scanned by Polars, too.

        Returns
        -------
        polars.LazyFrame
            Requests in no order: the columns of `llm_requests`, money ``Decimal(20, 10)``
            in US dollars, and behind ``raw_metadata`` the promoted metadata keys, as
            ``indexed_metadata`` (``Map(String, String)``) and each as a column of its name
            (``String``, null where a request has none); the same in every engine. Money
            that a frame has with more digits keeps them, as ``Decimal(38, 10)``.

            It reads the state that the ledger's source has now, later too; files that
            compaction left behind are gone after a vacuum, and it then fails. Of Postgres
            it reads the state when it is collected.

        Raises
        ------
        UnknownNameError
            If there is no such column, metadata key or engine.
        FilterError, TimeRangeError
            If a filter or the time range cannot be read.
        UnsupportedByEngineError
            If the engine cannot read the source.

        Examples
        --------
        >>> import polars as pl
        >>> import majordomo_analytics as ma
        >>> times = ["2026-10-05T09:00Z", "2026-10-05T22:30Z"]
        >>> rows = pl.DataFrame({"requested_at": times, "total_cost": ["1.50", "0.25"]})
        >>> found = ma.open(rows).requests(columns=["requested_date", "total_cost"])
        >>> found.filter(pl.col("total_cost") > 1).collect().rows()
        [(datetime.date(2026, 10, 5), Decimal('1.5000000000'))]
        """
        ledger = cast("Ledger", self)
        question = ledger.plain_question()
        question = replace(
            question,
            filters=both(question.filters, read_filters(filters)),
            time_range=question.time_range if time_range is None else time_range,
        )
        return lazy_requests(question, ledger.source.engine(engine), columns)

    def sql(self, statement: str, *, engine: str | None = None) -> pl.DataFrame:
        """Return what a statement over the requests gives; it can only read.

        Parameters
        ----------
        statement
            One SELECT, in the SQL of the engine. The view ``requests`` has the requests
            of this ledger, filtered as is settled, with the columns of `requests`: a
            promoted metadata key is ``"User-Tier"``, any other ``raw_metadata['Plan']`` in
            DuckDB and Spark, and ``raw_metadata ->> 'Plan'`` in Postgres. All requests of
            the source are ``llm_requests``, which `QueryResult.sql` reads.
        engine
            ``"duckdb"``, ``"postgres"`` or ``"spark"``, as in `query`.

        Returns
        -------
        polars.DataFrame
            The columns of the statement, in its order.

        Raises
        ------
        ReadOnlyError
            If the statement would do more than read, or are several.
        UnknownNameError
            If it names a column or a table that there is not.
        QueryError
            If the engine refuses it for another reason.
        UnsupportedByEngineError
            If the engine is Polars, which has no SQL of these meanings.

        Examples
        --------
        >>> import polars as pl
        >>> import majordomo_analytics as ma
        >>> times = ["2026-10-05T09:00Z", "2026-10-05T22:30Z"]
        >>> rows = pl.DataFrame({"requested_at": times, "total_cost": ["1.5", "2"]})
        >>> ma.open(rows).sql("select sum(total_cost) as cost from requests").rows()
        [(Decimal('3.5000000000'),)]
        """
        if not isinstance(statement, str):
            message = f"a statement is text, such as 'select …'; this is {statement!r}"
            raise QueryError(message)
        ledger = cast("Ledger", self)
        chosen = ledger.source.engine(engine)
        return chosen.sql(plan_for(ledger.plain_question(), chosen), statement)


def lazy_requests(
    question: Query, engine: Engine, columns: Name | Sequence[Name] | None
) -> pl.LazyFrame:
    """Return the requests that a question is about, of which none is read yet.

    Raises
    ------
    UnknownNameError
        If a column is none, and no metadata key either.
    QueryError
        If `columns` are no names.
    """
    plan = plan_for(question, engine)
    engine.check(plan)
    frame = engine.requests(plan)
    if columns is None:
        return frame
    given = [columns] if isinstance(columns, (str, MetadataName)) else columns
    if not isinstance(given, Sequence) or not given:
        message = (
            f"columns={columns!r} names no columns; write a list of them, such as "
            "['requested_at', 'total_cost', 'Feature']"
        )
        raise QueryError(message)
    chosen = [_column(name, engine, frame) for name in given]
    return frame.select({one.meta.output_name(): one for one in chosen}.values())


def _column(name: Name, engine: Engine, frame: pl.LazyFrame) -> pl.Expr:
    """Return a column by its name in any spelling, or the value of a metadata key."""
    catalogue = engine.catalogue()
    names = frame.collect_schema().names()
    if isinstance(name, str):
        spelled = {lookup_name(known): known for known in reversed(names)}
        if (found := name if name in names else spelled.get(lookup_name(name))) is not None:
            return pl.col(found)
    try:
        field = catalogue.field(name, what="column")
    except UnknownNameError as error:
        known = (*names, *catalogue.keys())
        raise UnknownNameError(error.kind, error.name, known) from error
    if field.promoted:
        return pl.col(shown(catalogue).keys[field.name])
    return pl.col(field.name) if field.spellings is None else _value(field, names)


def _value(field: Field, names: Sequence[str]) -> pl.Expr:
    """Return the value of a key that has no column, under its name."""
    entries = pl.col("raw_metadata").map
    value = pl.coalesce(entries.get(key) for key in field.spellings or ())
    taken = field.name in names  # only where a column of the source is called as the key
    return value.alias(str(MetadataName(field.name)) if taken else field.name)

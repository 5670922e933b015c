"""Spark Connect over the same lake, files or frame: for what outgrows one machine.

Statements read the view `llm_requests`, over exactly the files that a question needs, in a
session of our own. Those of a lake are read as the Parquet that they are: the server needs
no Delta Lake, and Sail would take a money column that is the same in all of a file from the
table's statistics, where it has gone through a float.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cached_property, lru_cache, partial, reduce
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from majordomo_analytics.engines.base import Selected, select_twice
from majordomo_analytics.engines.keys import keys_frame, keys_statement
from majordomo_analytics.engines.spark.columns import kind_of, plain, readable, select_list
from majordomo_analytics.engines.spark.server import Server, read_address
from majordomo_analytics.engines.sql.compiler import TABLE, compile_plan, compile_requests
from majordomo_analytics.engines.sql.dialects import SPARK
from majordomo_analytics.errors import LakeError, QueryError, SourceError
from majordomo_analytics.lake.table import LakeSnapshot
from majordomo_analytics.plan.fields import Catalogue
from majordomo_analytics.records.columns import PROMOTED_PREFIX
from majordomo_analytics.records.metadata import canonical_name, lookup_name
from majordomo_analytics.times import TimeRange

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pyspark.sql.connect.session import SparkSession
    from pyspark.sql.dataframe import DataFrame

    from majordomo_analytics.engines.pinned import Pinned
    from majordomo_analytics.plan.plan import Plan

MOST_SESSIONS = 4
"""How many time ranges have a session at once: each reads files of its own."""


class SparkEngine:
    """Answers plans over a snapshot of the lake, Parquet files or an Arrow table.

    Parameters
    ----------
    source
        What is asked. The server has to find files under the same paths; an Arrow table is
        sent to it.
    address
        ``sc://HOST:PORT`` of a Spark Connect server.
    """

    name = "spark"

    def __init__(self, source: Pinned, address: str) -> None:
        self._source = source
        self._address = address
        read_address(address)
        self._lock = threading.Lock()
        self._servers: dict[tuple[str, ...], Server] = {}
        if "requested_at" not in self._schema.names:
            known = ", ".join(self._schema.names[:10]) or "none"
            message = f"requests need a column 'requested_at'; the columns here are: {known}"
            raise SourceError(message)

    def catalogue(self) -> Catalogue:
        """Return the names that the source knows."""
        return self._catalogue

    def span(self) -> TimeRange:
        """Return a range that holds all requests; open where there are none."""
        return self._span

    def check(self, plan: Plan) -> None:
        """Accept every plan."""

    @contextmanager
    def session(self) -> Iterator[None]:
        """Hold nothing: the version is pinned already, and files never change."""
        yield

    def select(self, plan: Plan) -> Selected:
        """Return what answers one plan."""
        statement = compile_plan(plan, SPARK)
        found = self._fetch(statement, plan.time_range, named_by_place=True)
        return Selected(found, statement)

    def select_with_total(self, plan: Plan) -> tuple[Selected, pl.DataFrame]:
        """Return what answers a plan and its grand total."""
        return select_twice(self, plan)

    def requests(self, plan: Plan, *, limit: int | None) -> pl.DataFrame:
        """Return the plan's requests themselves, oldest first."""
        rows = self._fetch(compile_requests(plan, SPARK, limit=limit), plan.time_range)
        keys = {PROMOTED_PREFIX + key: key for key in self._catalogue.promoted}
        return rows.rename({old: new for old, new in keys.items() if new not in rows.columns})

    def metadata_keys(self, plan: Plan) -> pl.DataFrame:
        """Return the metadata keys among the plan's requests, most used first."""
        chosen = compile_requests(plan, SPARK, limit=None, ordered=False)
        entries = "SELECT row, requested_at, EXPLODE(raw_metadata) AS (spelling, value) FROM chosen"
        statement = keys_statement(chosen, entries, "MIN_BY(value, spelling)")
        return keys_frame(self._fetch(statement, plan.time_range), self._catalogue.promoted)

    def sql(self, statement: str) -> pl.DataFrame:
        """Return what a statement of the user's own over `llm_requests` gives."""
        return self._fetch(statement, TimeRange())

    def _fetch(
        self, statement: str, asked: TimeRange, *, named_by_place: bool = False
    ) -> pl.DataFrame:
        table = self._reading(asked).fetch(statement)
        if not table.num_columns:
            message = "the statement gives no rows; write a SELECT over llm_requests"
            raise QueryError(message)
        if named_by_place:  # two columns of a result may differ in case alone, or in nothing
            table = table.rename_columns([str(place) for place in range(table.num_columns)])
        frame = pl.from_arrow(table)
        return frame if isinstance(frame, pl.DataFrame) else frame.to_frame()

    @cached_property
    def _schema(self) -> pa.Schema:
        """The columns that are stored, and that Spark can read."""
        source = self._source
        if isinstance(source, LakeSnapshot):
            day = source.schema.get_field_index("requested_date")
            return source.schema if day < 0 else source.schema.remove(day)
        if isinstance(source, pa.Table):
            return readable(source.schema)
        found: dict[str, pa.Field] = {}
        for path in source.paths:
            found = {field.name: field for field in self._schema_of(path)} | found
        return pa.schema(list(found.values()))

    @cached_property
    def _catalogue(self) -> Catalogue:
        source = self._source
        if isinstance(source, LakeSnapshot):
            promoted = dict.fromkeys(source.promoted)
        else:
            promoted = {
                field.name.removeprefix(PROMOTED_PREFIX): None
                for field in self._schema
                if field.name.startswith(PROMOTED_PREFIX) and kind_of("", field.type) == "text"
            }
        columns = {
            field.name: kind_of(field.name, field.type)
            for field in self._schema
            if field.name.removeprefix(PROMOTED_PREFIX) not in promoted
            or not field.name.startswith(PROMOTED_PREFIX)
        }
        columns["requested_date"] = "date"
        return Catalogue(columns, tuple(promoted), lambda: self._stored_keys)

    @cached_property
    def _stored_keys(self) -> Mapping[str, tuple[str, ...]]:
        """The stored spellings of each metadata key, the canonical one first."""
        keys = self.sql(f"SELECT DISTINCT EXPLODE(MAP_KEYS(raw_metadata)) AS key FROM {TABLE}")  # noqa: S608
        found = defaultdict(list)
        for key in sorted(keys["key"], key=lambda key: (key != canonical_name(key), key)):
            found[lookup_name(key)].append(key)
        return {name: tuple(spellings) for name, spellings in found.items()}

    @cached_property
    def _span(self) -> TimeRange:
        source = self._source
        if not isinstance(source, LakeSnapshot):
            found = self.sql(f"SELECT MIN(requested_at) a, MAX(requested_at) b FROM {TABLE}")  # noqa: S608
            first, last = found.row(0)
            return TimeRange(
                first and first.astimezone(UTC),
                last and last.astimezone(UTC) + timedelta(microseconds=1),
            )
        days = [file.requested_date for file in source.files]
        if not days:
            return TimeRange()
        first, last = (datetime(d.year, d.month, d.day, tzinfo=UTC) for d in (min(days), max(days)))
        return TimeRange(first, last + timedelta(days=1))

    def _reading(self, asked: TimeRange) -> Server:
        """Return a session in which `llm_requests` is what may lie in a time range."""
        paths = self._paths(asked)
        with self._lock:
            server = self._servers.pop(paths, None)
            if server is None:
                server = Server(self._address, TABLE, partial(self._requests, paths))
            self._servers[paths] = server  # the one used last is the last
            while len(self._servers) > MOST_SESSIONS:
                self._servers.pop(next(iter(self._servers)))
        return server

    def _paths(self, asked: TimeRange) -> tuple[str, ...]:
        source = self._source
        if isinstance(source, LakeSnapshot):
            last = None if asked.end is None else (asked.end - timedelta(microseconds=1)).date()
            first = None if asked.start is None else asked.start.date()
            return tuple(file.uri for file in source.files_between(first, last))
        return () if isinstance(source, pa.Table) else source.paths

    def _schema_of(self, path: str) -> pa.Schema:
        if isinstance(self._source, LakeSnapshot):
            return _read_schema_once(path)
        return _read_schema(path)

    def _requests(self, paths: tuple[str, ...], session: SparkSession) -> DataFrame:
        """Return the requests in the columns of our own table; nothing is read yet."""
        if not paths:
            source = self._source
            table = source if isinstance(source, pa.Table) else self._schema.empty_table()
            sent = _sent(session, table.select(self._schema.names), plain(self._schema))
            return sent.selectExpr(*select_list(plain(self._schema)))
        alike = defaultdict(list)
        for path in paths:
            alike[self._schema_of(path)].append(_absolute(path))
        parts = [
            session.read.parquet(*group).selectExpr(*select_list(held, self._schema))
            for held, group in alike.items()
        ]
        return reduce(lambda one, other: one.unionAll(other), parts)


def _read_schema(path: str) -> pa.Schema:
    try:
        return readable(pq.read_schema(path).remove_metadata())
    except (OSError, pa.ArrowException) as error:
        message = f"the files of the requests cannot be read: {error}"
        raise LakeError(message) from error


# Files of a lake never change; other files may be written anew under their names.
_read_schema_once = lru_cache(maxsize=100_000)(_read_schema)


def _absolute(path: str) -> str:
    return path if "://" in path else str(Path(path).absolute())


def _sent(session: SparkSession, table: pa.Table, schema: pa.Schema) -> DataFrame:
    from pyspark.sql.pandas.types import from_arrow_schema

    return session.createDataFrame(table.cast(schema), schema=from_arrow_schema(schema))

"""Spark Connect over the same lake, files or frame: for what outgrows one machine.

The server reads a pinned version of the Delta table by itself, under the path that is known
here. Statements read the view `llm_requests`, which lives in a session of our own.
"""

from __future__ import annotations

from collections import defaultdict
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cached_property, lru_cache, reduce
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from majordomo_analytics.engines.base import Selected
from majordomo_analytics.engines.spark.columns import kind_of, plain, readable, select_list
from majordomo_analytics.engines.spark.server import Server
from majordomo_analytics.engines.sql.compiler import TABLE, compile_plan, compile_requests
from majordomo_analytics.engines.sql.dialects import SPARK
from majordomo_analytics.errors import LakeError, QueryError, SourceError
from majordomo_analytics.lake.table import LakeSnapshot
from majordomo_analytics.plan.fields import Catalogue
from majordomo_analytics.records.columns import PROMOTED_PREFIX
from majordomo_analytics.records.metadata import canonical_name, lookup_name
from majordomo_analytics.times import TimeRange

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pyspark.sql.connect.dataframe import DataFrame
    from pyspark.sql.connect.session import SparkSession

    from majordomo_analytics.engines.duckdb import ParquetFiles
    from majordomo_analytics.plan.plan import Plan

    Pinned: TypeAlias = LakeSnapshot | ParquetFiles | pa.Table


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
        self._server = Server(address, TABLE, self._requests)
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
        return Selected(self._fetch(statement, named_by_place=True), statement)

    def requests(self, plan: Plan, *, limit: int | None) -> pl.DataFrame:
        """Return the plan's requests themselves, oldest first."""
        rows = self._fetch(compile_requests(plan, SPARK, limit=limit))
        keys = {PROMOTED_PREFIX + key: key for key in self._catalogue.promoted}
        return rows.rename({old: new for old, new in keys.items() if new not in rows.columns})

    def metadata_keys(self, plan: Plan) -> pl.DataFrame:
        """Return the metadata keys among the plan's requests, most used first."""
        chosen = compile_requests(plan, SPARK, limit=None)
        statement = f"""
            SELECT
              LOWER(REPLACE(key, '_', '-')) AS name,
              COUNT(*) AS requests,
              COUNT(DISTINCT value) AS distinct_values,
              MIN(requested_at) AS first_seen,
              MAX(requested_at) AS last_seen
            FROM (SELECT requested_at, EXPLODE(raw_metadata) AS (key, value) FROM ({chosen}))
            WHERE value IS NOT NULL GROUP BY LOWER(REPLACE(key, '_', '-'))
        """  # noqa: S608 - compiled by us, every value a literal
        found = self._fetch(statement)
        names = [canonical_name(name) for name in found["name"]]
        promoted = set(self._catalogue.promoted)
        named = found.with_columns(
            pl.Series("name", names, pl.String),
            pl.Series("promoted", [name in promoted for name in names], pl.Boolean),
        )
        return named.sort(["requests", "name"], descending=[True, False])

    def sql(self, statement: str) -> pl.DataFrame:
        """Return what a statement of the user's own over `llm_requests` gives."""
        return self._fetch(statement)

    def _fetch(self, statement: str, *, named_by_place: bool = False) -> pl.DataFrame:
        table = self._server.fetch(statement)
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
            return plain(readable(source.schema))
        found: dict[str, pa.Field] = {}
        for path in source.paths:
            found = {field.name: field for field in _schema_of(path)} | found
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

    def _requests(self, session: SparkSession) -> DataFrame:
        """Return the requests in the columns of our own table; read when they are asked for."""
        source = self._source
        if isinstance(source, LakeSnapshot):
            version = session.read.format("delta").option("versionAsOf", str(source.version))
            columns = select_list(self._schema, lacking=self._lacking(source))
            return version.load(_absolute(source.uri)).selectExpr(*columns)
        if isinstance(source, pa.Table):
            return _sent(session, source.select(self._schema.names).cast(self._schema)).selectExpr(
                *select_list(self._schema)
            )
        alike = defaultdict(list)
        for path in source.paths:
            alike[_schema_of(path)].append(_absolute(path))
        parts = [
            session.read.parquet(*paths).selectExpr(*select_list(schema, self._schema))
            for schema, paths in alike.items()
        ]
        return reduce(lambda one, other: one.unionAll(other), parts)

    def _lacking(self, snapshot: LakeSnapshot) -> tuple[str, ...]:
        """Return the columns of promoted keys that a file was written without."""
        columns = {PROMOTED_PREFIX + key for key in snapshot.promoted}
        held = columns.copy()
        for file in snapshot.files:
            held.intersection_update(_names_in(file.uri))
        return tuple(sorted(columns - held))


@lru_cache(maxsize=100_000)
def _names_in(uri: str) -> frozenset[str]:
    """Return the names of a file's columns; none, if only the server can read it."""
    if "://" in uri:
        return frozenset()
    return frozenset(_schema_of(uri).names)


def _schema_of(path: str) -> pa.Schema:
    try:
        return readable(pq.read_schema(path).remove_metadata())
    except (OSError, pa.ArrowException) as error:
        message = f"the files of the requests cannot be read: {error}"
        raise LakeError(message) from error


def _absolute(path: str) -> str:
    return path if "://" in path else str(Path(path).absolute())


def _sent(session: SparkSession, table: pa.Table) -> DataFrame:
    from pyspark.sql.pandas.types import from_arrow_schema

    return session.createDataFrame(table, schema=from_arrow_schema(table.schema))

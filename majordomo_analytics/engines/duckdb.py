"""DuckDB over Parquet files or a frame: the engine that is used unless told otherwise.

Every statement reads the view `llm_requests`, which is made anew over exactly the files a
question needs, in the types of our own table of columns.
"""

# ruff: noqa: S608 - names and paths are quoted by the helpers at the end of this module

from __future__ import annotations

import re
from collections import defaultdict
from contextlib import closing, contextmanager
from datetime import timedelta
from functools import cached_property, partial
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa

from majordomo_analytics.engines.base import Selected, select_twice, split_total
from majordomo_analytics.engines.duckdb_types import STORED, converted, kind_of
from majordomo_analytics.engines.export import export_statement
from majordomo_analytics.engines.frames import frame_of
from majordomo_analytics.engines.keys import keys_frame, keys_statement
from majordomo_analytics.engines.pinned import ParquetFiles, days_held, files_in
from majordomo_analytics.engines.polars.engine import PolarsEngine
from majordomo_analytics.engines.quoting import quoted_name, quoted_text
from majordomo_analytics.engines.requests import VIEW, shown
from majordomo_analytics.engines.sql.compiler import (
    TABLE,
    compile_plan,
    compile_requests,
    compile_with_total,
)
from majordomo_analytics.engines.sql.dialects import DUCKDB
from majordomo_analytics.engines.sql.shown import duckdb_view
from majordomo_analytics.engines.sql.statements import check_serialized, told_by_name
from majordomo_analytics.errors import LakeError, QueryError, ResultOverflowError, SourceError
from majordomo_analytics.lake.filling import spellings_of
from majordomo_analytics.plan.fields import Catalogue, column_kind
from majordomo_analytics.records.columns import BY_NAME, COLUMNS, PROMOTED_PREFIX
from majordomo_analytics.records.metadata import lookup_name
from majordomo_analytics.times import TimeRange

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    import polars as pl

    from majordomo_analytics.engines.export import ExportFormat
    from majordomo_analytics.engines.pinned import Pinned
    from majordomo_analytics.plan.plan import Plan

SETTINGS: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "python_enable_replacements": False,
}
"""Nothing is fetched from the network, and no SQL reaches a variable of Python's."""


class DuckDBEngine:
    """Answers plans over a snapshot of the lake, Parquet files or an Arrow table."""

    name = "duckdb"

    def __init__(self, source: Pinned) -> None:
        self._source = source
        self._database = duckdb.connect(":memory:", config=SETTINGS)
        self._database.execute("SET GLOBAL TimeZone = 'UTC'")
        self._columns_of: dict[str, frozenset[str]] = {}
        self._spellings_in: dict[str, list[str]] = {}
        if "requested_at" not in self._types:
            known = ", ".join(list(self._types)[:10]) or "none"
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
        """Hold nothing: the files are pinned already, and never change."""
        yield

    def select(self, plan: Plan) -> Selected:
        """Return what answers one plan."""
        statement = compile_plan(plan, DUCKDB)
        return Selected(self._answer(statement, plan.time_range), statement)

    def select_with_total(self, plan: Plan) -> tuple[Selected, pl.DataFrame]:
        """Return what answers a plan and its grand total: one reading if nothing is cut."""
        grouped = plan.grain is not None or bool(plan.dimensions)
        if not grouped or plan.leaves_out:
            return select_twice(self, plan)
        found = self._answer(compile_with_total(plan, DUCKDB), plan.time_range)
        rows, total = split_total(found, plan)
        return Selected(rows, partial(compile_plan, plan, DUCKDB)), total

    def requests(self, plan: Plan) -> pl.LazyFrame:
        """Return the plan's requests in no order, as Polars scans them later."""
        return self._polars.requests(plan)

    def export(self, plan: Plan, path: Path, form: ExportFormat) -> int:
        """Write the plan's requests to a file in any order; return how many they are."""
        chosen = compile_requests(plan, DUCKDB, ordered=False)
        with self._reading(plan.time_range) as cursor:
            described = cursor.execute(f"DESCRIBE {TABLE}").fetchall()
            columns = [(row[0], row[1]) for row in described]
            statement = export_statement(chosen, columns, str(path), form)
            # What is kept in order has to wait in memory for what comes before it.
            cursor.execute("SET GLOBAL preserve_insertion_order = false")
            try:
                written = cursor.execute(statement).fetchone()
            finally:
                cursor.execute("SET GLOBAL preserve_insertion_order = true")
        return int(written[0]) if written else 0

    def metadata_keys(self, plan: Plan) -> pl.DataFrame:
        """Return the metadata keys among the plan's requests, most used first."""
        chosen = compile_requests(plan, DUCKDB, ordered=False)
        entries = """
            SELECT
              row, requested_at, CAST(entry.key AS TEXT) AS spelling,
              CAST(entry.value AS TEXT) AS value
            FROM (
              SELECT row, requested_at, UNNEST(MAP_ENTRIES(raw_metadata)) AS entry FROM chosen
            )
        """
        statement = keys_statement(chosen, entries, "ARG_MIN(value, spelling)")
        with self._reading(plan.time_range) as cursor:
            return keys_frame(_fetch(cursor, statement), self._catalogue.promoted)

    def sql(self, plan: Plan, statement: str) -> pl.DataFrame:
        """Return what a user's own statement over `requests` or `llm_requests` gives."""
        columns = shown(self._catalogue)
        # All of the source is asked for only by name, and files are left out otherwise.
        asked = TimeRange() if TABLE in statement.lower() else plan.time_range
        with self._reading(asked) as cursor:
            written = cursor.execute("SELECT json_serialize_sql(?)", [statement]).fetchone()
            check_serialized(statement, written[0] if written else "")
            chosen = duckdb_view(compile_requests(plan, DUCKDB, ordered=False), columns)
            cursor.execute(f"CREATE TEMPORARY VIEW {VIEW} AS {chosen}")
            try:
                with _told_plainly():
                    return _fetch(cursor, statement)
            except QueryError as error:
                raise told_by_name(error, columns.names) from error

    def _rows(self, statement: str) -> pl.DataFrame:
        """Return what a statement of ours over `llm_requests` gives."""
        with self._reading(TimeRange()) as cursor:
            return _fetch(cursor, statement)

    @cached_property
    def _polars(self) -> PolarsEngine:
        """What scans the same files: a lazy frame is Polars' own, down to the files."""
        return PolarsEngine(self._source)

    @cached_property
    def _types(self) -> dict[str, str]:
        """Name and DuckDB type of each stored column."""
        with closing(self._database.cursor()) as cursor, _told_plainly():
            source = self._source
            if isinstance(source, ParquetFiles):
                stored = _read_parquet(source.paths)
            else:
                schema = source.schema
                cursor.register("stored", schema.empty_table())
                stored = "stored"
            rows = cursor.execute(f"DESCRIBE SELECT * FROM {stored}").fetchall()
        return {row[0]: row[1] for row in rows}

    @cached_property
    def _catalogue(self) -> Catalogue:
        promoted = {
            name: name.removeprefix(PROMOTED_PREFIX)
            for name, stored in self._types.items()
            if name.startswith(PROMOTED_PREFIX) and stored == "VARCHAR"
        }
        columns = {
            name: column_kind(name) if name in BY_NAME else kind_of(stored)
            for name, stored in self._types.items()
            if name not in promoted
        }
        columns["requested_date"] = "date"
        return Catalogue(columns, tuple(promoted.values()), lambda: self._stored_keys)

    @cached_property
    def _stored_keys(self) -> Mapping[str, tuple[str, ...]]:
        """The stored spellings of each metadata key, the canonical one first."""
        keys = self._rows(f"SELECT DISTINCT UNNEST(MAP_KEYS(raw_metadata)) AS key FROM {TABLE}")
        found = defaultdict(list)
        for key in keys["key"]:
            found[lookup_name(key)].append(key)
        return {name: tuple(spellings_of(name, stored)) for name, stored in found.items()}

    @cached_property
    def _span(self) -> TimeRange:
        source = self._source
        if isinstance(source, (ParquetFiles, pa.Table)):
            found = self._rows(f"SELECT MIN(requested_at) a, MAX(requested_at) b FROM {TABLE}")
            first, last = found.row(0)
            return TimeRange(first, last and last + timedelta(microseconds=1))
        return days_held(source)

    @contextmanager
    def _reading(self, asked: TimeRange) -> Iterator[duckdb.DuckDBPyConnection]:
        """Give a connection in which `llm_requests` is what may lie in a time range."""
        with closing(self._database.cursor()) as cursor, _told_plainly():
            cursor.execute(f"CREATE TEMPORARY VIEW {TABLE} AS {self._requests(cursor, asked)}")
            yield cursor

    def _answer(self, statement: str, asked: TimeRange) -> pl.DataFrame:
        """Return what a compiled statement gives over what may lie in a time range.

        To make a view of all columns first would take longer than to read a small file.
        """
        with closing(self._database.cursor()) as cursor, _told_plainly():
            requests = self._requests(cursor, asked, by=statement)
            parts = statement.removeprefix("WITH ")
            return _fetch(cursor, f"WITH {TABLE} AS ({requests}), {parts}")

    def _requests(
        self, cursor: duckdb.DuckDBPyConnection, asked: TimeRange, *, by: str | None = None
    ) -> str:
        """Return the statement that reads what may lie in a time range, as ours.

        With all columns, or those that the statement `by` may name.
        """
        selects = [
            f"SELECT {self._as_ours(held, self._lacking(cursor, table, held), by)} FROM {table}"
            for table, held in self._tables(cursor, asked)
        ]
        return " UNION ALL ".join(selects)

    def _tables(
        self, cursor: duckdb.DuckDBPyConnection, asked: TimeRange
    ) -> list[tuple[str, frozenset[str]]]:
        """Return what to read, and which columns each part of it holds."""
        source = self._source
        if isinstance(source, pa.Table):
            cursor.register("stored", source)
            return [("stored", frozenset(self._types))]
        if isinstance(source, ParquetFiles):
            paths = source.paths
        else:
            paths = tuple(file.uri for file in files_in(source, asked))
            if not paths:
                cursor.register("stored", source.schema.empty_table())
                return [("stored", frozenset(self._types))]
        if unknown := [path for path in paths if path not in self._columns_of]:
            listed = (
                f"SELECT file_name, LIST(name) FROM parquet_schema({_list(unknown)}) GROUP BY 1"
            )
            for path, names in cursor.execute(listed).fetchall():
                self._columns_of[path] = frozenset(name for name in names if name in self._types)
        alike = defaultdict(list)
        for path in paths:
            alike[self._columns_of[path]].append(path)
        # A lake has one type for each column; of other files the first would decide.
        unite = isinstance(source, ParquetFiles)
        return [(_read_parquet(group, unite=unite), held) for held, group in alike.items()]

    def _lacking(
        self, cursor: duckdb.DuckDBPyConnection, table: str, held: frozenset[str]
    ) -> Mapping[str, list[str]]:
        """Return the promoted columns that files lack, and how they spell each key."""
        columns = [n for n in self._types if n.startswith(PROMOTED_PREFIX) and n not in held]
        if not columns or "raw_metadata" not in held:
            return {}
        if table not in self._spellings_in:
            metadata = converted("raw_metadata", self._types["raw_metadata"])
            found = cursor.execute(f"SELECT DISTINCT UNNEST(MAP_KEYS({metadata})) FROM {table}")
            self._spellings_in[table] = [name for (name,) in found.fetchall()]
        stored = self._spellings_in[table]
        return {name: spellings_of(name.removeprefix(PROMOTED_PREFIX), stored) for name in columns}

    def _as_ours(
        self, held: frozenset[str], lacking: Mapping[str, list[str]], by: str | None
    ) -> str:
        """Return the select list that gives each column its type in our own table.

        A file older than a promoted key has no column for it, but has it in its metadata;
        a column that the source lacks altogether is null.
        """
        chosen = []
        for name, stored in self._types.items():
            if not _may_name(by, name):
                continue
            if name in held:
                value = converted(name, stored)
            elif name == "requested_date":
                continue
            elif lacking.get(name):
                metadata = converted("raw_metadata", self._types["raw_metadata"])
                values = (f"({metadata})[{quoted_text(key)}]" for key in lacking[name])
                value = f"COALESCE({', '.join(values)})"
            else:
                value = f"CAST(NULL AS {stored})"
            chosen.append(f"{value} AS {quoted_name(name)}")
        if "requested_date" not in held and (not chosen or _may_name(by, "requested_date")):
            at = converted("requested_at", self._types["requested_at"])
            chosen.append(f"CAST(({at}) AT TIME ZONE 'UTC' AS DATE) AS requested_date")
        absent = (column for column in COLUMNS if column.name not in self._types)
        chosen += [
            f"CAST(NULL AS {STORED[column.type]}) AS {column.name}"
            for column in absent
            if column.name != "requested_date" and _may_name(by, column.name)
        ]
        return ", ".join(chosen) or "1"  # rows can be counted without a column


def _fetch(cursor: duckdb.DuckDBPyConnection, statement: str) -> pl.DataFrame:
    found = cursor.sql(statement)
    if found is None:
        message = "the statement gives no rows; write a SELECT over llm_requests"
        raise QueryError(message)
    return frame_of(found.to_arrow_table())


@contextmanager
def _told_plainly() -> Iterator[None]:
    """Turn DuckDB's errors into ours."""
    try:
        yield
    except duckdb.Error as error:
        said = str(error).partition("\n")[0]
        if isinstance(error, duckdb.OutOfRangeException) or "INT128" in said:
            message = f"a sum leaves the range of its type: {said}"
            raise ResultOverflowError(message) from error
        if isinstance(error, (duckdb.IOException, duckdb.HTTPException)):
            message = f"the files of the requests cannot be read: {said}"
            raise LakeError(message) from error
        raise QueryError(said) from error


def _may_name(statement: str | None, column: str) -> bool:
    """Return whether a statement may speak of a column: its name is somewhere in it."""
    return statement is None or quoted_name(column)[1:-1] in statement


def _read_parquet(paths: Sequence[str], *, unite: bool = True) -> str:
    """Return what reads files; to unite their columns, all of them are opened first."""
    united = ", union_by_name = true" if unite else ""
    return f"read_parquet({_list(paths)}{united}, hive_partitioning = false)"


def _list(paths: Sequence[str]) -> str:
    return f"[{', '.join(quoted_text(_as_pattern(path)) for path in paths)}]"


def _as_pattern(path: str) -> str:
    """Return the pattern that only this file matches: DuckDB takes each path for one."""
    return path if "://" in path else re.sub(r"[*?\[]", r"[\g<0>]", path)

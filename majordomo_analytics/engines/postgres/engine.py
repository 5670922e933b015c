"""Postgres as an engine: the server filters, groups and adds, and we get the answer."""

# ruff: noqa: S608 - names are quoted, and a statement of the user's own is theirs

from __future__ import annotations

import json
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

import polars as pl
import pyarrow as pa

from majordomo_analytics.engines.base import Selected, select_twice, split_total
from majordomo_analytics.engines.keys import keys_frame, keys_statement
from majordomo_analytics.engines.polars.columns import METADATA as ENTRIES
from majordomo_analytics.engines.postgres.columns import known_columns, stored_columns
from majordomo_analytics.engines.postgres.days import read_by_days
from majordomo_analytics.engines.postgres.tables import by_spelling, registered_keys
from majordomo_analytics.engines.quoting import quoted_name
from majordomo_analytics.engines.requests import (
    INDEXED,
    VIEW,
    shown,
    shown_frame,
    streamed_frame,
)
from majordomo_analytics.engines.sql.compiler import TABLE, compile_plan, compile_requests
from majordomo_analytics.engines.sql.dialects import POSTGRES
from majordomo_analytics.engines.sql.statements import check_reads, told_by_name
from majordomo_analytics.engines.sql.stored import from_sql, json_text, selected
from majordomo_analytics.errors import QueryError, UnsupportedByEngineError
from majordomo_analytics.plan.fields import Catalogue, Field
from majordomo_analytics.records.columns import COLUMNS, promoted_column
from majordomo_analytics.records.metadata import canonical_name, lookup_name
from majordomo_analytics.times import TimeRange

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from sqlglot import exp

    from majordomo_analytics.engines.postgres.database import Database
    from majordomo_analytics.engines.postgres.days import ByDays
    from majordomo_analytics.engines.postgres.tables import Key, RequestTable, ScannedKeys
    from majordomo_analytics.plan.plan import Plan

MOST_COLUMNS = 1600
"""Of a result; Postgres itself takes 1,664, and some are needed on the way."""

METADATA = {"raw_metadata"}
"""What comes as JSON and is a map in a frame."""


class PostgresEngine:
    """Answers plans over one table of requests, our own or another gateway's.

    Parameters
    ----------
    table
        The table as it is now.
    scanned
        The spellings that occur, for a table that does not register every key in time.
    """

    name = "postgres"

    def __init__(self, table: RequestTable, scanned: ScannedKeys) -> None:
        self._table = table
        self._database = table.database
        self._columns = stored_columns(table)
        spelled = by_spelling(key.name for key in table.registered or ())
        active = (key for key in table.registered or () if key.promoted)
        names = dict.fromkeys(canonical_name(key.name) for key in active)
        self._promoted = {name: spelled[lookup_name(name)] for name in names}
        in_time = table.is_ours and table.registered is not None
        self._catalogue = Catalogue(
            known_columns(table), tuple(names), lambda: spelled if in_time else scanned
        )

    def catalogue(self) -> Catalogue:
        """Return the names that the source knows."""
        return self._catalogue

    def span(self) -> TimeRange:
        """Return a range that holds all requests; open where there are none."""
        at = selected(self._columns, ["requested_at"], POSTGRES)["requested_at"]
        query = f"SELECT MIN({at}), MAX({at}) FROM {self._qualified}"
        [(first, last)] = self._database.rows(query)
        return TimeRange(first, last and last + timedelta(microseconds=1))

    def check(self, plan: Plan) -> None:
        """Refuse a result wider than Postgres can give."""
        if len(plan.columns) > MOST_COLUMNS:
            message = (
                f"Postgres gives at most {MOST_COLUMNS} columns, and this result would have "
                f"{len(plan.columns)}; ask in several questions"
            )
            raise UnsupportedByEngineError(message)

    @contextmanager
    def session(self) -> Iterator[None]:
        """Hold one REPEATABLE READ transaction, which never writes."""
        with self._database.snapshot():
            yield

    def select(self, plan: Plan) -> Selected:
        """Return what answers one plan."""
        with self._database.snapshot():
            statement = self._writer(plan)()
            return Selected(self._database.read(statement, names=()), statement)

    def select_with_total(self, plan: Plan) -> tuple[Selected, pl.DataFrame]:
        """Return what answers a plan and its grand total.

        By one reading where there is one row anyway, or days were added up: for several
        groupings at once, Postgres reads with one process only.
        """
        with self._database.snapshot():
            if plan.grain is None and not plan.dimensions:
                total = self.select(plan.grand_total()).frame
                rows = total.select(total.columns[: len(plan.measures)])
                return Selected(rows, self._writer(plan)), total
            stored = self._stored(plan)
            found = self._added_up(plan, stored)
            if found is None or plan.leaves_out:
                return select_twice(self, plan)
            by_days, groups = found
            statement = by_days.statement(groups, with_total=True)
            rows, total = split_total(self._database.read(statement, names=()), plan)
        return Selected(rows, partial(by_days.statement, groups)), total

    def _writer(self, plan: Plan) -> Callable[[], str]:
        """Return what writes the statement for a plan, for the snapshot that is read."""
        stored = self._stored(plan)
        found = self._added_up(plan, stored)
        if found is None:
            return partial(compile_plan, plan, POSTGRES, stored)
        return partial(found[0].statement, found[1])

    def _added_up(self, plan: Plan, stored: Mapping[str, exp.Expr]) -> tuple[ByDays, str] | None:
        """Return a plan that groups of requests can answer, and the query for them."""
        found = read_by_days(plan, self._spellings) if self._table.has_days else None
        if found is None:
            return None
        value = json_text("raw_metadata", [] if found.field is None else [found.key])
        if found.field is not None:
            value = stored.get(promoted_column(found.field.name), value)
        schema = quoted_name(self._table.schema)
        groups = found.groups(self._database, schema, value.sql(dialect=POSTGRES.name))
        return None if groups is None else (found, groups)

    def _spellings(self, key: Field) -> Sequence[str]:
        return self._promoted[key.name] if key.promoted else key.spellings or ()

    def requests(self, plan: Plan) -> pl.LazyFrame:
        """Return the plan's requests in no order, of which the server is asked later."""
        columns = list(shown(self._catalogue).stored.values())

        def statement(names: Sequence[str], limit: int | None, database: Database) -> str:
            return compile_requests(
                plan,
                POSTGRES,
                limit=limit,
                columns=names,
                stored=self._stored(database=database),
                ordered=False,
            )

        def read(names: list[str], limit: int | None) -> Iterator[pl.DataFrame]:
            asked = partial(statement, names, limit)
            for frame in self._database.streamed(asked, names, held):
                yield frame.with_columns(_entries(frame[name]) for name in METADATA & {*names})

        with self._database.snapshot():
            held = self._database.described(statement(columns, 0, self._database), columns)
        schema = pl.Schema({**held, "raw_metadata": ENTRIES})
        return shown_frame(streamed_frame(schema, read), self._catalogue)

    def metadata_keys(self, plan: Plan) -> pl.DataFrame:
        """Return the metadata keys among the plan's requests, most used first."""
        with self._database.snapshot():
            chosen = compile_requests(
                plan,
                POSTGRES,
                limit=None,
                columns=["requested_at", "raw_metadata"],
                stored=self._stored(plan),
                ordered=False,
            )
            first = '(ARRAY_AGG(value ORDER BY spelling COLLATE "C"))[1]'
            statement = keys_statement(chosen, _ENTRIES, first, collated=' COLLATE "C"')
            found = self._database.read(statement)
        return keys_frame(found, self._promoted)

    def sql(self, plan: Plan, statement: str) -> pl.DataFrame:
        """Return what a user's own statement over `requests` or `llm_requests` gives."""
        check_reads(statement, POSTGRES, must_be_read=False)
        columns = self._shown_in_sql()
        written = statement.strip().rstrip(";")
        with self._database.snapshot():
            # The table is read by both: a name means what stands before it.
            asked = f"WITH {VIEW} AS NOT MATERIALIZED (\n{self._view(plan, columns)}\n),\n"
            asked += f"{TABLE} AS NOT MATERIALIZED (\n{self._table_view()}\n)\n"
            asked += f"SELECT * FROM (\n{written}\n) AS answer"
            try:
                # With a parameter Postgres takes one statement; text could be several.
                return self._database.read(asked.replace("%", "%%") + "\nLIMIT %s", (None,))
            except QueryError as error:
                raise told_by_name(error, list(columns)) from error

    @property
    def _qualified(self) -> str:
        return f"{quoted_name(self._table.schema)}.{TABLE}"

    def _shown_in_sql(self) -> dict[str, str]:
        """Return the columns of `requests`, and what each is called in `llm_requests`.

        Postgres would cut a name that is too long for it; such a key is in `raw_metadata`.
        """
        columns = shown(self._catalogue)
        stored = {**columns.stored, INDEXED: INDEXED}
        most = POSTGRES.most_name_bytes or 0
        return {name: stored[name] for name in columns.names if len(name.encode()) <= most}

    def _view(self, plan: Plan, columns: Mapping[str, str]) -> str:
        """Return the requests of a plan as they are shown, metadata as it is stored."""
        stored = self._stored()
        if INDEXED not in self._table.types:
            stored = {**stored, INDEXED: from_sql("CAST('{}' AS JSONB)", POSTGRES)}
        names = list(columns.values())
        chosen = compile_requests(plan, POSTGRES, columns=names, stored=stored, ordered=False)
        places = ", ".join(f"c{place}" for place in range(len(names)))  # names may be cut alike
        listed = ", ".join(f"c{n} AS {quoted_name(name)}" for n, name in enumerate(columns))
        return f"SELECT {listed} FROM (\n{chosen}\n) AS chosen ({places})"

    def _table_view(self) -> str:
        """Return all requests with the columns that `result.sql` reads."""
        names = [*self._names(), *map(promoted_column, self._promoted)]
        most = POSTGRES.most_name_bytes or 0
        names = [name for name in names if len(name.encode()) <= most]
        chosen = selected(self._stored(), names, POSTGRES)
        listed = ",\n".join(f"  {value} AS {quoted_name(name)}" for name, value in chosen.items())
        return f"SELECT\n{listed}\nFROM {self._qualified}"

    def _names(self) -> list[str]:
        """Return the columns of a request: ours, then what else the table has."""
        ours = [column.name for column in COLUMNS]
        return [*ours, *(name for name in self._catalogue.columns if name not in ours)]

    def _stored(
        self, plan: Plan | None = None, database: Database | None = None
    ) -> Mapping[str, exp.Expr]:
        """Return what stands for each column in the snapshot that is read.

        A key that is promoted while we ask may not be in every row yet: what the snapshot
        itself says decides, so that a promotion never changes an answer.
        """
        asked = () if plan is None else (*plan.dimensions, *plan.fields.values())
        if not self._promoted or (
            plan is not None and not any(isinstance(f, Field) and f.promoted for f in asked)
        ):
            return self._columns
        registered: tuple[Key, ...] = ()
        if self._table.is_ours:
            registered = registered_keys(database or self._database, is_ours=True)
        indexed = {key.name for key in registered if key.indexed}
        values = {
            promoted_column(name): json_text(
                INDEXED if indexed.issuperset(spellings) else "raw_metadata", spellings
            )
            for name, spellings in self._promoted.items()
        }
        return {**self._columns, **values}


_ENTRIES = """
SELECT row, requested_at, entry.key AS spelling, entry.value AS value
FROM chosen, JSONB_EACH_TEXT(
  CASE JSONB_TYPEOF(raw_metadata) WHEN 'object' THEN raw_metadata END
) AS entry
"""


def _entries(written: pl.Series) -> pl.Series:
    """Return JSON objects as maps from keys, in their canonical form, to values."""
    keys: list[str] = []
    values: list[str | None] = []
    starts: list[int | None] = []
    for text in written:
        given = None if text is None else json.loads(text)
        if not isinstance(given, dict):
            starts.append(None)
            continue
        starts.append(len(keys))
        keys += map(canonical_name, given)
        values += map(_text, given.values())
    # By Arrow: Polars makes a Series of each map that Python gives it.
    offsets = pa.array([*starts, len(keys)], pa.int32())
    maps = pa.MapArray.from_arrays(
        offsets, pa.array(keys, pa.string()), pa.array(values, pa.string())
    )
    return pl.Series(written.name, maps)


def _text(value: object) -> str | None:
    """Return a JSON value as ``->>`` does."""
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)

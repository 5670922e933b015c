"""Postgres as a sink: rows, counts of metadata keys and the position in one transaction."""

from __future__ import annotations

import time
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from datetime import time as time_of_day
from typing import TYPE_CHECKING, Any

import msgspec
import psycopg
from psycopg import sql

from majordomo_analytics.drain.cardinality import ValueCounts
from majordomo_analytics.drain.enrich import row_of
from majordomo_analytics.drain.migrate import migrations
from majordomo_analytics.drain.pages import DRAIN_LOCK
from majordomo_analytics.drain.repeated import ALSO_READ_AGAIN
from majordomo_analytics.drain.session import Session
from majordomo_analytics.drain.summing import sum_up
from majordomo_analytics.errors import LakeError, PostgresError, RowsRefusedError
from majordomo_analytics.lake.table import lake_promoted
from majordomo_analytics.records.columns import COLUMNS
from majordomo_analytics.records.metadata import PROMOTED_FROM_THE_START

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from datetime import date
    from pathlib import Path

    from majordomo_analytics.drain.sinks import Place
    from majordomo_analytics.records.request import RequestRecord

CONNECT_TIMEOUT_S = 5
ANSWER_TIMEOUT_S = 60.0
SUM_UP_EVERY_S = 300.0
SUM_UP_AGAIN_AFTER_S = 3600.0
"""How much longer to wait once it could not be done."""

WRITTEN = (*(column.name for column in COLUMNS), "indexed_metadata")

_columns = sql.SQL(", ").join(map(sql.Identifier, WRITTEN))

# Counts come from rows that were inserted, never from those that were there already, and
# in the order of the keys: two drains that update the same ones then wait, and never for
# each other.
_INSERT = """
with inserted as (
  insert into {requests} ({columns}) select {columns} from {incoming}
  on conflict (id) do nothing
  returning majordomo_api_key_id, requested_at, raw_metadata
), seen as (
  select
    majordomo_api_key_id, key_name, count(*) as request_count,
    min(requested_at) as first_seen_at, max(requested_at) as last_seen_at
  from inserted, jsonb_object_keys(raw_metadata) as key_name
  group by majordomo_api_key_id, key_name
  order by majordomo_api_key_id, key_name
), registered as (
  insert into {metadata_keys} as known (
    majordomo_api_key_id, key_name, is_active, activated_at,
    request_count, first_seen_at, last_seen_at
  )
  select
    majordomo_api_key_id, key_name, key_name = any(%(promoted)s),
    case when key_name = any(%(promoted)s) then now() end,
    request_count, first_seen_at, last_seen_at
  from seen
  on conflict (
    coalesce(majordomo_api_key_id, '00000000-0000-0000-0000-000000000000'), key_name
  ) do update set
    request_count = known.request_count + excluded.request_count,
    first_seen_at = least(known.first_seen_at, excluded.first_seen_at),
    last_seen_at = greatest(known.last_seen_at, excluded.last_seen_at),
    is_active = excluded.is_active,
    activated_at = case
      when known.is_active and excluded.is_active then known.activated_at
      else excluded.activated_at
    end
), used as (
  insert into {key_usage} as known (majordomo_api_key_id, request_count, last_used_at)
  select majordomo_api_key_id, count(*), max(requested_at)
  from inserted where majordomo_api_key_id is not null
  group by majordomo_api_key_id
  order by majordomo_api_key_id
  on conflict (majordomo_api_key_id) do update set
    request_count = known.request_count + excluded.request_count,
    last_used_at = greatest(known.last_used_at, excluded.last_used_at)
)
select count(*) from inserted
"""
_INCOMING = """
create temporary table if not exists {incoming} (like {requests}) on commit delete rows
"""
_CHECKPOINT = """
insert into {checkpoint} as known (spool, sequence) values (%s, %s)
on conflict (spool) do update set
  sequence = greatest(known.sequence, excluded.sequence), updated_at = now()
"""
_WITH_USAGE = """
select distinct response_id from {requests}
where response_id = any(%s) and id <> all(%s::uuid[])
  and requested_at >= %s and requested_at < %s
  and api_flavour in ({flavours}) and usage_status <> 'missing'
"""


class PostgresSink:
    """The tables of requests in one schema of a Postgres database.

    Parameters
    ----------
    dsn
        Where it is: a URL or ``key=value`` pairs, as libpq reads them.
    schema
        The schema of our tables; it is made if need be.
    lake
        The lake of the data directory, which says what metadata keys are promoted.
    connect_timeout_s
        How long Postgres may take to let us in.
    answer_timeout_s
        How long it may take over one batch before the connection is given up.

    Raises
    ------
    SettingsError
        If `dsn` cannot be read or `schema` is no name of one.
    """

    name = "postgres"

    def __init__(
        self,
        dsn: str,
        *,
        schema: str = "public",
        lake: Path,
        connect_timeout_s: int = CONNECT_TIMEOUT_S,
        answer_timeout_s: float = ANSWER_TIMEOUT_S,
    ) -> None:
        self._session = Session(
            dsn, schema, connect_timeout_s=connect_timeout_s, answer_timeout_s=answer_timeout_s
        )
        self._connect_timeout_s = connect_timeout_s
        self._lake = lake
        self._promoted: tuple[str, ...] = PROMOTED_FROM_THE_START
        self._incoming = sql.Identifier(f"majordomo_incoming_{migrations()[-1].version}")
        self._tables = {
            "requests": sql.Identifier(schema, "llm_requests"),
            "metadata_keys": sql.Identifier(schema, "llm_requests_metadata_keys"),
            "key_usage": sql.Identifier(schema, "api_key_usage"),
            "checkpoint": sql.Identifier(schema, "ingest_checkpoint"),
            "days": sql.Identifier(schema, "llm_requests_days"),
            "by_day": sql.Identifier(schema, "llm_requests_by_day"),
            "incoming": self._incoming,
            "columns": _columns,
            "flavours": sql.SQL(", ").join(map(sql.Literal, ALSO_READ_AGAIN)),
        }
        self._counts = ValueCounts(self._tables)
        self._sum_up_at = 0.0

    def __repr__(self) -> str:
        return f"PostgresSink(schema={self._session.schema!r})"

    @property
    def place(self) -> str:
        """The database and the schema."""
        return self._session.place

    def open(self) -> bool:
        """Connect and migrate, or see whether the connection still answers.

        Now and then days that are over are added up.
        """
        self._see_what_is_promoted()
        anew = self._reach()
        if time.monotonic() >= self._sum_up_at:
            self._sum_up_at = time.monotonic() + SUM_UP_EVERY_S
            try:
                with self._session.answering() as connection:
                    sum_up(connection, self._tables)
            except PostgresError:  # as without the rights; questions read the rows then
                self._sum_up_at += SUM_UP_AGAIN_AFTER_S
                anew |= self._reach()
        return anew

    def _reach(self) -> bool:
        """Return whether a connection had to be made."""
        if self._session.is_open:
            try:
                with self._answering(self._connect_timeout_s) as connection:
                    connection.execute("select 1")
            except PostgresError:
                self.close()
            else:
                return False
        self._counts.forget()
        self._session.open(lambda version: version == migrations()[-1].version)
        return True

    def position(self, spool: str) -> int:
        """Return what the last transaction for this spool says."""
        query = sql.SQL("select sequence from {checkpoint} where spool = %s")
        with self._answering() as connection:
            found = connection.execute(query.format(**self._tables), (spool,)).fetchone()
        return int(found[0]) if found else 0

    def held(self, records: Collection[RequestRecord]) -> set[str]:
        """Return nothing: the primary key takes no row twice."""
        return set()

    def with_usage(
        self,
        response_ids: Collection[str],
        *,
        but: Collection[str],
        first: date,
        last: date,
    ) -> set[str]:
        """Look the responses up in an index; of the same UTC days as in the lake."""
        query = sql.SQL(_WITH_USAGE).format(**self._tables)
        begin, end = (
            datetime.combine(day, time_of_day.min, UTC) for day in (first, last + timedelta(days=1))
        )
        values = (list(response_ids), list(but), begin, end)
        with self._answering() as connection:
            return {row[0] for row in connection.execute(query, values)}

    def append(self, records: Sequence[RequestRecord], place: Place | None) -> int:
        """Insert rows and move the position in one transaction."""
        values = self._values(records)
        with self._answering() as connection, connection.transaction():
            # Whoever promotes a key waits for this transaction, and then fills what it
            # inserted. Whoever has waited had the lake promote it before.
            connection.execute("select pg_advisory_xact_lock_shared(%s)", (DRAIN_LOCK,))
            if self._see_what_is_promoted():
                values = self._values(records)
            inserted = self._insert(connection, values)
            metadata = ((record.majordomo_api_key_id, record.metadata) for record in records)
            self._counts.take_in(connection, metadata)
            if place is not None:
                statement = sql.SQL(_CHECKPOINT).format(**self._tables)
                connection.execute(statement, (place.spool, place.last))
        self._counts.remember()
        return inserted

    def take(self, rows: Sequence[Mapping[str, Any]]) -> int:
        """Insert finished rows, each unless its id is there; return how many were new.

        A column that a row does not have is null.
        """
        with self._answering() as connection, connection.transaction():
            connection.execute("select pg_advisory_xact_lock_shared(%s)", (DRAIN_LOCK,))
            self._see_what_is_promoted()  # under the lock, as in `append`
            values = [self._ordered(row, row["raw_metadata"]) for row in rows]
            inserted = self._insert(connection, values)
            metadata = ((row.get("majordomo_api_key_id"), row["raw_metadata"]) for row in rows)
            self._counts.take_in(connection, metadata)
        self._counts.remember()
        return inserted

    def try_out(self, records: Sequence[RequestRecord]) -> None:
        """Insert rows in a transaction that is rolled back."""
        values = self._values(records)
        with self._answering() as connection, connection.transaction(force_rollback=True):
            self._insert(connection, values)

    def close(self) -> None:
        """Close the connection."""
        self._session.close()

    def _see_what_is_promoted(self) -> bool:
        """Look what the lake has promoted; return whether that has changed."""
        before = self._promoted
        with suppress(LakeError):  # then what was promoted when it could last be read
            self._promoted = lake_promoted(self._lake)
        return self._promoted != before

    def _values(self, records: Sequence[RequestRecord]) -> list[list[Any]]:
        created_at = datetime.now(UTC)
        try:
            return [self._row(record, created_at) for record in records]
        except Exception as error:  # whatever it is, it comes from a value in a row
            raise RowsRefusedError(type(error).__name__, str(error)) from error

    def _row(self, record: RequestRecord, created_at: datetime) -> list[Any]:
        return self._ordered(row_of(record, created_at=created_at), record.metadata)

    def _ordered(self, row: Mapping[str, Any], metadata: Mapping[str, str]) -> list[Any]:
        indexed = {key: metadata[key] for key in self._promoted if key in metadata}
        row = {
            **row,
            "raw_metadata": msgspec.json.encode(metadata).decode(),
            "indexed_metadata": msgspec.json.encode(indexed).decode(),
        }
        return [row.get(name) for name in WRITTEN]

    def _insert(self, connection: psycopg.Connection[Any], values: list[list[Any]]) -> int:
        """Copy into a temporary table first: COPY itself knows no conflicts."""
        self._session.guard(connection)
        if not values:
            return 0
        # Made once for each session and emptied by each commit: a table made anew for every
        # batch would bloat the catalogues.
        connection.execute(sql.SQL(_INCOMING).format(**self._tables))
        copy_statement = sql.SQL("copy {incoming} ({columns}) from stdin").format(**self._tables)
        with connection.cursor() as cursor:
            with cursor.copy(copy_statement) as copy:
                for row in values:
                    copy.write_row(row)
            cursor.execute(
                sql.SQL(_INSERT).format(**self._tables), {"promoted": list(self._promoted)}
            )
            counted = cursor.fetchone()
        return int(counted[0]) if counted else 0

    @contextmanager
    def _answering(self, timeout_s: float | None = None) -> Iterator[psycopg.Connection[Any]]:
        """Give the connection; tell what is wrong with rows from what is wrong with it."""
        with self._session.answering(timeout_s) as connection:
            try:
                yield connection
            except UnicodeError as error:
                raise RowsRefusedError(type(error).__name__, str(error)) from None
            except (
                psycopg.DataError,
                psycopg.IntegrityError,
                psycopg.errors.ProgramLimitExceeded,
            ) as error:
                code = error.sqlstate or type(error).__name__
                raise RowsRefusedError(code, self._session.said(error)) from None

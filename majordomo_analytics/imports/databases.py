"""Tables in somebody else's Postgres, read in one snapshot and never changed.

Every value comes as the text that Postgres writes: what Python has no value for, such as
the time ``infinity`` or the number ``NaN``, is then the matter of one row. No column is
named that the catalogue does not have.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, LiteralString

from psycopg import sql

from majordomo_analytics.drain.session import Session
from majordomo_analytics.errors import SourceError
from majordomo_analytics.imports.litellm import TABLE as SPEND_LOGS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from psycopg import Connection

    from majordomo_analytics.imports.files import Placed

CONNECT_TIMEOUT_S = 10
ANSWER_TIMEOUT_S = 3600.0
"""Sorting a table that has no index by time takes as long as it takes."""

ROWS_AT_ONCE = 2_000
REQUESTS = "llm_requests"
TABLES = (SPEND_LOGS, REQUESTS)
TIMES = ("requested_at", "startTime", "timestamp")
"""By which of its columns a table is read in order: so each commit touches few days."""

_COLUMNS: LiteralString = """
select attname, attndims > 0 from pg_attribute
where attrelid = to_regclass(%s) and attnum > 0 and not attisdropped order by attnum
"""
_SETTINGS: LiteralString = """
select set_config('TimeZone', 'UTC', true), set_config('DateStyle', 'ISO', true),
    set_config('IntervalStyle', 'iso_8601', true), set_config('extra_float_digits', '1', true),
    set_config('statement_timeout', '0', true)
"""


class PostgresTable:
    """The table of requests in a database, whoever made it.

    Parameters
    ----------
    dsn, schema
        Where it is.

    Raises
    ------
    SettingsError
        If `dsn` cannot be read.
    """

    def __init__(self, dsn: str, schema: str) -> None:
        self._lists: set[str] = set()
        self._session = Session(
            dsn,
            schema,
            connect_timeout_s=CONNECT_TIMEOUT_S,
            answer_timeout_s=ANSWER_TIMEOUT_S,
        )

    @property
    def place(self) -> str:
        """Which database and schema it is, without secrets."""
        return self._session.place

    def find(self) -> tuple[str, tuple[str, ...]]:
        """Return the name of the table, and its columns as the catalogue has them.

        Raises
        ------
        SourceError
            If there is none that is known.
        PostgresError
            If the database cannot be asked.
        """
        with self._connected() as connection:
            for name in TABLES:
                table = sql.Identifier(self._session.schema, name).as_string(connection)
                columns = connection.execute(_COLUMNS, (table,)).fetchall()
                if columns:
                    self._lists = {column for column, is_list in columns if is_list}
                    return name, tuple(column for column, _ in columns)
        known = " and no ".join(repr(name) for name in TABLES)
        message = (
            f"{self.place} has no table {known}; --source-schema names another schema, and a "
            "right to read the tables may be missing"
        )
        raise SourceError(message)

    def rows(self, table: str, wanted: tuple[str, ...]) -> Iterator[Placed]:
        """Yield the rows of a table by their time, as they were when the first was read."""
        order = next((name for name in TIMES if name in wanted), wanted[0])
        statement = sql.SQL("select {columns} from {table} order by {order}").format(
            columns=sql.SQL(", ").join(map(self._as_text, wanted)),
            table=sql.Identifier(self._session.schema, table),
            order=sql.Identifier(table, order),
        )
        number = 0
        with self._connected() as connection, connection.cursor("majordomo_import") as cursor:
            with self._session.answering():
                cursor.execute(statement)
            while True:
                with self._session.answering():
                    rows = cursor.fetchmany(ROWS_AT_ONCE)
                if not rows:
                    return
                for values in rows:
                    number += 1
                    yield f"row {number}", dict(zip(wanted, values, strict=True))

    def _as_text(self, name: str) -> sql.Composed:
        form: LiteralString = "to_jsonb({})::text" if name in self._lists else "{}::text"
        return sql.SQL(form).format(sql.Identifier(name))

    @contextmanager
    def _connected(self) -> Iterator[Connection[Any]]:
        """Give a connection in a transaction that only reads, of one snapshot."""
        self._session.connect()
        try:
            with self._session.answering() as connection:
                connection.execute("begin isolation level repeatable read read only")
                connection.execute(_SETTINGS)
            yield connection
        finally:
            self._session.close()

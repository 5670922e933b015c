"""A Postgres database that is only ever read, one snapshot at a time."""

from __future__ import annotations

import os
import threading
import weakref
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import IsolationLevel
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from majordomo_analytics.engines.postgres.frames import (
    dtypes_of,
    frame_of,
    frames_of,
    register_loaders,
)
from majordomo_analytics.errors import (
    PostgresError,
    PostgresUnreachableError,
    QueryError,
    ResultOverflowError,
    SourceError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import polars as pl

OLDEST_SERVER = 12
"""The first that knows `not materialized`, without which a view is worked out in full."""

DEFAULTS: dict[str, str | int] = {
    "application_name": "majordomo-analytics",
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
}
SHORTEST_MASKED = 4
"""Characters of a password that is masked wherever it stands."""

# Only for the transaction: a pool hands the same session to others afterwards.
_SETTINGS = """
select
  set_config('TimeZone', 'UTC', true), set_config('DateStyle', 'ISO', true),
  set_config('standard_conforming_strings', 'on', true),
  set_config('search_path', concat_ws(', ',
    quote_ident(%(schema)s), nullif(current_setting('search_path'), '')), true)
"""


class Database:
    """One connection, made when it is needed and again after it broke.

    Parameters
    ----------
    dsn
        Where it leads: a URL or ``key=value`` pairs, as libpq reads them.
    schema
        Where the table of requests is; by default the first on the role's search path
        that has one.

    Raises
    ------
    SourceError
        If `dsn` cannot be read. It is not repeated: it may hold a password.
    """

    def __init__(self, dsn: str, schema: str | None = None) -> None:
        try:
            given = conninfo_to_dict(dsn)
        except psycopg.Error:
            message = (
                "the address of Postgres cannot be read; it is "
                "postgresql://USER:PASSWORD@HOST:PORT/DATABASE, with %40 for an @ and %2F for "
                "a / in the password"
            )
            raise SourceError(message) from None
        ours = {name: value for name, value in DEFAULTS.items() if name not in given}
        self._conninfo = make_conninfo(dsn, **ours)
        self._password = str(given.get("password") or os.environ.get("PGPASSWORD") or "")
        self._lock = threading.RLock()
        self._held: list[psycopg.Connection[Any]] = []
        self._in_snapshot = False
        self.schema = schema
        named = given.get("dbname") or given.get("service") or given.get("user")
        place = f" at {given['host']}" if given.get("host") else ""
        self.label = f"the Postgres database {str(named or 'of the user')!r}{place}"
        # A connection that is dropped open would warn, and leave its session to a timeout.
        weakref.finalize(self, _close, self._held)

    def __repr__(self) -> str:
        return f"Database({self.label!r}, schema={self.schema!r})"

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Hold one state of the database; whatever is read inside agrees.

        A snapshot inside another one is that one. Other threads wait for their own.
        """
        with self._lock:
            if self._in_snapshot:
                yield
                return
            with self._told_plainly():
                connection = self._begun()
            self._in_snapshot = True
            try:
                yield
            finally:
                self._in_snapshot = False
                if not connection.closed:
                    with self._told_plainly():
                        connection.rollback()  # nothing was written

    def read(
        self,
        statement: str,
        values: Sequence[object] | None = None,
        *,
        names: Sequence[str] | None = None,
    ) -> pl.DataFrame:
        """Return what a statement gives, in a snapshot; `names` as `frame_of` has them.

        Raises
        ------
        ResultOverflowError
            If a number leaves the range of its type.
        QueryError
            If Postgres refuses the statement.
        PostgresUnreachableError
            If the connection breaks.
        """
        with self.snapshot(), self._told_plainly(), self._held[0].cursor() as cursor:
            cursor.execute(statement.encode(), values)
            return frame_of(cursor, names)

    def described(self, statement: str, names: Sequence[str]) -> pl.Schema:
        """Return the dtypes of what a statement gives, as `streamed` has them."""
        with self.snapshot(), self._told_plainly(), self._held[0].cursor() as cursor:
            cursor.execute(statement.encode())
            return dtypes_of(cursor, names)

    def streamed(
        self, statement: Callable[[Database], str], names: Sequence[str], dtypes: pl.Schema
    ) -> Iterator[pl.DataFrame]:
        """Yield what a statement gives, some rows at a time, on a connection of its own.

        Whoever reads may stop for as long as they like, or read two at once; the connection
        of this database is free meanwhile. Errors are those of `read`.

        Parameters
        ----------
        statement
            Returns it, given this database in the state that it then reads.
        names
            What its columns are called.
        dtypes
            The dtype of each of these.
        """
        own = Database(self._conninfo, self.schema)
        try:
            with own._told_plainly():
                connection = own._begun()
                own._in_snapshot = True  # the transaction is open until the end
                asked = statement(own).encode()
                with connection.cursor("requests") as cursor:
                    cursor.execute(asked)
                    yield from frames_of(cursor, names, dtypes)
        finally:
            _close(own._held)

    def rows(self, statement: str, values: Sequence[object] | None = None) -> list[tuple[Any, ...]]:
        """Return what a statement gives as plain tuples; otherwise as `read`."""
        with self.snapshot(), self._told_plainly():
            return self._held[0].execute(statement.encode(), values).fetchall()

    def _begun(self) -> psycopg.Connection[Any]:
        """Return the connection, anew if it broke meanwhile, with a transaction open."""
        if self._held and not self._held[0].closed:
            try:
                return self._begin(self._held[0])
            except psycopg.OperationalError:  # as after the server was started anew
                _close(self._held)
        _close(self._held)
        connection = psycopg.connect(self._conninfo, prepare_threshold=None)
        self._held.append(connection)
        if connection.info.server_version < OLDEST_SERVER * 10_000:
            version = connection.info.server_version // 10_000
            message = f"PostgreSQL {version} is too old; {OLDEST_SERVER} or newer is needed"
            raise PostgresError(message)
        connection.isolation_level = IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        register_loaders(connection)
        return self._begin(connection)

    def _begin(self, connection: psycopg.Connection[Any]) -> psycopg.Connection[Any]:
        connection.execute(_SETTINGS, {"schema": self.schema})
        return connection

    @contextmanager
    def _told_plainly(self) -> Iterator[None]:
        """Turn errors of psycopg into ours, without the password."""
        try:
            yield
        except psycopg.errors.NumericValueOutOfRange as error:
            message = f"a sum leaves the range of its type: {self._said(error)}"
            raise ResultOverflowError(message) from None
        except psycopg.Error as error:
            said = self._said(error)
            lost = not self._held or self._held[0].closed
            if error.sqlstate is None and (lost or isinstance(error, psycopg.OperationalError)):
                message = f"Postgres cannot be reached: {said}"
                raise PostgresUnreachableError(message) from None
            if lost:  # it told us why, as when it is shut down
                message = f"Postgres broke off: {said}"
                raise PostgresUnreachableError(message) from None
            if isinstance(error, (psycopg.errors.OperationalError, psycopg.InternalError)):
                message = f"Postgres gave it up: {said}"
                raise PostgresError(message) from None
            raise QueryError(said) from None

    def _said(self, error: psycopg.Error) -> str:
        said = error.diag.message_primary or " ".join(str(error).split())
        if len(self._password) >= SHORTEST_MASKED:
            return said.replace(self._password, "…")
        return said


def _close(held: list[psycopg.Connection[Any]]) -> None:
    while held:
        held.pop().close()

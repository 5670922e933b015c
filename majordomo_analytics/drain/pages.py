"""Go through the rows in Postgres a page at a time, each in a transaction of its own."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, LiteralString, Self
from uuid import UUID

from psycopg import sql

from majordomo_analytics.drain.migrate import migrations
from majordomo_analytics.drain.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from psycopg import Connection

ROWS_PER_PAGE = 5_000
CONNECT_TIMEOUT_S = 10
ANSWER_TIMEOUT_S = 600.0

DRAIN_LOCK = int.from_bytes(b"indexing")
"""Advisory lock that a drain shares while it inserts, and upkeep while it changes a page.

Who holds it alone has neither amid a transaction, in any schema of the database.
"""

PAGE: LiteralString = """
page as (
  select id from {requests} where id > %(after)s and id <= %(last)s order by id limit %(most)s
)"""
"""The rows that a statement of `Pages.walk` goes through."""

OF_PAGE: LiteralString = """
(select id from page order by id desc limit 1), (select count(*) from page)"""
"""What such a statement selects first, before how many rows it changed."""


class Pages:
    """The requests in one schema of a Postgres database, for upkeep beside a drain.

    Parameters
    ----------
    dsn, schema
        Where they are.

    Raises
    ------
    SettingsError
        If `dsn` cannot be read or `schema` is no name of one.
    """

    def __init__(self, dsn: str, schema: str) -> None:
        self._session = Session(
            dsn, schema, connect_timeout_s=CONNECT_TIMEOUT_S, answer_timeout_s=ANSWER_TIMEOUT_S
        )
        self.tables = {
            "requests": sql.Identifier(schema, "llm_requests"),
            "by_day": sql.Identifier(schema, "llm_requests_by_day"),
            "metadata_keys": sql.Identifier(schema, "llm_requests_metadata_keys"),
        }

    def __enter__(self) -> Self:
        """Connect, and bring the tables up to date."""
        self._session.open(lambda version: version == migrations()[-1].version)
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    @property
    def place(self) -> str:
        """The database and the schema, as a sink calls them."""
        return self._session.place

    @contextmanager
    def transaction(self, *, alone: bool = False) -> Iterator[Connection[Any]]:
        """Give the connection amid a transaction; nobody else is amid one if it is `alone`.

        Drains may be, otherwise, and other upkeep that is not alone.
        """
        lock: LiteralString = "pg_advisory_xact_lock" if alone else "pg_advisory_xact_lock_shared"
        with self._session.answering() as connection, connection.transaction():
            self._session.guard(connection)
            connection.execute(f"select {lock}(%s)", (DRAIN_LOCK,))
            yield connection

    def composed(self, statement: LiteralString) -> sql.Composed:
        """Return a statement with the names of our tables."""
        return sql.SQL(statement).format(**self.tables)

    def run(self, statement: LiteralString, values: Mapping[str, object] | None = None) -> None:
        """Run a statement outside of any transaction."""
        with self._session.answering() as connection:
            connection.execute(self.composed(statement), values)

    def one(self, statement: LiteralString, values: Mapping[str, object] | None = None) -> Any:
        """Return the only value of the only row of a query, None without a row."""
        with self._session.answering() as connection:
            found = connection.execute(self.composed(statement), values)
            row = found.fetchone()
        return row[0] if row else None

    def walk(
        self,
        statement: LiteralString,
        values: Mapping[str, object],
        *,
        alone: bool = False,
        on_rows: Callable[[int], None] = lambda _: None,
        on_found: Callable[..., None] = lambda *_: None,
    ) -> int:
        """Run a statement over each page of the rows that are there now.

        Parameters
        ----------
        statement
            Begins with `PAGE`, and selects `OF_PAGE` and how many rows it changed.
        values
            Its parameters, those of a page aside.
        alone
            Whether a page excludes drains and other upkeep.
        on_rows
            Called after each page with how many rows it has.
        on_found
            Called after each page with what the statement selects besides.

        Returns
        -------
        int
            How many rows were changed.
        """
        last = self.one("select id from {requests} order by id desc limit 1")
        after, changed = UUID(int=0), 0
        query = self.composed(statement)
        while last is not None:
            page = {**values, "after": after, "last": last, "most": ROWS_PER_PAGE}
            with self.transaction(alone=alone) as connection:
                row = connection.execute(query, page).fetchone()
            if row is None or row[0] is None:
                break
            after, seen, of_page, *found = row
            changed += of_page
            on_rows(seen)
            on_found(*found)
        return changed

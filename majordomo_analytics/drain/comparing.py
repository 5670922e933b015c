"""What Postgres holds, in a form that another store can be compared with, day by day."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, LiteralString

from psycopg import sql

from majordomo_analytics.drain.migrate import applied_version, migrations
from majordomo_analytics.drain.session import Session

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from datetime import date, datetime

CONNECT_TIMEOUT_S = 10
ANSWER_TIMEOUT_S = 600.0

_DAYS: LiteralString = """
select (requested_at at time zone 'UTC')::date, count(*),
    sum(('x' || substr(md5(id::text), 1, 8))::bit(32)::bigint)::bigint
from {requests} group by 1
"""
_IDS: LiteralString = """
select id::text from {requests}
where requested_at >= %s::date::timestamp at time zone 'UTC'
    and requested_at < (%s::date + 1)::timestamp at time zone 'UTC'
"""
_HELD: LiteralString = "select id::text from {requests} where id = any(%s::uuid[])"


@dataclass(frozen=True, slots=True)
class DayOfRequests:
    """The requests of one UTC day.

    Attributes
    ----------
    requests
        How many they are.
    digest
        The sum of the first 32 bits of the MD5 of each id: two stores that have the same
        requests have the same sum, in whichever order.
    """

    requests: int
    digest: int


class PostgresRequests:
    """The requests in one schema of a Postgres database; nothing is changed.

    Parameters
    ----------
    dsn, schema
        As the drain is given them.
    """

    def __init__(self, dsn: str, schema: str) -> None:
        self._session = Session(
            dsn, schema, connect_timeout_s=CONNECT_TIMEOUT_S, answer_timeout_s=ANSWER_TIMEOUT_S
        )
        self._requests = sql.Identifier(schema, "llm_requests")
        self.schema = schema
        self.place = self._session.place

    @contextmanager
    def connected(self) -> Iterator[None]:
        """Be connected while the block runs.

        Raises
        ------
        PostgresError
            If it cannot be reached, or does not answer.
        """
        self._session.connect()
        try:
            yield
        finally:
            self._session.close()

    def version(self) -> tuple[int, int]:
        """Return the version of its tables, 0 if there are none, and the one known here."""
        with self._session.answering() as connection:
            return applied_version(connection, self.schema), migrations()[-1].version

    def days(self) -> dict[date, DayOfRequests]:
        """Return what it has of each day."""
        query = sql.SQL(_DAYS).format(requests=self._requests)
        with self._session.answering() as connection:
            rows = connection.execute(query).fetchall()
        return {day: DayOfRequests(count, int(digest)) for day, count, digest in rows}

    def first_at(self) -> datetime | None:
        """Return when its oldest request was."""
        query = sql.SQL("select min(requested_at) from {}").format(self._requests)
        with self._session.answering() as connection:
            found = connection.execute(query).fetchone()
        return found[0] if found else None

    def ids(self, day: date) -> set[str]:
        """Return the ids of the requests of a UTC day."""
        query = sql.SQL(_IDS).format(requests=self._requests)
        with self._session.answering() as connection:
            return {row[0] for row in connection.execute(query, (day, day))}

    def held(self, ids: Collection[str]) -> set[str]:
        """Return which of these ids it has."""
        query = sql.SQL(_HELD).format(requests=self._requests)
        with self._session.answering() as connection:
            return {row[0] for row in connection.execute(query, (list(ids),))}

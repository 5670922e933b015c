"""A connection to Postgres that says plainly what fails, and never waits for ever."""

from __future__ import annotations

import os
import re
import socket
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.conninfo import make_conninfo

from majordomo_analytics.drain.address import place_of, read_address
from majordomo_analytics.drain.migrate import applied_version, migrate
from majordomo_analytics.errors import PostgresError, PostgresUnreachableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MIGRATION_TIMEOUT_S = 3600.0
"""An index over many rows takes its time; broken off, it would begin from nothing again."""

DEFAULTS: dict[str, str | int] = {
    "application_name": "majordomo-analytics",
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
}
SHORTEST_MASKED = 4
"""Characters of a password that is masked wherever it stands."""

# A role may be set not to wait for its commits, but what is said to be made is relied on.
# And should the network part us amid a transaction, the server would keep what that has
# written locked, for hours, and whoever comes again with the same rows would wait.
_GUARD = """
select
  case when current_setting('synchronous_commit') = 'off'
    then set_config('synchronous_commit', 'on', true) end,
  case when current_setting('idle_in_transaction_session_timeout') = '0'
    then set_config('idle_in_transaction_session_timeout', %(patience)s, true) end
"""


class Session:
    """One connection, made when it is needed and again after it broke.

    Parameters
    ----------
    dsn
        Where it leads: a URL or ``key=value`` pairs, as libpq reads them.
    schema
        The schema of our tables.
    connect_timeout_s, answer_timeout_s
        How long Postgres may take to let us in, and over one answer.

    Raises
    ------
    SettingsError
        If `dsn` cannot be read or `schema` is no name of one.
    """

    def __init__(
        self, dsn: str, schema: str, *, connect_timeout_s: int, answer_timeout_s: float
    ) -> None:
        given = read_address(dsn, schema)
        ours = {"connect_timeout": connect_timeout_s, **DEFAULTS}
        self._conninfo = make_conninfo(dsn, **{n: v for n, v in ours.items() if n not in given})
        self._password = str(given.get("password") or os.environ.get("PGPASSWORD") or "")
        self._answer_timeout_s = answer_timeout_s
        self._connection: psycopg.Connection[Any] | None = None
        self.schema = schema
        self.place = place_of(given, schema)

    def __repr__(self) -> str:
        return f"Session({self.place!r})"

    @property
    def is_open(self) -> bool:
        """Whether there is a connection."""
        return self._connection is not None and not self._connection.closed

    def connect(self) -> None:
        """Connect anew."""
        self.close()
        with self._told_plainly():
            self._connection = psycopg.connect(
                self._conninfo, autocommit=True, prepare_threshold=None
            )

    def open(self, suffices: Callable[[int], bool]) -> None:
        """Connect anew, and bring the tables up to date unless their version suffices."""
        self.connect()
        try:
            with self.answering() as connection:
                version = applied_version(connection, self.schema)
            if not suffices(version):
                with self.answering(MIGRATION_TIMEOUT_S) as connection:
                    migrate(connection, self.schema)
        except BaseException:  # the next call would take it for one that is ready
            self.close()
            raise

    def guard(self, connection: psycopg.Connection[Any]) -> None:
        """Have the transaction that begins be durable, and end if we are parted amid it."""
        connection.execute(_GUARD, {"patience": f"{self._answer_timeout_s:g}s"})

    def close(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    @contextmanager
    def answering(self, timeout_s: float | None = None) -> Iterator[psycopg.Connection[Any]]:
        """Give the connection; break it off if Postgres does not answer in time.

        A server that is only silent cannot be told from a slow one by libpq, and there may
        be no packet whose loss the kernel could notice.

        Raises
        ------
        PostgresUnreachableError
            If there is no connection any more, or no answer in time.
        PostgresError
            If Postgres refused what was asked.
        """
        connection = self._connection
        if connection is None or connection.closed:
            message = "there is no connection to Postgres"
            raise PostgresUnreachableError(message)
        done, is_late = threading.Event(), threading.Event()
        seconds = self._answer_timeout_s if timeout_s is None else timeout_s
        late = threading.Timer(seconds, _break_off, (connection, done, is_late))
        late.daemon = True
        late.start()
        try:
            with self._told_plainly():
                yield connection
        except PostgresUnreachableError:
            if not is_late.is_set():
                raise
            message = f"Postgres did not answer within {seconds:g} s"
            raise PostgresUnreachableError(message) from None
        finally:
            done.set()
            late.cancel()

    def said(self, error: Exception) -> str:
        """Return what an error says, without the password."""
        said = " ".join(str(error).split())
        if len(self._password) >= SHORTEST_MASKED:
            return said.replace(self._password, "…")
        # One that is shorter stands in every other word, and would be told by the gaps.
        address = re.compile(rf"(:|password=){re.escape(self._password)}(?=@|\s|$)")
        return address.sub(r"\1…", said) if self._password else said

    @contextmanager
    def _told_plainly(self) -> Iterator[None]:
        try:
            yield
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            self.close()
            message = f"Postgres cannot be reached: {self.said(error)}"
            raise PostgresUnreachableError(message) from None
        except psycopg.Error as error:
            # It may be the session that is at fault, as after a failover to a server that
            # only reads: a new one finds its way to the right server.
            self.close()
            message = f"Postgres refused what is needed: {self.said(error)}"
            raise PostgresError(message) from None


def _break_off(
    connection: psycopg.Connection[Any], done: threading.Event, is_late: threading.Event
) -> None:
    """Make whoever waits for an answer see the end of the connection."""
    with suppress(psycopg.Error, OSError):  # it was closed meanwhile
        if not done.is_set():
            is_late.set()
            with socket.socket(fileno=os.dup(connection.fileno())) as line:
                line.shutdown(socket.SHUT_RDWR)

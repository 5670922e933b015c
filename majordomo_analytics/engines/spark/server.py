"""A session of our own on a Spark Connect server, and its errors as ours."""

from __future__ import annotations

import sys
import threading
import warnings
import weakref
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import urlsplit

import pyarrow as pa

from majordomo_analytics.errors import (
    LakeError,
    MajordomoError,
    MissingExtraError,
    QueryError,
    ResultOverflowError,
    SourceError,
    SparkUnreachableError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pyspark.sql.connect.session import SparkSession

Asked = TypeVar("Asked")

FORM = "an address is 'sc://HOST:15002', with ';token=…' and the like behind a slash"
SETTINGS = {
    # Days are those of UTC: the plan has added the offsets of its zone itself.
    "spark.sql.session.timeZone": "UTC",
    # What overflows or cannot be read is an error, not a null.
    "spark.sql.ansi.enabled": "true",
    # Else `${…}` in a value or a name would be replaced.
    "spark.sql.variable.substitute": "false",
}
MOST_ATTEMPTS = 5
MOST_BETWEEN_ATTEMPTS_MS = 4_000

_OVERFLOWS = ("out of range", "too large to store", "OVERFLOW", "OUT_OF_RANGE")
_UNREACHABLE = ("StatusCode.UNAVAILABLE", "RETRIES_EXCEEDED", "StatusCode.UNAUTHENTICATED")
_LOST = ("is not running", "INVALID_HANDLE.SESSION", "SESSION_NOT_FOUND", "SESSION_CHANGED")
_FILES = ("FILE_NOT_EXIST", "PATH_NOT_FOUND", "DELTA_", "No such file", "Object Store", "Parquet",
          "Missing commit file", "FAILED_READ_FILE", "DATA_SOURCE_NOT_FOUND")  # fmt: skip


def read_address(address: str) -> str:
    """Return the server's name and port, as messages may show them.

    Raises
    ------
    SourceError
        If it is no address of a Spark Connect server. The address itself, which may hold a
        token, is in no message.
    """
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except (ValueError, AttributeError, TypeError):
        host = port = None
    if not host or parts.scheme != "sc":
        message = f"this is no address of a Spark Connect server; {FORM}"
        raise SourceError(message)
    return f"{host}:{port or 15002}"


class Server:
    """A session on a server, begun when it is first needed and again when it was lost.

    Servers drop sessions that were idle for long, and with them the views of the requests.

    Parameters
    ----------
    address
        ``sc://HOST:PORT``, and what else Spark Connect takes there.
    views
        What the views are called.
    prepare
        Makes them, in a new session.
    """

    def __init__(
        self, address: str, views: Sequence[str], prepare: Callable[[SparkSession], None]
    ) -> None:
        self._address = address
        self._shown = read_address(address)
        self._views = views
        self._prepare = prepare
        self._lock = threading.Lock()
        self._session: SparkSession | None = None

    def fetch(self, statement: str) -> pa.Table:
        """Return the rows of a statement."""
        return self._asked(lambda session: session.sql(statement).toArrow())

    def batches(self, statement: str) -> Iterator[pa.Table]:
        """Yield the rows of a statement as they come, some at a time."""

        def begin(session: SparkSession) -> tuple[pa.Table | None, Iterator[object]]:
            # What a frame's own iterator of rows reads, before it makes rows of it.
            client, plan = session.client, cast("Any", session.sql(statement))._plan
            parts = client.to_table_as_iterator(plan.to_proto(client), plan.observations)
            tables = (part for part in parts if isinstance(part, pa.Table))
            return next(tables, None), tables

        first, rest = self._asked(begin)
        if first is None:
            return
        yield first
        try:
            yield from rest
        except Exception as error:
            raise self._told(error) from error

    def _asked(self, ask: Callable[[SparkSession], Asked]) -> Asked:
        """Return what a session answers, or a new one if that was lost meanwhile."""
        with self._lock:
            again = self._session is not None
            session = self._session or self._begin()
        try:
            return ask(session)
        except Exception as error:
            if not (again and self._was_lost(error)):
                raise self._told(error) from error
        with self._lock:
            if self._session is session:
                self._session = None
            session = self._session or self._begin()
        try:
            return ask(session)
        except Exception as error:
            raise self._told(error) from error

    def _begin(self) -> SparkSession:
        session = _connect(self._address)
        try:
            for name, value in SETTINGS.items():
                session.conf.set(name, value)
            self._prepare(session)
        except Exception as error:
            session.client.close()
            raise self._told(error) from error
        # At the end of Python the server is left to notice by itself.
        weakref.finalize(self, _end, session).atexit = False
        self._session = session
        return session

    def _was_lost(self, error: Exception) -> bool:
        said = str(error)
        missing = any(view in said for view in self._views)
        gone = missing and "TABLE_OR_VIEW_NOT_FOUND" in said
        return gone or any(word in said for word in _LOST)

    def _told(self, error: Exception) -> MajordomoError:
        """Return an error of Spark's as ours; what is none of Spark's is raised again."""
        from pyspark.errors import PySparkException

        if isinstance(error, MajordomoError):
            return error
        if not isinstance(error, PySparkException):
            raise error
        said = _first_line(error)
        whole = str(error)
        if any(word in whole for word in _UNREACHABLE):
            return SparkUnreachableError(self._shown, said)
        if any(word in whole for word in _OVERFLOWS):
            return ResultOverflowError(f"a number leaves the range of its type: {said}")
        if any(word in whole for word in _FILES):
            message = f"Spark at {self._shown} cannot read the files of the requests: {said}"
            return LakeError(message)
        return QueryError(f"Spark at {self._shown} refuses the statement: {said}")


def _connect(address: str) -> SparkSession:
    with warnings.catch_warnings():
        # PySpark warns of versions of pandas, which nothing here uses.
        warnings.simplefilter("ignore")
        try:
            _look_like_a_script()
            from pyspark.errors import PySparkValueError
            from pyspark.sql.connect.client.retries import DefaultPolicy
            from pyspark.sql.connect.session import SparkSession
        except ImportError as error:
            raise MissingExtraError(feature="engine='spark'", extra="spark") from error
    # That it has given up is an error, which says more.
    warnings.filterwarnings("ignore", message=r"\[RETRIES_EXCEEDED\]")
    try:
        # Not by the builder: that would make it the session that everybody is given.
        session = SparkSession(address)
    except PySparkValueError:
        message = f"the address of the Spark Connect server cannot be read; {FORM}"
        raise SourceError(message) from None  # what was raised quotes the address
    # PySpark's own would try for ten minutes before it says that nobody is there.
    patience = DefaultPolicy(max_retries=MOST_ATTEMPTS, max_backoff=MOST_BETWEEN_ATTEMPTS_MS)
    session.client.set_retry_policies([patience])
    return session


def _look_like_a_script() -> None:
    """Give the main module a file, without which PySpark takes it for its own doctests.

    As in ``python -c`` or another program's interpreter; it would then end the process. The
    file is there and does nothing: children of `multiprocessing` run it.
    """
    main = sys.modules["__main__"]
    if main.__spec__ is None and not hasattr(main, "__file__") and not hasattr(sys, "ps1"):
        main.__file__ = str(Path(__file__).with_name("__init__.py"))


def _end(session: SparkSession) -> None:
    """Let the server forget a session; whoever dropped it does not wait for that."""

    def release() -> None:
        client = session.client
        client.set_retry_policies([])  # a server that is gone has forgotten it already
        with suppress(Exception):
            client.release_session()
        with suppress(Exception):
            client.close()

    threading.Thread(target=release, daemon=True).start()


def _first_line(error: Exception) -> str:
    for line in str(error).splitlines():
        said = line.partition("details =")[2].strip(' "') if "details =" in line else line.strip()
        if said and not said.startswith(("<_", "status =")):
            return said
    return type(error).__name__

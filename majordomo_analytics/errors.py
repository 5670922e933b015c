"""Every error this package raises on purpose; imports nothing of ours.

    MajordomoError
    ├── SettingsError              a setting or an argument has no meaning (ValueError)
    │   └── PriceBookError         a price book cannot be used as it is written
    ├── MissingExtraError          an optional dependency is not installed (ImportError)
    ├── DataDirectoryError         not a data directory (ValueError)
    │   └── NewerLayoutError       written by a newer version of this package
    ├── ApiKeyError                an API key is unknown or already revoked (LookupError)
    ├── ApiKeyStoreError           the file of API keys cannot be used (OSError)
    ├── SpoolError                 the durable queue cannot be used (OSError)
    │   ├── DamagedSpoolError      a file of it is no sound database
    │   └── NewerRecordError       a newer version wrote a record in it
    ├── LakeError                  the lake cannot be read or written (OSError)
    │   ├── LakeNotFoundError      there is no lake yet (FileNotFoundError)
    │   ├── LakeBusyError          somebody else is maintaining it (BlockingIOError)
    │   └── LakeVersionError       it has no such version, or not any more (LookupError)
    ├── PostgresError              Postgres refuses what the drain needs (OSError)
    │   └── PostgresUnreachableError   it does not answer, or not in time
    ├── SparkUnreachableError      no Spark Connect server answers there (ConnectionError)
    ├── RowsRefusedError           a sink cannot hold a row as it is (ValueError)
    ├── SourceError                something to open or import cannot be read (ValueError)
    │   └── BadValueError          a value in it is no value of its column
    └── QueryError                 a question that has no answer as asked (ValueError)
        ├── UnknownNameError       no such measure, dimension or engine (LookupError)
        ├── TimeRangeError         a time range, grain or zone that cannot be read
        ├── FilterError            a filter that cannot be read
        ├── ReadOnlyError          a statement that would do more than read
        ├── ResultOverflowError    a sum left the range of its type (OverflowError)
        └── UnsupportedByEngineError   this engine cannot do it (NotImplementedError)

A message says what was wrong, with the value, and what would be right. The facts are
attributes too. No message and no repr ever holds a secret.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class MajordomoError(Exception):
    """Base of all errors raised on purpose by this package."""

    def __reduce__(self) -> tuple[object, ...]:
        # Pickle would call the class with the message alone, which a class that takes facts
        # cannot be called with; a process pool that meets that breaks.
        return _unpickled, (type(self), self.args), vars(self)


class SettingsError(MajordomoError, ValueError):
    """Raised when a setting or an argument has no meaning."""


class PriceBookError(SettingsError):
    """Raised when a price book cannot be used; no row is priced with a part of it.

    Attributes
    ----------
    path
        The file.
    line
        Where in it, counted from 1; None if it cannot be read at all.
    """

    def __init__(self, path: str, line: int | None, problem: str) -> None:
        self.path = path
        self.line = line
        place = path if line is None else f"{path}, line {line}"
        super().__init__(f"price book {place}: {problem}")


class MissingExtraError(MajordomoError, ImportError):
    """Raised when a feature needs an optional dependency that is not installed.

    Attributes
    ----------
    feature
        What was asked for.
    extra
        The extra of this package that brings the dependency.
    """

    def __init__(self, feature: str, extra: str) -> None:
        self.feature = feature
        self.extra = extra
        super().__init__(
            f"{feature} needs packages that are not installed: "
            f"pip install 'majordomo-analytics[{extra}]'"
        )


class DataDirectoryError(MajordomoError, ValueError):
    """Raised when a path is not a data directory; nothing was changed."""


class NewerLayoutError(DataDirectoryError):
    """Raised when a data directory was written by a newer version; nothing was changed."""


class ApiKeyError(MajordomoError, LookupError):
    """Raised when an API key id is unknown or already revoked."""


class ApiKeyStoreError(MajordomoError, OSError):
    """Raised when the file of API keys cannot be used, or is a copy of others."""


class SpoolError(MajordomoError, OSError):
    """Raised when the spool cannot be opened, written or read."""


class DamagedSpoolError(SpoolError):
    """Raised when a file of the spool is no sound database; no repetition mends it."""


class NewerRecordError(SpoolError):
    """Raised when a newer version wrote a record of the spool; it stays there."""


class LakeError(MajordomoError, OSError):
    """Raised when the lake cannot be read or written."""


class LakeNotFoundError(LakeError, FileNotFoundError):
    """Raised when there is no lake at a path yet."""


class LakeBusyError(LakeError, BlockingIOError):
    """Raised when somebody else is maintaining the lake; nothing was changed.

    Attributes
    ----------
    holder
        Who it is, and since when.
    """

    def __init__(self, uri: str, doing: str, holder: str) -> None:
        self.holder = holder
        super().__init__(
            f"the lake at {uri!r} is being maintained, {doing} has to wait: {holder}; "
            "try again when that is done"
        )


class LakeVersionError(LakeError, LookupError):
    """Raised when the lake has no such version, or parts of it are gone.

    Attributes
    ----------
    version
        What was asked for.
    """

    def __init__(self, version: object, problem: str, known: str) -> None:
        self.version = version
        super().__init__(f"the version {version!r} of the lake {problem}; {known}")


class PostgresError(MajordomoError, OSError):
    """Raised when Postgres refuses what the drain needs; nothing was changed there."""


class PostgresUnreachableError(PostgresError):
    """Raised when Postgres does not answer, or not in time."""


class SparkUnreachableError(MajordomoError, ConnectionError):
    """Raised when a Spark Connect server does not answer, or does not let us in.

    Attributes
    ----------
    server
        Its name and port.
    """

    def __init__(self, server: str, reason: str) -> None:
        self.server = server
        super().__init__(f"the Spark Connect server {server} cannot be asked: {reason}")


class RowsRefusedError(MajordomoError, ValueError):
    """Raised when a sink cannot hold what is in a row, however often it is tried.

    Attributes
    ----------
    code
        The SQLSTATE, or the kind of the error where there is none.
    """

    def __init__(self, code: str, reason: str) -> None:
        self.code = code
        super().__init__(f"{code}: {reason}")


class SourceError(MajordomoError, ValueError):
    """Raised when `ma.open` or an import is given something it cannot read."""


class BadValueError(SourceError):
    """Raised when a value to import is no value of its column; its row is rejected.

    Attributes
    ----------
    column
        The column it is for.
    """

    def __init__(self, column: str, value: object, rule: str) -> None:
        self.column = column
        shown = "" if value is None else f" {_shortened(value)}"
        super().__init__(f"{column}{shown} {rule}")


class QueryError(MajordomoError, ValueError):
    """Raised when a question has no answer as it was asked."""


class UnknownNameError(QueryError, LookupError):
    """Raised when no measure, dimension, column or engine has that name.

    Attributes
    ----------
    kind
        What was looked for: ``"measure"``, ``"dimension"``, …
    name
        The name that was not found.
    suggestions
        The nearest names that do exist, best first; may be empty.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str], *, hint: str = "") -> None:
        self.kind = kind
        self.name = name
        names = sorted(set(known), key=str.casefold)
        self.suggestions = nearest(name, names)
        tail = did_you_mean(self.suggestions, names)
        super().__init__(f"no {kind} is named {name!r}{tail}{hint}")

    def __str__(self) -> str:
        return str(self.args[0])


class TimeRangeError(QueryError):
    """Raised when a time range, time grain or time zone cannot be read."""


class FilterError(QueryError):
    """Raised when a filter cannot be read."""


class ResultOverflowError(QueryError, OverflowError):
    """Raised when a sum leaves the range of its type; it never wraps."""


class ReadOnlyError(QueryError):
    """Raised, before anything runs, for a statement that would do more than read."""


class UnsupportedByEngineError(QueryError, NotImplementedError):
    """Raised, before anything runs, when an engine cannot answer a question."""


def _unpickled(kind: type[MajordomoError], args: tuple[object, ...]) -> MajordomoError:
    error = kind.__new__(kind, *args)
    error.args = args  # a class of the OSError family that takes facts leaves them empty
    return error


def _shortened(value: object, most: int = 80) -> str:
    """Return a value as a message shows it; those of a source can be of any length."""
    text = value if isinstance(value, str) else str(value)
    return repr(text if len(text) <= most else f"{text[:most]}…")


def nearest(name: str, known: Iterable[str], *, most: int = 3) -> tuple[str, ...]:
    """Return the names most like `name`, ignoring case and ``_`` against ``-``."""
    spellings = {_fold(other): other for other in known}
    found = difflib.get_close_matches(_fold(name), spellings, n=most, cutoff=0.55)
    return tuple(spellings[spelling] for spelling in found)


def did_you_mean(suggestions: Iterable[str], known: Iterable[str]) -> str:
    """Return the tail of a message: the nearest names, or all when there are few."""
    close = list(suggestions)
    if close:
        return f"; did you mean {' or '.join(map(repr, close))}?"
    names = list(known)
    if not names:
        return ""
    shown = ", ".join(names[:30])
    return f"; known: {shown}{' …' if len(names) > 30 else ''}"


def _fold(name: str) -> str:
    return name.casefold().replace("_", "-")

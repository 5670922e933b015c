"""What `ma.open` takes: a data directory, Delta, Parquet files, a frame or Postgres."""

from __future__ import annotations

import glob
import re
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias

import polars as pl
import pyarrow as pa

from majordomo_analytics.datadir import MARKER, DataDirectory
from majordomo_analytics.engines.pinned import ParquetFiles
from majordomo_analytics.engines.spark.server import read_address
from majordomo_analytics.errors import (
    LakeError,
    LakeNotFoundError,
    MissingExtraError,
    SourceError,
    UnknownNameError,
    UnsupportedByEngineError,
)
from majordomo_analytics.lake.newest import NewestSnapshot
from majordomo_analytics.lake.table import LakeSnapshot
from majordomo_analytics.lake.versions import VersionLike, snapshot_at
from majordomo_analytics.ledger.engines import NAMES, Maker, file_engines

if TYPE_CHECKING:
    from collections.abc import Mapping

    from majordomo_analytics.engines.base import Engine
    from majordomo_analytics.engines.postgres.tables import RequestTable

SourceLike: TypeAlias = "str | Path | pl.DataFrame | pl.LazyFrame | pa.Table"
Pinned: TypeAlias = "LakeSnapshot | ParquetFiles | pa.Table | RequestTable"

READABLE = (
    "a data directory, a Delta table, a Parquet file, folder or glob, "
    "a Polars frame, an Arrow table or postgresql://…"
)

_POSTGRES = re.compile(
    r"postgres(ql)?://|\s*(host|hostaddr|port|dbname|user|password|passfile|service|options|"
    r"application_name|connect_timeout|keepalives\w*|ssl\w+|target_session_attrs)\s*="
)
"""How an address of Postgres begins, as a URL or as ``key=value`` pairs."""

_CREDENTIALS = re.compile("//[^/]*@")


class Pins(Protocol):
    """Gives the state of a source that one question reads."""

    def __call__(self) -> Pinned:
        """Return the present state."""
        ...


@dataclass(slots=True)
class Source:
    """Requests that can be asked about.

    Attributes
    ----------
    label
        What it is, for a person to read.
    pin
        Returns its present state; rows and totals of a question are read from one.
    lake
        Where the Delta table is, if it is one.
    version
        The version of it that is asked, if not the newest.
    engines
        What makes each engine that can read it, by name; the first is used unless told
        otherwise.
    """

    label: str
    pin: Pins
    lake: Path | None = None
    version: VersionLike | None = None
    engines: Mapping[str, Maker] = field(default_factory=file_engines, repr=False)
    _engines: dict[str, tuple[Pinned, Engine]] = field(default_factory=dict)

    def changeable_lake(self) -> Path:
        """Return where the lake is, for what changes it.

        Raises
        ------
        SourceError
            If the source is none, or an earlier version of one.
        """
        if self.lake is None:
            message = f"{self.label} is no lake: only a data directory or Delta table is changed"
            raise SourceError(message)
        if self.version is not None:
            message = f"{self.label} cannot be changed; open it without a version"
            raise SourceError(message)
        return self.lake

    def engine(self, name: str | None = None) -> Engine:
        """Return an engine over the present state; the same one until that changes.

        Raises
        ------
        UnknownNameError
            If there is no such engine.
        UnsupportedByEngineError
            If that engine does not read such a source.
        """
        name = next(iter(self.engines)) if name is None else name
        if name not in self.engines:
            if name not in NAMES:
                raise UnknownNameError(kind="engine", name=str(name), known=NAMES)
            message = (
                f"the engine {name!r} cannot read {self.label}; "
                f"what can is {' or '.join(map(repr, self.engines))}"
            )
            raise UnsupportedByEngineError(message)
        pinned = self.pin()
        held = self._engines.get(name)
        if held is not None and (held[0] is pinned or _equal(held[0], pinned)):
            return held[1]
        engine = self.engines[name](pinned)
        self._engines[name] = pinned, engine
        return engine


def read_source(
    given: SourceLike,
    *,
    version: VersionLike | None = None,
    schema: str | None = None,
    spark: str | None = None,
) -> Source:
    """Return the source that `given` is.

    Parameters
    ----------
    given
        A path, an address or a frame.
    version
        The version of a lake that is asked.
    schema
        Where in Postgres.
    spark
        A Spark Connect server that may be asked, too.

    Raises
    ------
    SourceError
        If it is none of those that can be read, or has no versions; or if `spark` is no
        address of a Spark Connect server.
    DataDirectoryError
        If it is a folder that holds neither.
    LakeVersionError
        If there is no such version.
    """
    if isinstance(given, str) and _POSTGRES.match(given):
        source = _postgres(given, schema)
    elif schema is not None:
        message = f"a schema is one of Postgres; leave schema={schema!r} out"
        raise SourceError(message)
    else:
        source = _read(given)
    if version is not None:
        source = _at_version(source, version)
    if spark is not None:
        read_address(spark)
        if "spark" not in source.engines:
            message = f"{source.label} is not read by Spark; leave spark=… out"
            raise SourceError(message)
        source.engines = file_engines(spark)
    return source


def _at_version(source: Source, version: VersionLike) -> Source:
    if source.lake is None:
        message = f"{source.label} has no versions: only a data directory or Delta table has"
        raise SourceError(message)
    pinned = snapshot_at(source.lake, version)
    label = f"{source.label} at version {pinned.version}"
    return Source(label, lambda: pinned, source.lake, pinned.version)


def _read(given: SourceLike) -> Source:
    if isinstance(given, pl.LazyFrame):
        given = given.collect()
    if isinstance(given, pl.DataFrame):
        given = given.to_arrow()
    if isinstance(given, pa.Table):
        table = given
        return Source("a frame", lambda: table)
    if isinstance(given, (str, Path)):
        return _read_path(str(given))
    message = f"a {type(given).__name__} cannot be opened; give {READABLE}"
    raise SourceError(message)


def _read_path(text: str) -> Source:
    if "://" in text:
        shown = _CREDENTIALS.sub("//…@", text)
        message = f"{shown!r} cannot be opened: only local paths are read; give {READABLE}"
        raise SourceError(message)
    path = Path(text).expanduser()
    if glob.has_magic(text) and not path.exists():
        return _parquet(text, str(path))
    if path.is_file():
        if path.suffix != ".parquet":
            message = f"{text!r} is a file, but not a Parquet file; give {READABLE}"
            raise SourceError(message)
        return _parquet(text, glob.escape(str(path)))
    if (path / "_delta_log").is_dir():
        return _lake(text, path)
    if path.is_dir() and not (path / MARKER).exists():
        inside = f"{glob.escape(str(path))}/**/*.parquet"
        if _matching(inside):
            return _parquet(text, inside)
    return _data_directory(text, path)


def _data_directory(text: str, path: Path) -> Source:
    lake = DataDirectory.open(path).lake
    try:
        return _lake(text, lake)
    except LakeNotFoundError as error:
        message = (
            f"the data directory {text!r} has no lake yet; "
            f"`mdm drain --once --data {text}` fills it from the spool"
        )
        raise LakeNotFoundError(message) from error


def _lake(text: str, path: Path) -> Source:
    newest = NewestSnapshot(path)

    def pin() -> Pinned:
        try:
            return newest.take()
        except KeyError as error:
            message = f"the Delta table {text!r} is not partitioned by {error.args[0]!r}"
            raise LakeError(message) from error

    pin()
    return Source(text, pin, path)


def _parquet(text: str, pattern: str) -> Source:
    def pin() -> Pinned:
        found = _matching(pattern)
        if not found:
            message = f"no file matches {text!r}; give {READABLE}"
            raise SourceError(message)
        return ParquetFiles.at(found)

    pin()
    return Source(text, pin)


def _postgres(address: str, schema: str | None) -> Source:
    if find_spec("psycopg") is None:
        feature = "reading Postgres"
        raise MissingExtraError(feature, "postgres")
    from majordomo_analytics.engines.postgres.database import Database
    from majordomo_analytics.engines.postgres.engine import PostgresEngine
    from majordomo_analytics.engines.postgres.tables import ScannedKeys, look_at

    database = Database(address, schema)
    scanned = ScannedKeys(database)
    return Source(
        database.label,
        lambda: look_at(database),
        engines={"postgres": lambda table: PostgresEngine(table, scanned)},
    )


def _matching(pattern: str) -> list[str]:
    return sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 - may be absolute


def _equal(one: Pinned, other: Pinned) -> bool:
    """Compare what was pinned; a frame is told by being the same one."""
    return isinstance(one, (LakeSnapshot, ParquetFiles)) and one == other

"""What `ma.open` takes: a data directory, a Delta table, Parquet files or a frame."""

from __future__ import annotations

import glob
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias

import polars as pl
import pyarrow as pa

from majordomo_analytics.datadir import MARKER, DataDirectory
from majordomo_analytics.engines.pinned import ParquetFiles, Pinned
from majordomo_analytics.errors import LakeError, LakeNotFoundError, SourceError, UnknownNameError
from majordomo_analytics.lake.table import LakeSnapshot, take_snapshot
from majordomo_analytics.lake.versions import VersionLike, snapshot_at

if TYPE_CHECKING:
    from collections.abc import Callable

    from majordomo_analytics.engines.base import Engine

SourceLike: TypeAlias = "str | Path | pl.DataFrame | pl.LazyFrame | pa.Table"


def _duckdb(pinned: Pinned) -> Engine:
    from majordomo_analytics.engines.duckdb import DuckDBEngine

    return DuckDBEngine(pinned)


def _polars(pinned: Pinned) -> Engine:
    from majordomo_analytics.engines.polars.engine import PolarsEngine

    return PolarsEngine(pinned)


# An engine is loaded by the first question for it: none needs the library of another.
ENGINES: dict[str, Callable[[Pinned], Engine]] = {"duckdb": _duckdb, "polars": _polars}
READABLE = (
    "a data directory, a Delta table, a Parquet file, folder or glob, "
    "a Polars frame or an Arrow table"
)


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
    """

    label: str
    pin: Pins
    lake: Path | None = None
    version: VersionLike | None = None
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

    @property
    def default_engine(self) -> str:
        """The engine that answers where none is named."""
        return "duckdb" if find_spec("duckdb") else "polars"

    def engine(self, name: str | None = None) -> Engine:
        """Return an engine over the present state; the same one until that changes.

        Raises
        ------
        UnknownNameError
            If there is no such engine.
        """
        name = self.default_engine if name is None else name
        if name not in ENGINES:
            raise UnknownNameError(kind="engine", name=str(name), known=ENGINES)
        pinned = self.pin()
        held = self._engines.get(name)
        if held is not None and (held[0] is pinned or _equal(held[0], pinned)):
            return held[1]
        engine = ENGINES[name](pinned)
        self._engines[name] = pinned, engine
        return engine


def read_source(given: SourceLike, *, version: VersionLike | None = None) -> Source:
    """Return the source that `given` is, a lake as it was at a version.

    Raises
    ------
    SourceError
        If it is none of those that can be read, or has no versions.
    DataDirectoryError
        If it is a folder that holds neither.
    LakeVersionError
        If there is no such version.
    """
    source = _read(given)
    if version is None:
        return source
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
        message = f"{text!r} cannot be opened: only local paths are read; give {READABLE}"
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
    def pin() -> Pinned:
        try:
            return take_snapshot(path)
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
        return ParquetFiles(tuple(found))

    pin()
    return Source(text, pin)


def _matching(pattern: str) -> list[str]:
    return sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 - may be absolute


def _equal(one: Pinned, other: Pinned) -> bool:
    """Compare what was pinned; Parquet files may have been written anew under a name."""
    return isinstance(one, LakeSnapshot) and one == other

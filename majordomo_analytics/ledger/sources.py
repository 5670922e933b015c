"""What `ma.open` takes: a data directory, a Delta table, Parquet files or a frame."""

from __future__ import annotations

import glob
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias

import polars as pl
import pyarrow as pa

from majordomo_analytics.datadir import MARKER, DataDirectory
from majordomo_analytics.engines.duckdb import DuckDBEngine, ParquetFiles
from majordomo_analytics.engines.spark.server import read_address
from majordomo_analytics.errors import (
    LakeError,
    LakeNotFoundError,
    SettingsError,
    SourceError,
    UnknownNameError,
)
from majordomo_analytics.lake.table import LakeSnapshot, take_snapshot

if TYPE_CHECKING:
    from collections.abc import Callable

    from majordomo_analytics.engines.base import Engine

SourceLike: TypeAlias = "str | Path | pl.DataFrame | pl.LazyFrame | pa.Table"
Pinned: TypeAlias = LakeSnapshot | ParquetFiles | pa.Table

SPARK_VARIABLE = "SPARK_REMOTE"
"""PySpark's own name for where its server is."""

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
    spark
        The Spark Connect server that may be asked, None for that of the environment.
    """

    label: str
    pin: Pins
    spark: str | None = field(default=None, repr=False)  # an address may hold a token
    _engines: dict[str, tuple[Pinned, Engine]] = field(default_factory=dict)

    def engine(self, name: str) -> Engine:
        """Return an engine over the present state; the same one until that changes.

        Raises
        ------
        UnknownNameError
            If there is no such engine.
        SettingsError
            If it is Spark, and no server was named.
        """
        if name not in ENGINES:
            raise UnknownNameError(kind="engine", name=str(name), known=ENGINES)
        pinned = self.pin()
        held = self._engines.get(name)
        if held is not None and (held[0] is pinned or _equal(held[0], pinned)):
            return held[1]
        engine = ENGINES[name](pinned, self)
        self._engines[name] = pinned, engine
        return engine


def _spark(pinned: Pinned, source: Source) -> Engine:
    from majordomo_analytics.engines.spark.engine import SparkEngine

    address = source.spark or os.environ.get(SPARK_VARIABLE)
    if not address:
        message = (
            "engine 'spark' needs the address of a Spark Connect server: "
            f"ma.open(…, spark='sc://HOST:15002'), or {SPARK_VARIABLE} in the environment"
        )
        raise SettingsError(message)
    return SparkEngine(pinned, address)


ENGINES: dict[str, Callable[[Pinned, Source], Engine]] = {
    "duckdb": lambda pinned, _: DuckDBEngine(pinned),
    "spark": _spark,
}


def read_source(given: SourceLike) -> Source:
    """Return the source that `given` is.

    Raises
    ------
    SourceError
        If it is none of those that can be read.
    DataDirectoryError
        If it is a folder that holds neither.
    """
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


def with_spark(source: Source, address: str | None) -> Source:
    """Return a source that may be asked by Spark too.

    Raises
    ------
    SourceError
        If it is no address of a Spark Connect server.
    """
    if address is not None:
        read_address(address)
        source.spark = address
    return source


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
    return Source(text, pin)


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

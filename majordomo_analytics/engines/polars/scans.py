"""From a pinned source to one lazy frame of requests, in the types of our own columns.

Files that hold the same columns are scanned together; the kinds of files are put one under
another. A file older than a promoted key has no column for it, but has it in its metadata.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import polars as pl
import pyarrow as pa

from majordomo_analytics.engines.pinned import ParquetFiles, files_in
from majordomo_analytics.engines.polars.columns import TYPES, kind_of, read_column, read_type
from majordomo_analytics.errors import SourceError
from majordomo_analytics.records.columns import COLUMNS, PROMOTED_PREFIX

if TYPE_CHECKING:
    from collections.abc import Sequence

    from majordomo_analytics.engines.pinned import Pinned
    from majordomo_analytics.times import TimeRange


class Scans:
    """Scans a snapshot of the lake, Parquet files or an Arrow table."""

    def __init__(self, source: Pinned) -> None:
        self.source = source
        self._schemas: dict[str, pl.Schema] = {}
        if "requested_at" not in self.stored:
            known = ", ".join(list(self.stored)[:10]) or "none"
            message = f"requests need a column 'requested_at'; the columns here are: {known}"
            raise SourceError(message)

    @cached_property
    def stored(self) -> pl.Schema:
        """Name and dtype of each stored column, over all the files."""
        source = self.source
        if isinstance(source, pa.Table):
            return self._frame.schema
        if not isinstance(source, ParquetFiles):
            return pl.DataFrame(source.schema.empty_table()).schema
        kinds = dict.fromkeys(tuple(self._schema(path).items()) for path in source.paths)
        empty = [
            pl.DataFrame(schema={name: read_type(name, stored) for name, stored in kind})
            for kind in kinds
        ]
        try:
            return pl.concat(empty, how="diagonal_relaxed").schema
        except pl.exceptions.PolarsError as error:
            said = str(error).partition("\n")[0]
            message = f"the files hold columns of types that do not go together: {said}"
            raise SourceError(message) from error

    @cached_property
    def promoted(self) -> dict[str, str]:
        """Name of each promoted column, and its metadata key."""
        return {
            name: name.removeprefix(PROMOTED_PREFIX)
            for name, stored in self.stored.items()
            if name.startswith(PROMOTED_PREFIX) and kind_of(stored) == "text"
        }

    def requests(self, asked: TimeRange) -> pl.LazyFrame:
        """Return what may lie in a time range; files of other days are left out."""
        source = self.source
        if isinstance(source, pa.Table):
            return self._as_ours(self._frame.lazy(), self.stored)
        if isinstance(source, ParquetFiles):
            paths: Sequence[str] = source.paths
        else:
            paths = [file.uri for file in files_in(source, asked)]
        if not paths:
            return self._as_ours(pl.LazyFrame(schema=self.stored), self.stored)
        kinds: dict[tuple[tuple[str, pl.DataType], ...], list[str]] = {}
        for path in paths:
            kinds.setdefault(tuple(self._schema(path).items()), []).append(path)
        scans = [self._as_ours(_scan(alike), pl.Schema(held)) for held, alike in kinds.items()]
        return scans[0] if len(scans) == 1 else pl.concat(scans, how="vertical")

    @cached_property
    def _frame(self) -> pl.DataFrame:
        return pl.DataFrame(self.source)  # type: ignore[arg-type]  # only asked of a table

    def _schema(self, path: str) -> pl.Schema:
        """Return what a file holds; a name is never written anew."""
        if path not in self._schemas:
            self._schemas[path] = _scan([path]).collect_schema()
        return self._schemas[path]

    @cached_property
    def _ours(self) -> dict[str, pl.DataType]:
        """Name and dtype of each stored column as it is given out."""
        return {name: read_type(name, stored) for name, stored in self.stored.items()}

    def _as_ours(self, scan: pl.LazyFrame, held: pl.Schema) -> pl.LazyFrame:
        """Give each column its type in our own table; what is lacking is null."""
        chosen = []
        for name, wanted in self._ours.items():
            if name in held:
                value = read_column(name, held[name])
                if read_type(name, held[name]) != wanted:
                    value = value.cast(wanted)
            elif name in self.promoted and "raw_metadata" in held:
                entries = read_column("raw_metadata", held["raw_metadata"])
                key = self.promoted[name]
                value = pl.coalesce(entries.map.get(key), entries.map.get(key.lower()))
            elif name == "requested_date":
                continue
            else:
                value = pl.lit(None, dtype=wanted)
            chosen.append(value.alias(name))
        if "requested_date" not in held:
            at = read_column("requested_at", held["requested_at"])
            chosen.append(at.dt.date().alias("requested_date"))
        chosen += [
            pl.lit(None, dtype=TYPES[column.type]).alias(column.name)
            for column in COLUMNS
            if column.name not in self.stored and column.name != "requested_date"
        ]
        return scan.select(chosen)


def _scan(paths: list[str]) -> pl.LazyFrame:
    """Scan files by their names as they are, of which no part is a pattern or a column."""
    return pl.scan_parquet(paths, glob=False, hive_partitioning=False)

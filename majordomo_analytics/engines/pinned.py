"""The state of a source that one question reads; what an engine over files is given."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from majordomo_analytics.times import TimeRange

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from majordomo_analytics.lake.table import LakeFile, LakeSnapshot


@dataclass(frozen=True, slots=True)
class ParquetFiles:
    """Parquet files that are no Delta table; what is in them may overlap in time.

    Attributes
    ----------
    paths
        Where they are.
    states
        Device, inode, size in bytes and nanoseconds of the last change of each: a file that
        was written anew under its name differs in one of them.
    """

    paths: tuple[str, ...]
    states: tuple[tuple[int, int, int, int], ...]

    @classmethod
    def at(cls, paths: Sequence[str]) -> ParquetFiles:
        """Return files as they are now."""
        found = [Path(path).stat() for path in paths]
        states = tuple((one.st_dev, one.st_ino, one.st_size, one.st_mtime_ns) for one in found)
        return cls(tuple(paths), states)


Pinned: TypeAlias = "LakeSnapshot | ParquetFiles | pa.Table"


def days_held(snapshot: LakeSnapshot) -> TimeRange:
    """Return the range of the days of a snapshot, without opening a file."""
    days = [file.requested_date for file in snapshot.files]
    if not days:
        return TimeRange()
    first, last = (datetime(d.year, d.month, d.day, tzinfo=UTC) for d in (min(days), max(days)))
    return TimeRange(first, last + timedelta(days=1))


def files_in(snapshot: LakeSnapshot, asked: TimeRange) -> tuple[LakeFile, ...]:
    """Return the files that may hold requests of a time range."""
    last = None if asked.end is None else (asked.end - timedelta(microseconds=1)).date()
    first = None if asked.start is None else asked.start.date()
    return snapshot.files_between(first, last)

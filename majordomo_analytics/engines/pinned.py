"""The state of a source that one question reads; what an engine over files is given."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, TypeAlias

from majordomo_analytics.times import TimeRange

if TYPE_CHECKING:
    import pyarrow as pa

    from majordomo_analytics.lake.table import LakeFile, LakeSnapshot


@dataclass(frozen=True, slots=True)
class ParquetFiles:
    """Parquet files that are no Delta table; what is in them may overlap in time."""

    paths: tuple[str, ...]


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

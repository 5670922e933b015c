"""Erase one value of a metadata key from the lake, a day at a time, while others append.

A day that holds the value is written anew and exchanged in one commit, which is refused
should anybody have added files of that day meanwhile; then it is done again from what is
there. A day that is done holds the value no more: whoever is killed amid it goes on there
when called again.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from majordomo_analytics.errors import LakeError, LakeNotFoundError
from majordomo_analytics.lake.maintenance import maintenance
from majordomo_analytics.lake.registry import forget_removed, store_of
from majordomo_analytics.lake.rewriting import OvertakenError, rewrite
from majordomo_analytics.lake.table import MOST_COMMIT_ATTEMPTS, LakeFile, take_snapshot
from majordomo_analytics.records.columns import PROMOTED_PREFIX
from majordomo_analytics.records.flags import ERASED
from majordomo_analytics.records.metadata import lookup_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import date
    from pathlib import Path

IDENTIFYING = ("provider_request_id", "response_id", "error_message")
"""Columns that lead to one request at the provider, or repeat what a caller sent."""

ROWS_AT_A_TIME = 32_768
UNDISTURBED_ATTEMPTS = 2
"""How often a day is tried while others append, before they are asked to wait."""

ERASED_TEXT = "erased"


@dataclass(frozen=True, slots=True)
class Erasure:
    """What is to be erased.

    Attributes
    ----------
    key
        The metadata key, in any spelling.
    value
        The value that is erased, exactly as it was sent.
    also
        Further metadata keys that leave the same requests, whatever their value.
    rows
        Whether the requests go as a whole, instead of what identifies.
    """

    key: str
    value: str = field(repr=False)
    also: tuple[str, ...] = ()
    rows: bool = False

    def concerns(self, metadata: dict[str, str]) -> bool:
        """Return whether a request with this metadata is meant."""
        wanted = lookup_name(self.key)
        return any(v == self.value and lookup_name(k) == wanted for k, v in metadata.items())

    def leaves(self, metadata: dict[str, str]) -> dict[str, str]:
        """Return what remains of the metadata of a request that is meant."""
        gone = self.gone
        return {k: v for k, v in metadata.items() if lookup_name(k) not in gone}

    @property
    def gone(self) -> set[str]:
        """The keys that leave, by `lookup_name`."""
        return {lookup_name(key) for key in (self.key, *self.also)}


@dataclass(frozen=True, slots=True)
class ErasedFromLake:
    """What was done: how many requests, on how many UTC days."""

    requests: int = 0
    days: int = 0


Calm = AbstractContextManager[object]


def erase_from_lake(
    uri: str | Path,
    erasure: Erasure,
    *,
    calm: Callable[[], Calm] = nullcontext,
    on_rows: Callable[[int], None] = lambda _: None,
) -> ErasedFromLake:
    """Erase a value from the present version of the lake; older ones hold it still.

    Parameters
    ----------
    uri
        Where the lake is; where there is none, there is nothing to do.
    erasure
        What to erase.
    calm
        Returns a context in which nobody appends. It is entered for a day whose rewriting
        was overtaken by others twice.
    on_rows
        Called with how many rows were looked at, or written anew.

    Raises
    ------
    LakeBusyError
        If somebody else maintains the lake.
    LakeError
        If it cannot be read or written; the days before are done, and stay so.
    """
    try:
        take_snapshot(uri)
    except LakeNotFoundError:
        return ErasedFromLake()
    with maintenance(uri, doing="erasure") as lake:
        days: dict[date, None] = {}
        for file in take_snapshot(uri).files:
            if file.requested_date not in days and _holds(file, erasure):
                days[file.requested_date] = None
            on_rows(file.rows)
        requests = 0
        for day in days:
            requests += _rewrite(lake, day, erasure, calm, on_rows)
        forget_removed(take_snapshot(uri), store_of(uri))
    return ErasedFromLake(requests, len(days))


def requests_in_lake(uri: str | Path, erasure: Erasure) -> int:
    """Return how many requests of the present version are meant; changes nothing."""
    try:
        files = take_snapshot(uri).files
    except LakeNotFoundError:
        return 0
    return sum(_count(rows, erasure) for file in files for rows in _read(file, METADATA_ONLY))


METADATA_ONLY = ["raw_metadata"]


def _holds(file: LakeFile, erasure: Erasure) -> bool:
    return any(_count(rows, erasure) for rows in _read(file, METADATA_ONLY))


def _count(rows: pa.Table, erasure: Erasure) -> int:
    return sum(len(_meant(batch, erasure)) for batch in rows.to_batches())


def _meant(batch: pa.RecordBatch, erasure: Erasure) -> list[int]:
    """Return the numbers of the rows that are meant."""
    held = batch.column("raw_metadata")
    listed = pa.ListArray.from_arrays(held.offsets, held.keys)
    names = pc.list_flatten(listed)
    values = pc.list_flatten(pa.ListArray.from_arrays(held.offsets, held.items))
    wanted = lookup_name(erasure.key)
    spelled = [name for name in names.unique().to_pylist() if lookup_name(name) == wanted]
    is_value = pc.and_(
        pc.equal(values, erasure.value),
        pc.is_in(names, value_set=pa.array(spelled, pa.string())),
    )
    found: list[int] = pc.list_parent_indices(listed).filter(is_value).unique().to_pylist()
    return found


def _read(file: LakeFile, columns: list[str] | None = None) -> Iterator[pa.Table]:
    try:
        with pq.ParquetFile(file.uri) as parquet:
            if "raw_metadata" not in parquet.schema_arrow.names:
                return  # then no metadata is in it
            for batch in parquet.iter_batches(ROWS_AT_A_TIME, columns=columns):
                yield pa.Table.from_batches([batch])
    except (OSError, pa.ArrowException) as error:
        message = f"the file {file.uri!r} of the lake cannot be read: {error}"
        raise LakeError(message) from error


def _rewrite(
    lake: Path,
    day: date,
    erasure: Erasure,
    calm: Callable[[], Calm],
    on_rows: Callable[[int], None],
) -> int:
    """Exchange the files of a day; return how many requests were meant."""
    for attempt in range(1, MOST_COMMIT_ATTEMPTS + 1):
        with nullcontext() if attempt <= UNDISTURBED_ATTEMPTS else calm():
            erased = _Erased(erasure)
            files = take_snapshot(lake).files_between(day, day)
            try:
                rewrite(lake, files, on_rows=on_rows, change=erased.of)
            except OvertakenError as error:
                overtaken = error
            else:
                return erased.requests
    message = (
        f"the lake at {str(lake)!r} refused the day {day} {MOST_COMMIT_ATTEMPTS} times, since "
        f"others wrote to it; erase again when they do less: {overtaken}"
    )
    raise LakeError(message)


class _Erased:
    """Rows as they are without the value, and how many requests were meant."""

    def __init__(self, erasure: Erasure) -> None:
        self.requests = 0
        self._erasure = erasure

    def of(self, rows: pa.Table) -> pa.Table:
        rows = rows.combine_chunks()
        meant = [number for batch in rows.to_batches() for number in _meant(batch, self._erasure)]
        if not meant:
            return rows
        self.requests += len(meant)
        others = sorted(set(range(rows.num_rows)) - set(meant))
        rest = rows.take(pa.array(others, pa.int64()))
        if self._erasure.rows:
            return rest
        changed = [self._without(row) for row in rows.take(meant).to_pylist()]
        return pa.concat_tables([rest, pa.Table.from_pylist(changed, schema=rows.schema)])

    def _without(self, row: dict[str, Any]) -> dict[str, Any]:
        gone = self._erasure.gone
        row["raw_metadata"] = list(self._erasure.leaves(dict(row["raw_metadata"])).items())
        for column in row:
            key = column.removeprefix(PROMOTED_PREFIX)
            if key != column and lookup_name(key) in gone:
                row[column] = None
        row["request_path"] = path_without(row["request_path"], row["response_id"])
        for column in IDENTIFYING:
            row[column] = None
        row["flags"] = list(dict.fromkeys((*(row["flags"] or ()), ERASED)))
        return row


def path_without(path: str, response_id: str | None) -> str:
    """Return a path without the id of a response in it."""
    return path.replace(response_id, ERASED_TEXT) if response_id else path

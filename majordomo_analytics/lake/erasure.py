"""Erase one value of a metadata key from the lake, a day at a time, while others append.

A day that holds the value is written anew and exchanged in one commit, which fails should
anybody have added or removed files of that day meanwhile; then it is done again from what
is there. A day that is done holds the value no more: whoever is killed amid it goes on
there when called again.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError

from majordomo_analytics.errors import LakeError, LakeNotFoundError
from majordomo_analytics.lake.maintenance import maintenance
from majordomo_analytics.lake.registry import forget_removed, store_of
from majordomo_analytics.lake.table import (
    MOST_COMMIT_ATTEMPTS,
    PARTITION_COLUMN,
    LakeFile,
    take_snapshot,
)
from majordomo_analytics.records.columns import promoted_column
from majordomo_analytics.records.flags import ERASED
from majordomo_analytics.records.metadata import canonical_name, lookup_name
from majordomo_analytics.records.schemas import promoted_keys

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
    with maintenance(uri, doing="erasure"):
        days: dict[date, None] = {}
        for file in take_snapshot(uri).files:
            if file.requested_date not in days and _holds(file, erasure):
                days[file.requested_date] = None
            on_rows(file.rows)
        requests = 0
        for day in days:
            requests += _rewrite(uri, day, erasure, calm, on_rows)
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
    uri: str | Path,
    day: date,
    erasure: Erasure,
    calm: Callable[[], Calm],
    on_rows: Callable[[int], None],
) -> int:
    """Exchange the files of a day; return how many requests were meant."""
    for attempt in range(1, MOST_COMMIT_ATTEMPTS + 1):
        with nullcontext() if attempt <= UNDISTURBED_ATTEMPTS else calm():
            snapshot = take_snapshot(uri)
            written = _Written(snapshot.schema, snapshot.files_between(day, day), erasure)
            try:
                _exchange(DeltaTable(str(uri), version=snapshot.version), day, written)
            except CommitFailedError as error:
                if attempt == MOST_COMMIT_ATTEMPTS:
                    message = (
                        f"the lake at {str(uri)!r} refused the day {day} {attempt} times, since "
                        f"others wrote to it; erase again when they do less: {error}"
                    )
                    raise LakeError(message) from error
                continue
            except (DeltaError, OSError, pa.ArrowException) as error:
                message = f"the day {day} of the lake at {str(uri)!r} cannot be written: {error}"
                raise LakeError(message) from error
            on_rows(written.rows)
            return written.meant
    return 0


def _exchange(table: DeltaTable, day: date, written: _Written) -> None:
    predicate = f"{PARTITION_COLUMN} = '{day.isoformat()}'"
    if written.nothing_is_left():
        table.delete(predicate)
        return
    reader = pa.RecordBatchReader.from_batches(written.schema, written.batches())
    write_deltalake(table, reader, mode="overwrite", predicate=predicate)


class _Written:
    """The rows of a day as they are written anew."""

    def __init__(self, schema: pa.Schema, files: tuple[LakeFile, ...], erasure: Erasure) -> None:
        self.schema = schema
        self.rows = 0
        self.meant = 0
        self._files = files
        self._erasure = erasure
        self._promoted = promoted_keys(schema)

    def nothing_is_left(self) -> bool:
        """Whether the day has no row of anybody else."""
        if not self._erasure.rows:
            return False
        for file in self._files:
            for rows in _read(file, METADATA_ONLY):
                meant = _count(rows, self._erasure)
                self.meant += meant
                if meant < rows.num_rows:
                    self.meant = 0
                    return False
        return True

    def batches(self) -> Iterator[pa.RecordBatch]:
        for file in self._files:
            for rows in _read(file):
                whole = self._completed(rows, file)
                self.rows += whole.num_rows
                yield from self._without(whole).to_batches()

    def _completed(self, rows: pa.Table, file: LakeFile) -> pa.Table:
        """Return rows with all columns of the lake.

        A key that was promoted after the file was written has no column in it, and would
        get one that is null throughout, which reads as if no request had the key.
        """
        columns: dict[str, Any] = {}
        for field_ in self.schema:
            if field_.name in rows.column_names:
                columns[field_.name] = rows.column(field_.name).cast(field_.type)
            elif field_.name == PARTITION_COLUMN:
                columns[field_.name] = pa.repeat(
                    pa.scalar(file.requested_date, field_.type), rows.num_rows
                )
            else:
                columns[field_.name] = pa.nulls(rows.num_rows, field_.type)
        for key in self._promoted:
            column = promoted_column(key)
            if column not in rows.column_names:
                columns[column] = _values_of(rows.column("raw_metadata"), key)
        return pa.table(columns, schema=self.schema)

    def _without(self, rows: pa.Table) -> pa.Table:
        rows = rows.combine_chunks()
        meant = [number for batch in rows.to_batches() for number in _meant(batch, self._erasure)]
        if not meant:
            return rows
        self.meant += len(meant)
        others = sorted(set(range(rows.num_rows)) - set(meant))
        if self._erasure.rows:
            return rows.take(pa.array(others, pa.int64()))
        changed = [self._erased(row) for row in rows.take(meant).to_pylist()]
        both = pa.concat_tables(
            [
                rows.take(pa.array(others, pa.int64())),
                pa.Table.from_pylist(changed, schema=self.schema),
            ]
        )
        order = sorted(range(rows.num_rows), key=[*others, *meant].__getitem__)
        return both.take(pa.array(order, pa.int64()))

    def _erased(self, row: dict[str, Any]) -> dict[str, Any]:
        gone = self._erasure.gone
        row["raw_metadata"] = list(self._erasure.leaves(dict(row["raw_metadata"])).items())
        for key in self._promoted:
            if lookup_name(key) in gone:
                row[promoted_column(key)] = None
        row["request_path"] = path_without(row["request_path"], row["response_id"])
        for column in IDENTIFYING:
            row[column] = None
        row["flags"] = list(dict.fromkeys((*(row["flags"] or ()), ERASED)))
        return row


def path_without(path: str, response_id: str | None) -> str:
    """Return a path without the id of a response in it."""
    return path.replace(response_id, ERASED_TEXT) if response_id else path


def _values_of(metadata: pa.ChunkedArray, key: str) -> pa.ChunkedArray:
    """Return the value of a key in each map, as queries of older files read it."""
    found = [
        pc.map_lookup(metadata, pa.scalar(spelling, pa.string()), "first")
        for spelling in (canonical_name(key), key.lower())
    ]
    return pc.coalesce(*found)

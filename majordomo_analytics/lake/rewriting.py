"""Put files of one day into the place of others in one commit, with what is in them.

What is written is sorted and has the column of every promoted key, and of no other. Readers
see the files before or those after, never both: the commit is refused if anybody else made
one since the files were last seen to be there, and is then tried again. Whoever calls holds
the lock of `lake.maintenance`, so that nobody else of ours takes files away meanwhile.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import CommitProperties, PostCommitHookProperties
from deltalake.exceptions import CommitFailedError, DeltaError
from deltalake.transaction import AddAction, RemoveAction

from majordomo_analytics.errors import LakeError
from majordomo_analytics.lake.properties import statistics_columns, without_demoted
from majordomo_analytics.lake.statistics import FileStatistics
from majordomo_analytics.lake.table import (
    check_partitioning,
    open_table,
    promoted_of,
    schema_of,
    snapshot_of,
)
from majordomo_analytics.lake.writing import PARTITION_COLUMN, fitting, flush
from majordomo_analytics.records.columns import promoted_column

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from deltalake import DeltaTable

    from majordomo_analytics.lake.table import LakeFile

TARGET_BYTES = 128 * 2**20
ROWS_PER_GROUP = 100_000
MOST_RUN_BYTES = 128 * 2**20
"""How much is sorted at a time, as it lies in memory; several times that is in use then."""

MOST_RUN_ROWS = 500_000
READ_ROWS = 50_000
MOST_COMMIT_ATTEMPTS = 50
LONGEST_PAUSE_S = 0.5
NO_HOOKS = PostCommitHookProperties(create_checkpoint=False, cleanup_expired_logs=False)
"""A checkpoint that fails would look like a commit that did."""


class OvertakenError(LakeError):
    """Somebody added rows to a day of which all were to be changed."""


@dataclass(frozen=True, slots=True)
class Rewritten:
    """What a rewriting did to one day.

    Attributes
    ----------
    files_before, files_after
        How many files there were, and are in their place.
    bytes_before, bytes_after
        How large those are.
    rows
        How many rows they hold.
    """

    files_before: int
    files_after: int
    bytes_before: int
    bytes_after: int
    rows: int


def rewrite(
    lake: Path,
    files: Sequence[LakeFile],
    *,
    target_bytes: int = TARGET_BYTES,
    on_rows: Callable[[int], None] = lambda _: None,
    change: Callable[[pa.Table], pa.Table] | None = None,
) -> Rewritten:
    """Write the rows of some files of one UTC day anew, and have the table name those.

    The rows are sorted by the first promoted key and then by time, in runs of up to
    half a million that follow one another in time: a question about a key or about some
    hours reads a part of a file only.

    Parameters
    ----------
    lake
        The folder of the table, whose maintenance lock is held.
    files
        Which files, all of one day.
    target_bytes
        A file is ended once it is as large as this.
    on_rows
        Called with how many rows were written, as they are.
    change
        Given some rows in today's columns, without that of the day, returns what is to
        stand for them. Without it, rows stay what they are.

    Raises
    ------
    OvertakenError
        If rows are changed, and the day has files by now that are not among `files`.
    LakeError
        If a file cannot be read or written, somebody else took one away, or the table
        refused the commit too often; the table is as it was then.
    """
    days = {file.requested_date for file in files}
    if len(days) != 1:
        message = f"only files of one day are written together, not of {len(days)}"
        raise LakeError(message)
    table = open_table(lake)
    _check_rewritable(table)
    promoted = promoted_of(table)
    schema = without_demoted(schema_of(table), promoted)
    schema = schema.remove(schema.get_field_index(PARTITION_COLUMN))
    order = [promoted_column(key) for key in promoted[:1]] + ["requested_at"]
    day_folder = lake / f"{PARTITION_COLUMN}={files[0].requested_date.isoformat()}"
    outputs = _Outputs(day_folder, schema, statistics_columns(promoted), target_bytes)
    read = 0

    def taken(rows: pa.Table) -> pa.Table:
        nonlocal read
        read += rows.num_rows
        rows = fitting(rows, schema)
        return rows if change is None else change(rows)

    try:
        for run in _runs(files, taken):
            outputs.write(run.sort_by([(name, "ascending") for name in order]))
            on_rows(run.num_rows)
        outputs.close(mode=Path(files[0].uri).stat().st_mode & 0o777)
        if read != (expected := sum(file.rows for file in files)):
            message = f"files that the log says hold {expected} rows hold {read}"
            raise LakeError(message)
    except BaseException as error:
        outputs.discard()
        if isinstance(error, (OSError, pa.ArrowException)) and not isinstance(error, LakeError):
            message = f"the lake at {str(lake)!r} cannot be written anew: {error}"
            raise LakeError(message) from error
        raise
    _replace(lake, files, outputs, is_changed=change is not None)
    return Rewritten(
        len(files),
        len(outputs.paths),
        sum(file.size_bytes for file in files),
        sum(path.stat().st_size for path in outputs.paths),
        outputs.rows,
    )


def _runs(files: Sequence[LakeFile], taken: Callable[[pa.Table], pa.Table]) -> Iterator[pa.Table]:
    """Yield the rows in pieces that can be sorted in memory, older files first."""
    parts: list[pa.Table] = []
    size = rows = 0
    for file in sorted(files, key=lambda file: (file.first_at is None, file.first_at, file.uri)):
        with pq.ParquetFile(file.uri) as parquet:
            for batch in parquet.iter_batches(batch_size=READ_ROWS):
                part = taken(pa.Table.from_batches([batch]))
                if parts and (size + part.nbytes > MOST_RUN_BYTES or rows >= MOST_RUN_ROWS):
                    yield pa.concat_tables(parts)
                    parts, size, rows = [], 0, 0
                parts.append(part)
                size += part.nbytes
                rows += part.num_rows
    if parts:
        yield pa.concat_tables(parts)


class _Outputs:
    """The files that are written, and what the log is to say of each."""

    def __init__(
        self, folder: Path, schema: pa.Schema, columns: tuple[str, ...], target_bytes: int
    ) -> None:
        self.paths: list[Path] = []
        self.statistics: list[FileStatistics] = []
        self.rows = 0
        self._folder = folder
        self._schema = schema
        self._columns = columns
        self._target_bytes = target_bytes
        self._writer: pq.ParquetWriter | None = None

    def write(self, rows: pa.Table) -> None:
        for first in range(0, rows.num_rows, ROWS_PER_GROUP):
            group = rows.slice(first, ROWS_PER_GROUP)
            if self._writer is None:
                path = self._folder / f"part-00000-{uuid4()}-c000.zstd.parquet"
                self.paths.append(path)
                self.statistics.append(FileStatistics(self._columns))
                self._writer = pq.ParquetWriter(path, self._schema, compression="zstd")
            self._writer.write_table(group, row_group_size=ROWS_PER_GROUP)
            self.statistics[-1].add(group)
            self.rows += group.num_rows
            if self.paths[-1].stat().st_size >= self._target_bytes:
                self._end_file()

    def close(self, *, mode: int) -> None:
        """End the last file, and have the disk hold all: the log may hold them before.

        Who could read the files before can read these.
        """
        self._end_file()
        for path in self.paths:
            path.chmod(mode)
        flush(*self.paths, self._folder)

    def discard(self) -> None:
        """Remove what was written; nobody was told of it."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        for path in self.paths:
            path.unlink(missing_ok=True)

    def _end_file(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def _replace(lake: Path, files: Sequence[LakeFile], outputs: _Outputs, *, is_changed: bool) -> None:
    """Commit that `outputs` stand for `files`, provided that those are all there still.

    If rows were changed, they have to be all of their day, too.
    """
    gone = {file.path for file in files}
    date = files[0].requested_date
    day: dict[str, str | None] = {PARTITION_COLUMN: date.isoformat()}
    for attempt in range(MOST_COMMIT_ATTEMPTS):
        table = open_table(lake)
        of_day = snapshot_of(table, str(lake)).files_between(date, date)
        held = {file.path for file in of_day}
        if missing := gone - held:
            outputs.discard()
            message = (
                f"somebody else took {len(missing)} files of {day[PARTITION_COLUMN]} away from "
                f"the lake at {str(lake)!r}; nothing was changed"
            )
            raise LakeError(message)
        if is_changed and (more := len(held - gone)):
            outputs.discard()
            message = f"others added {more} files to {date} of the lake at {str(lake)!r} meanwhile"
            raise OvertakenError(message)
        now_ms = time.time_ns() // 1_000_000
        added = [
            AddAction(
                path.relative_to(lake).as_posix(),
                path.stat().st_size,
                day,
                now_ms,
                data_change=is_changed,
                stats=statistics.told(),
            )
            for path, statistics in zip(outputs.paths, outputs.statistics, strict=True)
        ]
        removed = [
            RemoveAction(
                path=file.path,
                data_change=is_changed,
                deletion_timestamp=now_ms,
                size=file.size_bytes,
                partition_values=day,
            )
            for file in files
        ]
        try:
            table.create_write_transaction(
                [*added, *removed],
                "append",
                table.schema(),
                partition_by=[PARTITION_COLUMN],
                # Delta itself would try again without a look whether the files are there.
                commit_properties=CommitProperties(max_commit_retries=0),
                post_commithook_properties=NO_HOOKS,
            )
        except CommitFailedError as error:  # the drain was faster
            refused = error
            time.sleep(min(LONGEST_PAUSE_S, 0.01 * 2**attempt))
        except DeltaError as error:
            # Nobody knows whether it was made: the files stay, and vacuum finds them.
            message = f"the lake at {str(lake)!r} cannot be written anew: {error}"
            raise LakeError(message) from error
        else:
            return
    outputs.discard()
    message = f"the lake at {str(lake)!r} refused a commit {MOST_COMMIT_ATTEMPTS} times: {refused}"
    raise LakeError(message)


def _check_rewritable(table: DeltaTable) -> None:
    check_partitioning(table)
    if "deletionVectors" in (table.protocol().reader_features or ()):
        message = (
            f"the lake at {table.table_uri!r} marks rows of files as deleted, which only another "
            "program can have switched on; to rewrite the files would bring those rows back"
        )
        raise LakeError(message)

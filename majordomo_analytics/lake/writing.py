"""Write rows as files of the lake, and have the disk hold them before the log names them.

Delta's own writer leaves all flushing to the operating system, which writes files in any
order. After a power cut the log could then name a file whose rows are not there; whoever
gave them would take them for kept, as the same commit says how far it has come.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING
from uuid import uuid4

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake.exceptions import CommitFailedError
from deltalake.transaction import AddAction, RemoveAction

from majordomo_analytics.errors import LakeError
from majordomo_analytics.lake.filling import filled
from majordomo_analytics.lake.statistics import FileStatistics

if TYPE_CHECKING:
    from pathlib import Path

    from deltalake import CommitProperties, DeltaTable

PARTITION_COLUMN = "requested_date"
LOG = "_delta_log"
OF_A_VERSION = (".json", ".checkpoint.parquet")
"""What the log may have of a version, after its number."""


class DayFiles:
    """Rows written as one file for each of their UTC days, which no log names yet.

    Parameters
    ----------
    lake
        The folder of the table.
    columns
        Of which columns the log is to say what is in a file.
    """

    def __init__(self, lake: Path, columns: tuple[str, ...]) -> None:
        self._lake = lake
        self._columns = columns
        self._paths: list[Path] = []
        self._added: list[AddAction | RemoveAction] = []

    def write(self, rows: pa.Table, schema: pa.Schema) -> None:
        """Write rows in the columns of `schema`, and have the disk hold them.

        Raises
        ------
        LakeError
            If they have a column that `schema` has not.
        OSError, pyarrow.ArrowException
            If they cannot be written; nothing is left of them.
        """
        if unknown := sorted(set(rows.schema.names) - set(schema.names)):
            message = f"the lake has no column {unknown[0]!r}, which the rows for it have"
            raise LakeError(message)
        rows = fitting(rows, schema).combine_chunks()
        days = rows.column(PARTITION_COLUMN)
        rows = rows.drop_columns([PARTITION_COLUMN])
        folders: set[Path] = set()
        try:
            for day in pc.unique(days).to_pylist():
                folder = self._lake / f"{PARTITION_COLUMN}={day.isoformat()}"
                if not folder.exists():
                    folder.mkdir(exist_ok=True)
                    folders.add(self._lake)
                folders.add(folder)
                of_day = rows.filter(pc.equal(days, pa.scalar(day, days.type)))
                self._write(of_day, folder, day.isoformat())
            flush(*self._paths, *folders)
        except BaseException:
            self._discard()
            raise

    def commit(self, table: DeltaTable, properties: CommitProperties) -> None:
        """Have the log name the files, and the disk hold the log.

        Raises
        ------
        deltalake.exceptions.CommitFailedError
            If others made a commit that this one does not agree with; the files are gone.
        deltalake.exceptions.DeltaError, OSError
            If it cannot be made. Nobody knows whether it was: the files stay.
        """
        before = table.version()
        try:
            table.create_write_transaction(
                self._added,
                "append",
                table.schema(),
                partition_by=[PARTITION_COLUMN],
                commit_properties=properties,
            )
        except CommitFailedError:
            self._discard()
            raise
        log = self._lake / LOG
        made = range(before + 1, table.version() + 1)
        written = [log / f"{version:020}{kind}" for version in made for kind in OF_A_VERSION]
        flush(*(path for path in (*written, log / "_last_checkpoint") if path.exists()), log)

    def _write(self, rows: pa.Table, folder: Path, day: str) -> None:
        path = folder / f"part-00000-{uuid4()}-c000.snappy.parquet"
        self._paths.append(path)
        pq.write_table(rows, path, compression="snappy")
        statistics = FileStatistics(self._columns)
        statistics.add(rows)
        self._added.append(
            AddAction(
                path.relative_to(self._lake).as_posix(),
                path.stat().st_size,
                {PARTITION_COLUMN: day},
                time.time_ns() // 1_000_000,
                data_change=True,
                stats=statistics.told(),
            )
        )

    def _discard(self) -> None:
        for path in self._paths:
            path.unlink(missing_ok=True)


def fitting(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return rows in the columns of `schema`: those of keys filled, others null."""
    rows = filled(rows, schema)
    columns = [
        rows.column(field.name).cast(field.type)
        if field.name in rows.schema.names
        else pa.chunked_array([pa.nulls(rows.num_rows, field.type)])
        for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def flush(*paths: Path) -> None:
    """Have the disk hold files, and the entries of folders."""
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

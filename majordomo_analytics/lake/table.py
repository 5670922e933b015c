"""Open, read a pinned version of, and append once to the Delta table of requests.

The one home of deltalake. Both roads use it: the drain appends, the ledger takes
snapshots. A snapshot names the files of one version, so that what is read from it cannot
change underneath a query.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, Schema, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from majordomo_analytics.errors import LakeError, LakeNotFoundError
from majordomo_analytics.lake.properties import (
    NEW_LAKE,
    VERSION_PROPERTY,
    promoted_in,
    statistics_columns,
    statistics_property,
    without_demoted,
)
from majordomo_analytics.lake.writing import PARTITION_COLUMN, DayFiles
from majordomo_analytics.records.columns import COLUMNS
from majordomo_analytics.records.metadata import PROMOTED_FROM_THE_START
from majordomo_analytics.records.schemas import arrow_field, arrow_schema

if TYPE_CHECKING:
    from collections.abc import Iterable

LAKE_VERSION = 1
"""Version of the table's layout, kept as a property of the table itself."""

ON_THIS_MACHINE = "file://"
MOST_COMMIT_ATTEMPTS = 8


@dataclass(frozen=True, slots=True)
class LakeFile:
    """One Parquet file of a snapshot.

    Attributes
    ----------
    uri
        Where it lies; a plain path for a local lake.
    requested_date
        The UTC day of all its rows; the files themselves do not hold this column.
    rows
        How many rows it has.
    first_at, last_at
        The instants of its oldest and newest request, as far as the log says.
    path
        Its name in the table's log.
    size_bytes
        How large it is.
    """

    uri: str
    requested_date: date
    rows: int
    first_at: datetime | None = None
    last_at: datetime | None = None
    path: str = ""
    size_bytes: int = 0

    def may_hold(self, first: datetime, last: datetime) -> bool:
        """Return whether a request from `first` to `last` may be in it."""
        # Delta's statistics may be cut to whole milliseconds.
        return (self.first_at is None or self.first_at <= last) and (
            self.last_at is None or self.last_at + timedelta(milliseconds=1) >= first
        )


@dataclass(frozen=True, slots=True)
class LakeSnapshot:
    """The files of one version of the lake.

    Attributes
    ----------
    uri
        Where the table lies.
    version
        The pinned Delta version.
    schema
        The Arrow schema of the rows, promoted columns included, and those of demoted keys
        left out: files that were not rewritten since still have them.
    promoted
        The promoted metadata keys, canonical names in column order.
    files
        The files of this version, oldest day first.
    """

    uri: str
    version: int
    schema: pa.Schema
    promoted: tuple[str, ...]
    files: tuple[LakeFile, ...]

    @property
    def rows(self) -> int:
        """How many requests the snapshot holds."""
        return sum(file.rows for file in self.files)

    def files_between(self, first: date | None, last: date | None) -> tuple[LakeFile, ...]:
        """Return the files with rows on UTC days from `first` to `last`, both included."""
        return tuple(
            file
            for file in self.files
            if (first is None or file.requested_date >= first)
            and (last is None or file.requested_date <= last)
        )


def take_snapshot(
    uri: str | Path,
    *,
    version: int | None = None,
    storage_options: dict[str, str] | None = None,
) -> LakeSnapshot:
    """Return the newest version of the lake at `uri`, or the version asked for.

    Raises
    ------
    LakeNotFoundError
        If there is no Delta table at `uri`.
    LakeError
        If it cannot be read, or a newer version of this package laid it out.
    """
    table = open_table(uri, version=version, storage_options=storage_options)
    check_partitioning(table)
    return snapshot_of(table, str(uri))


def snapshot_of(table: DeltaTable, uri: str) -> LakeSnapshot:
    """Return the files of the version of the table that is open."""
    schema, promoted = schema_of(table), promoted_of(table)
    actions = pa.table(table.get_add_actions(flatten=True))
    days = actions.column(f"partition.{PARTITION_COLUMN}").to_pylist()
    counts = actions.column("num_records").to_pylist()
    sizes = actions.column("size_bytes").to_pylist()
    paths = actions.column("path").to_pylist()
    firsts, lasts = (_instants(actions, f"{end}.requested_at") for end in ("min", "max"))
    uris = {_tail(file_uri): file_uri for file_uri in table.file_uris()}
    if table.table_uri.startswith(ON_THIS_MACHINE):
        # These are paths, but with the escapes of a URL.
        uris = {name: unquote(file_uri) for name, file_uri in uris.items()}
    files = [
        LakeFile(
            uris[_tail(path)],
            day if isinstance(day, date) else date.fromisoformat(day),
            rows,
            first_at,
            last_at,
            path,
            size,
        )
        for path, day, rows, first_at, last_at, size in zip(
            paths, days, counts, firsts, lasts, sizes, strict=True
        )
    ]
    files.sort(key=lambda file: (file.requested_date, file.uri))
    return LakeSnapshot(
        uri=uri,
        version=table.version(),
        schema=without_demoted(schema, promoted),
        promoted=promoted,
        files=tuple(files),
    )


def create_lake(uri: str | Path) -> None:
    """Make an empty lake at `uri`, or give the one that is there the columns it lacks.

    A lake of an earlier version gets today's columns with one commit that changes no file:
    what it holds already has nulls in them.

    Raises
    ------
    LakeError
        If the table cannot be written, or is no table of requests.
    """
    try:
        _add_missing_columns(uri)
    except LakeNotFoundError:
        _make_lake(uri)


def _make_lake(uri: str | Path) -> None:
    try:
        DeltaTable.create(
            str(uri),
            arrow_schema(PROMOTED_FROM_THE_START),
            mode="ignore",
            partition_by=[PARTITION_COLUMN],
            name="llm_requests",
            description="One row for each request to an LLM provider",
            configuration={
                **NEW_LAKE,
                **statistics_property(PROMOTED_FROM_THE_START),
                VERSION_PROPERTY: str(LAKE_VERSION),
            },
            raise_if_key_not_exists=False,
        )
    except (DeltaError, OSError) as error:
        message = f"the lake at {str(uri)!r} cannot be made: {error}"
        raise LakeError(message) from error


def _add_missing_columns(uri: str | Path) -> None:
    for attempt in range(1, MOST_COMMIT_ATTEMPTS + 1):
        table = open_table(uri)
        check_partitioning(table)
        held = set(schema_of(table).names)
        # Rows that are there have no value, so a column that is required of new rows may
        # still be null in the table.
        missing = [arrow_field(c).with_nullable(True) for c in COLUMNS if c.name not in held]
        if not missing:
            return
        try:
            table.alter.add_columns(Schema.from_arrow(pa.schema(missing)).fields)
        except CommitFailedError as error:  # somebody else may just have added them
            if attempt == MOST_COMMIT_ATTEMPTS:
                message = f"the lake at {str(uri)!r} refused new columns {attempt} times: {error}"
                raise LakeError(message) from error
        except (DeltaError, OSError) as error:
            message = f"the lake at {str(uri)!r} cannot be given new columns: {error}"
            raise LakeError(message) from error


def lake_schema(uri: str | Path) -> pa.Schema:
    """Return the Arrow schema that rows are appended in; lists no files.

    Columns of demoted keys are among them.
    """
    return schema_of(open_table(uri))


def lake_promoted(uri: str | Path) -> tuple[str, ...]:
    """Return the promoted metadata keys in column order; lists no files."""
    return promoted_of(open_table(uri))


def appended_up_to(uri: str | Path, application: str) -> int:
    """Return the last sequence number of `application` in the lake, 0 before the first."""
    return open_table(uri).transaction_version(application) or 0


def append_once(
    uri: str | Path, rows: pa.Table, *, application: str, first: int, last: int
) -> bool:
    """Append rows `first` to `last` of an application in one commit, unless they are there.

    The lake is on this machine. Its disk holds the files before the commit is made, and
    the commit before this returns: a power cut leaves no commit without its rows.

    The Delta log records ``(application, last)`` with the rows. Delta does not refuse a
    repeated record, so the number is read back before each attempt: a commit that was made
    but never confirmed is not made twice. One caller at a time may append for one
    application. Columns of metadata keys that `rows` lacks, as of one promoted just now,
    are filled from the metadata.

    Returns
    -------
    bool
        False if the lake already held these rows.

    Raises
    ------
    LakeError
        If the lake cannot be written, or holds a part of these rows only.
    """
    for attempt in range(1, MOST_COMMIT_ATTEMPTS + 1):
        table = open_table(uri)
        held = table.transaction_version(application) or 0
        if held >= last:
            return False
        if held >= first:
            message = f"the lake holds rows of {application} up to {held}, inside {first}-{last}"
            raise LakeError(message)
        properties = CommitProperties(app_transactions=[Transaction(application, last)])
        files = DayFiles(Path(uri), statistics_columns(promoted_of(table)))
        try:
            files.write(rows, schema_of(table))
            files.commit(table, properties)
        except CommitFailedError as error:
            if attempt == MOST_COMMIT_ATTEMPTS:
                message = f"the lake at {str(uri)!r} refused a commit {attempt} times: {error}"
                raise LakeError(message) from error
        except (DeltaError, OSError, pa.ArrowException) as error:
            message = f"the lake at {str(uri)!r} cannot be written: {error}"
            raise LakeError(message) from error
        else:
            return True
    return False


def ids_held(uri: str | Path, ids: Iterable[str], *, first: datetime, last: datetime) -> set[str]:
    """Return which of `ids` the lake holds, of requests from `first` to `last`.

    Reads the id column of the files that may hold such, as their statistics say.

    Raises
    ------
    LakeError
        If the lake or one of the files cannot be read.
    """
    wanted = set(ids)
    held: set[str] = set()
    for file in take_snapshot(uri).files_between(
        first.astimezone(UTC).date(), last.astimezone(UTC).date()
    ):
        if not file.may_hold(first, last):
            continue
        try:
            column = pq.read_table(file.uri, columns=["id"]).column("id")
        except (OSError, pa.ArrowException) as error:
            message = f"the lake at {str(uri)!r} cannot be read: {error}"
            raise LakeError(message) from error
        held |= wanted.intersection(column.to_pylist())
    return held


def _instants(actions: pa.Table, name: str) -> list[datetime | None]:
    """Return a statistic of each file; a lake that others made may have none."""
    if name not in actions.schema.names or not pa.types.is_timestamp(actions.field(name).type):
        return [None] * actions.num_rows
    known: list[datetime | None] = actions.column(name).cast(pa.timestamp("us", "UTC")).to_pylist()
    return known


def open_table(
    uri: str | Path,
    *,
    version: int | None = None,
    storage_options: dict[str, str] | None = None,
) -> DeltaTable:
    """Return the table itself; for the modules of the lake."""
    try:
        table = DeltaTable(str(uri), version=version, storage_options=storage_options)
    except TableNotFoundError as error:
        message = f"there is no lake at {str(uri)!r} yet"
        raise LakeNotFoundError(message) from error
    except (DeltaError, OSError) as error:
        message = f"the lake at {str(uri)!r} cannot be read: {error}"
        raise LakeError(message) from error
    layout = table.metadata().configuration.get(VERSION_PROPERTY)
    if layout is not None and not (layout.isdecimal() and int(layout) <= LAKE_VERSION):
        message = (
            f"the lake at {str(uri)!r} has layout {layout!r}, this version reads up to "
            f"{LAKE_VERSION}; upgrade majordomo-analytics"
        )
        raise LakeError(message)
    return table


def check_partitioning(table: DeltaTable) -> None:
    """Raise `LakeError` if this is no table of requests."""
    if table.metadata().partition_columns != [PARTITION_COLUMN]:
        message = (
            f"the Delta table at {table.table_uri!r} is no table of requests: it is not "
            f"partitioned by {PARTITION_COLUMN}"
        )
        raise LakeError(message)


def schema_of(table: DeltaTable) -> pa.Schema:
    """Return the columns of the table, those of demoted keys included."""
    return pa.schema(table.schema().to_arrow())


def promoted_of(table: DeltaTable) -> tuple[str, ...]:
    """Return the promoted keys of the table, in column order."""
    return promoted_in(table.metadata().configuration, schema_of(table))


def _tail(path: str) -> str:
    return path.rpartition("/")[2]

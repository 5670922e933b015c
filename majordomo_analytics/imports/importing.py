"""Import: rows of a source into the lake, and into Postgres, each once.

Rows go in by chunks, each with one commit. What makes a second run harmless is the id: a
source's row always gets the same one, and ids that the lake holds are left out. The number
of the chunk is in the commit as well, so that one whose end was never seen is not made
twice.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Protocol

from majordomo_analytics.errors import BadValueError, LakeError, LakeNotFoundError
from majordomo_analytics.imports.choices import ROWS_PER_COMMIT
from majordomo_analytics.imports.delimited import RowError
from majordomo_analytics.imports.plain import digest_of
from majordomo_analytics.imports.rows import complete, row_id, table_of
from majordomo_analytics.lake.table import append_once, create_lake, ids_held, lake_schema
from majordomo_analytics.records.ids import new_request_id
from majordomo_analytics.spool.locks import Lock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path
    from typing import Any

    from majordomo_analytics.datadir import DataDirectory
    from majordomo_analytics.imports.rejects import Rejects
    from majordomo_analytics.imports.rows import Fields, Wishes
    from majordomo_analytics.imports.source import Source

LOCK_WAIT_S = 60.0

ZONES_APART = timedelta(hours=26)
"""How far apart two zones can be, and so a row's times under two values of `--timezone`."""


_EARLIEST = datetime.min.replace(tzinfo=UTC)
_LATEST = datetime.max.replace(tzinfo=UTC)


class Taker(Protocol):
    """A store besides the lake, which takes no id twice."""

    def take(self, rows: Sequence[Mapping[str, Any]]) -> int:
        """Take rows; return how many were new."""
        ...


@dataclass(slots=True)
class ImportReport:
    """What an import did, or would do.

    Attributes
    ----------
    read
        Rows of the source, the rejected ones included.
    imported
        Rows that were new in the lake.
    held
        Rows that the lake had already, or that stand in the source more than once.
    rejected
        Rows that cannot be requests as they stand.
    postgres
        Rows that were new in Postgres.
    total_cost
        The sum over the imported rows, in US dollars; None if none is known.
    unpriced
        Imported rows whose cost is not known.
    first_at, last_at
        The instants of the first and the last imported request.
    """

    read: int = 0
    imported: int = 0
    held: int = 0
    rejected: int = 0
    postgres: int = 0
    total_cost: Decimal | None = None
    unpriced: int = 0
    first_at: datetime | None = None
    last_at: datetime | None = None

    def count(self, row: Fields) -> None:
        """Count a row that was imported."""
        self.imported += 1
        cost = row.get("total_cost")
        if cost is None:
            self.unpriced += 1
        else:
            self.total_cost = (self.total_cost or Decimal(0)) + cost
        at = row["requested_at"]
        self.first_at = at if self.first_at is None else min(self.first_at, at)
        self.last_at = at if self.last_at is None else max(self.last_at, at)


def import_requests(
    source: Source,
    data: DataDirectory,
    *,
    wishes: Wishes,
    rejects: Rejects,
    is_dry_run: bool = False,
    also: Taker | None = None,
    rows_per_commit: int = ROWS_PER_COMMIT,
    on_rows: Callable[[int], None] = lambda _: None,
) -> ImportReport:
    """Import what a source holds.

    Parameters
    ----------
    source
        What to read.
    data
        Where to put it; of a dry run it need not be there.
    wishes
        What is to be done with every row.
    rejects
        Takes the rows that are no requests.
    is_dry_run
        Whether only to say what would be done.
    also
        Another store that gets the rows, those too which the lake has already.
    rows_per_commit
        How many rows are in memory, and in one commit.
    on_rows
        Called with how many rows were read, each time some were.

    Raises
    ------
    SourceError
        If the source cannot be read on; rows before that are imported.
    LakeError
        If the lake cannot be written, or another import is at work on it.
    PostgresError, RowsRefusedError
        If the other store does not take the rows; the lake may have them by then.
    """
    report = ImportReport()
    with _alone(data, is_dry_run=is_dry_run), closing(_Names(source.reader.kind)) as names:
        if not is_dry_run:
            create_lake(data.lake)
        chunk = _Chunk(data.lake, is_dry_run=is_dry_run, also=also, report=report)
        try:
            unsaid = 0
            for place, values in source.rows():
                report.read += 1
                unsaid += 1
                try:
                    if isinstance(values, RowError):
                        raise values
                    fields = source.reader.read(values)
                    if fields.get("id") is None:
                        fields["id"] = names.of(values)
                    row = complete(fields, mark=source.reader.mark, wishes=wishes)
                except (BadValueError, RowError) as error:
                    report.rejected += 1
                    whole = values.raw if isinstance(values, RowError) else values
                    rejects.add(place, str(error), whole)
                    continue
                chunk.add(row)
                if len(chunk.rows) >= rows_per_commit:
                    chunk.commit()
                    on_rows(unsaid)
                    unsaid = 0
            chunk.commit()
            on_rows(unsaid)
        finally:
            rejects.close()
    return report


@dataclass(slots=True)
class _Chunk:
    """Rows that wait for one commit."""

    lake: Path
    is_dry_run: bool
    also: Taker | None
    report: ImportReport
    rows: dict[str, Fields] = field(default_factory=dict)
    _run: str = field(default_factory=lambda: f"import-{new_request_id()}")
    _number: int = 0
    _said: set[str] = field(default_factory=set)

    def add(self, row: Fields) -> None:
        if row["id"] in self.rows:
            self.report.held += 1
        else:
            self.rows[row["id"]] = row

    def commit(self) -> None:
        """Put those into the lake that it does not hold, in one commit."""
        if not self.rows:
            return
        rows = list(self.rows.values())
        held = self._held(rows)
        fresh = [row for row in rows if row["id"] not in held]
        self._number += 1
        if fresh and not self.is_dry_run:
            append_once(
                self.lake,
                table_of(fresh, lake_schema(self.lake)),
                application=self._run,
                first=self._number,
                last=self._number,
            )
        if self.also is not None and not self.is_dry_run:
            self.report.postgres += self.also.take(rows)
        if self.is_dry_run:  # the next chunk cannot ask the lake for these
            self._said.update(row["id"] for row in fresh)
        self.report.held += len(held)
        for row in fresh:
            self.report.count(row)
        self.rows = {}

    def _held(self, rows: Sequence[Fields]) -> set[str]:
        instants = [row["requested_at"] for row in rows]
        first, last = min(instants), max(instants)
        first -= min(ZONES_APART, first - _EARLIEST)
        last += min(ZONES_APART, _LATEST - last)
        ids = [row["id"] for row in rows]
        held = self._said.intersection(ids)
        try:
            return held | ids_held(self.lake, ids, first=first, last=last)
        except LakeNotFoundError:
            if self.is_dry_run:
                return held
            raise


class _Names:
    """Gives rows without an id one that is made of all that stands in them.

    Rows that are alike in everything are told apart by their number among those; how many
    there were is kept on disk, as there can be any number of rows.
    """

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._seen = sqlite3.connect("", isolation_level=None)
        for pragma in ("journal_mode = off", "synchronous = off"):
            self._seen.execute(f"pragma {pragma}")
        self._seen.execute("create table seen (digest text primary key, rows int) without rowid")
        self._seen.execute("begin")

    def of(self, values: Mapping[str, Any]) -> str:
        """Return the id of a row."""
        digest = digest_of(values)
        (rows,) = self._seen.execute(
            "insert into seen values (?, 1) on conflict do update set rows = rows + 1 "
            "returning rows",
            (digest,),
        ).fetchone()
        return row_id(self._kind, f"{digest} {rows}")

    def close(self) -> None:
        """Forget them."""
        self._seen.close()


@contextmanager
def _alone(data: DataDirectory, *, is_dry_run: bool) -> Iterator[None]:
    """Hold the lock of imports: what one asks the lake for, another might just append."""
    if is_dry_run:
        yield
        return
    lock = Lock(data.root / "import.lock")
    if not lock.acquire_within(LOCK_WAIT_S):
        message = f"another import is at work on {str(data.root)!r} for over {LOCK_WAIT_S:g} s"
        raise LakeError(message)
    try:
        yield
    finally:
        lock.release()

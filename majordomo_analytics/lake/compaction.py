"""Make few large files of the many small ones of the drain, and keep the log short."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from deltalake.exceptions import CommitFailedError, DeltaError

from majordomo_analytics.errors import LakeError, SettingsError
from majordomo_analytics.lake.maintenance import maintenance
from majordomo_analytics.lake.promotion import files_lacking
from majordomo_analytics.lake.properties import LOG_PROPERTIES
from majordomo_analytics.lake.rewriting import TARGET_BYTES, rewrite
from majordomo_analytics.lake.table import open_table, take_snapshot
from majordomo_analytics.records.columns import promoted_column

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date
    from pathlib import Path

    from majordomo_analytics.lake.rewriting import Rewritten
    from majordomo_analytics.lake.table import LakeFile, LakeSnapshot

SMALL = 0.5
"""A file is small if it has less than this share of the size that is wanted."""

LEAST_TARGET_BYTES = 2**20
FEW = 8
"""So many small files of a day are worth being made one, where nobody asked for it."""

MANY = 60
"""So many of the current day: five minutes of a drain that has something all the time."""


@dataclass(frozen=True, slots=True)
class Compaction:
    """What a compaction did.

    Attributes
    ----------
    days
        How many UTC days were written anew.
    files_before, files_after
        How many files there were of them, and are in their place.
    bytes_before, bytes_after
        How large those are.
    rows
        How many rows they hold.
    """

    days: int = 0
    files_before: int = 0
    files_after: int = 0
    bytes_before: int = 0
    bytes_after: int = 0
    rows: int = 0

    def and_day(self, done: Rewritten) -> Compaction:
        """Return the sum of this and one more day."""
        return Compaction(
            self.days + 1,
            self.files_before + done.files_before,
            self.files_after + done.files_after,
            self.bytes_before + done.bytes_before,
            self.bytes_after + done.bytes_after,
            self.rows + done.rows,
        )


def compact(
    uri: str | Path,
    *,
    target_bytes: int = TARGET_BYTES,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
    is_light: bool = False,
) -> Compaction:
    """Make large, sorted files of the small ones of each UTC day; fill columns they lack.

    A file that is large already is left alone, unless it lacks the column of a promoted
    key. Each day is one commit; the drain and readers go on meanwhile. The old files stay
    for those who read them, until `vacuum`. At the end the log gets a checkpoint, and what
    is older than its retention is removed from it.

    Parameters
    ----------
    uri
        Where the lake lies.
    target_bytes
        How large a file is to become, 128 MiB by default.
    progress
        Called with how many rows were written, and how many there are to be written.
    is_light
        Leave days alone that have but a few small files: for what is done again and again
        while the drain runs.

    Raises
    ------
    SettingsError
        If `target_bytes` is less than a MiB.
    LakeBusyError
        If the lake is being maintained.
    LakeError
        If it cannot be read or written.
    """
    if target_bytes < LEAST_TARGET_BYTES:
        message = f"files of {target_bytes:,} bytes are too small; a MiB is the least"
        raise SettingsError(message)
    done = Compaction()
    with maintenance(uri, doing="compaction") as lake:
        chosen = _chosen(take_snapshot(lake), target_bytes, is_light=is_light)
        rows_in_all = sum(file.rows for files in chosen.values() for file in files)
        written = 0

        def on_rows(rows: int) -> None:
            nonlocal written
            written += rows
            progress(written, rows_in_all)

        progress(0, rows_in_all)
        for _, files in sorted(chosen.items()):
            done = done.and_day(rewrite(lake, files, target_bytes=target_bytes, on_rows=on_rows))
        if done.days or not is_light:
            shorten_log(lake)
    return done


def shorten_log(lake: Path) -> None:
    """Give the log a checkpoint, and remove from it what is older than it is kept.

    A lake that an earlier version made gets the properties of a new one, unless somebody
    has set them.
    """
    table = open_table(lake)
    held = table.metadata().configuration
    lacking = {name: value for name, value in LOG_PROPERTIES.items() if name not in held}
    try:
        if lacking:
            table.alter.set_table_properties(lacking)
            table = open_table(lake)
        table.create_checkpoint()
        table.cleanup_metadata()
    except CommitFailedError:
        return  # the drain was faster; the next time will do
    except (DeltaError, OSError) as error:
        message = f"the log of the lake at {str(lake)!r} cannot be shortened: {error}"
        raise LakeError(message) from error


def _chosen(
    snapshot: LakeSnapshot, target_bytes: int, *, is_light: bool
) -> dict[date, list[LakeFile]]:
    """Return the files of each day that are to be written anew."""
    today = datetime.now(UTC).date()
    lacking = set(files_lacking(snapshot, map(promoted_column, snapshot.promoted)))
    days: dict[date, list[LakeFile]] = defaultdict(list)
    small: dict[date, int] = defaultdict(int)
    for file in snapshot.files:
        is_small = file.size_bytes < SMALL * target_bytes
        small[file.requested_date] += is_small
        if is_small or file in lacking:
            days[file.requested_date].append(file)
    chosen = {}
    for day, files in days.items():
        least = 2
        if is_light:
            least = MANY if day >= today else FEW
        is_lacking = not lacking.isdisjoint(files) and (day < today or not is_light)
        if small[day] >= least or is_lacking:
            chosen[day] = files
    return chosen

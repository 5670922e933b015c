"""Remove the files that no version of the lake names any more that somebody may read."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from deltalake.exceptions import DeltaError

from majordomo_analytics.errors import LakeError, SettingsError
from majordomo_analytics.lake.maintenance import maintenance
from majordomo_analytics.lake.table import open_table
from majordomo_analytics.lake.writing import LOG, flush

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from deltalake import DeltaTable

KEPT = timedelta(days=7)
"""How long files that were replaced are kept, unless told otherwise."""

RETENTION_PROPERTY = "delta.deletedFileRetentionDuration"
LEAST_KEPT = timedelta(hours=1)
UNNAMED_HOURS = 1
"""How old a file has to be that no version names: a younger one may be named soon."""


@dataclass(frozen=True, slots=True)
class Vacuuming:
    """What a vacuum removed, or would.

    Attributes
    ----------
    files
        How many files.
    freed_bytes
        How large they were together.
    """

    files: int
    freed_bytes: int


def vacuum(
    uri: str | Path,
    *,
    kept: timedelta = KEPT,
    force: bool = False,
    is_trial: bool = False,
) -> Vacuuming:
    """Remove files of the lake that were replaced some time ago, or never came into use.

    A question that is being answered, and a ledger opened at an earlier version, read files
    that were replaced since. They can go on for as long as `kept` says, and no longer.

    Parameters
    ----------
    uri
        Where the lake lies.
    kept
        How long ago a file must have been replaced, in whole hours; 7 days by default.
    force
        Allow less than an hour. Questions that are being answered may fail then. Files that
        no version names are kept for an hour all the same: somebody may be writing them.
    is_trial
        Only count.

    Raises
    ------
    SettingsError
        If `kept` is less than an hour, without `force`, or negative, or longer than the
        lake remembers.
    LakeBusyError
        If the lake is being maintained.
    LakeError
        If it cannot be read or written.
    """
    if kept < timedelta(0) or (kept < LEAST_KEPT and not force):
        message = (
            f"files that were replaced have to be kept for an hour at the least, not for {kept}: "
            "questions that are being answered may still read them; force it if there are none"
        )
        raise SettingsError(message)
    with maintenance(uri, doing="vacuum") as lake:
        table = open_table(lake)
        if kept > KEPT and RETENTION_PROPERTY not in table.metadata().configuration:
            message = (
                f"the lake forgets after {KEPT.days} days when a file was replaced; to keep files "
                f"longer, give the table the property {RETENTION_PROPERTY} before"
            )
            raise SettingsError(message)
        hours = int(kept / timedelta(hours=1))
        try:
            found = remove_unused(table, hours, is_trial=True)
            freed_bytes = sum(_sizes(lake, found))
            if found and not is_trial:
                flush_log(lake)
                remove_unused(table, hours)
        except (DeltaError, OSError) as error:
            message = f"the lake at {str(lake)!r} cannot be vacuumed: {error}"
            raise LakeError(message) from error
    return Vacuuming(len(found), freed_bytes)


def remove_unused(table: DeltaTable, hours: int, *, is_trial: bool = False) -> set[str]:
    """Remove the files that were replaced so many hours ago, and those that nobody names.

    The first vacuum knows what was taken out of the table. Only the second knows files that
    were forgotten to have been, or that stand in no version, as of a promotion that was cut
    short; but it takes for such a file also one that a drain commits just now.

    Returns
    -------
    set
        Their paths inside the lake.
    """
    found: set[str] = set()
    for at_least, is_full in ((hours, False), (max(hours, UNNAMED_HOURS), True)):
        found.update(
            table.vacuum(at_least, dry_run=is_trial, enforce_retention_duration=False, full=is_full)
        )
    return found


def _sizes(lake: Path, paths: Iterable[str]) -> Iterable[int]:
    for path in paths:
        file = lake / path
        if file.is_file():
            yield file.stat().st_size


def flush_log(lake: Path) -> None:
    """Have the disk hold the commits that name other files, before the old ones go."""
    folder = lake / LOG
    for path in (*folder.iterdir(), folder):
        with suppress(FileNotFoundError):  # the draft of a commit that a drain has made
            flush(path)

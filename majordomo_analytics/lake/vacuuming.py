"""Remove the files that no version of the lake names any more that somebody may read."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from deltalake.exceptions import DeltaError

from majordomo_analytics.errors import LakeError, SettingsError
from majordomo_analytics.lake.maintenance import maintenance
from majordomo_analytics.lake.table import open_table

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

KEPT = timedelta(days=7)
"""How long files that were replaced are kept, unless told otherwise."""

RETENTION_PROPERTY = "delta.deletedFileRetentionDuration"
LEAST_KEPT = timedelta(hours=1)


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
        Allow less than an hour. Questions that are being answered may fail then.
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
            # Full: files of a promotion that was cut short stand in no version at all.
            found = table.vacuum(hours, dry_run=True, enforce_retention_duration=False, full=True)
            freed_bytes = sum(_sizes(lake, found))
            if found and not is_trial:
                _flush_log(lake)
                table.vacuum(hours, dry_run=False, enforce_retention_duration=False, full=True)
        except (DeltaError, OSError) as error:
            message = f"the lake at {str(lake)!r} cannot be vacuumed: {error}"
            raise LakeError(message) from error
    return Vacuuming(len(found), freed_bytes)


def _sizes(lake: Path, paths: Iterable[str]) -> Iterable[int]:
    for path in paths:
        file = lake / path
        if file.is_file():
            yield file.stat().st_size


def _flush_log(lake: Path) -> None:
    """Have the disk hold the commits that name other files, before the old ones go."""
    folder = lake / "_delta_log"
    for path in (*folder.iterdir(), folder):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

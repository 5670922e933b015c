"""What older versions of the lake still hold on the disk, and how it goes for good."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from majordomo_analytics.errors import LakeError
from majordomo_analytics.lake.maintenance import maintenance
from majordomo_analytics.lake.table import PARTITION_COLUMN, take_snapshot

if TYPE_CHECKING:
    from collections.abc import Iterator

UNCOMMITTED_HOURS = 1
"""How old a file has to be that no version names: a younger one may be named soon."""


def old_files(uri: str | Path) -> list[Path]:
    """Return the Parquet files that the present version does not name."""
    present = {Path(file.uri).resolve() for file in take_snapshot(uri).files}
    return [path for path in _parquet(uri) if path.resolve() not in present]


def drop_history(uri: str | Path) -> int:
    """Remove what only older versions hold, at once; return how many files that were.

    With the files goes the log of how the lake came to be as it is: it names the least and
    the greatest value of promoted metadata keys in each file. There is no way back to an
    older version then, and a query that reads one just now fails.

    Raises
    ------
    LakeBusyError
        If somebody else maintains the lake.
    LakeError
        If it cannot be done.
    """
    with maintenance(uri, doing="removing old versions"):
        before = len(old_files(uri))
        try:
            table = DeltaTable(str(uri))
            # The first knows what was taken out of the table, the second also what was
            # forgotten to have been.
            table.vacuum(retention_hours=0, dry_run=False, enforce_retention_duration=False)
            table.vacuum(
                retention_hours=UNCOMMITTED_HOURS,
                dry_run=False,
                enforce_retention_duration=False,
                full=True,
            )
            table = DeltaTable(str(uri))
            table.create_checkpoint()
            _drop_log(Path(uri) / "_delta_log", table.version())
        except (DeltaError, OSError) as error:
            message = f"old versions of the lake at {str(uri)!r} cannot be removed: {error}"
            raise LakeError(message) from error
        return before - len(old_files(uri))


def _drop_log(log: Path, version: int) -> None:
    """Remove the commits before a version that has a checkpoint."""
    for path in sorted(log.iterdir()):
        number = path.name.partition(".")[0]
        if number.isdecimal() and int(number) < version:
            path.unlink(missing_ok=True)


def _parquet(uri: str | Path) -> Iterator[Path]:
    return Path(uri).glob(f"{PARTITION_COLUMN}=*/*.parquet")

"""What older versions of the lake still hold on the disk, and how it goes for good."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from majordomo_analytics.errors import LakeError
from majordomo_analytics.lake.maintenance import maintenance
from majordomo_analytics.lake.table import take_snapshot
from majordomo_analytics.lake.vacuuming import flush_log, remove_unused
from majordomo_analytics.lake.writing import PARTITION_COLUMN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager


def old_files(uri: str | Path) -> list[Path]:
    """Return the Parquet files that the present version does not name."""
    present = {Path(file.uri).resolve() for file in take_snapshot(uri).files}
    return [path for path in _parquet(uri) if path.resolve() not in present]


def drop_history(
    uri: str | Path, *, calm: Callable[[], AbstractContextManager[object]] = nullcontext
) -> int:
    """Remove what only older versions hold, at once; return how many files that were.

    With the files goes the log of how the lake came to be as it is: it names the least and
    the greatest value of promoted metadata keys in each file. There is no way back to an
    older version then, and a query that reads one just now fails.

    Parameters
    ----------
    uri
        Where the lake is.
    calm
        Returns a context in which nobody appends, entered while it is done. Without it, who
        has looked at the log and stands still could write a commit anew that was removed,
        which counts for nothing.

    Raises
    ------
    LakeBusyError
        If somebody else maintains the lake.
    LakeError
        If it cannot be done.
    """
    with maintenance(uri, doing="removing old versions") as lake, calm():
        before = len(old_files(uri))
        try:
            table = DeltaTable(str(uri))
            flush_log(lake)
            remove_unused(table, 0)
            table = DeltaTable(str(uri))
            table.create_checkpoint()
            flush_log(lake)
            _drop_log(lake / "_delta_log", table.version())
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

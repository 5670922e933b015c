"""What still stands in the spools: counted, and since when; nothing is changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from majordomo_analytics.errors import SpoolError
from majordomo_analytics.records.request import decode_record
from majordomo_analytics.spool.files import spool_files

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from majordomo_analytics.datadir import DataDirectory
    from majordomo_analytics.spool.files import SpoolFile


@dataclass(frozen=True, slots=True)
class Waiting:
    """Rows in the spools that a sink has not got, as far as is known.

    Attributes
    ----------
    rows
        How many they are.
    oldest_at
        When the oldest request that can be read was finished, in UTC; None if none can.
    troubles
        One sentence for each spool that cannot be read.
    """

    rows: int = 0
    oldest_at: datetime | None = None
    troubles: tuple[str, ...] = ()


def waiting(
    data: DataDirectory,
    position: Callable[[str], int] = lambda _: 0,
    *,
    with_writer: bool = True,
) -> Waiting:
    """Return what waits in the spools of a data directory.

    Parameters
    ----------
    data
        The data directory.
    position
        How far the sink is in a spool; by default it has nothing.
    with_writer
        Whether to count spools that a worker still writes: they stay, whoever has them.
    """
    rows = 0
    firsts: list[datetime] = []
    troubles: list[str] = []
    for spool in spool_files(data.spool):
        try:
            if spool.was_never_begun() or (not with_writer and spool.has_writer()):
                continue
            reached = position(spool.uuid)
            count = spool.rows_after(reached)
            rows += count
            if count and (at := finished_at(spool, reached)) is not None:
                firsts.append(at)
        except SpoolError as error:
            if spool.path.exists():  # else a drain has removed it: every sink has it
                troubles.append(str(error))
    return Waiting(rows, min(firsts, default=None), tuple(troubles))


def finished_at(spool: SpoolFile, reached: int) -> datetime | None:
    """Return when the first row that waits was finished; None if it cannot be read."""
    try:
        records = [decode_record(row.record) for row in spool.read(reached, 1)]
    except SpoolError:
        return None
    return next((record.responded_at or record.requested_at for record in records), None)

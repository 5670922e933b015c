"""Take whole days that are too old out of the lake; no file is read or written for it."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING

from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError, DeltaError

from majordomo_analytics.errors import LakeError, LakeNotFoundError
from majordomo_analytics.lake.maintenance import maintenance
from majordomo_analytics.lake.registry import forget_removed, store_of
from majordomo_analytics.lake.table import MOST_COMMIT_ATTEMPTS, take_snapshot
from majordomo_analytics.lake.writing import PARTITION_COLUMN

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import date
    from pathlib import Path

DAYS_PER_COMMIT = 30


def days_before(uri: str | Path, first_kept: date) -> dict[date, int]:
    """Return how many requests the lake has of each UTC day before one, oldest first."""
    try:
        snapshot = take_snapshot(uri)
    except LakeNotFoundError:
        return {}
    days: Counter[date] = Counter()
    for file in snapshot.files:
        if file.requested_date < first_kept:
            days[file.requested_date] += file.rows
    return dict(sorted(days.items()))


def drop_days_before(
    uri: str | Path, first_kept: date, *, on_rows: Callable[[int], None] = lambda _: None
) -> dict[date, int]:
    """Take every UTC day before one out of the lake; return what each of them had.

    Whoever is killed amid it has taken out the oldest days; calling it again goes on.
    Older versions of the lake hold them still, until they are vacuumed.

    Raises
    ------
    LakeBusyError
        If somebody else maintains the lake.
    LakeError
        If it cannot be written.
    """
    days = days_before(uri, first_kept)
    if not days:
        # Whoever was killed amid it may have dropped the days, and not come to this.
        with suppress(LakeNotFoundError):
            forget_removed(take_snapshot(uri), store_of(uri))
        return {}
    with maintenance(uri, doing="retention"):
        days = days_before(uri, first_kept)
        listed = list(days)
        for place in range(0, len(listed), DAYS_PER_COMMIT):
            some = listed[place : place + DAYS_PER_COMMIT]
            _drop(uri, some)
            on_rows(sum(days[day] for day in some))
        forget_removed(take_snapshot(uri), store_of(uri))
    return days


def _drop(uri: str | Path, days: Sequence[date]) -> None:
    listed = ", ".join(f"'{day.isoformat()}'" for day in days)
    for attempt in range(1, MOST_COMMIT_ATTEMPTS + 1):
        try:
            DeltaTable(str(uri)).delete(f"{PARTITION_COLUMN} in ({listed})")
        except CommitFailedError as error:  # rows of one of these days came in
            if attempt == MOST_COMMIT_ATTEMPTS:
                message = (
                    f"the lake at {str(uri)!r} refused to drop {days[0]} to {days[-1]} "
                    f"{attempt} times: {error}"
                )
                raise LakeError(message) from error
        except (DeltaError, OSError) as error:
            message = f"days of the lake at {str(uri)!r} cannot be dropped: {error}"
            raise LakeError(message) from error
        else:
            return

"""Let whole days that are too old go, from the lake, from Postgres and of dead letters."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from typing import TYPE_CHECKING

from majordomo_analytics.drain.dead_letters import DeadLetters
from majordomo_analytics.drain.erasing_rejects import reject_files
from majordomo_analytics.drain.imported import imported_elsewhere
from majordomo_analytics.drain.removal import check_place, fed_sinks
from majordomo_analytics.drain.stillness import nobody_appends
from majordomo_analytics.errors import PostgresError, SettingsError, SpoolError
from majordomo_analytics.lake.history import drop_history, old_files
from majordomo_analytics.lake.retention import days_before, drop_days_before
from majordomo_analytics.records.request import decode_record

if TYPE_CHECKING:
    from collections.abc import Callable

    from majordomo_analytics.datadir import DataDirectory
    from majordomo_analytics.drain.erasing import PostgresPlace

MOST_DAYS = 36_500


@dataclass(frozen=True, slots=True)
class Expiry:
    """What is too old, or was.

    Attributes
    ----------
    first_kept
        The first UTC day that stays.
    days
        The days of the lake that go, with how many requests each has.
    postgres
        Rows of Postgres that go; None without one, or if it was not reached.
    dead_letters
        Dead letters that go.
    old_files
        Files that only older versions of the lake name.
    left
        One sentence for each place that could not be served.
    """

    first_kept: date
    days: dict[date, int]
    postgres: int | None = None
    dead_letters: int = 0
    old_files: int = 0
    left: tuple[str, ...] = ()


def first_day_kept(days: int, *, now: datetime) -> date:
    """Return the first UTC day that stays when that many whole days are kept.

    Today is never one of those that go, and does not count.

    >>> first_day_kept(1, now=datetime(2026, 11, 20, 23, tzinfo=UTC))
    datetime.date(2026, 11, 19)

    Raises
    ------
    SettingsError
        If the number of days has no meaning.
    """
    if not 1 <= days <= MOST_DAYS:
        message = f"{days} days cannot be kept; give a number from 1 to {MOST_DAYS:,}, such as 400"
        raise SettingsError(message)
    return now.astimezone(UTC).date() - timedelta(days=days)


def find_expired(
    data: DataDirectory, first_kept: date, *, postgres: PostgresPlace | None = None
) -> Expiry:
    """Return what `expire` would let go; changes nothing."""
    rows, left = None, [*_unnamed(data, postgres), *_rejected(data)]
    if postgres is not None:
        from majordomo_analytics.drain.erasing_postgres import rows_before

        try:
            rows = rows_before(postgres.dsn, _begin(first_kept), schema=postgres.schema)
        except PostgresError as error:
            left.append(str(error))
    letters = DeadLetters(data.dead_letters)
    old = [
        letter
        for sink in sorted(fed_sinks(data))
        for letter in letters.of(sink)
        if _is_old(letter.record, first_kept)
    ]
    return Expiry(first_kept, days_before(data.lake, first_kept), rows, len(old), left=tuple(left))


def expire(
    data: DataDirectory,
    first_kept: date,
    *,
    postgres: PostgresPlace | None = None,
    vacuum_now: bool = False,
    on_rows: Callable[[int], None] = lambda _: None,
) -> Expiry:
    """Let every UTC day before one go; whoever is killed amid it is called again.

    Parameters
    ----------
    data
        The data directory.
    first_kept
        The first day that stays.
    postgres
        The Postgres that is fed from here, if any.
    vacuum_now
        Whether older versions of the lake go at once; else the room is free once the lake
        is vacuumed.
    on_rows
        Called with how many requests went.

    Raises
    ------
    SettingsError
        If `postgres` is not the one that is fed from here; nothing was changed.
    LakeBusyError
        If somebody else maintains the lake.
    LakeError, SpoolError
        If the lake or the dead letters cannot be written.
    """
    left = [*_unnamed(data, postgres), *_rejected(data)]
    letters = DeadLetters(data.dead_letters).revise(
        lambda record: None if _is_old(record, first_kept) else record
    )
    days = drop_days_before(data.lake, first_kept, on_rows=on_rows)
    rows = None
    if postgres is not None:
        from majordomo_analytics.drain.erasing_postgres import expire_in_postgres

        try:
            rows = expire_in_postgres(
                postgres.dsn, _begin(first_kept), schema=postgres.schema, on_rows=on_rows
            )
        except PostgresError as error:
            left.append(str(error))
    has_lake = (data.lake / "_delta_log").is_dir()
    if vacuum_now and has_lake:
        drop_history(data.lake, calm=partial(nobody_appends, data))
    old = len(old_files(data.lake)) if has_lake else 0
    return Expiry(first_kept, days, rows, letters, old, tuple(left))


def _begin(day: date) -> datetime:
    return datetime.combine(day, time.min, UTC)


def _is_old(record: bytes, first_kept: date) -> bool:
    try:
        return decode_record(record).requested_at.astimezone(UTC).date() < first_kept
    except SpoolError:  # nobody can say of when it is
        return False


def _rejected(data: DataDirectory) -> list[str]:
    """Say that rows which imports rejected are there: of when they are, nobody can say."""
    files = len(reject_files(data))
    if not files:
        return []
    return [
        f"{files:,} files in {str(data.rejects)!r} have rows that were rejected, of whatever day; "
        "remove them when they are not needed any more"
    ]


def _unnamed(data: DataDirectory, postgres: PostgresPlace | None) -> list[str]:
    """Say that a Postgres was not named; raise if it is another than is fed from here."""
    if postgres is not None:
        from majordomo_analytics.drain.pages import Pages

        check_place(data, "postgres", Pages(postgres.dsn, postgres.schema).place)
    unnamed = imported_elsewhere(data, postgres)
    if postgres is None and fed_sinks(data) - {"lake"}:
        unnamed.append("a Postgres was fed from here and is not named; give --postgres")
    return unnamed

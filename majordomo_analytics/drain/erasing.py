"""Erase one value of a metadata key wherever a data directory and its Postgres hold it.

From where rows come to where they end: what imports rejected, dead letters and spools
first, so that nothing that is erased comes back out of them, then the sinks. Each step can
be repeated; whoever is killed amid one is called again.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from majordomo_analytics.drain.dead_letters import DeadLetters
from majordomo_analytics.drain.erasing_rejects import erase_from_rejects
from majordomo_analytics.drain.erasing_spool import erase_from_spools, erased_record, is_readable
from majordomo_analytics.drain.imported import imported_elsewhere
from majordomo_analytics.drain.loop import drain_once
from majordomo_analytics.drain.removal import check_place, fed_sinks
from majordomo_analytics.drain.stillness import nobody_appends
from majordomo_analytics.errors import PostgresError, SettingsError
from majordomo_analytics.lake.erasure import erase_from_lake
from majordomo_analytics.lake.history import drop_history, old_files
from majordomo_analytics.records.metadata import MAX_NAME_CHARACTERS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from majordomo_analytics.datadir import DataDirectory
    from majordomo_analytics.drain.sinks import Sink
    from majordomo_analytics.lake.erasure import Erasure


@dataclass(frozen=True, slots=True)
class PostgresPlace:
    """A Postgres that upkeep reaches: its address, and the schema of its tables."""

    dsn: str
    schema: str = "public"


@dataclass(frozen=True, slots=True)
class ErasureReport:
    """What an erasure did, and what it could not do.

    Attributes
    ----------
    lake, postgres
        Requests that were erased there; None for a Postgres that was not reached.
    days
        UTC days of the lake that were written anew.
    spool, dead_letters
        Records that were erased while they waited.
    old_files
        Files that only older versions of the lake name, and that may hold the value.
    removed_files
        Such files that were removed.
    left
        One sentence for each place where the value may stand still.
    rejected
        Rows that imports had rejected, and that held the value.
    """

    lake: int
    days: int
    postgres: int | None
    spool: int
    dead_letters: int
    old_files: int
    removed_files: int
    left: tuple[str, ...]
    rejected: int = 0


def check_erasure(erasure: Erasure) -> None:
    """Raise `SettingsError` for what cannot be meant."""
    for key in (erasure.key, *erasure.also):
        if not key.strip() or len(key) > MAX_NAME_CHARACTERS:
            message = f"{key!r} is no metadata key; give one such as 'User-Id'"
            raise SettingsError(message)
    if not erasure.value:
        message = "there is no value to erase; give the one that was sent, such as 'u-123'"
        raise SettingsError(message)


def erase(
    data: DataDirectory,
    erasure: Erasure,
    *,
    sinks: Sequence[Sink],
    postgres: PostgresPlace | None = None,
    vacuum_now: bool = False,
    on_rows: Callable[[int], None] = lambda _: None,
) -> ErasureReport:
    """Erase a value from everything that has come in until now.

    Parameters
    ----------
    data
        The data directory.
    erasure
        What to erase.
    sinks
        Where to drain to first: what waits in the spool cannot be erased for good.
    postgres
        The Postgres that is fed from here, if any.
    vacuum_now
        Whether older versions of the lake go at once, with what they hold.
    on_rows
        Called with how many rows were looked at.

    Raises
    ------
    SettingsError
        If the key or the value is none, or `postgres` is not the one that is fed.
    LakeBusyError
        If somebody else maintains the lake.
    LakeError, SpoolError
        If the lake, a spool or the dead letters cannot be read or written. What was done
        before is done, and calling it again goes on.
    """
    check_erasure(erasure)
    for sink in sinks:
        if sink.name != "lake":
            check_place(data, sink.name, sink.place)
    left = list(drain_once(data, sinks).troubles)
    rejects = erase_from_rejects(data, erasure.value)
    left += rejects.left
    dead, unreadable = _erase_dead_letters(data, erasure)
    if unreadable:
        left.append(
            f"{unreadable:,} dead letters cannot be read, and nobody can say whose they are; "
            f"remove them from {str(data.dead_letters)!r} when they are not needed any more"
        )
    spool, waiting = erase_from_spools(data.spool, erasure)
    if waiting:
        left.append(
            f"{waiting:,} records stand in spools that workers write; reload the proxy (SIGHUP), "
            "so that they begin new ones, and erase again"
        )
    calm = partial(nobody_appends, data)
    from_lake = erase_from_lake(data.lake, erasure, calm=calm, on_rows=on_rows)
    from_postgres = None
    if postgres is not None:
        # Not before it is needed: whoever has no Postgres need not have its driver.
        from majordomo_analytics.drain.erasing_postgres import erase_from_postgres

        try:
            from_postgres = erase_from_postgres(
                postgres.dsn, erasure, schema=postgres.schema, on_rows=on_rows
            )
        except PostgresError as error:
            left.append(f"Postgres may hold it: {error}")
    elif fed_sinks(data) - {"lake"}:
        left.append("a Postgres was fed from here and is not named; give --postgres")
    left += imported_elsewhere(data, postgres)
    has_lake = (data.lake / "_delta_log").is_dir()
    removed = drop_history(data.lake, calm=calm) if vacuum_now and has_lake else 0
    if any(data.quarantine.glob("*")):
        left.append(
            f"damaged spools in {str(data.quarantine)!r} are not looked into; remove them when "
            "nothing is to be saved from them any more"
        )
    return ErasureReport(
        lake=from_lake.requests,
        days=from_lake.days,
        postgres=from_postgres,
        spool=spool,
        dead_letters=dead,
        old_files=len(old_files(data.lake)) if has_lake else 0,
        removed_files=removed,
        left=tuple(left),
        rejected=rejects.lines,
    )


def _erase_dead_letters(data: DataDirectory, erasure: Erasure) -> tuple[int, int]:
    """Return how many were meant, and how many are no records that can be read."""
    unreadable = 0

    def without(record: bytes) -> bytes | None:
        nonlocal unreadable
        unreadable += not is_readable(record)
        return erased_record(record, erasure)

    return DeadLetters(data.dead_letters).revise(without), unreadable

"""Drain the spools of a data directory into the lake, each row once.

How far a spool is drained stands in the lake itself, committed with the rows: there is no
position of our own that could disagree. A spool whose worker is gone is removed when the
lake holds all of it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from majordomo_analytics.drain.enrich import table_of
from majordomo_analytics.errors import LakeError, SpoolError
from majordomo_analytics.lake.table import (
    append_once,
    appended_up_to,
    create_lake,
    ids_held,
    lake_schema,
)
from majordomo_analytics.records.request import decode_record
from majordomo_analytics.spool.files import drain_lock, spool_files

if TYPE_CHECKING:
    from collections.abc import Callable
    from threading import Event

    from majordomo_analytics.datadir import DataDirectory
    from majordomo_analytics.spool.files import SpooledRow, SpoolFile

ROWS_PER_COMMIT = 10_000
PAUSE_S = 2.0
LOCK_WAIT_S = 60.0


@dataclass(frozen=True, slots=True)
class DrainReport:
    """What one pass over the spools did.

    Attributes
    ----------
    rows
        Rows that reached the lake.
    spools_removed
        Spools without a writer that were drained to the end and removed.
    troubles
        One sentence for each spool or sink that could not be served; nothing of it is
        lost, the next pass tries again.
    """

    rows: int = 0
    spools_removed: int = 0
    troubles: tuple[str, ...] = ()


def drain_once(
    data: DataDirectory, *, on_rows: Callable[[int], None] = lambda _: None
) -> DrainReport:
    """Drain everything that is in the spools now; wait for another drain to finish first.

    Parameters
    ----------
    data
        The data directory.
    on_rows
        Called with the number of rows each time some reached the lake.

    Raises
    ------
    SpoolError
        If another drain holds the lock for longer than a minute.
    """
    data.spool.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = drain_lock(data.spool)
    deadline = time.monotonic() + LOCK_WAIT_S
    while not lock.acquire():
        if time.monotonic() > deadline:
            message = f"another drain is at work on {str(data.root)!r} for over {LOCK_WAIT_S:g} s"
            raise SpoolError(message)
        time.sleep(0.05)
    try:
        return _drain_all(data, on_rows)
    finally:
        lock.release()


def drain_forever(
    data: DataDirectory, *, stop: Event, on_pass: Callable[[DrainReport], None] = lambda _: None
) -> None:
    """Drain every two seconds until `stop` is set, then once more."""
    while True:
        last = stop.wait(PAUSE_S)
        try:
            on_pass(drain_once(data))
        except SpoolError as error:
            on_pass(DrainReport(troubles=(str(error),)))
        if last:
            return


def _drain_all(data: DataDirectory, on_rows: Callable[[int], None]) -> DrainReport:
    report = DrainReport()
    try:
        create_lake(data.lake)
    except LakeError as error:
        return DrainReport(troubles=(str(error),))
    for spool in spool_files(data.spool):
        try:
            if report.troubles and not spool.was_never_begun() and spool.holds_rewritten_rows():
                # They may be in the older spool that made trouble: only once that one is
                # in the lake can it be told.
                continue
            rows, removed = _drain_spool(spool, data, on_rows)
        except (SpoolError, LakeError) as error:
            report = replace(report, troubles=(*report.troubles, str(error)))
        except Exception as error:  # noqa: BLE001 - one spool must not hold up the others
            trouble = f"the spool {spool.uuid} could not be drained: {error!r}"
            report = replace(report, troubles=(*report.troubles, trouble))
        else:
            report = replace(
                report,
                rows=report.rows + rows,
                spools_removed=report.spools_removed + removed,
            )
    return report


def _drain_spool(
    spool: SpoolFile, data: DataDirectory, on_rows: Callable[[int], None]
) -> tuple[int, bool]:
    """Append what the lake does not hold yet; remove the spool if its writer is gone."""
    writer_lock = spool.writer_lock
    # Taken before reading: a spool that has no writer now will never grow again.
    orphaned = writer_lock.acquire()
    try:
        if spool.was_never_begun():
            if orphaned:
                spool.unlink()
            return 0, orphaned
        appended = 0
        position = appended_up_to(data.lake, spool.uuid)
        while rows := spool.read(position, ROWS_PER_COMMIT):
            appended += _append(rows, spool, data)
            position = rows[-1].sequence
            on_rows(len(rows))
        if orphaned:
            spool.unlink()
        return appended, orphaned
    finally:
        writer_lock.release()


def _append(rows: list[SpooledRow], spool: SpoolFile, data: DataDirectory) -> int:
    rewritten = [row.id for row in rows if row.rewritten]
    held = ids_held(data.lake, rewritten) if rewritten else set()
    records = [decode_record(row.record) for row in rows if row.id not in held]
    table = table_of(records, lake_schema(data.lake), created_at=datetime.now(UTC))
    append_once(
        data.lake,
        table,
        application=spool.uuid,
        first=rows[0].sequence,
        last=rows[-1].sequence,
    )
    return len(records)

"""One batch to one sink; a row that the sink cannot hold must not stop the others."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from majordomo_analytics.drain.dead_letters import DeadLetter
from majordomo_analytics.drain.repeated import without_repeated_usage
from majordomo_analytics.drain.sinks import Place
from majordomo_analytics.errors import NewerRecordError, RowsRefusedError, SpoolError
from majordomo_analytics.records.request import decode_record

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from majordomo_analytics.drain.dead_letters import DeadLetters
    from majordomo_analytics.drain.sinks import Sink
    from majordomo_analytics.records.request import RequestRecord
    from majordomo_analytics.spool.files import SpooledRow

MOST_REFUSED = 100
"""A batch of which a sink refuses more than this is not a matter of its rows."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of a batch: rows the sink has taken, rows that are dead letters now."""

    appended: int = 0
    refused: int = 0


def deliver(rows: Sequence[SpooledRow], spool: str, sink: Sink, dead: DeadLetters) -> Delivery:
    """Give the sink a batch, without the rows that it cannot hold: those are set aside.

    Raises
    ------
    NewerRecordError
        If a newer version wrote one of the rows; nothing was delivered.
    SpoolError
        If too many rows were refused, or all of several for one reason, or they cannot be
        set aside; nothing was delivered.
    """
    place = Place(spool, rows[0].sequence, rows[-1].sequence)
    records, refused = _decode(rows)
    if not refused:
        try:
            return Delivery(_append(rows, records, sink, place))
        except RowsRefusedError:
            pass  # one of them at least; which ones is to be found out
    by_sink = refused_of(list(records.values()), sink, most=MOST_REFUSED)
    if 1 < len(records) == len(by_sink) and len({error.code for error in by_sink.values()}) == 1:
        message = (
            f"{sink.name} refuses each of {len(records)} rows of the spool {spool} for one "
            f"reason, so that they are not at fault one by one; all stay there: "
            f"{next(iter(by_sink.values()))}"
        )
        raise SpoolError(message)
    refused |= by_sink
    if len(refused) > MOST_REFUSED:
        message = f"{len(refused)} rows of the spool {spool} cannot be read; all stay there"
        raise SpoolError(message)
    aside = [row for row in rows if row.id in refused]
    dead.write(_letter(row, spool, sink, refused[row.id]) for row in aside)  # first of all
    for row in aside:
        records.pop(row.id, None)
    return Delivery(_append(rows, records, sink, place), len(aside))


def refused_of(
    records: Sequence[RequestRecord], sink: Sink, *, most: int
) -> dict[str, RowsRefusedError]:
    """Return, by id, which records the sink refuses and why; found by halving.

    Raises
    ------
    SpoolError
        If they are more than `most`.
    """
    refused: dict[str, RowsRefusedError] = {}
    todo = [records]
    while todo:
        part = todo.pop()
        if not part:
            continue
        try:
            sink.try_out(part)
        except RowsRefusedError as error:
            if len(part) > 1:
                middle = len(part) // 2
                todo += [part[middle:], part[:middle]]
                continue
            refused[part[0].id] = error
            if len(refused) > most:
                message = (
                    f"{sink.name} refuses so many rows that they are not at fault one by one; "
                    f"all stay where they are; one reason: {error}"
                )
                raise SpoolError(message) from error
    return refused


def retry_dead(sink: Sink, dead: DeadLetters, *, most: int) -> Delivery:
    """Give the sink its dead letters again; those that it takes are dead no more.

    Parameters
    ----------
    sink, dead
        Where to deliver, and what.
    most
        How many letters are read, and given in one commit, at a time.
    """
    appended = refused = 0
    letters = dead.of(sink.name, most=most)
    while letters:
        delivery = _retry(letters, sink, dead)
        appended += delivery.appended
        refused += delivery.refused
        letters = dead.of(sink.name, after=letters[-1], most=most)
    return Delivery(appended, refused)


def _retry(letters: Sequence[DeadLetter], sink: Sink, dead: DeadLetters) -> Delivery:
    records: dict[str, RequestRecord] = {}
    for letter in letters:
        with suppress(SpoolError):  # no better readable than before
            records[letter.id] = decode_record(letter.record)
    if not records:
        return Delivery(refused=len(letters))
    # A row may have come by another road since: by a spool that holds it too, or by a try
    # whose end was never seen.
    held = sink.held(records.values())
    offered = [record for request_id, record in records.items() if request_id not in held]
    refused = refused_of(offered, sink, most=len(offered))
    taken = [record for record in offered if record.id not in refused]
    if taken:
        sink.append(without_repeated_usage(taken, sink.with_usage), None)
    gone = held | {record.id for record in taken}
    dead.remove(sink.name, gone)
    return Delivery(len(gone), len(letters) - len(gone))


def _decode(
    rows: Sequence[SpooledRow],
) -> tuple[dict[str, RequestRecord], dict[str, RowsRefusedError]]:
    """Return the records by id, and why the others are none."""
    records: dict[str, RequestRecord] = {}
    unreadable: dict[str, RowsRefusedError] = {}
    for row in rows:
        try:
            records[row.id] = decode_record(row.record)
        except NewerRecordError:
            raise
        except SpoolError as error:
            unreadable[row.id] = RowsRefusedError("UnreadableRecord", str(error))
    return records, unreadable


def _append(
    rows: Sequence[SpooledRow], records: Mapping[str, RequestRecord], sink: Sink, place: Place
) -> int:
    rewritten = {row.id for row in rows if row.rewritten}
    held = sink.held([record for record in records.values() if record.id in rewritten])
    wanted = [record for request_id, record in records.items() if request_id not in held]
    return sink.append(without_repeated_usage(wanted, sink.with_usage), place)


def _letter(row: SpooledRow, spool: str, sink: Sink, why: RowsRefusedError) -> DeadLetter:
    return DeadLetter(sink.name, row.id, spool, row.sequence, why.code, str(why), bytes(row.record))

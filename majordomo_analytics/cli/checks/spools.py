"""What is on its way: spools, rows that wait, rows and spools that were set aside."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from majordomo_analytics.cli.checks.finding import Finding, age, counted, size
from majordomo_analytics.errors import DamagedSpoolError, SpoolError
from majordomo_analytics.spool.files import SUFFIX, spool_bytes, spool_files

if TYPE_CHECKING:
    from collections.abc import Iterator

    from majordomo_analytics.datadir import DataDirectory

LONGEST_WAIT = timedelta(minutes=5)
"""How long a finished request may be on its way; a drain that runs needs seconds."""

MOST_REASON_CHARACTERS = 120


def look_at_spools(data: DataDirectory) -> Iterator[Finding]:
    """Look whether every spool is sound, and whose it is."""
    written = begun = 0
    troubles = []
    spools = spool_files(data.spool)
    for spool in spools:
        has_writer = spool.has_writer()
        written += has_writer
        try:
            if spool.was_never_begun():
                continue
            with spool.told_plainly(), spool.open() as connection:
                connection.execute("pragma query_only = on")
                spool.version(connection)
                (sound,) = connection.execute("pragma quick_check(1)").fetchone()
            if sound != "ok":
                message = f"the spool {str(spool.path)!r} is damaged: {sound}"
                raise DamagedSpoolError(message)
            begun += not has_writer and spool.holds_begun_rows()
        except SpoolError as error:
            if spool.path.exists():  # else a drain has removed it: every sink has it
                damaged = isinstance(error, DamagedSpoolError)
                troubles.append((str(error), damaged and not has_writer))
    for trouble, is_handled in troubles:
        advice = "`mdm drain --once` saves what can be read, and keeps the file in quarantine."
        if not is_handled:
            advice = "The next drain says whether it can be read; its rows stay there until then."
        yield Finding("spool", "wrong", trouble, advice)
    if not spools:
        yield Finding("spool", "ok", "empty")
    elif not troubles:
        whose = f"{written:,} with a worker" if written else "none with a worker"
        summary = f"{counted(len(spools), 'file')}, {whose}, {size(spool_bytes(data.spool))}"
        if begun:
            summary += f"; {counted(begun, 'file')} with requests that were cut short"
        yield Finding("spool", "ok", summary)


def look_at_waiting_rows(data: DataDirectory) -> Iterator[Finding]:
    """Look what no sink, or not every sink, has got yet."""
    from majordomo_analytics.drain.removal import fed_place, fed_sinks
    from majordomo_analytics.drain.waiting import waiting
    from majordomo_analytics.lake.table import appended_up_to

    has_lake = data.lake.exists()
    told = {
        "the lake": waiting(data, lambda spool: appended_up_to(data.lake, spool) if has_lake else 0)
    }
    for sink in sorted(fed_sinks(data) - {"lake"}):
        place = fed_place(data, sink)
        name = f"{sink} at {place!r}" if place else sink
        told[name] = waiting(data, with_writer=False)
    now = datetime.now(UTC)
    for name, found in told.items():
        if not found.rows:
            continue
        is_late = found.oldest_at is None or now - found.oldest_at > LONGEST_WAIT
        since = f", the oldest for {age(found.oldest_at, now)}" if found.oldest_at else ""
        advice = (
            "`mdm drain --once` drains them, or says what is in the way."
            if is_late
            else "A drain that runs has them soon."
        )
        yield Finding(
            "waiting rows",
            "wrong" if is_late else "note",
            f"{counted(found.rows, 'request')} in the spool, kept for {name}{since}",
            advice,
        )
    if not any(found.rows for found in told.values()):
        yield Finding("waiting rows", "ok", "none")


def look_at_quarantine(data: DataDirectory) -> Finding:
    """Look for spools that were damaged."""
    found = sorted(data.quarantine.glob(f"*{SUFFIX}"))
    if not found:
        return Finding("quarantine", "ok", "empty")
    rows = tuple(
        {
            "file": path.name,
            "size": size(path.stat().st_size),
            "set_aside": datetime.fromtimestamp(path.stat().st_ctime, UTC),
        }
        for path in found
    )
    return Finding(
        "quarantine",
        "wrong",
        f"{counted(len(found), 'spool')} that {'was' if len(found) == 1 else 'were'} damaged",
        f"What could be read of them was drained. SQLite's .recover may read more; once they "
        f"are of no use any more, remove them from {data.quarantine}.",
        rows,
    )


def look_at_dead_letters(data: DataDirectory) -> Finding:
    """Look what sinks refused."""
    from majordomo_analytics.drain.dead_letters import DeadLetters

    try:
        kinds = DeadLetters(data.dead_letters).kinds()
    except SpoolError as error:
        return Finding("dead letters", "wrong", str(error), "Restore the file from a copy.")
    if not kinds:
        return Finding("dead letters", "ok", "none")
    rows = tuple(
        {
            "sink": kind.sink,
            "code": kind.code,
            "requests": kind.requests,
            "first_written_at": kind.first_written_at,
            "last_written_at": kind.last_written_at,
            "reason": " ".join(kind.reason.split())[:MOST_REASON_CHARACTERS],
        }
        for kind in kinds
    )
    refused = counted(sum(kind.requests for kind in kinds), "request")
    return Finding(
        "dead letters",
        "wrong",
        f"{refused} set aside: a sink refused them",
        "`mdm drain --retry-dead` gives them to the sink again.",
        rows,
    )

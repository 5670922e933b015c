"""Drain the spools of a data directory into its sinks, each row once in each.

How far a spool is drained stands in the sink itself, committed with the rows: there is no
position of our own that could disagree. Sinks are independent: one that is down, slow or
silent holds up no other. A spool whose worker is gone is removed when every sink has all
of it.
"""

from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from majordomo_analytics.drain.memory import give_back
from majordomo_analytics.drain.passes import Pass, serve
from majordomo_analytics.drain.removal import fed_place, fed_sinks, remove_drained
from majordomo_analytics.drain.sinks import LakeSink
from majordomo_analytics.errors import SpoolError
from majordomo_analytics.spool.files import spool_files

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from threading import Event

    from majordomo_analytics.datadir import DataDirectory
    from majordomo_analytics.drain.sinks import Sink

PAUSE_S = 2.0
"""How often the spools are looked into."""

REST_S = 5.0
"""How long a sink rests once it got rows: each commit to the lake makes a file and an entry
in its log, and both make every later commit and query a little slower."""

LONGEST_PAUSE_S = 30.0
"""How long a sink that is down is left alone, at most."""

LAST_PASS_S = 50.0
"""How long the end waits for a sink that does not come to an end; its rows stay."""


@dataclass(frozen=True, slots=True)
class DrainReport:
    """What one drain did.

    Attributes
    ----------
    rows
        Rows that reached the lake.
    spools_removed
        Spools without a writer that every sink has all of.
    troubles
        One sentence for each spool or sink that could not be served, and for rows that a
        sink refused; nothing is lost, the next drain tries again.
    postgres_rows
        Rows that reached Postgres.
    spools_kept_for
        Sinks that this drain was not given, and that spools are kept for.
    """

    rows: int = 0
    spools_removed: int = 0
    troubles: tuple[str, ...] = ()
    postgres_rows: int = 0
    spools_kept_for: tuple[str, ...] = ()


def drain_once(
    data: DataDirectory,
    sinks: Sequence[Sink] = (),
    *,
    on_rows: Callable[[int], None] = lambda _: None,
    again: bool = False,
) -> DrainReport:
    """Drain everything that is in the spools now; wait for another drain to finish first.

    Parameters
    ----------
    data
        The data directory.
    sinks
        Where to drain to; only to its lake if none is given.
    on_rows
        Called with the number of rows each time some reached the lake.
    again
        Whether sinks are to be given their dead letters again.
    """
    sinks = sinks or (LakeSink(data.lake),)
    data.spool.mkdir(mode=0o700, parents=True, exist_ok=True)
    passes = {
        sink.name: serve(
            data, sink, on_rows=on_rows if sink.name == "lake" else lambda _: None, again=again
        )
        for sink in sinks
    }
    removed = remove_drained(data, {name: done.positions for name, done in passes.items()})
    for sink in sinks:
        sink.close()
    return DrainReport(
        rows=passes["lake"].rows if "lake" in passes else 0,
        spools_removed=removed,
        troubles=tuple(trouble for done in passes.values() for trouble in done.troubles),
        postgres_rows=passes["postgres"].rows if "postgres" in passes else 0,
        spools_kept_for=tuple(sorted(fed_sinks(data) - passes.keys())),
    )


def drain_forever(
    data: DataDirectory,
    sinks: Sequence[Sink] = (),
    *,
    stop: Event,
    on_trouble: Callable[[str], None] = lambda _: None,
    on_pass: Callable[[str, Pass], None] = lambda _sink, _done: None,
    tend: Callable[[], None] = lambda: None,
) -> None:
    """Drain what is new, every two to five seconds, until `stop` is set; then once more.

    Parameters
    ----------
    data
        The data directory.
    sinks
        Where to drain to, each in a thread of its own; only to its lake if none is given.
    stop
        Set when the last pass is due.
    on_trouble
        Called, from any thread, with each trouble that the pass before did not have, and
        at the start with each sink that rows are kept for and that is not given.
    on_pass
        Called, from any thread, with the name of a sink and what a pass did for it.
    tend
        Called every few seconds, until `stop` is set.

    Raises
    ------
    SpoolError
        If a thread died; a new process has to begin again.
    """
    sinks = sinks or (LakeSink(data.lake),)
    data.spool.mkdir(mode=0o700, parents=True, exist_ok=True)
    # A sink that has not said yet how far it is has, as far as is known, nothing.
    positions: dict[str, dict[str, int]] = {sink.name: {} for sink in sinks}
    for name in sorted(fed_sinks(data) - positions.keys()):
        place = fed_place(data, name)
        on_trouble(
            f"the spool keeps every row for {name}{f' at {place!r}' if place else ''}, which is "
            f"fed from here and is not named now; give --{name}, or --forget-{name}"
        )

    def serve_until_stopped(sink: Sink) -> None:
        known: set[str] = set()
        finished: dict[str, int] = {}
        pause_s = PAUSE_S
        served_at = -math.inf
        last = False
        while not last:
            last = stop.wait(pause_s)
            is_due = last or known or time.monotonic() - served_at > LONGEST_PAUSE_S
            if not is_due and not _has_news(data, positions[sink.name], finished):
                pause_s = PAUSE_S
                continue
            served_at = time.monotonic()
            done = serve(data, sink, finished=finished)
            positions[sink.name] = done.positions
            if done.rows:
                give_back()
            on_pass(sink.name, done)
            for trouble in done.troubles:
                if trouble not in known:
                    on_trouble(trouble)
            known = set(done.troubles)
            if done.is_down:  # what comes back may be an older state
                finished.clear()
                pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
            else:
                pause_s = REST_S if done.rows else PAUSE_S
        sink.close()

    threads = [
        threading.Thread(target=serve_until_stopped, args=(sink,), name=sink.name, daemon=True)
        for sink in sinks
    ]
    for thread in threads:
        thread.start()
    while not stop.wait(PAUSE_S):
        remove_drained(data, dict(positions))
        tend()
        # Asked in this order: told to stop, a thread may end while this tends.
        if not all(thread.is_alive() for thread in threads) and not stop.is_set():
            message = "the drain of a sink ended unexpectedly"
            raise SpoolError(message)
    deadline = time.monotonic() + LAST_PASS_S
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    remove_drained(data, dict(positions))


def _has_news(
    data: DataDirectory, positions: Mapping[str, int], finished: Mapping[str, int]
) -> bool:
    """Return whether a pass would find anything to do for a sink that is as it was.

    To open a lake takes a hundred times as long as to look.
    """
    for spool in spool_files(data.spool):
        if spool.uuid in finished:
            continue
        try:
            if spool.was_never_begun():
                continue
            if spool.last_sequence() > positions.get(spool.uuid, 0) or not spool.has_writer():
                return True
        except SpoolError:
            return True
    return False

"""How far the sinks are behind the spools: looked up while the drain works.

In a thread of its own: a sink that hangs must not hide how late it is.
"""

from __future__ import annotations

import logging
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self

from majordomo_analytics.drain.dead_letters import DeadLetters
from majordomo_analytics.drain.waiting import finished_at
from majordomo_analytics.errors import SpoolError
from majordomo_analytics.spool.files import SUFFIX, spool_files

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from majordomo_analytics.datadir import DataDirectory
    from majordomo_analytics.drain.passes import Pass

LOOK_EVERY_S = 5.0

logger = logging.getLogger("majordomo_analytics")


@dataclass(slots=True)
class Behind:
    """What is on its way to one sink, or to any.

    Attributes
    ----------
    rows
        How many rows it has not got.
    oldest_at
        When the oldest of them was finished, in UTC; None if there is none, or none that
        can be read.
    """

    rows: int = 0
    oldest_at: datetime | None = None

    def age_s(self, now: datetime) -> float:
        """Return how old the oldest row is, in seconds; 0 if there is none."""
        return max(0.0, (now - self.oldest_at).total_seconds()) if self.oldest_at else 0.0

    def add(self, rows: int, oldest_at: datetime | None) -> None:
        """Count the rows of one more spool."""
        self.rows += rows
        known = [at for at in (self.oldest_at, oldest_at) if at is not None]
        self.oldest_at = min(known, default=None)


@dataclass(frozen=True, slots=True)
class Lag:
    """How far behind everything was at one instant.

    Attributes
    ----------
    at
        The instant, in UTC.
    sinks
        What each sink has not got, by its name.
    spool
        What some sink has not got.
    dead_letters
        How many rows lie set aside, by sink.
    quarantined
        How many damaged spools lie in quarantine.
    """

    at: datetime
    sinks: dict[str, Behind] = field(default_factory=dict)
    spool: Behind = field(default_factory=Behind)
    dead_letters: dict[str, int] = field(default_factory=dict)
    quarantined: int = 0


def lag_of(data: DataDirectory, positions: Mapping[str, Mapping[str, int]]) -> Lag:
    """Return how far each sink is behind, whose positions in the spools are given.

    A spool that cannot be read is passed over: the pass over it says what is wrong.
    """
    lag = Lag(
        datetime.now(UTC),
        {sink: Behind() for sink in positions},
        dead_letters=dict.fromkeys(positions, 0),
        quarantined=len(list(data.quarantine.glob(f"*{SUFFIX}"))),
    )
    for spool in spool_files(data.spool) if positions else ():
        try:
            if spool.was_never_begun():
                continue
            last = spool.last_sequence()
            reached = {sink: known.get(spool.uuid, 0) for sink, known in positions.items()}
            ages = {n: finished_at(spool, n) for n in set(reached.values()) if n < last}
        except SpoolError:
            continue
        for sink, number in reached.items():
            lag.sinks[sink].add(last - number, ages.get(number))
        least = min(reached.values())
        lag.spool.add(last - least, ages.get(least))
    with suppress(SpoolError):
        for kind in DeadLetters(data.dead_letters).kinds():
            lag.dead_letters[kind.sink] = lag.dead_letters.get(kind.sink, 0) + kind.requests
    return lag


class LagWatch:
    """Looks every few seconds, in a thread of its own, while a block runs.

    Parameters
    ----------
    data
        The data directory.
    on_lag
        Called with what was found.
    """

    def __init__(self, data: DataDirectory, on_lag: Callable[[Lag], None]) -> None:
        self._data = data
        self._on_lag = on_lag
        self._positions: dict[str, dict[str, int]] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lag", daemon=True)

    def on_pass(self, sink: str, done: Pass) -> None:
        """Take note of how far a sink has come; one that is down is where it was.

        One that has not told yet where that is is left out: nobody knows what it has.
        """
        known = self._positions.get(sink) if done.is_down else {}
        if known is not None or done.positions:
            self._positions[sink] = {**(known or {}), **done.positions}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(LOOK_EVERY_S)

    def _run(self) -> None:
        while True:
            try:
                self._on_lag(lag_of(self._data, dict(self._positions)))
            except Exception:
                # The drain itself goes on: what it does is more than what is said of it.
                logger.exception("how far the sinks are behind could not be looked up")
            if self._stop.wait(LOOK_EVERY_S):
                return

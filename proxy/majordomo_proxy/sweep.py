"""One look at every open request, some times a second, instead of timers for each.

A timer of its own costs a request as much as relaying it, and one that is set anew for
each chunk of a stream costs more than reading it.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

SWEEP_S = 0.05

logger = logging.getLogger("majordomo_proxy")


class Open(Protocol):
    """Something whose waiting has to end some time."""

    def look(self, now: float) -> None:
        """End what has waited too long; `now` is the loop's time."""


class Sweep:
    """Looks after what is open."""

    def __init__(self) -> None:
        self._open: set[Open] = set()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look; inside the running loop."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    def stop(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()

    def enter(self, one: Open) -> None:
        """Look after `one` from now on."""
        self._open.add(one)

    def leave(self, one: Open) -> None:
        """Look after `one` no more."""
        self._open.discard(one)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(SWEEP_S)
            now = loop.time()
            for one in tuple(self._open):
                try:
                    one.look(now)
                except Exception:
                    # The others must be looked after, too.
                    logger.exception("a request could not be looked after")

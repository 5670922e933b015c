"""One look at every open request, some times a second, instead of timers for each.

A timer of its own costs a request as much as relaying it, and one that is set anew for
each chunk of a stream costs more than reading it.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

SWEEP_S = 0.05
FIRST_LOOK_S = 0.02
"""How soon a request gets its first look, at the latest."""

logger = logging.getLogger("majordomo_proxy")


class Open(Protocol):
    """Something whose waiting has to end some time."""

    def look_first(self) -> None:
        """See to what is due once, soon after it was begun."""

    def look(self, now: float) -> None:
        """End what has waited too long; `now` is the loop's time."""


class Sweep:
    """Looks after what is open; sleeps while nothing is."""

    def __init__(self) -> None:
        self._open: set[Open] = set()
        self._new: list[Open] = []
        self._is_wanted = asyncio.Event()
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
        self._new.append(one)
        if not self._is_wanted.is_set():
            self._is_wanted.set()

    def leave(self, one: Open) -> None:
        """Look after `one` no more."""
        self._open.discard(one)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        next_sweep = 0.0
        while True:
            if not self._open:
                self._new.clear()
                self._is_wanted.clear()
                await self._is_wanted.wait()
            await asyncio.sleep(FIRST_LOOK_S)
            new, self._new = self._new, []
            for one in new:
                if one in self._open:
                    _carefully(one.look_first)
            now = loop.time()
            if now >= next_sweep:
                next_sweep = now + SWEEP_S
                for one in tuple(self._open):
                    _carefully(one.look, now)


def _carefully(look: Callable[..., None], *arguments: float) -> None:
    try:
        look(*arguments)
    except Exception:
        # The others must be looked after, too.
        logger.exception("a request could not be looked after")

"""New settings: workers that have them take the places of those that have not, one by one.

A new worker serves before an old one is told to make room, so that there is no moment with
fewer of them. Nothing else changes before the first new worker serves: settings that none
can start with are given up.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from majordomo_proxy.children import Child
    from majordomo_proxy.settings import Settings

READY_WITHIN_S = 60.0


@dataclass(slots=True)
class Rollout:
    """One reload that is under way.

    Attributes
    ----------
    settings
        The new ones.
    old
        Workers that have not been told to make room.
    to_start
        How many new workers are missing.
    fresh
        The new worker that does not serve yet.
    is_proven
        Whether one of them has served.
    """

    settings: Settings
    old: list[Child]
    to_start: int
    fresh: Child | None = None
    is_proven: bool = False

    def failure(self) -> str | None:
        """Return what is wrong with the fresh worker; None while it may come to serve."""
        fresh = self.fresh
        if fresh is None or fresh.process is None or fresh.is_ready:
            return None
        status = fresh.process.poll()
        if status is not None:
            return f"{fresh.name} ended with status {status}"
        if time.monotonic() - fresh.started_at > READY_WITHIN_S:
            return f"{fresh.name} does not serve after {READY_WITHIN_S:g} s"
        return None

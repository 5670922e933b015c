"""Have nobody append to the lake for a while: no drain, no import."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from majordomo_analytics.drain.passes import LOCK_WAIT_S
from majordomo_analytics.errors import LakeError
from majordomo_analytics.spool.locks import Lock, drain_lock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from majordomo_analytics.datadir import DataDirectory

WAIT_S = LOCK_WAIT_S
"""How long whoever appends may take to come to an end."""


@contextmanager
def nobody_appends(data: DataDirectory) -> Iterator[None]:
    """Hold the locks of whoever appends to the lake; what they have in hand waits.

    Raises
    ------
    LakeError
        If a drain or an import is at work for longer than can be waited.
    """
    with ExitStack() as held:
        for who, lock in (("a drain", drain_lock(data.spool)), ("an import", import_lock(data))):
            if not lock.acquire_within(WAIT_S):
                message = (
                    f"{who} is at work on {str(data.root)!r} for over {WAIT_S:g} s; call "
                    "it again when that is done"
                )
                raise LakeError(message)
            held.callback(lock.release)
        yield


def import_lock(data: DataDirectory) -> Lock:
    """Return the lock that an import holds while it is at work."""
    return Lock(data.root / "import.lock")

"""Locks on files of their own; the kernel frees them when their holder dies."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from majordomo_analytics.errors import SpoolError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ADOPTION_WAIT_S = 60.0
LOOK_S = 0.01


class Lock:
    """An exclusive lock on a file that is there for nothing else."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    @property
    def made_at_ns(self) -> int:
        """When the file was made, in nanoseconds since 1970; it is never written to."""
        return self._path.stat().st_mtime_ns

    def acquire(self) -> bool:
        """Take the lock if nobody holds it; return whether it was taken."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        return True

    def is_held(self) -> bool:
        """Return whether somebody holds the lock just now; look, and leave no file."""
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def acquire_within(self, seconds: float) -> bool:
        """Wait for the lock for some time; return whether it was taken."""
        deadline = time.monotonic() + seconds
        while not self.acquire():
            if time.monotonic() > deadline:
                return False
            time.sleep(LOOK_S)
        return True

    def release(self) -> None:
        """Give the lock back; it may be taken again afterwards."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


@contextmanager
def adopting(folder: Path) -> Iterator[None]:
    """Hold the lock under which spools of `folder` are adopted, by any thread or process.

    Raises
    ------
    SpoolError
        If somebody else holds it for a minute.
    """
    lock = drain_lock(folder, "adoption")
    if not lock.acquire_within(ADOPTION_WAIT_S):
        message = f"another drain adopts spools in {str(folder)!r} for over a minute"
        raise SpoolError(message)
    try:
        yield
    finally:
        lock.release()


def drain_lock(folder: Path, sink: str = "lake") -> Lock:
    """Return the lock that whoever drains `folder` to a sink holds while at it."""
    return Lock(folder / ("drain.lock" if sink == "lake" else f"drain-{sink}.lock"))

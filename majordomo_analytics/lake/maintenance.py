"""The one lock under which the lake is maintained.

Promotion, compaction, vacuum, erasure and retention rewrite what is there, and two of them
at once could each keep a row that the other took away. The drain takes no lock: it only
appends. The lock is a file beside the lake, which the kernel frees when its holder dies.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from majordomo_analytics.errors import LakeBusyError, LakeError, LakeNotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterator

SUFFIX = ".maintenance"
LOOK_S = 0.05


@contextmanager
def maintenance(uri: str | Path, *, doing: str, patience_s: float = 0.0) -> Iterator[Path]:
    """Hold the maintenance lock of the lake at `uri`; give the lake's own path.

    Parameters
    ----------
    uri
        Where the lake lies: a folder of this machine.
    doing
        What it is held for, in one or two words; whoever is refused is told.
    patience_s
        How long to wait for somebody else to be done with it, in seconds.

    Raises
    ------
    LakeNotFoundError
        If there is no lake.
    LakeBusyError
        If somebody else holds the lock; the error says who, and since when.
    LakeError
        If the lake is not on a disk of this machine, or the lock's file cannot be written.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from majordomo_analytics.lake.table import create_lake
    >>> with TemporaryDirectory() as folder:
    ...     create_lake(folder + "/lake")
    ...     with maintenance(folder + "/lake", doing="a look") as lake:
    ...         lake.name
    'lake'
    """
    lake = local_path(uri)
    if not lake.is_dir():
        message = f"there is no lake at {str(uri)!r} yet"
        raise LakeNotFoundError(message)
    path = lake.with_name(lake.name + SUFFIX)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        message = f"the lake at {str(uri)!r} cannot be maintained: {error}"
        raise LakeError(message) from error
    try:
        deadline = time.monotonic() + patience_s
        while not _taken(descriptor):
            if time.monotonic() >= deadline:
                raise LakeBusyError(str(uri), doing, _holder(descriptor))
            time.sleep(LOOK_S)
        _sign(descriptor, doing)
        yield lake
        os.ftruncate(descriptor, 0)  # the next holder has signed nothing yet
    finally:
        os.close(descriptor)


def local_path(uri: str | Path) -> Path:
    """Return the folder of a lake on this machine, links followed: one lake has one lock.

    Raises
    ------
    LakeError
        If the lake is somewhere else.
    """
    if "://" in str(uri):
        message = f"the lake at {str(uri)!r} is not on a disk of this machine; run this where it is"
        raise LakeError(message)
    return Path(uri).resolve()


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _sign(descriptor: int, doing: str) -> None:
    signed = {
        "doing": doing,
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps(signed).encode(), 0)


def _holder(descriptor: int) -> str:
    """Return who holds the lock, in words; it may be about to sign."""
    try:
        signed = json.loads(os.pread(descriptor, 4096, 0))
        return (
            f"{signed['doing']} by process {signed['pid']} on {signed['host']} "
            f"since {signed['since']}"
        )
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"

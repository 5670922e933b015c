"""The one lock of everything that rewrites or removes what the lake holds.

Compaction, promotion, erasure and retention each begin from the files of one version; two
of them at once would undo each other's work. Appending needs no lock.
"""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from majordomo_analytics.errors import LakeBusyError, LakeError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def maintenance(lake_uri: str | Path, *, doing: str) -> Iterator[None]:
    """Hold the maintenance lock of a lake; the kernel frees it when its holder dies.

    Parameters
    ----------
    lake_uri
        Where the lake is.
    doing
        What it is held for, as others are told who want it: ``"erasure"``.

    Raises
    ------
    LakeBusyError
        If somebody else holds it.
    LakeError
        If there can be no lock there.
    """
    path = lock_path(lake_uri)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        message = f"the lake at {str(lake_uri)!r} cannot be locked: {error.strerror or error}"
        raise LakeError(message) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LakeBusyError(str(lake_uri), doing, _holder(descriptor)) from None
        holder = {
            "doing": doing,
            "pid": os.getpid(),
            "since": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(holder).encode(), 0)
        yield
        os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def lock_path(lake_uri: str | Path) -> Path:
    """Return the file that is locked; it lies beside the table."""
    path = Path(lake_uri)
    return path.with_name(f"{path.name}.maintenance")


def _holder(descriptor: int) -> str:
    """Return who holds the lock, as far as they have said."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        said = json.loads(os.pread(descriptor, 1000, 0))
        return f"{said['doing']} (process {said['pid']}, since {said['since']})"
    return "another process"

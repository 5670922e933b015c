"""The folder in which each process keeps its counts; whoever is asked adds them up.

A file belongs to a name, not to a process id: a worker that takes the place of one that
died goes on counting in its file. So counters never go backwards, and there are never more
files than processes that ran at once.
"""

from __future__ import annotations

import errno
import logging
import os
import shutil
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest, multiprocess, values

from majordomo_proxy.meters import METERS

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
FILE_BYTES = 2**20
"""Room for some thousand series; a file never grows beyond it."""

CANNOT_RESERVE = frozenset({errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL})
"""What a file system answers that knows no reserving."""

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

logger = logging.getLogger("majordomo_proxy")


def fresh_folder(parent: Path) -> Path:
    """Return a folder for the counts of this run; those of runs that are over go."""
    for folder in (parent.parent, parent):  # mkdir gives its mode to the last one only
        folder.mkdir(mode=0o700, exist_ok=True)
        folder.chmod(0o700)  # an earlier version left it open
    for old in parent.iterdir():
        if not _is_alive(old.name):
            shutil.rmtree(old, ignore_errors=True)
    fresh = parent / str(os.getpid())
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    return fresh


def running(parent: Path) -> list[int]:
    """Return the process ids of the supervisors that run on a data directory."""
    if not parent.exists():
        return []
    return sorted(int(one.name) for one in parent.iterdir() if _is_alive(one.name))


def join(process: str, folder: Path | None = None) -> bool:
    """Count in files of this name from now on; return whether there is a folder for it.

    Parameters
    ----------
    process
        A name that no other process has that runs now.
    folder
        Where; otherwise where the supervisor said.
    """
    if folder is not None:
        os.environ[FOLDER_VARIABLE] = str(folder.absolute())
    if FOLDER_VARIABLE not in os.environ:
        return False
    try:
        _reserve(process, Path(os.environ[FOLDER_VARIABLE]))
    except OSError as error:
        logger.error("%s counts for itself only: %s", process, error)
        del os.environ[FOLDER_VARIABLE]
        # The library chose when it was imported, while the variable stood.
        values.ValueClass = values.MutexValue
        return False
    made = values.MultiProcessValue(lambda: process)  # type: ignore[no-untyped-call]
    values.ValueClass = made
    return True


def forget(process: str, folder: Path) -> None:
    """Take away what is true of a process only while it lives."""
    multiprocess.mark_process_dead(process, str(folder))  # type: ignore[no-untyped-call]


def board() -> CollectorRegistry | None:
    """Return the counts of all processes, or None if this one counts for itself."""
    if FOLDER_VARIABLE not in os.environ:
        return None
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return registry


def text(own: CollectorRegistry) -> bytes:
    """Return the counts of all processes, or else those in `own`, for Prometheus."""
    try:
        return generate_latest(board() or own)
    except (OSError, ValueError) as error:  # the folder is gone, or cannot be read
        logger.warning("the counts of other processes are not shown: %s", error)
        return generate_latest(own)


def _reserve(process: str, folder: Path) -> None:
    """Have the disk give room to every file of a process before it is written to.

    They are mapped into memory: a disk that is full later would kill the process at a
    count.
    """
    modes = {meter.mode for meter in METERS.values() if meter.kind == "gauge"}
    for kind in ("counter", "histogram", *(f"gauge_{mode}" for mode in modes)):
        path = folder / f"{kind}_{process}.db"
        if path.exists():
            _give_room(path)
            continue
        # Who reads all files meanwhile would fail at one that is empty.
        fresh = path.with_suffix(".new")
        try:
            _give_room(fresh)
            fresh.rename(path)
        finally:
            fresh.unlink(missing_ok=True)


def _give_room(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        os.posix_fallocate(descriptor, 0, FILE_BYTES)
    except OSError as error:
        if error.errno not in CANNOT_RESERVE:
            raise
        # What was written has room on most of those file systems, too.
        missing = FILE_BYTES - os.fstat(descriptor).st_size
        if missing > 0:
            os.lseek(descriptor, 0, os.SEEK_END)
            with open(descriptor, "wb", closefd=False) as file:
                file.write(bytes(missing))
    finally:
        os.close(descriptor)


def _is_alive(name: str) -> bool:
    try:
        os.kill(int(name), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        return True  # it lives, under another user
    return True

"""The folder in which each process keeps its counts; whoever is asked adds them up.

A file belongs to a name, not to a process id: a worker that takes the place of one that
died goes on counting in its file. So counters never go backwards, and there are never more
files than processes that ran at once.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import shutil
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from prometheus_client import CollectorRegistry, generate_latest, multiprocess, values
from prometheus_client.mmap_dict import MmapedDict

from majordomo_analytics.spool.locks import Lock
from majordomo_proxy.meters import METERS

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
LOCK_NAME = "supervisor.lock"
BEGINNING_S = 60.0
"""How long a folder may be there before it is locked."""

FILE_BYTES = 2**20
"""Room for some thousand series; a file never grows beyond it."""

CANNOT_RESERVE = frozenset({errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL})
"""What a file system answers that knows no reserving."""

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

logger = logging.getLogger("majordomo_proxy")


@contextmanager
def folder_of_run(parent: Path) -> Iterator[Path]:
    """Make a folder for the counts of this run, and take it away after the block.

    Its lock is held meanwhile: a process id says nothing to who runs in another container.
    The folders of runs that are over go now.
    """
    for folder in (parent.parent, parent):  # mkdir gives its mode to the last one only
        folder.mkdir(mode=0o700, exist_ok=True)
        folder.chmod(0o700)  # an earlier version left it open
    for old in parent.iterdir():
        _remove_if_over(old)
    name = f"{os.getpid()}-{uuid4().hex}"
    hidden, folder = parent / f".{name}", parent / name
    hidden.mkdir(mode=0o700)
    lock = Lock(hidden / LOCK_NAME)
    try:
        lock.acquire()
        hidden.rename(folder)  # from now on others see it, and find it locked
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        lock.release()


def running(parent: Path) -> list[int]:
    """Return the process ids of the supervisors that run on a data directory."""
    locks = parent.glob(f"[0-9]*/{LOCK_NAME}")
    return sorted(int(path.parent.name.split("-")[0]) for path in locks if Lock(path).is_held())


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


def forget_series(process: str, folder: Path, **labels: str) -> None:
    """Take series with these labels away from what stays of a process after its end.

    For what it did and its next bearer of the name will not: a time at which something was
    last done would get old for ever.
    """
    path = folder / f"gauge_mostrecent_{process}.db"
    if not path.exists():
        return
    fresh = path.with_suffix(".new")
    try:
        _give_room(fresh)
        kept = MmapedDict(str(fresh))  # type: ignore[no-untyped-call]
        for key, value, timestamp, _ in MmapedDict.read_all_values_from_file(str(path)):  # type: ignore[no-untyped-call]
            if not labels.items() <= json.loads(key)[2].items():
                kept.write_value(key, value, timestamp)  # type: ignore[no-untyped-call]
        kept.close()  # type: ignore[no-untyped-call]
        fresh.rename(path)  # who reads just now sees the one or the other
    except OSError as error:
        logger.warning("series of %s stay though nobody updates them: %s", process, error)
    finally:
        fresh.unlink(missing_ok=True)


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


def _remove_if_over(folder: Path) -> None:
    """Remove the folder of a run whose supervisor does not live."""
    if Lock(folder / LOCK_NAME).is_held():
        return
    with suppress(OSError):
        if folder.name.startswith(".") and time.time() - folder.stat().st_mtime < BEGINNING_S:
            return  # one begins, and has not locked it yet
        shutil.rmtree(folder)

"""Remove spools that no worker writes and that every sink has all of.

Which sinks a data directory feeds, and where they are, is remembered in it: a drain that
was started without one of them, or with another one in its stead, must not remove what
that one still needs.
"""

from __future__ import annotations

import os
import uuid
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from majordomo_analytics.errors import SettingsError, SpoolError
from majordomo_analytics.spool.files import flush, remove_strays, spool_files

if TYPE_CHECKING:
    from collections.abc import Mapping

    from majordomo_analytics.datadir import DataDirectory
    from majordomo_analytics.spool.files import SpoolFile

FED = "{}.fed"
"""Name of the file in the spool folder that says a sink is fed from it, and which."""

CLOCK_SHIFT_MS = 3_600_000
"""How far the clock may have been set back since a spool was begun."""


def remember_sink(data: DataDirectory, sink: str, place: str) -> None:
    """Note that the sink at `place` has to have every row before it may go."""
    path = data.spool / FED.format(sink)
    if fed_place(data, sink) == place:
        return
    draft = path.with_suffix(".fed-new")
    draft.touch(mode=0o600)
    draft.write_text(place, "utf-8")
    flush(draft)
    draft.replace(path)
    flush(data.spool)


def expect_sink(data: DataDirectory, sink: str) -> None:
    """Note that rows are written for a sink that may not have been reached yet.

    Before the first of them is: until its drain has reached the sink, nothing else says so,
    and a drain that is started without it would remove them.
    """
    if fed_place(data, sink) is None:
        data.spool.mkdir(mode=0o700, parents=True, exist_ok=True)
        remember_sink(data, sink, "")


def fed_place(data: DataDirectory, sink: str) -> str | None:
    """Return where a sink is that was fed from here; None if it was not.

    An empty text is one that has not been reached yet, or that an earlier version fed,
    which did not note where it is.
    """
    try:
        return (data.spool / FED.format(sink)).read_text("utf-8")
    except FileNotFoundError:
        return None


def check_place(data: DataDirectory, sink: str, place: str) -> None:
    """Raise `SettingsError` if rows are kept for a sink of this name that is elsewhere."""
    fed = fed_place(data, sink)
    if fed and fed != place:
        message = (
            f"the rows in {str(data.spool)!r} are for the one at {fed!r}, not for the one at "
            f"{place!r}; `mdm drain --forget-{sink} --{sink} ADDRESS` goes on with another one, "
            "and the first gets no more"
        )
        raise SettingsError(message)


def forget_sink(data: DataDirectory, sink: str) -> bool:
    """Let rows go without a sink; return whether it had been fed."""
    path = data.spool / FED.format(sink)
    was_fed = path.exists()
    path.unlink(missing_ok=True)
    return was_fed


def fed_sinks(data: DataDirectory) -> set[str]:
    """Return the names of the sinks that rows have to reach; the lake always is one."""
    return {"lake", *(path.stem for path in data.spool.glob(FED.format("*")))}


def remove_drained(data: DataDirectory, positions: Mapping[str, Mapping[str, int]]) -> int:
    """Remove the spools without a writer that every sink has all of; return how many.

    Parameters
    ----------
    data
        The data directory.
    positions
        For each sink by name, how far it has come in each spool, as it said itself.
    """
    if not fed_sinks(data) <= positions.keys():
        return 0
    removed = 0
    for spool in spool_files(data.spool):
        lock = spool.writer_lock
        try:
            # Taken first: a spool that has no writer now will never grow again.
            if not lock.acquire():
                continue
            if not spool.path.exists():  # somebody else removed it just now
                spool.unlink()
            elif spool.was_never_begun():
                spool.unlink()
                removed += 1
            elif not spool.holds_begun_rows() and _is_everywhere(spool, positions):
                flush_since(data.lake.parent, _begun_at_ms(spool))
                flush(data.root)  # the entry of the lake's folder, should it be new
                spool.unlink()
                removed += 1
        except (SpoolError, OSError):
            continue  # it stays, and whoever drains it says what is wrong with it
        finally:
            lock.release()
    remove_strays(data.spool)
    return removed


def _is_everywhere(spool: SpoolFile, positions: Mapping[str, Mapping[str, int]]) -> bool:
    reached = [position.get(spool.uuid, -1) for position in positions.values()]
    return min(reached) >= 0 and min(reached) >= spool.last_sequence()


def flush_since(folder: Path, since_ms: int) -> None:
    """Have the disk hold what was written to `folder` since then, before a spool goes.

    A Delta commit is atomic, but it leaves the flushing to the operating system: the lake
    could lose it with the power, minutes after the spool that could make it anew is gone.
    """
    since_ns = since_ms * 1_000_000
    for directory, _, names in os.walk(folder):
        written = [Path(directory, name) for name in names]
        written = [path for path in written if path.stat().st_mtime_ns >= since_ns]
        for path in written:
            flush(path)
        # A new folder, as of a new day, is an entry in the one above it.
        if written or Path(directory).stat().st_mtime_ns >= since_ns:
            flush(Path(directory))


def _begun_at_ms(spool: SpoolFile) -> int:
    """Return when a spool was begun, less `CLOCK_SHIFT_MS`; 0 if its name does not say.

    Once the clock of its worker was set back, the name is ahead of it: names go on to sort
    by age. Its lock is made with it, and has the time of that clock.
    """
    try:
        made = uuid.UUID(spool.uuid)
    except ValueError:
        return 0
    if made.version != 7:
        return 0
    begun_ms = made.int >> 80
    with suppress(FileNotFoundError):
        begun_ms = min(begun_ms, spool.writer_lock.made_at_ns // 1_000_000)
    return begun_ms - CLOCK_SHIFT_MS

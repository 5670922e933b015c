"""The data directory itself: who can read it, what room there is, what runs on it."""

from __future__ import annotations

import shutil
import sqlite3
import stat
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from majordomo_analytics.cli.checks.finding import Finding, age, counted, size
from majordomo_analytics.datadir import LAYOUT_VERSION
from majordomo_analytics.spool.files import spool_bytes
from majordomo_analytics.spool.locks import Lock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from majordomo_analytics.datadir import DataDirectory

OTHERS = stat.S_IRWXG | stat.S_IRWXO
LITTLE_BYTES = 10**9
OLD_PRICES = timedelta(days=90)


def look_at_directory(data: DataDirectory) -> Finding:
    """Look who else can read what is written."""
    name = "data directory"
    open_to_others = [path for path in _private(data) if _mode(path) & OTHERS]
    if open_to_others:
        tops = sorted(
            {str(data.root / path.relative_to(data.root).parts[0]) for path in open_to_others}
        )
        return Finding(
            name,
            "wrong",
            f"{counted(len(open_to_others), 'file')} that others on this machine may use",
            f"Take the rights away: chmod -R go= {' '.join(tops)}",
            tuple(
                {"path": str(path.relative_to(data.root)), "mode": f"{_mode(path):04o}"}
                for path in open_to_others
            ),
        )
    if _mode(data.root) & OTHERS:
        return Finding(
            name,
            "note",
            f"layout {LAYOUT_VERSION}; others may enter it (mode {_mode(data.root):04o})",
            "Right if they are to read the lake; else: chmod go= " + str(data.root),
        )
    return Finding(name, "ok", f"layout {LAYOUT_VERSION}, for its owner only")


def _private(data: DataDirectory) -> Iterator[Path]:
    """Yield what nobody but the owner has to read."""
    yield from data.root.glob("*.sqlite*")
    for folder in (data.spool, data.quarantine, data.metrics.parent):
        if folder.exists():
            yield folder
            yield from (path for path in folder.rglob("*") if not path.is_symlink())


def _mode(path: Path) -> int:
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:  # it was removed meanwhile
        return 0


def look_at_disk(data: DataDirectory, spool_max_bytes: int) -> Finding:
    """Look whether the spool has the room that it may take."""
    free = shutil.disk_usage(data.root).free
    taken = spool_bytes(data.spool)
    summary = f"{size(free)} free; the spool takes {size(taken)} of {size(spool_max_bytes)}"
    if free >= spool_max_bytes - taken:
        return Finding("disk", "ok", summary)
    advice = (
        "The disk would be full before the spool is: give it more room, or lower the setting "
        "spool_max_bytes (MAJORDOMO_SPOOL_MAX_BYTES) so that the proxy refuses in time."
    )
    return Finding("disk", "wrong" if free < LITTLE_BYTES else "note", summary, advice)


def look_at_proxy(data: DataDirectory) -> Finding:
    """Look whether a proxy runs here."""
    running = _supervisors(data.metrics)
    if not running:
        advice = "`mdm proxy` relays calls and drains; `mdm drain --once` drains what is there."
        return Finding("proxy", "note", "none runs on this data directory", advice)
    pids = ", ".join(map(str, running))
    return Finding("proxy", "ok", f"{counted(len(running), 'supervisor')} (process {pids})")


def _supervisors(folder: Path) -> list[int]:
    """Return the process ids of those that hold the lock of their run.

    As they see themselves: one in a container of its own is process 1, as others may be.
    """
    locks = [path for path in folder.glob("[0-9]*/supervisor.lock") if Lock(path).is_held()]
    return sorted(int(path.parent.name.split("-")[0]) for path in locks)


def look_at_api_keys(data: DataDirectory) -> Finding:
    """Look whether anybody may call."""
    name = "API keys"
    advice = "`mdm keys create --name NAME` makes one; callers are refused without."
    if not data.api_keys.exists():
        return Finding(name, "note", "there are none yet", advice)
    try:
        address = f"{data.api_keys.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(address, uri=True)) as connection:
            (sound,) = connection.execute("pragma quick_check(1)").fetchone()
            active, gone = connection.execute(
                "select count(*) filter (where revoked_at is null), "
                "count(*) filter (where revoked_at is not null) from api_keys"
            ).fetchone()
    except sqlite3.Error as error:
        sound = str(error)
    if sound != "ok":
        advice = (
            "Workers that run go on with the keys they know; none can start. Restore the file "
            "from a copy, or move it away, and make new keys."
        )
        return Finding(name, "wrong", f"{data.api_keys.name} cannot be read: {sound}", advice)
    if not active:
        return Finding(name, "note", f"none is active, {gone:,} revoked", advice)
    return Finding(name, "ok", f"{active:,} active, {gone:,} revoked")


def look_at_prices(data: DataDirectory) -> Finding:
    """Look how old the price lists are, and whether the price book can be read."""
    from majordomo_analytics.errors import PriceBookError
    from majordomo_analytics.pricing.bookfile import price_book_for
    from majordomo_analytics.pricing.lists import current_prices

    try:
        book = price_book_for(data, None)
    except PriceBookError as error:
        advice = "The drain does not start with it; mend the line, or move the file away."
        return Finding("prices", "wrong", str(error), advice)
    prices = current_prices()
    since = prices.since
    summary = f"{prices.version}, here for {age(since)}" + (", and a price book" if book else "")
    if datetime.now(UTC) - since > OLD_PRICES:
        advice = "Newer lists know newer models: pip install --upgrade genai-prices."
        return Finding("prices", "note", summary, advice)
    return Finding("prices", "ok", summary)

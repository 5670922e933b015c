"""The newest snapshot of a local lake, taken anew only when there is a newer one.

To open a table reads its log, which takes longer the more files there are; whether it has
gone on is seen by one name: Delta's protocol has the entry of version n + 1 appear whole,
under the name of that version, and never change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from majordomo_analytics.lake.table import take_snapshot

if TYPE_CHECKING:
    from pathlib import Path

    from majordomo_analytics.lake.table import LakeSnapshot


class NewestSnapshot:
    """Gives the newest snapshot of the lake in a folder.

    Parameters
    ----------
    lake
        The folder of the table.
    """

    def __init__(self, lake: Path) -> None:
        self._lake = lake
        self._held: tuple[LakeSnapshot, tuple[int, ...]] | None = None

    def take(self) -> LakeSnapshot:
        """Return it; the same object until the lake changes.

        Raises
        ------
        LakeNotFoundError
            If there is no Delta table.
        LakeError
            If it cannot be read, or a newer version of this package laid it out.
        """
        held = self._held
        if held is not None:
            snapshot, seen = held
            goes_on = self._entry(snapshot.version + 1).exists()
            if seen and not goes_on and self._state(snapshot.version) == seen:
                return snapshot
        snapshot = take_snapshot(self._lake)
        self._held = snapshot, self._state(snapshot.version)
        return snapshot

    def _entry(self, version: int) -> Path:
        return self._lake / "_delta_log" / f"{version:020d}.json"

    def _state(self, version: int) -> tuple[int, ...]:
        """Return what tells an entry from that of another table made in its place.

        Empty where there is none: a log that was cleaned up tells nothing.
        """
        try:
            found = self._entry(version).stat()
        except OSError:
            return ()
        return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns

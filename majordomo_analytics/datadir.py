"""The data directory: where spool, lake and API keys lie, and which layout they have."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

from majordomo_analytics.errors import DataDirectoryError, NewerLayoutError

LAYOUT_VERSION = 1
MARKER = "majordomo.json"
DRAFT = "majordomo.new"
NOBODYS = frozenset({DRAFT, "lost+found"})
"""What makes a folder no less empty: our own unfinished marker, the disk's own folder."""

UNUSABLE = re.compile(r"[\[\]\\^|\x00-\x1f\x7f\ud800-\udfff]|%[0-9A-Fa-f]{2}")
"""What the lake's library takes for something else in a path, or does not take at all."""


@dataclass(frozen=True, slots=True)
class DataDirectory:
    """The places inside one data directory.

    Attributes
    ----------
    root
        The directory itself; it holds the marker file with the layout version.
    """

    root: Path

    @property
    def lake(self) -> Path:
        """The Delta table of requests."""
        return self.root / "lake" / "llm_requests"

    @property
    def registry(self) -> Path:
        """The SQLite file of what is known of metadata keys; made anew from the lake."""
        return self.root / "registry.sqlite"

    @property
    def spool(self) -> Path:
        """The folder of spool files, one for each worker."""
        return self.root / "spool"

    @property
    def dead_letters(self) -> Path:
        """The SQLite file of rows that a sink cannot hold."""
        return self.root / "dead_letters.sqlite"

    @property
    def quarantine(self) -> Path:
        """The folder of damaged spool files, kept as they were found."""
        return self.root / "quarantine"

    @property
    def rejects(self) -> Path:
        """The folder of rows that imports rejected, a file of JSON lines for each."""
        return self.root / "rejects"

    @property
    def api_keys(self) -> Path:
        """The SQLite file of API keys."""
        return self.root / "api_keys.sqlite"

    @property
    def price_book(self) -> Path:
        """The TOML file of one's own prices; it need not be there."""
        return self.root / "prices.toml"

    @property
    def metrics(self) -> Path:
        """Counters of the running processes, made anew at each start."""
        return self.root / "run" / "metrics"

    @classmethod
    def open(cls, path: str | Path) -> DataDirectory:
        """Return the data directory at `path`, changing nothing.

        Raises
        ------
        DataDirectoryError
            If `path` does not exist, is empty, or is not a data directory.
        NewerLayoutError
            If a newer version of this package wrote it.
        """
        root = Path(path)
        if not root.exists():
            message = (
                f"there is no data directory at {str(root)!r}; `mdm proxy --data DIR` or "
                "`mdm demo --data DIR` makes one"
            )
            raise DataDirectoryError(message)
        if not root.is_dir():
            message = f"{str(root)!r} is a file; a data directory is a folder"
            raise DataDirectoryError(message)
        marker = root / MARKER
        if not marker.exists():
            what = "is empty" if not any(root.iterdir()) else f"has no {MARKER}"
            message = f"{str(root)!r} is not a data directory: it {what}"
            raise DataDirectoryError(message)
        _check_layout(marker)
        return cls(root)

    @classmethod
    def create(cls, path: str | Path) -> DataDirectory:
        """Return the data directory at `path`, making it if nothing is there yet.

        Raises
        ------
        DataDirectoryError
            If something else is there, or the path is one that a lake cannot have; nothing
            is changed then. If it cannot be made, as for want of rights.
        NewerLayoutError
            If a newer version of this package wrote it; nothing is changed then.
        """
        root = Path(path)
        try:
            return cls._create(root)
        except OSError as error:
            message = (
                f"no data directory can be made at {str(root)!r}: {error.strerror or error}; "
                "name a folder that may be written"
            )
            raise DataDirectoryError(message) from error

    @classmethod
    def _create(cls, root: Path) -> DataDirectory:
        unusable = UNUSABLE.search(str(root.resolve()))
        if unusable is not None:
            message = (
                f"the path {str(root.resolve())!r} has {unusable[0]!r} in it, with which no lake "
                "can be made; name a folder in UTF-8, without brackets, backslashes, carets, "
                "bars, control characters and percent escapes"
            )
            raise DataDirectoryError(message)
        if root.exists() and not root.is_dir():
            return cls.open(root)  # raises with the reason
        if root.is_dir() and any(path.name not in NOBODYS for path in root.iterdir()):
            return cls.open(root)
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        root.chmod(0o700)
        made = cls(root)
        draft = root / DRAFT
        draft.write_text(json.dumps({"layout": LAYOUT_VERSION}) + "\n", "utf-8")
        draft.chmod(0o600)
        draft.replace(root / MARKER)
        made.spool.mkdir(mode=0o700, exist_ok=True)
        return made


def keep_private() -> None:
    """Have what this process makes from now on be its user's alone, files and folders.

    For processes that write a data directory: libraries make its files, too, and take the
    modes that the process has.
    """
    os.umask(0o077)


def _check_layout(marker: Path) -> None:
    try:
        layout = json.loads(marker.read_text("utf-8"))["layout"]
    except (OSError, ValueError, TypeError, KeyError) as error:
        message = f"{str(marker)!r} cannot be read as the marker of a data directory: {error!r}"
        raise DataDirectoryError(message) from error
    if type(layout) is not int or layout < 1:
        message = f"{str(marker)!r} names the layout {layout!r}; a layout is a number from 1"
        raise DataDirectoryError(message)
    if layout > LAYOUT_VERSION:
        message = (
            f"{str(marker.parent)!r} has layout {layout}, this version reads up to "
            f"{LAYOUT_VERSION}; upgrade majordomo-analytics"
        )
        raise NewerLayoutError(message)

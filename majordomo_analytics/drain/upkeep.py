"""The lake's upkeep while the drain runs: now and then, in a process of its own.

Each batch makes a small file and an entry in the lake's log, and reading many of either is
slow. A compaction takes more memory than a drain has, and gives it back by ending.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from majordomo_analytics.lake.compaction import MANY

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date
    from pathlib import Path

FIRST_AFTER_S = 60.0
EVERY_S = 300.0
"""How often, at most."""

GRACE_S = 5.0


class Upkeep:
    """Has the lake of a data directory compacted when it is worth it.

    Parameters
    ----------
    root
        The data directory.
    on_done, on_trouble
        Called with a sentence about what was done, or could not be.
    """

    def __init__(
        self,
        root: Path,
        *,
        on_done: Callable[[str], None],
        on_trouble: Callable[[str], None],
    ) -> None:
        self._root = root
        self._on_done = on_done
        self._on_trouble = on_trouble
        self._lock = threading.Lock()
        self._commits = 0
        self._begun_at = time.monotonic() + FIRST_AFTER_S - EVERY_S
        self._day: date | None = None
        self._process: subprocess.Popen[str] | None = None

    def count_commit(self) -> None:
        """Take note of one more file in the lake; from any thread."""
        with self._lock:
            self._commits += 1

    def tend(self) -> None:
        """Begin what is due, and tell of what has ended; to be called every few seconds."""
        if self._process is not None:
            if self._process.poll() is not None:
                self._tell(self._process)
                self._process = None
            return
        today = datetime.now(UTC).date()
        is_new_day = today != self._day
        if time.monotonic() - self._begun_at < EVERY_S:
            return
        if not is_new_day and self._commits < MANY:
            return
        self._begin(is_new_day=is_new_day)
        self._day = today

    def close(self) -> None:
        """End what is under way; it may be cut short at any point."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stderr is not None:
            process.stderr.close()

    def _begin(self, *, is_new_day: bool) -> None:
        command = [sys.executable, "-m", "majordomo_analytics", "compact", "--light"]
        command += ["--data", str(self._root)]
        if is_new_day:
            command.append("--vacuum")
        self._begun_at = time.monotonic()
        with self._lock:
            self._commits = 0
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
        except OSError as error:
            self._on_trouble(f"the lake could not be looked after: {error}")

    def _tell(self, process: subprocess.Popen[str]) -> None:
        said = ""
        if process.stderr is not None:
            with process.stderr, suppress(ValueError):
                said = " ".join(process.stderr.read().split())
        if process.returncode:
            reason = said[-500:] or f"its process ended with {process.returncode}"
            self._on_trouble(f"the lake could not be looked after: {reason}")
        elif said:
            self._on_done(said)

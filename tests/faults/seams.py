"""The orders that a test gives to the seam in the processes it started."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.faults.points import POINTS

ROOT = Path(__file__).parents[2]
SEAM = Path(__file__).with_name("seam")


@dataclass(frozen=True, slots=True)
class Seams:
    """A folder of orders.

    Attributes
    ----------
    folder
        Where they lie; made for one test.
    """

    folder: Path

    @classmethod
    def make(cls, folder: Path, constants: Mapping[str, Any] = {}) -> Seams:
        """Make a folder of orders, with other values for constants of the product."""
        folder.mkdir()
        (folder / "constants.json").write_text(json.dumps(dict(constants)))
        return cls(folder)

    @property
    def environment(self) -> dict[str, str]:
        """What has to be in the environment of a process that is to obey."""
        path = os.pathsep.join([str(SEAM), str(ROOT), os.environ.get("PYTHONPATH", "")])
        return {"PYTHONPATH": path.rstrip(os.pathsep), "FAULTS_FOLDER": str(self.folder)}

    def die_at(self, point: str, nth: int = 1) -> None:
        """Order one process to die the nth time that it gets to `point`."""
        assert point in POINTS
        draft = self.folder / "draft"
        draft.write_text(str(nth))
        draft.replace(self.folder / f"die-{point}")

    def is_due(self, point: str) -> bool:
        """Return whether nobody has died at `point` yet."""
        return (self.folder / f"die-{point}").exists()

    def wait_for_death(self, point: str, within_s: float = 30.0) -> None:
        """Wait until a process has died at `point`."""
        deadline = time.monotonic() + within_s
        while self.is_due(point):
            assert time.monotonic() < deadline, f"nobody got to {point!r} in {within_s:g} s"
            time.sleep(0.01)

    @contextmanager
    def disk_is_full(self) -> Iterator[None]:
        """Let no spool grow meanwhile."""
        (self.folder / "full").touch()
        try:
            yield
        finally:
            (self.folder / "full").unlink()

    @contextmanager
    def clock_is_off(self, by_s: float) -> Iterator[None]:
        """Set the wall clock of every process that obeys."""
        draft = self.folder / "draft"
        draft.write_text(str(by_s))
        draft.replace(self.folder / "clock")
        try:
            yield
        finally:
            (self.folder / "clock").unlink()

"""The file of rows that were not imported: where each stands, why, and what is in it."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING, Any

from majordomo_analytics.records.metadata import clean_text, without_api_keys

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MOST_REASONS = 5


class Rejects:
    """Counts rejected rows, keeps the first reasons, and writes them all to a file.

    Parameters
    ----------
    path
        A file of JSON lines, made with the first of them; None to write nothing.

    Attributes
    ----------
    count
        How many there are.
    reasons
        The first of them, with where they stand.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.count = 0
        self.reasons: list[str] = []
        self._file: IO[str] | None = None

    def add(self, place: str, reason: str, values: Mapping[str, Any] | str | None) -> None:
        """Take down a row that is rejected."""
        self.count += 1
        reason = clean_text(without_api_keys(reason))
        if len(self.reasons) < MOST_REASONS:
            self.reasons.append(f"{place}: {reason}")
        if self.path is None:
            return
        if self._file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("w", encoding="utf-8")
        letter = {"place": place, "reason": reason, "row": values}
        text = json.dumps(letter, ensure_ascii=True, default=str)
        self._file.write(without_api_keys(text) + "\n")

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None


def rejects_path(folder: Path, source: str) -> Path:
    """Return where the rejected rows of a source go: a name that no earlier import has."""
    plain = re.sub(r"[^\w.-]+", "_", source)[:100]
    at = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
    return folder / f"{plain}-{at}.jsonl"

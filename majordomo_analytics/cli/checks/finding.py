"""What a check found, and what can be done about it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

State = Literal["ok", "note", "wrong"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of what `mdm doctor` says.

    Attributes
    ----------
    subject
        What was looked at.
    state
        ``wrong`` if somebody has to do something, ``note`` if it is good to know.
    summary
        What was found.
    advice
        What can be done about it.
    rows
        Details, as rows of a table.
    """

    subject: str
    state: State
    summary: str
    advice: str = ""
    rows: tuple[dict[str, Any], ...] = ()


def counted(count: int, noun: str) -> str:
    """Return a number with its noun: 1 file, 2 files."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def size(count: float) -> str:
    """Return a number of bytes in a unit that people read: 1.2 MB."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:,.0f} {unit}" if unit == "bytes" else f"{count:,.1f} {unit}"
        count /= 1000
    return f"{count:,.1f} TB"


def age(since: datetime, now: datetime | None = None) -> str:
    """Return how long ago an instant was in its largest unit: 3 days, 5 h, 12 min, 8 s."""
    passed: timedelta = (now or datetime.now(UTC)) - since
    seconds = max(0, int(passed.total_seconds()))
    for unit, length in (("days", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length:,} {unit}"
    return f"{seconds} s"

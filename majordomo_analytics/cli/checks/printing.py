"""What findings look like on a terminal."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from majordomo_analytics.cli.screen import out

if TYPE_CHECKING:
    from collections.abc import Sequence

    from majordomo_analytics.cli.checks.finding import Finding

MOST_ROWS = 30
STYLES = {"ok": "green", "note": "cyan", "wrong": "bold red"}
SUBJECT_CHARACTERS = 14


def print_finding(finding: Finding) -> None:
    """Print a finding: its line, its table, its advice."""
    out.print(f"{finding.state:<5}", style=STYLES[finding.state], end="  ")
    out.print(f"{finding.subject:<{SUBJECT_CHARACTERS}}  {finding.summary}", markup=False)
    if finding.state == "ok":
        return
    for line in table(finding.rows[:MOST_ROWS]):
        out.print(f"       {line}", markup=False)
    if len(finding.rows) > MOST_ROWS:
        out.print(f"       and {len(finding.rows) - MOST_ROWS:,} more lines", markup=False)
    if finding.advice:
        out.print(f"       {finding.advice}", markup=False)


def table(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Return lines with columns as wide as they are: what was cut cannot be copied."""
    columns = []
    for name in rows[0] if rows else ():
        values = [row[name] for row in rows]
        if all(value is None for value in values):
            continue
        is_instant = any(isinstance(value, datetime) for value in values)
        cells = [f"{name} (UTC)" if is_instant else name, *map(_shown, values)]
        width = max(map(len, cells))
        is_number = all(isinstance(v, (int, float, Decimal)) for v in values if v is not None)
        columns.append([cell.rjust(width) if is_number else cell.ljust(width) for cell in cells])
    return ["  ".join(line).rstrip() for line in zip(*columns, strict=True)]


def _shown(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    if isinstance(value, Decimal):
        return f"{value:,f}"
    return f"{value:,}" if isinstance(value, int) else str(value)

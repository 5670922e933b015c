"""Results as a person reads them: aligned text, and HTML for a notebook."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from html import escape
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from zoneinfo import ZoneInfo

    from majordomo_analytics.times import TimeRange

Cell: TypeAlias = "Decimal | int | float | str | bool | date | datetime | None"

MOST_ROWS = 20
MISSING = "—"
INCOMPLETE = "…"
CELL = "padding:0.2em 0.8em;border-bottom:1px solid rgba(128,136,150,0.25)"
MOST_CHARACTERS = 120
STYLE = "border-collapse:collapse;font-variant-numeric:tabular-nums;color:inherit;background:none"


@dataclass(frozen=True, slots=True)
class Shown:
    """A table in which every cell is text.

    Attributes
    ----------
    names, units
        Head of each column.
    rows
        The rows to show.
    total
        The last line, empty if there is none.
    numeric
        Which columns are right-aligned.
    notes
        Lines below the table.
    """

    names: tuple[str, ...]
    units: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    total: tuple[str, ...]
    numeric: tuple[bool, ...]
    notes: tuple[str, ...]


def show(
    columns: Sequence[tuple[str, str, Sequence[Cell], Cell]],
    *,
    labels: int,
    hidden: int,
    notes: Sequence[str],
) -> Shown:
    """Return a table to show.

    Parameters
    ----------
    columns
        Name, unit, cells and total of each.
    labels
        How many columns in front are no measures.
    hidden
        How many rows are left out.
    notes
        Lines below the table.
    """
    texts: list[list[str]] = []
    for i, (_, unit, cells, total) in enumerate(columns):
        write = plain if i < labels else writer(unit, [*cells, total])
        texts.append([*map(write, cells), "" if i < labels else write(total)])
    *lines, last = zip(*texts, strict=True)
    if hidden:
        notes = (f"{hidden:,} more rows", *notes)
    return Shown(
        names=tuple(_printable(name) for name, *_ in columns),
        units=tuple(_unit_shown(name, unit) for name, unit, *_ in columns),
        rows=tuple(lines),
        total=("total", *last[1:]) if labels else (),
        numeric=tuple(i >= labels for i in range(len(columns))),
        notes=tuple(notes),
    )


def writer(unit: str, cells: Sequence[Cell]) -> Callable[[Cell], str]:
    """Return how to write the numbers of one column, all with the same digits."""
    known = [cell for cell in cells if isinstance(cell, (int, float, Decimal))]
    if unit == "share":
        return lambda cell: MISSING if cell is None else f"{cell:.1%}"
    if all(isinstance(cell, int) for cell in known):
        return lambda cell: MISSING if cell is None else f"{cell:,}"
    largest = max((abs(float(cell)) for cell in known), default=0.0)
    digits = 2 if largest >= 10 or not unit.startswith("USD") else 4
    while 0 < largest * 10**digits < 100 and digits < 10:
        digits += 1
    sign = "$" if unit.startswith("USD") else ""
    least = 10**-digits

    def write(cell: Cell) -> str:
        if not isinstance(cell, (int, float, Decimal)):
            return MISSING if cell is None else str(cell)
        if 0 < abs(float(cell)) < least / 2:
            return f"{'>-' if cell < 0 else '<'}{sign}{least:.{digits}f}"
        return f"{'-' * (cell < 0)}{sign}{abs(cell):,.{digits}f}"

    return write


def as_text(shown: Shown) -> str:
    """Return the table for a terminal."""
    heads = [
        f"{name} [{unit}]" if unit else name
        for name, unit in zip(shown.names, shown.units, strict=True)
    ]
    lines = [*shown.rows, *([shown.total] if shown.total else [])]
    widths = [max(map(len, column)) for column in zip(heads, *lines, strict=True)]

    def line(cells: Sequence[str]) -> str:
        placed = (
            cell.rjust(width) if numeric else cell.ljust(width)
            for cell, width, numeric in zip(cells, widths, shown.numeric, strict=True)
        )
        return "  ".join(placed).rstrip()

    rule = "  ".join("─" * width for width in widths)
    body = [line(heads), rule, *map(line, shown.rows)]
    if shown.total:
        body += [rule, line(shown.total)]
    return "\n".join([*body, *shown.notes])


def as_html(shown: Shown) -> str:
    """Return the table for a notebook, in the notebook's own colours."""

    def cells(tag: str, values: Sequence[str]) -> str:
        return "".join(
            f'<{tag} style="text-align:{"right" if numeric else "left"};{CELL};white-space:pre">'
            f"<bdi>{escape(cut_text(value))}</bdi></{tag}>"
            for value, numeric in zip(values, shown.numeric, strict=True)
        )

    heads = [
        f"{name}\n{unit}" if unit else name
        for name, unit in zip(shown.names, shown.units, strict=True)
    ]
    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in shown.rows)
    foot = f"<tfoot><tr>{cells('th', shown.total)}</tr></tfoot>" if shown.total else ""
    notes = "<br>".join(escape(note) for note in shown.notes)
    return (
        f'<div style="overflow-x:auto"><table style="{STYLE}">'
        f"<thead><tr>{cells('th', heads)}</tr></thead>"
        f"<tbody>{body}</tbody>{foot}</table>"
        f'<p style="opacity:0.7;margin:0.3em 0">{notes}</p></div>'
    )


def cut_text(text: str, most: int = MOST_CHARACTERS) -> str:
    """Return text with at most so many characters: a value may be a book."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def plain(cell: Cell) -> str:
    """Write a label; control characters in it would break the line."""
    if isinstance(cell, datetime):
        return f"{cell:%Y-%m-%d %H:%M %Z}"
    if isinstance(cell, str):
        return _printable(cell)
    return MISSING if cell is None else str(cell)


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _unit_shown(name: str, unit: str) -> str:
    """Leave out a unit that the name or the numbers say already."""
    said = unit in ("", "share", "requests", "USD", name) or unit in name.split("_")
    return "" if said else unit


def days_said(asked: TimeRange, held: TimeRange, zone: ZoneInfo) -> Iterator[str]:
    """Yield the first and the last day that are both asked about and held."""
    if held.start is None or held.end is None:
        return
    start = held.start if asked.start is None else max(asked.start, held.start)
    end = held.end if asked.end is None else min(asked.end, held.end)
    if start < end:
        last = end - timedelta(microseconds=1)
        days = (instant.astimezone(zone).date() for instant in (start, last))
        yield f"{' to '.join(map(str, days))} {zone.key}"

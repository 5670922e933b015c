"""Text in figures: labels of callers as text, numbers as a person reads them.

Plotly reads some HTML in every text, and TeX between two dollar signs where MathJax is
loaded; what came from a caller or a provider is escaped for both.
"""

from __future__ import annotations

import unicodedata
from decimal import Decimal
from html import escape
from textwrap import wrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

NOT_KNOWN = "not known"
SEPARATOR = " · "
MOST_IN_LABEL = 32
MOST_IN_HOVER = 240
_LINE_OF_HOVER = 60
_JOINERS = "\u200c\u200d"
_DIGITS = 6


def plain_label(value: object) -> str:
    """Return a value as readable text: nothing in it breaks the line or turns it around."""
    if value is None:
        return "—"
    text = "".join(
        c if c.isprintable() or c in _JOINERS else "\N{REPLACEMENT CHARACTER}" for c in str(value)
    )
    return text if text.strip() else f'"{text[:MOST_IN_LABEL]}"'


def escaped(text: str) -> str:
    """Return text as Plotly shows it as it is."""
    return escape(text, quote=False).replace("$", "&#36;")


def cut(text: str, most: int = MOST_IN_LABEL) -> str:
    """Return text with at most so many characters."""
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"


def short_labels(rows: Iterable[Sequence[object]], most: int = MOST_IN_LABEL) -> list[str]:
    """Return a label for each combination of values, no two of them the same.

    What two long ones share at their beginning is told apart by a number.
    """
    found: list[str] = []
    taken: set[str] = set()
    for row in rows:
        room = max(8, most // max(len(row), 1))
        label = SEPARATOR.join(_isolated(cut(plain_label(value), room)) for value in row)
        one, number = label, 1
        while one in taken:
            number += 1
            one = f"{label} #{number}"
        taken.add(one)
        found.append(escaped(one))
    return found


def long_label(row: Sequence[object]) -> str:
    """Return a combination of values for a hover text: longer, on several lines."""
    text = SEPARATOR.join(_isolated(plain_label(value)) for value in row)
    lines = wrap(cut(text, MOST_IN_HOVER), _LINE_OF_HOVER) or [""]
    return "<br>".join(map(escaped, lines))


def words(name: str) -> str:
    """Return the name of a measure or column as words, for a title."""
    stem = name.removesuffix("_ms")
    said = {"avg": "average"}
    return " ".join(said.get(word, word) for word in stem.split("_"))


def heading(name: str) -> str:
    """Return the same with a capital, escaped."""
    text = cut(plain_label(words(name)), 60)
    return escaped(text[:1].upper() + text[1:])


def exact(value: object, unit: str) -> str:
    """Return a number with all its digits; of a float, those that mean anything."""
    if value is None:
        return NOT_KNOWN
    if isinstance(value, float):
        if unit == "share":
            return f"{value:.2%}"
        if value != value:
            return NOT_KNOWN
        text = _significant(value, 2 if is_money(unit) else 0)
    elif isinstance(value, Decimal):
        text = _trimmed(f"{value:,f}", 2 if is_money(unit) else 0)
    elif isinstance(value, int):
        text = f"{value:,}"
    else:
        return plain_label(value)
    if is_money(unit):
        sign = "-" if text.startswith("-") else ""
        return f"{sign}${text.removeprefix('-')}"
    return f"{text} {unit}".rstrip()


def short(value: object, unit: str) -> str:
    """Return a number for a label in the figure: three digits or so."""
    if value is None:
        return ""
    number = float(str(value))
    if unit == "share":
        return f"{number:.1%}"
    if is_money(unit):
        size = abs(number)
        text = f"{size:,.0f}" if size >= 10_000 else f"{size:,.2f}"
        if 0 < size < 1:
            text = _trimmed(f"{size:,.{_places(size, 3)}f}", 2)
        return f"{'-' * (number < 0)}${text}"
    for bound, mark in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e4, "k")):
        if abs(number) >= bound:
            size = 1e3 if mark == "k" else bound
            return f"{number / size:,.3g}{mark}" if abs(number) < 1e15 else f"{number:.2e}"
    if abs(number) >= 100 or isinstance(value, int):
        return f"{number:,.0f}"
    return f"{number:,.3g}"


def signed(text: str, value: object) -> str:
    """Return the text of a change with its plus."""
    return f"+{text}" if value is not None and float(str(value)) > 0 else text


def drawn(value: object) -> float | int | None:
    """Return a number as Plotly draws it; the exact one is in the hover text."""
    if value is None or (isinstance(value, float) and value != value):
        return None
    return value if isinstance(value, int) else float(str(value))


def is_money(unit: str) -> bool:
    """Return whether numbers of a unit are amounts of dollars."""
    return unit.startswith("USD")


def axis_title(name: str, unit: str) -> str:
    """Return the title of an axis: what it counts, and its unit."""
    said = unit in ("share", "") or unit in words(name).split()
    shown = "" if said else f" [{unit}]"
    return f"{heading(name)}{escaped(shown)}"


def number_axis(name: str, unit: str, numbers: Iterable[float | int | None]) -> dict[str, object]:
    """Return the settings of an axis with numbers of a unit."""
    largest = max((abs(number) for number in numbers if number is not None), default=0)
    axis: dict[str, object] = {"title": {"text": axis_title(name, unit)}}
    sign = "$" if is_money(unit) else ""
    if unit == "share":
        axis["tickformat"] = ".0%" if largest >= 0.05 else ".2~%"
    elif largest < 10_000:
        # Plotly's own format writes a thousandth with a prefix of the SI.
        axis["tickformat"] = f"{sign},~f" if largest >= 0.01 or not largest else f"{sign},.10~f"
    elif sign:
        axis["tickprefix"] = sign
    return axis


def _significant(value: float, least: int) -> str:
    return _trimmed(f"{value:,.{_places(abs(value), _DIGITS)}f}", least)


def _places(size: float, digits: int) -> int:
    """Return after how many places `digits` digits of a number have been written."""
    places = digits - 1
    while size >= 10 and places > 0:
        size, places = size / 10, places - 1
    while 0 < size < 1 and places < 20:
        size, places = size * 10, places + 1
    return places


def _trimmed(text: str, places: int) -> str:
    """Leave out zeros at the end, except so many."""
    if "." not in text:
        return f"{text}.{'0' * places}" if places else text
    whole, _, fraction = text.partition(".")
    fraction = fraction.rstrip("0").ljust(places, "0")
    return f"{whole}.{fraction}" if fraction else whole


def _isolated(text: str) -> str:
    """Keep text that runs from the right from turning what stands beside it."""
    if any(unicodedata.bidirectional(c) in ("R", "AL", "AN") for c in text):
        return f"\N{FIRST STRONG ISOLATE}{text}\N{POP DIRECTIONAL ISOLATE}"
    return text

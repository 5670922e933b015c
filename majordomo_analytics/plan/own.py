"""How a user makes a dimension of his own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeAlias, get_args

from majordomo_analytics.errors import QueryError, did_you_mean, nearest
from majordomo_analytics.plan.dimensions import (
    Bucketed,
    CalendarPart,
    CalendarUnit,
    Derived,
    Mapped,
    Part,
    Ruled,
)
from majordomo_analytics.plan.fields import OTHER, UNTAGGED
from majordomo_analytics.plan.patterns import read_pattern

if TYPE_CHECKING:
    from collections.abc import Sequence

    from majordomo_analytics.plan.fields import Name

UNITS: tuple[CalendarUnit, ...] = get_args(CalendarUnit)
CALENDAR_PARTS: dict[str, CalendarPart] = {
    unit.replace(" ", "_"): CalendarPart(unit.replace(" ", "_"), "requested_at", unit)
    for unit in UNITS
}
"""Dimensions that every ledger has: ``hour_of_day``, ``weekday``, …"""

Table: TypeAlias = "Mapping[str, str] | Iterable[tuple[str, str]] | Any"
"""A dict, pairs, or a frame of two columns: Polars, pandas or Arrow."""

_WAYS = ("mapping", "patterns", "edges", "split", "calendar")


def dimension(
    name: str,
    of: Name = "requested_at",
    *,
    mapping: Table | None = None,
    patterns: Mapping[str, str] | None = None,
    default: str | None = None,
    edges: Sequence[int | float | str | Decimal] | None = None,
    labels: Sequence[str] | None = None,
    split: str | None = None,
    part: int = 0,
    calendar: CalendarUnit | None = None,
) -> Derived:
    """Make a dimension of your own; exactly one of the ways below says how.

    It can be asked by in `Ledger.query`, and once `Ledger.define` knows it, be filtered by
    and be part of others. What is missing in `of` is missing here too: ``(untagged)``.

    Parameters
    ----------
    name
        What to call it; the column's name in a result.
    of
        What it is made of: a column, a metadata key, or another dimension of your own.
    mapping
        Looks text up in a table: a dict, or a frame whose two columns are the text and
        what it becomes.
    patterns
        Labels of a text by the first pattern that is found in it, as in
        ``{"^gpt-": "GPT", "^claude": "Claude"}``.
    default
        With `mapping` or `patterns`: what any other known text becomes; it is missing if
        this is not given.
    edges
        Where intervals of a number begin, ascending.
    labels
        With `edges`: names of the intervals, one more than there are edges.
    split
        Splits a text at this separator.
    part
        With `split`: which part, from 0, or from -1 backwards.
    calendar
        ``"hour of day"``, ``"weekday"`` (1 is Monday), ``"day of month"`` or
        ``"month of year"`` of the request, in the zone of the question; every ledger has
        them as ``hour_of_day``, ``weekday``, ``day_of_month`` and ``month_of_year`` too.

    Returns
    -------
    Mapped, Ruled, Bucketed, Part or CalendarPart
        Text, in a result; calendar parts are ``Int64``.

    Raises
    ------
    QueryError
        If it is not said how, or a text, edge or label makes no sense.
    FilterError
        If a pattern is outside the subset that every engine reads alike.

    Examples
    --------
    >>> import polars as pl
    >>> import majordomo_analytics as ma
    >>> rows = {"requested_at": ["2026-10-05T09:00Z"] * 3, "model": ["gpt-5", "o3", None]}
    >>> family = ma.dimension("family", "model", patterns={"^gpt": "GPT"}, default="other")
    >>> ma.open(pl.DataFrame(rows)).query("requests", family)
    family      requests
    ──────────  ────────
    (untagged)         1
    GPT                1
    other              1
    ──────────  ────────
    total              3
    all time, UTC
    """
    if not isinstance(name, str) or not name.strip():
        message = f"a dimension of your own cannot be called {name!r}"
        raise QueryError(message)
    given = (mapping, patterns, edges, split, calendar)
    said = [way for way, value in zip(_WAYS, given, strict=True) if value is not None]
    if len(said) != 1:
        message = f"dimension {name!r}: give one of {', '.join(_WAYS)}, not {len(said)} of them"
        raise QueryError(message)
    if default is not None and said[0] not in ("mapping", "patterns"):
        message = f"dimension {name!r}: 'default' goes with 'mapping' or 'patterns'"
        raise QueryError(message)
    if labels is not None and edges is None:
        message = f"dimension {name!r}: 'labels' goes with 'edges'"
        raise QueryError(message)
    rest = None if default is None else _label(name, default)
    if mapping is not None:
        table = _looked_up(name, mapping)
        return Mapped(name, of, tuple(table), tuple(table.values()), rest)
    if patterns is not None:
        return Ruled(name, of, _rules(name, patterns), rest)
    if edges is not None:
        return _bucketed(name, of, edges, labels)
    if split is not None:
        if not _is_text(split) or not split or type(part) is not int:
            message = f"dimension {name!r}: part {part!r} of a text split at {split!r} is none"
            raise QueryError(message)
        return Part(name, of, split, part)
    if calendar not in UNITS:
        hint = did_you_mean(nearest(str(calendar), UNITS), UNITS)
        message = f"dimension {name!r}: no part of the calendar is {calendar!r}{hint}"
        raise QueryError(message)
    return CalendarPart(name, of, calendar)


def _looked_up(name: str, table: Table) -> dict[str, str]:
    """Return the table as a dict; keys and values that are missing are left out."""
    found: dict[str, str] = {}
    for pair in _pairs(name, table):
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            message = f"dimension {name!r}: {pair!r} is no pair of a text and what it becomes"
            raise QueryError(message)
        key, value = (None if one != one else one for one in pair)  # NaN is pandas' missing
        if key is None or value is None:
            continue
        key, value = _text(name, key), _label(name, value)
        if found.setdefault(key, value) != value:
            message = f"dimension {name!r}: {key!r} is both {found[key]!r} and {value!r}"
            raise QueryError(message)
    return found


def _pairs(name: str, table: Table) -> Iterable[Any]:
    if isinstance(table, Mapping):
        return table.items()
    if hasattr(table, "collect"):  # a lazy frame
        table = table.collect()
    columns = getattr(table, "columns", None)
    if columns is None:
        if isinstance(table, Iterable) and not isinstance(table, (str, bytes)):
            return table
        message = f"dimension {name!r}: {table!r} is no dict, and no frame of two columns"
        raise QueryError(message)
    if len(columns) != 2:
        message = (
            f"dimension {name!r}: a frame to look up in has two columns, the text and what "
            f"it becomes; this one has {len(columns)}"
        )
        raise QueryError(message)
    if hasattr(table, "iter_rows"):  # Polars
        return table.iter_rows()  # type: ignore[no-any-return]  # a frame, by its method
    if hasattr(table, "itertuples"):  # pandas
        return table.itertuples(index=False, name=None)  # type: ignore[no-any-return]  # likewise
    return zip(*(column.to_pylist() for column in columns), strict=True)  # Arrow


def _rules(name: str, patterns: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    if not isinstance(patterns, Mapping):
        message = f"dimension {name!r}: patterns are a dict of pattern and label"
        raise QueryError(message)
    return tuple((read_pattern(one), _label(name, label)) for one, label in patterns.items())


def _label(name: str, given: object) -> str:
    """Return a text that a dimension may become; a limit calls its rest ``(other)``."""
    if (label := _text(name, given)) == OTHER:
        message = f"dimension {name!r}: {OTHER!r} is what a result calls something else"
        raise QueryError(message)
    return label


def _bucketed(
    name: str,
    of: Name,
    edges: Sequence[int | float | str | Decimal],
    labels: Sequence[str] | None,
) -> Bucketed:
    # A text is a sequence of its digits, which nobody means by it.
    if isinstance(edges, (str, bytes)) or not isinstance(edges, Iterable):
        message = (
            f"dimension {name!r}: edges={edges!r} is no list of numbers; write edges=[{edges}]"
            if isinstance(edges, (str, int, float, Decimal))
            else f"dimension {name!r}: edges={edges!r} is no list of numbers, such as [10, 100]"
        )
        raise QueryError(message)
    read = tuple(_edge(name, edge) for edge in edges)
    if not read or any(one >= other for one, other in pairwise(read)):
        message = f"dimension {name!r}: edges {list(edges)!r} are not ascending numbers"
        raise QueryError(message)
    if isinstance(labels, str) or not isinstance(labels, (Iterable, type(None))):
        message = (
            f"dimension {name!r}: labels={labels!r} is no list of texts, one more than there "
            "are edges"
        )
        raise QueryError(message)
    made = _labels(read) if labels is None else tuple(_text(name, label) for label in labels)
    if len(made) != len(read) + 1 or len(set(made)) != len(made):
        message = (
            f"dimension {name!r}: {len(read)} edges make {len(read) + 1} intervals, "
            f"each with a label of its own, not {list(made)!r}"
        )
        raise QueryError(message)
    if reserved := {OTHER, UNTAGGED} & set(made):
        message = f"dimension {name!r}: {min(reserved)!r} is what a result calls something else"
        raise QueryError(message)
    return Bucketed(name, of, read, made)


def _edge(name: str, edge: object) -> int | Decimal:
    if isinstance(edge, int) and not isinstance(edge, bool):
        return edge
    if isinstance(edge, (float, str, Decimal)):
        try:
            number = Decimal(repr(edge) if isinstance(edge, float) else edge)
        except ArithmeticError:
            number = Decimal("NaN")
        if number.is_finite() and -30 <= number.adjusted() <= 30:
            return int(number) if number == number.to_integral_value() else number
    message = f"dimension {name!r}: {edge!r} is no number to begin an interval"
    raise QueryError(message)


def _labels(edges: Sequence[int | Decimal]) -> tuple[str, ...]:
    """Return names of the intervals, each with its ends.

    >>> _labels([1000, 20000])
    ('< 1000', '1000 to < 20000', '≥ 20000')
    """
    texts = [format(edge, "f") if isinstance(edge, Decimal) else str(edge) for edge in edges]
    middle = [f"{low} to < {high}" for low, high in pairwise(texts)]
    return (f"< {texts[0]}", *middle, f"≥ {texts[-1]}")


def _text(name: str, value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, str) and _is_text(value):
        return value
    message = f"dimension {name!r}: {value!r} is no text"
    raise QueryError(message)


def _is_text(value: str) -> bool:
    """Say whether it can be stored: without NUL and halves of characters."""
    return "\x00" not in value and value == value.encode("utf-8", "ignore").decode()

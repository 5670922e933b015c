"""Filters as frozen nodes, and how a dict of conditions is read into them.

A missing value (null) matches only ``None``: ``"!="`` and ``"not in"`` keep requests that
lack the key, a comparison with ``<`` leaves them out. `Not` is the exact complement.
``"(untagged)"``, as a result says it, is another way to write None.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Literal, TypeAlias

from majordomo_analytics.errors import FilterError, did_you_mean, nearest
from majordomo_analytics.plan.fields import MetadataName, Name
from majordomo_analytics.plan.patterns import read_pattern

Order = Literal["<", "<=", ">", ">="]
Part = Literal["contains", "starts with", "ends with"]
Value: TypeAlias = str | int | bool | Decimal | float | date | datetime


class _Combining:
    """What every filter can do: ``&`` and, ``|`` or, ``~`` not."""

    __slots__ = ()

    def __and__(self, other: FilterLike) -> Filter:
        return both(read_filters(self), read_filters(other))  # type: ignore[arg-type]  # a node

    def __or__(self, other: FilterLike) -> Filter:
        return Some((read_filters(self), read_filters(other)))  # type: ignore[arg-type]  # a node

    def __invert__(self) -> Filter:
        return Not(read_filters(self))  # type: ignore[arg-type]  # a node


@dataclass(frozen=True, slots=True)
class OneOf(_Combining):
    """The field has one of these values; None among them matches what is missing."""

    name: Name
    values: tuple[Value | None, ...]


@dataclass(frozen=True, slots=True)
class Compared(_Combining):
    """The field is known and stands in this order to the value."""

    name: Name
    order: Order
    value: Value


@dataclass(frozen=True, slots=True)
class Like(_Combining):
    """The field is text that contains, starts with or ends with the value; case counts."""

    name: Name
    part: Part
    value: str


@dataclass(frozen=True, slots=True)
class Matches(_Combining):
    """The field is text in which the pattern is found, anchored or not; case counts.

    `pattern` is in the one form that `patterns.read_pattern` gives, whatever the engine.
    """

    name: Name
    pattern: str


@dataclass(frozen=True, slots=True)
class Not(_Combining):
    """Everything that the filter leaves out."""

    filter: Filter


@dataclass(frozen=True, slots=True)
class All(_Combining):
    """Every one of the filters holds; with none of them, everything does."""

    filters: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Some(_Combining):
    """At least one of the filters holds."""

    filters: tuple[Filter, ...]


Filter: TypeAlias = OneOf | Compared | Like | Matches | Not | All | Some
FilterLike: TypeAlias = (
    Filter | Mapping[str, object] | Mapping[MetadataName, object] | Mapping[Name, object] | None
)

EVERYTHING = All(())
WORDS = ("in", "between", "contains", "starts with", "ends with", "matches")
OPERATORS = ("=", "==", "!=", "<", "<=", ">", ">=", *WORDS, *(f"not {word}" for word in WORDS))


def read_filters(filters: FilterLike) -> Filter:
    """Return the filter that `filters` means: a node, or a dict of which all must hold.

    A condition is a value (equal), None (missing), a list of values (one of), a pair of
    operator and value such as ``("<", 400)``, or a list of such pairs (all of them).
    `OPERATORS` lists the operators; ``("between", 1, 5)`` takes in both ends, and
    ``"matches"`` finds a pattern of the subset that `plan.patterns` describes.

    Raises
    ------
    FilterError
        If a condition cannot be read.

    Examples
    --------
    >>> read_filters({"Team": "legal"})
    All(filters=(OneOf(name='Team', values=('legal',)),))
    """
    if filters is None:
        return EVERYTHING
    if isinstance(filters, Filter):
        return filters
    if not isinstance(filters, Mapping):
        message = (
            f"filters {filters!r} cannot be read; give a dict such as "
            '{"Team": "legal", "status_code": ("<", 400)}'
        )
        raise FilterError(message)
    return All(tuple(node for name, given in filters.items() for node in _read(name, given)))


def where(filters: FilterLike = None, /, **conditions: object) -> Filter:
    """Make a filter that can be joined with others: ``&`` and, ``|`` or, ``~`` not.

    Parameters
    ----------
    filters
        Conditions by column or metadata key, as in `Ledger.query`; all of them must hold.
    **conditions
        The same by name: ``Team="legal"``, ``status_code=(">=", 400)``.

    Raises
    ------
    FilterError
        If a condition cannot be read.

    Examples
    --------
    >>> import polars as pl
    >>> import majordomo_analytics as ma
    >>> rows = {"requested_at": ["2026-10-05T09:00Z"] * 3, "Team": ["legal", "sales", None]}
    >>> ledger = ma.open(pl.DataFrame(rows))
    >>> legal_or_none = ma.where(Team="legal") | ma.where(Team=None)
    >>> ledger.query("requests", filters=legal_or_none).total
    {'requests': 2}
    >>> ledger.query("requests", filters=~legal_or_none).total
    {'requests': 1}
    """
    return both(read_filters(filters), read_filters(conditions))


def both(one: Filter, other: Filter) -> Filter:
    """Return the filter that holds where both do."""
    if isinstance(one, All) and isinstance(other, All):
        return All((*one.filters, *other.filters))
    if one == EVERYTHING or other == EVERYTHING:
        return other if one == EVERYTHING else one
    return All((one, other))


def names_in(node: Filter) -> Iterator[Name]:
    """Yield every name that the filter speaks of."""
    match node:
        case All(filters) | Some(filters):
            for child in filters:
                yield from names_in(child)
        case Not(child):
            yield from names_in(child)
        case _:
            yield node.name


def _read(name: Name, given: object) -> Iterator[Filter]:
    if not isinstance(name, (str, MetadataName)):
        message = f"a filter is named by text, not by {name!r}"
        raise FilterError(message)
    if isinstance(given, tuple):
        yield _read_pair(name, given)
    elif isinstance(given, (list, set, frozenset)):
        pairs = [item for item in given if isinstance(item, tuple)]
        if pairs and len(pairs) == len(given):
            for pair in pairs:
                yield _read_pair(name, pair)
        else:
            yield OneOf(name, _values(name, given))
    else:
        yield OneOf(name, (_value(name, given),))


def _read_pair(name: Name, pair: tuple[object, ...]) -> Filter:
    if len(pair) == 3 and isinstance(pair[0], str) and pair[0].lower().endswith("between"):
        pair = (pair[0], pair[1:])
    if len(pair) != 2 or not isinstance(pair[0], str):
        message = (
            f"filter on {str(name)!r}: {pair!r} is no pair of operator and value; "
            "several values go in a list"
        )
        raise FilterError(message)
    operator = " ".join(pair[0].lower().replace("_", " ").split())
    if operator.removeprefix("not ") in WORDS:
        found = _read_word(name, operator, pair[1])
        return Not(found) if operator.startswith("not ") else found
    given = pair[1]
    match operator:
        case "=" | "==":
            return OneOf(name, (_value(name, given),))
        case "!=":
            return Not(OneOf(name, (_value(name, given),)))
        case "<" | "<=" | ">" | ">=":
            return Compared(name, operator, _known_value(name, operator, given))
        case _:
            hint = did_you_mean(nearest(operator, OPERATORS), OPERATORS)
            message = f"filter on {str(name)!r}: no operator is {pair[0]!r}{hint}"
            raise FilterError(message)


def _read_word(name: Name, operator: str, given: object) -> Filter:
    """Return what an operator of `WORDS` means, whatever ``not`` stands before it."""
    word = operator.removeprefix("not ")
    match word:
        case "in":
            if not isinstance(given, Iterable) or isinstance(given, (str, bytes, Mapping)):
                message = f"filter on {str(name)!r}: {operator!r} needs a list, not {given!r}"
                raise FilterError(message)
            return OneOf(name, _values(name, given))
        case "between":
            if not isinstance(given, (list, tuple)) or len(given) != 2:
                message = f"filter on {str(name)!r}: {operator!r} needs two values, not {given!r}"
                raise FilterError(message)
            low, high = (_known_value(name, operator, value) for value in given)
            return All((Compared(name, ">=", low), Compared(name, "<=", high)))
        case "contains" | "starts with" | "ends with":
            return Like(name, word, str(_known_value(name, operator, given)))
        case _:
            if not isinstance(given, str):
                message = f"filter on {str(name)!r}: {operator!r} needs a pattern, not {given!r}"
                raise FilterError(message)
            try:
                return Matches(name, read_pattern(given))
            except FilterError as error:
                message = f"filter on {str(name)!r}: {error}"
                raise FilterError(message) from error


def _values(name: Name, given: Iterable[object]) -> tuple[Value | None, ...]:
    return tuple(_value(name, item) for item in given)


def _known_value(name: Name, operator: str, given: object) -> Value:
    if (value := _value(name, given)) is None:
        message = f"filter on {str(name)!r}: {operator!r} needs a value, not None"
        raise FilterError(message)
    return value


def _value(name: Name, given: object) -> Value | None:
    if given is None or isinstance(given, (str, int, Decimal, float, date)):
        return given
    message = f"filter on {str(name)!r}: {given!r} is no text, number, date or None"
    raise FilterError(message)

"""Filters as frozen nodes, and how a dict of conditions is read into them.

A missing value (null) matches only ``None``: ``"!="`` and ``"not in"`` keep requests that
lack the key, a comparison with ``<`` leaves them out. `Not` is the exact complement.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Literal, TypeAlias

from majordomo_analytics.errors import FilterError, did_you_mean, nearest
from majordomo_analytics.plan.fields import MetadataName, Name

if TYPE_CHECKING:
    from collections.abc import Callable
    from zoneinfo import ZoneInfo

    from majordomo_analytics.plan.fields import Field, Kind

Order = Literal["<", "<=", ">", ">="]
Part = Literal["contains", "starts with", "ends with"]
Value: TypeAlias = str | int | bool | Decimal | float | date | datetime


@dataclass(frozen=True, slots=True)
class OneOf:
    """The field has one of these values; None among them matches what is missing."""

    name: Name
    values: tuple[Value | None, ...]


@dataclass(frozen=True, slots=True)
class Compared:
    """The field is known and stands in this order to the value."""

    name: Name
    order: Order
    value: Value


@dataclass(frozen=True, slots=True)
class Like:
    """The field is text that contains, starts with or ends with the value; case counts."""

    name: Name
    part: Part
    value: str


@dataclass(frozen=True, slots=True)
class Matches:
    """The field is text in which the pattern is found, anchored or not; case counts.

    `pattern` is in the one form that `patterns.read_pattern` gives, whatever the engine.
    """

    name: Name
    pattern: str


@dataclass(frozen=True, slots=True)
class Not:
    """Everything that the filter leaves out."""

    filter: Filter


@dataclass(frozen=True, slots=True)
class All:
    """Every one of the filters holds; with none of them, everything does."""

    filters: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Some:
    """At least one of the filters holds."""

    filters: tuple[Filter, ...]


Filter: TypeAlias = OneOf | Compared | Like | Matches | Not | All | Some
FilterLike: TypeAlias = (
    Filter | Mapping[str, object] | Mapping[MetadataName, object] | Mapping[Name, object] | None
)

EVERYTHING = All(())
OPERATORS = ("=", "==", "!=", "<", "<=", ">", ">=", "in", "not in", "contains", "starts with")


def read_filters(filters: FilterLike) -> Filter:
    """Return the filter that `filters` means: a node, or a dict of which all must hold.

    A condition is a value (equal), None (missing), a list of values (one of), a pair of
    operator and value such as ``("<", 400)``, or a list of such pairs (all of them).

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


def both(one: Filter, other: Filter) -> Filter:
    """Return the filter that holds where both do."""
    if isinstance(one, All) and isinstance(other, All):
        return All((*one.filters, *other.filters))
    return All((one, other)) if one != EVERYTHING else other


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


def bind(node: Filter, field: Callable[[Name], Field], zone: ZoneInfo) -> Filter:
    """Return the filter with each value as the kind of its field.

    Raises
    ------
    FilterError
        If a value can never be one of the field, such as ``"many"`` of a number.
    """
    match node:
        case All(filters):
            return All(tuple(bind(child, field, zone) for child in filters))
        case Some(filters):
            return Some(tuple(bind(child, field, zone) for child in filters))
        case Not(child):
            return Not(bind(child, field, zone))
        case OneOf(name, values):
            known = field(name)
            return OneOf(name, tuple(None if v is None else _as(known, v, zone) for v in values))
        case Compared(name, _, value):
            known = field(name)
            if known.kind == "boolean":
                message = f"{known.name!r} is true or false and has no order"
                raise FilterError(message)
            return replace(node, value=_as(known, value, zone))
        case Like(name, part, value):
            known = field(name)
            if known.kind != "text":
                message = f"{part!r} is for text; {known.name!r} holds {known.kind} values"
                raise FilterError(message)
            return replace(node, value=str(_as(known, value, zone)))
        case Matches(name):
            known = field(name)
            if known.kind != "text":
                message = f"a pattern is for text; {known.name!r} holds {known.kind} values"
                raise FilterError(message)
            return node


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
    if len(pair) != 2 or not isinstance(pair[0], str):
        message = (
            f"filter on {str(name)!r}: {pair!r} is no pair of operator and value; "
            "several values go in a list"
        )
        raise FilterError(message)
    operator, given = " ".join(pair[0].lower().split()), pair[1]
    match operator:
        case "=" | "==":
            return OneOf(name, (_value(name, given),))
        case "!=":
            return Not(OneOf(name, (_value(name, given),)))
        case "in" | "not in":
            if not isinstance(given, (list, tuple, set, frozenset)):
                message = f"filter on {str(name)!r}: {operator!r} needs a list, not {given!r}"
                raise FilterError(message)
            chosen = OneOf(name, _values(name, given))
            return chosen if operator == "in" else Not(chosen)
        case "<" | "<=" | ">" | ">=":
            return Compared(name, operator, _known_value(name, operator, given))
        case "contains" | "starts with":
            return Like(name, operator, str(_known_value(name, operator, given)))
        case _:
            hint = did_you_mean(nearest(operator, OPERATORS), OPERATORS)
            message = f"filter on {str(name)!r}: no operator is {pair[0]!r}{hint}"
            raise FilterError(message)


def _values(
    name: Name, given: list[object] | tuple[object, ...] | set[object] | frozenset[object]
) -> tuple[Value | None, ...]:
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


def _as(field: Field, value: Value, zone: ZoneInfo) -> Value:
    """Return `value` as the kind of `field`; text is read, nothing is rounded."""
    if (read := _READERS[field.kind](value, zone)) is not None:
        return read
    message = f"filter on {field.name!r}: {value!r} is no {_WORDS[field.kind]}"
    if field.kind == "text" and not isinstance(value, str):
        message += f"; give text: {str(value)!r}"
    raise FilterError(message)


def _text(value: Value, _: ZoneInfo) -> str | None:
    if not isinstance(value, str) or "\x00" in value:
        return None
    return value if value.isascii() or value.encode("utf-8", "ignore").decode() == value else None


def _integer(value: Value, _: ZoneInfo) -> Value | None:
    """Accept fractions too: a whole number is compared with them exactly."""
    number = _number(value, _)
    return int(number) if number is not None and number == number.to_integral_value() else number


def _number(value: Value, _: ZoneInfo) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, (int, str, Decimal, float)):
        return None
    try:
        number = Decimal(repr(value) if isinstance(value, float) else value)
    except InvalidOperation:
        return None
    return number if number.is_finite() and -30 <= number.adjusted() <= 30 else None


def _boolean(value: Value, _: ZoneInfo) -> bool | None:
    if isinstance(value, bool):
        return value
    return {"true": True, "false": False}.get(value.lower()) if isinstance(value, str) else None


def _date(value: Value, _: ZoneInfo) -> date | None:
    if isinstance(value, str):
        try:
            return date.fromisoformat(value)
        except ValueError:
            return None
    return value if isinstance(value, date) and not isinstance(value, datetime) else None


def _instant(value: Value, zone: ZoneInfo) -> datetime | None:
    """Read wall-clock time without an offset as that of the question's zone."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if not isinstance(value, datetime):
        return None
    return (value if value.tzinfo else value.replace(tzinfo=zone)).astimezone(UTC)


_READERS: dict[Kind, Callable[[Value, ZoneInfo], Value | None]] = {
    "text": _text,
    "integer": _integer,
    "money": _number,
    "float": _number,
    "boolean": _boolean,
    "date": _date,
    "instant": _instant,
    "nested": lambda value, zone: None,
}
_WORDS: dict[Kind, str] = {
    "text": "text that can be stored",
    "integer": "number",
    "money": "amount",
    "float": "number",
    "boolean": "true or false",
    "date": "date",
    "instant": "instant",
    "nested": "value to compare with; it holds many",
}

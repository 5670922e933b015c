"""Values of filters as the kinds of what they are compared with; nothing is rounded."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

from majordomo_analytics.errors import FilterError, did_you_mean, nearest
from majordomo_analytics.plan.dimensions import Bucketed
from majordomo_analytics.plan.fields import UNTAGGED
from majordomo_analytics.plan.filters import All, Compared, Like, Matches, Not, OneOf, Some

if TYPE_CHECKING:
    from collections.abc import Callable
    from zoneinfo import ZoneInfo

    from majordomo_analytics.plan.dimensions import Dimension
    from majordomo_analytics.plan.fields import Kind, Name
    from majordomo_analytics.plan.filters import Filter, Value


def bind(node: Filter, field: Callable[[Name], Dimension], zone: ZoneInfo) -> Filter:
    """Return the filter with each value as the kind of its field.

    A label of a `Bucketed` becomes the number of its interval.

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
            if UNTAGGED in values:  # as a result calls what is missing, of whatever kind
                rest = values if known.kind == "text" else [v for v in values if v != UNTAGGED]
                values = tuple(dict.fromkeys((*rest, None)))
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
                message = f"{part!r} is for text; {known.name!r} holds {_held(known)}"
                raise FilterError(message)
            return replace(node, value=str(_as(known, value, zone)))
        case Matches(name):
            known = field(name)
            if known.kind != "text":
                message = f"a pattern is for text; {known.name!r} holds {_held(known)}"
                raise FilterError(message)
            return node


def _held(known: Dimension) -> str:
    return "intervals" if isinstance(known, Bucketed) else f"{known.kind} values"


def _as(field: Dimension, value: Value, zone: ZoneInfo) -> Value:
    """Return `value` as the kind of `field`; text is read, nothing is rounded."""
    if isinstance(field, Bucketed):
        if value in field.labels:
            return field.labels.index(str(value))
        hint = did_you_mean(nearest(str(value), field.labels), field.labels)
        message = f"filter on {field.name!r}: {value!r} is none of its labels{hint}"
        raise FilterError(message)
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

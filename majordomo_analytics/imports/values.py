"""Values as files and databases have them, converted exactly or refused with the reason.

Nothing is guessed: what is no value of its column is a `BadValueError`, and its row is
rejected. Money is never computed as a float: one that a source stores is taken as the
shortest decimal that is the same float, which is what the source shows.
"""

from __future__ import annotations

import json
import math
import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any
from uuid import UUID

from majordomo_analytics.errors import BadValueError
from majordomo_analytics.records import flags
from majordomo_analytics.records.metadata import (
    MAX_KEYS_PER_REQUEST,
    MAX_NAME_CHARACTERS,
    MAX_VALUE_CHARACTERS,
    canonical_name,
    clean_text,
    without_api_keys,
)
from majordomo_analytics.records.money import PLACES, PRECISION, round_money
from majordomo_analytics.records.usage import MAX_COUNT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import tzinfo

NOTHING = frozenset({"", "null", "none", "nan", "\\n", "n/a"})
"""Texts that mean null where a number, an instant or a truth value is wanted."""

_TRUTH = {"true": True, "t": True, "yes": True, "1": True} | {
    "false": False, "f": False, "no": False, "0": False,
}  # fmt: skip
_COSTS_BELOW = Decimal(10) ** (PRECISION - PLACES)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PER_SECOND = ((10**11, 1), (10**14, 10**3), (10**17, 10**6), (10**20, 10**9))
"""Below which number an epoch is in seconds, milliseconds, microseconds, nanoseconds."""

_END = int((datetime(2100, 1, 1, tzinfo=UTC) - _EPOCH).total_seconds())
"""An epoch is before this second, in its unit.

What is not is something else, such as the digits 20261005090000 of a date and a time.
"""

_LONGER_THAN_A_DATE = re.compile(r"[0-9]{9,}(\.[0-9]*)?")
"""A number, though `datetime.fromisoformat` takes some of them for a date and a time."""


def is_null(value: object) -> bool:
    """Return whether a number, instant or truth value is not there."""
    if isinstance(value, str):
        return value.strip().lower() in NOTHING
    return value is None or (isinstance(value, float) and math.isnan(value))


def read_number(column: str, value: object) -> Decimal | None:
    """Return the number that a value is, exactly."""
    if is_null(value):
        return None
    if isinstance(value, bool) or not isinstance(value, (str, int, float, Decimal)):
        raise BadValueError(column, value, "is no number")
    try:
        # A float as the shortest text that is the same float: what its source shows.
        number = Decimal(repr(value) if isinstance(value, float) else str(value).strip())
    except InvalidOperation:
        rule = "is no number; write it with digits and a decimal point, such as 0.0125"
        raise BadValueError(column, value, rule) from None
    if not number.is_finite():
        raise BadValueError(column, value, "is no finite number")
    return number


def read_count(column: str, value: object, *, scale: int = 1) -> int | None:
    """Return a count, a whole number from 0; `scale` brings it to the column's unit.

    >>> read_count("input_tokens", "12.0"), read_count("response_time_ms", 0.25, scale=1000)
    (12, 250)
    """
    number = read_number(column, value)
    if number is None:
        return None
    if abs(number.adjusted()) > PRECISION and number:
        raise BadValueError(column, value, f"is no whole number from 0 to {MAX_COUNT}")
    number = number * scale if scale == 1 else (number * scale).quantize(Decimal(1))
    if number != number.to_integral_value() or not 0 <= number <= MAX_COUNT:
        raise BadValueError(column, value, f"is no whole number from 0 to {MAX_COUNT}")
    return int(number)


def read_money(column: str, value: object) -> Decimal | None:
    """Return US dollars, rounded half-even to ten places.

    >>> read_money("total_cost", "1e-3"), read_money("total_cost", 0.1)
    (Decimal('0.0010000000'), Decimal('0.1000000000'))
    """
    number = read_number(column, value)
    if number is None:
        return None
    if number and number.adjusted() < -2 * PLACES:
        number = Decimal(0)  # far below what is rounded away
    rounded = None if number.adjusted() > PRECISION else round_money(number)
    if rounded is None or not 0 <= rounded < _COSTS_BELOW:
        rule = f"is no cost in US dollars from 0 to below {_COSTS_BELOW}"
        raise BadValueError(column, value, rule)
    return rounded


def read_boolean(column: str, value: object) -> bool | None:
    """Return a truth value, as databases and programs write it."""
    if isinstance(value, bool) or is_null(value):
        return value if isinstance(value, bool) else None
    known = _TRUTH.get(str(value).strip().lower())
    if known is None:
        raise BadValueError(column, value, "is neither true nor false")
    return known


def read_instant(column: str, value: object, zone: tzinfo = UTC) -> datetime | None:
    """Return an instant in UTC; a time without an offset is one of `zone`.

    >>> read_instant("requested_at", "2026-10-05 09:00:00.5+02").isoformat()
    '2026-10-05T07:00:00.500000+00:00'
    >>> read_instant("requested_at", 1_790_000_000).isoformat()
    '2026-09-21T14:13:20+00:00'
    """
    if is_null(value):
        return None
    try:
        instant = _instant(value)
        if instant.tzinfo is None:
            instant = instant.replace(tzinfo=zone)
        return instant.astimezone(UTC)
    except (ValueError, OverflowError):
        rule = "is no time; write it as 2026-10-05T09:00:00Z, or as seconds since 1970, before 2100"
        raise BadValueError(column, value, rule) from None


def _instant(value: object) -> datetime:
    if isinstance(value, datetime):
        return value
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day)  # noqa: DTZ001 - the caller's zone
    if isinstance(value, bool) or not isinstance(value, (str, int, float, Decimal)):
        raise ValueError
    text = repr(value) if isinstance(value, float) else str(value).strip()
    if isinstance(value, str) and not _LONGER_THAN_A_DATE.fullmatch(text):
        try:
            return datetime.fromisoformat(text.removesuffix(" UTC"))
        except ValueError:
            if "T" in text:
                raise
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise ValueError from None
    for below, per_second in _PER_SECOND:
        if number.is_finite() and 0 <= number < below:
            if number >= _END * per_second:
                break
            return _EPOCH + timedelta(microseconds=int(number * 1_000_000 / per_second))
    raise ValueError


def read_text(value: object, found: list[str]) -> str | None:
    """Return a text without what no database takes, API keys of ours masked."""
    if value is None:
        return None
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    text = value if isinstance(value, str) else as_text(value)
    cleaned = without_api_keys(clean_text(text))
    if cleaned != text:
        found.append(flags.TEXT_CLEANED)
    return cleaned


def as_text(value: object) -> str:
    """Return a value that is no text as it stands in JSON."""
    return json.dumps(value, ensure_ascii=False, default=str)


def read_uuid(column: str, value: object) -> str | None:
    """Return the text of a UUID as Postgres writes it."""
    if value is None or value == "":
        return None
    try:
        return str(UUID(str(value).strip()))
    except ValueError:
        raise BadValueError(column, value, "is no UUID") from None


def read_json(column: str, value: object) -> Any:
    """Return what JSON text says, numbers as exact decimals; other values as they are."""
    if not isinstance(value, (str, bytes)):
        return value
    if not value.strip():
        return None
    try:
        return json.loads(value, parse_float=Decimal)
    except (ValueError, RecursionError):
        raise BadValueError(column, value, "is no JSON") from None


def read_object(column: str, value: object) -> dict[str, Any]:
    """Return the members of a JSON object, none if there is none."""
    given = read_json(column, value)
    if given is not None and not isinstance(given, dict):
        raise BadValueError(column, value, "is no JSON object")
    return given or {}


def read_metadata_map(column: str, value: object, found: list[str]) -> dict[str, str]:
    """Return metadata from an object, JSON text of one, or pairs; names made canonical.

    Bounds are those of the proxy: what is over them is cut or left out, and flagged.
    """
    given = read_json(column, value)
    if given is None:
        return {}
    if isinstance(given, list) and all(isinstance(p, (tuple, list)) and len(p) == 2 for p in given):
        given = dict(given)
    if not isinstance(given, dict):
        raise BadValueError(column, value, "is no JSON object of metadata")
    values: dict[str, str] = {}
    add_metadata(values, given, found)
    return values


def add_metadata(values: dict[str, str], given: Mapping[Any, object], found: list[str]) -> None:
    """Add `given` to metadata; a key that is there already keeps its value."""
    for sent, value in given.items():
        if value is None:
            continue
        name = canonical_name(clean_text(str(sent)))
        if len(name) > MAX_NAME_CHARACTERS:
            name = name[:MAX_NAME_CHARACTERS]
            found.append(flags.METADATA_CUT)
        if not name:
            continue
        if name in values:
            found.append(flags.METADATA_REPEATED)
            continue
        if len(values) >= MAX_KEYS_PER_REQUEST:
            found.append(flags.METADATA_DROPPED)
            continue
        text = read_text(value, found) or ""
        if len(text) > MAX_VALUE_CHARACTERS:
            text = text[:MAX_VALUE_CHARACTERS]
            found.append(flags.METADATA_CUT)
        values[name] = text

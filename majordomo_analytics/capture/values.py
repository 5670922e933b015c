"""Reading one JSON document without trusting it: every member stays JSON text until asked.

Numbers never pass through a float. A value of the wrong kind is None; a count that is no
count is None and remembered as bad.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any, Final, TypeVar

import msgspec

from majordomo_analytics.records import flags
from majordomo_analytics.records.metadata import clean_text
from majordomo_analytics.records.usage import MAX_COUNT, count_or_none

T = TypeVar("T")

ABSENT = msgspec.Raw(b"")
"""Default of the members of a document."""

MAX_TEXT_CHARACTERS = 1000

_NULL = msgspec.Raw(b"null")
_NO_VALUE: Final = object()  # of a member that is none of count, text, object and array

_MAX_DIGITS = 19  # of 2^63 - 1
_AMOUNT = re.compile(rb"\d{1,20}(?:\.\d{1,40})?(?:[eE][+-]?\d{1,3})?")

# What msgspec refuses and providers have sent: not-a-number, and halves of emoji.
_STRING_OR_NAN = re.compile(rb"(\"[^\"\\]*+(?:\\.[^\"\\]*+)*+\")|(-?(?:NaN|Infinity))", re.DOTALL)
_PAIR_OR_SURROGATE = re.compile(
    rb"(\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    rb"|\\u[dD][89a-fA-F][0-9a-fA-F]{2}"
)

_members_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_list_decoder = msgspec.json.Decoder(list[msgspec.Raw])
_values_decoder = msgspec.json.Decoder(dict[str, Any])
_text_decoder = msgspec.json.Decoder(str)


def decode(decoder: msgspec.json.Decoder[T], data: bytes | msgspec.Raw) -> T | None:
    """Return `data` as what `decoder` makes of it, or None."""
    try:
        return decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def decode_document(decoder: msgspec.json.Decoder[T], data: bytes) -> T | None:
    """Return one document, repaired if need be: see `repaired`."""
    try:
        return decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        fixed = repaired(data)
        return None if fixed == data else decode(decoder, fixed)


def repaired(data: bytes) -> bytes:
    """Return `data` with bare NaN made text and lone surrogates replaced.

    >>> repaired(b'{"NaN": NaN}')
    b'{"NaN": "NaN"}'
    """
    if b"NaN" in data or b"Infinity" in data:
        data = _STRING_OR_NAN.sub(lambda m: m[1] or b'"' + m[2] + b'"', data)
    if b"\\u" in data:
        data = _PAIR_OR_SURROGATE.sub(lambda m: m[1] or rb"\ufffd", data)
    return data


def _thousandfold(amount: str) -> int:
    return int((Decimal(amount) * 1000).to_integral_value())


def is_present(value: msgspec.Raw) -> bool:
    """Return whether a member is there and not null."""
    return bool(value) and value != _NULL


def members(value: bytes | msgspec.Raw) -> dict[str, msgspec.Raw]:
    """Return the members of an object, of equal names the last; none if it is no object."""
    return decode(_members_decoder, value) or {}


def text_or_none(value: msgspec.Raw) -> str | None:
    """Return a member that is text, cut to a bound; None if it is empty or no text."""
    try:
        text = _text_decoder.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        data = bytes(value)
        if not data.startswith(b'"'):
            return None
        # What is wrong with it can only be its UTF-8: the rest was checked as it was found.
        text = str(json.loads(data.decode("utf-8", "replace"), strict=False))
    return text[:MAX_TEXT_CHARACTERS] or None


def values(data: bytes | msgspec.Raw) -> dict[str, Any]:
    """Return the members of an object as values; none if it is no object.

    All at once if that can be done: one number out of range or one bad character is no
    reason to lose the others. With a minus in it, -0 could be taken for a count.
    """
    if b"-" not in bytes(data):
        try:
            return _values_decoder.decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            pass
    return {name: _value(member) for name, member in members(data).items()}


def _value(member: msgspec.Raw) -> object:
    """Return one value: a count, text, None, or what is inside as it is written."""
    written = bytes(member)
    if written.startswith((b"{", b"[")):
        return member
    if written.startswith(b'"'):
        return text_or_none(member) or ""
    if written.isdigit() and len(written) <= _MAX_DIGITS:
        return int(written)
    return None if written == b"null" else _NO_VALUE


class Counts:
    """An object of counts, such as usage, and what was odd about it.

    Attributes
    ----------
    flags
        Oddities found so far, shared with the objects inside.
    """

    __slots__ = ("_members", "_written", "flags")

    def __init__(self, value: object, found: list[str] | None = None) -> None:
        self.flags: list[str] = [] if found is None else found
        self._members: dict[str, Any] = {}
        self._written: bytes | msgspec.Raw = b""
        if type(value) is dict:
            self._members = value
        elif isinstance(value, (bytes, msgspec.Raw)):
            self._written = value
            self._members = values(value)

    def count(self, *names: str) -> int | None:
        """Return the first of these members that is a count; null is none, but not bad."""
        for name in names:
            value = self._members.get(name)
            if value is None:
                continue
            if type(value) is int and 0 <= value <= MAX_COUNT:
                return value
            self.flags.append(flags.USAGE_BAD_NUMBER)
        return None

    def money(self, *path: str) -> str | None:
        """Return the amount at the end of a path exactly as it is written."""
        if self._members.get(path[0]) is None:
            return None
        written: bytes | msgspec.Raw = self._written
        for name in path:
            written = members(written).get(name, ABSENT)
        digits = bytes(written)
        if _AMOUNT.fullmatch(digits):
            return digits.decode("ascii")
        if digits not in (b"", b"null"):
            self.flags.append(flags.USAGE_BAD_NUMBER)
        return None

    def milliseconds(self, *names: str) -> int | None:
        """Return the first of these members that is there, of seconds, as milliseconds."""
        for name in names:
            if self._members.get(name) is not None:
                seconds = self.money(name)
                count = None if seconds is None else count_or_none(_thousandfold(seconds))
                if count is None and seconds is not None:
                    self.flags.append(flags.USAGE_BAD_NUMBER)
                return count
        return None

    def value(self, name: str) -> object:
        """Return a member, None if it is absent."""
        return self._members.get(name)

    def text(self, name: str) -> str | None:
        """Return a member that is text, cut to a bound and fit for a database."""
        value = self._members.get(name)
        if type(value) is not str:
            return None
        return clean_text(value[:MAX_TEXT_CHARACTERS]) or None

    def has(self, name: str) -> bool:
        """Return whether a member is there and not null, be it good or bad."""
        return self._members.get(name) is not None

    def total(self, name: str, *others: str) -> int | None:
        """Return a count and others that come on top of it, of which absent ones are zero.

        One of them that is bad, or an absent first one, leaves the total unknown.
        """
        first = self.count(name)
        if first is None:
            return None
        for other in others:
            count = self.count(other)
            if count is not None:
                first += count
            elif self.has(other):
                return None
        return count_or_none(first)

    def inside(self, *names: str) -> Counts:
        """Return the first of these members that is present, as counts of its own."""
        for name in names:
            value = self._members.get(name)
            if value is not None:
                return Counts(value, self.flags)
        return Counts(None, self.flags)

    def each(self, name: str) -> list[Counts]:
        """Return the elements of an array of counts."""
        array = self._members.get(name)
        if isinstance(array, msgspec.Raw):
            array = decode(_list_decoder, array)
        return [Counts(one, self.flags) for one in array] if type(array) is list else []

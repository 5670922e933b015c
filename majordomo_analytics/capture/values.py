"""Reading one JSON document without trusting it: every member stays JSON text until asked.

Numbers never pass through a float. A value of the wrong kind is None; a count that is no
count is None and remembered as bad.
"""

from __future__ import annotations

import json
import re
from typing import TypeVar

import msgspec

from majordomo_analytics.records import flags
from majordomo_analytics.records.usage import count_or_none

T = TypeVar("T")

ABSENT = msgspec.Raw(b"")
"""Default of the members of a document."""

MAX_TEXT_CHARACTERS = 1000

_NULL = msgspec.Raw(b"null")

_MAX_DIGITS = 19  # of 2^63 - 1
_MONEY = re.compile(rb"\d{1,20}(?:\.\d{1,40})?(?:[eE][+-]?\d{1,3})?")

# What msgspec refuses and providers have sent: not-a-number, and halves of emoji.
_STRING_OR_NAN = re.compile(rb"(\"[^\"\\]*+(?:\\.[^\"\\]*+)*+\")|(-?(?:NaN|Infinity))", re.DOTALL)
_PAIR_OR_SURROGATE = re.compile(
    rb"(\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    rb"|\\u[dD][89a-fA-F][0-9a-fA-F]{2}"
)

_members_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_list_decoder = msgspec.json.Decoder(list[msgspec.Raw])
_text_decoder = msgspec.json.Decoder(str)


def decode(decoder: msgspec.json.Decoder[T], data: bytes | msgspec.Raw) -> T | None:
    """Return `data` as what `decoder` makes of it, or None."""
    try:
        return decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def decode_document(decoder: msgspec.json.Decoder[T], data: bytes) -> T | None:
    """Return one document, repaired if need be: see `repaired`."""
    document = decode(decoder, data)
    if document is None and (fixed := repaired(data)) != data:
        document = decode(decoder, fixed)
    return document


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


def is_present(value: msgspec.Raw) -> bool:
    """Return whether a member is there and not null."""
    return bool(value) and value != _NULL


def members(value: bytes | msgspec.Raw) -> dict[str, msgspec.Raw]:
    """Return the members of an object, of equal names the last; none if it is no object."""
    return decode(_members_decoder, value) or {}


def elements(value: msgspec.Raw) -> list[msgspec.Raw]:
    """Return the elements of an array; none if it is no array."""
    return decode(_list_decoder, value) or []


def text_or_none(value: msgspec.Raw) -> str | None:
    """Return a member that is text, cut to a bound; None if it is empty or no text."""
    text = decode(_text_decoder, value)
    if text is None and (data := bytes(value)).startswith(b'"'):
        # What is wrong with it can only be its UTF-8: the rest was checked as it was found.
        text = str(json.loads(data.decode("utf-8", "replace"), strict=False))
    return text[:MAX_TEXT_CHARACTERS] if text else None


class Counts:
    """An object of counts, such as usage, and what was odd about it.

    Attributes
    ----------
    flags
        Oddities found so far, shared with the objects inside.
    """

    __slots__ = ("_members", "flags")

    def __init__(self, json_text: bytes | msgspec.Raw, found: list[str] | None = None) -> None:
        self.flags: list[str] = [] if found is None else found
        self._members = members(json_text)

    def count(self, *names: str) -> int | None:
        """Return the first of these members that is a count; null is none, but not bad."""
        for name in names:
            value = self._members.get(name)
            if value is None:
                continue
            digits = bytes(value)
            if digits.isdigit() and len(digits) <= _MAX_DIGITS:
                number = count_or_none(int(digits))
                if number is not None:
                    return number
            if digits != b"null":
                self.flags.append(flags.USAGE_BAD_NUMBER)
        return None

    def money(self, name: str) -> str | None:
        """Return an amount exactly as it is written."""
        value = self._members.get(name, ABSENT)
        if not is_present(value):
            return None
        digits = bytes(value)
        if _MONEY.fullmatch(digits):
            return digits.decode("ascii")
        self.flags.append(flags.USAGE_BAD_NUMBER)
        return None

    def json_text(self, name: str) -> bytes:
        """Return a member as it is written, empty if it is absent."""
        return bytes(self._members.get(name, ABSENT))

    def text(self, name: str) -> str | None:
        """Return a member that is text."""
        return text_or_none(self._members.get(name, ABSENT))

    def has(self, name: str) -> bool:
        """Return whether a member is there and not null, be it good or bad."""
        return is_present(self._members.get(name, ABSENT))

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
            if self.has(name):
                return Counts(self._members[name], self.flags)
        return Counts(b"{}", self.flags)

    def each(self, name: str) -> list[Counts]:
        """Return the elements of an array of counts."""
        return [
            Counts(element, self.flags) for element in elements(self._members.get(name, ABSENT))
        ]

"""Where the members of an object stand in its text, so that one can be cut out or put in.

For texts that go on to somebody else: what is not edited stays as it was written, to the
byte, which decoding and encoding again would not give.
"""

from __future__ import annotations

import re

import msgspec

from majordomo_analytics.capture.scanner import (
    CLOSING_BRACKETS,
    OPENING_BRACKETS,
    TO_BRACKET,
)
from majordomo_analytics.capture.values import decode

_SPACE = rb"[ \t\r\n]*+"
_STRING = rb"\"[^\"\\]*+(?:\\.[^\"\\]*+)*+\""
_FIRST = re.compile(_SPACE + rb"\{" + _SPACE)
_NAME = re.compile(rb"(" + _STRING + rb")" + _SPACE + rb":" + _SPACE, re.DOTALL)
_SIMPLE_VALUE = re.compile(_STRING + rb"|[^ \t\r\n,:\"{}\[\]]++", re.DOTALL)
_COMMA = re.compile(_SPACE + rb"," + _SPACE)

_text_decoder = msgspec.json.Decoder(str)


class Member(msgspec.Struct, frozen=True):
    """One member of an object, and where it stands.

    Attributes
    ----------
    name
        Without its quotes and escapes.
    start
        Where its name begins, with the quote.
    value_start, end
        Where its value begins, and ends.
    """

    name: bytes
    start: int
    value_start: int
    end: int


def members_in(text: bytes) -> list[Member]:
    """Return the members of an object in the order they are written, repeated ones too.

    Parameters
    ----------
    text
        Valid JSON: this only measures. Of a text that is no object, none.

    Examples
    --------
    >>> [(member.name, member.end) for member in members_in(b'{"a": [1], "b": {}}')]
    [(b'a', 9), (b'b', 18)]
    """
    found: list[Member] = []
    next_one = _FIRST.match(text)
    while next_one is not None:
        start = next_one.end()
        named = _NAME.match(text, start)
        if named is None:
            break
        end = _end_of_value(text, named.end())
        found.append(Member(_plain(named[1]), start, named.end(), end))
        next_one = _COMMA.match(text, end)
    return found


def are_all(text: bytes, members: list[Member]) -> bool:
    """Return whether an object ends after these members, and the text with it.

    >>> text = b'{"a": 1, NaN: 2}'
    >>> are_all(text, members_in(text))
    False
    """
    return bool(members) and text[members[-1].end :].strip() == b"}"


def places_to_cut(text: bytes, members: list[Member], unwanted: set[int]) -> list[tuple[int, int]]:
    """Return what to leave out so that some members are gone, each with one comma.

    Parameters
    ----------
    text
        The object that the members were found in.
    unwanted
        Which of them to leave out.

    Examples
    --------
    >>> text = b'{"a": 1, "b": null, "c": 2}'
    >>> [(start, end)] = places_to_cut(text, members_in(text), {1})
    >>> text[:start] + text[end:]
    b'{"a": 1, "c": 2}'
    """
    if len(unwanted) == len(members):
        return [(text.index(b"{") + 1, text.rindex(b"}"))]
    cuts: list[tuple[int, int]] = []
    is_first = True
    for index, member in enumerate(members):
        if index not in unwanted:
            is_first = False
        elif is_first:  # the comma after it is its own, else the one before
            cuts.append((member.start, members[index + 1].start))
        else:
            cuts.append((members[index - 1].end, member.end))
    return cuts


def _end_of_value(text: bytes, start: int) -> int:
    simple = _SIMPLE_VALUE.match(text, start)
    if simple is not None:
        return simple.end()
    position, depth = start, 0
    while position < len(text):
        if text[position] in b"{[":
            opened = _end_of(OPENING_BRACKETS, text, position) - position
            depth += opened
            position += opened
        elif text[position] in b"}]":
            closed = _end_of(CLOSING_BRACKETS, text, position) - position
            if closed >= depth:
                return position + depth
            depth -= closed
            position += closed
        else:  # a string without an end
            break
        position = _end_of(TO_BRACKET, text, position)
    return len(text)


def _end_of(pattern: re.Pattern[bytes], text: bytes, start: int) -> int:
    match = pattern.match(text, start)
    return start if match is None else match.end()


def _plain(quoted: bytes) -> bytes:
    if b"\\" in quoted:
        name = decode(_text_decoder, quoted)
        if name is not None:
            return name.encode()
    return quoted[1:-1]

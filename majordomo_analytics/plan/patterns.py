r"""Patterns: one subset of regular expressions, which every engine reads alike.

RE2, Rust's regex, Java and Postgres agree on little more than what is here, and not on how
it is written. A pattern is therefore read once, and given in one normal form:

========================  ==============================================================
written                   means
========================  ==============================================================
``abc`` ``\.``            these characters; ``\`` before punctuation that has a meaning
``.``                     any character but a line feed
``[a-z_]`` ``[^0-9]``     one of these characters, or any other
``\d`` ``\w`` ``\s``      ASCII digits; letters, digits, ``_``; white space; not: ``\D``
``\t`` ``\n`` ``\r``      tab, line feed, carriage return
``^`` ``$``               the very start and the very end of the text
``(...)`` ``(?:...)``     a group; nothing is captured
``a|b``                   either
``* + ? {3} {2,} {2,5}``  how often, at most 255; as a whole, never lazy or possessive
========================  ==============================================================

Whether a pattern is found is all that is asked, so greed and captures make no difference.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from majordomo_analytics.errors import FilterError

if TYPE_CHECKING:
    from collections.abc import Iterable

MOST_REPEATED = 255
"""Postgres counts repetitions up to here."""

MOST_CHARACTERS = 1000
"""How long a pattern may be, and how many characters it may speak of with every repetition
written out: RE2 and Rust's regex refuse what grows much larger."""

MOST_DEEP = 50
"""How deep groups may lie in one another."""

_Range = tuple[int, int]

_LAST = 0x10FFFF
_ALL: tuple[_Range, ...] = ((1, 0xD7FF), (0xE000, _LAST))  # no text holds NUL or surrogates
_DIGIT: tuple[_Range, ...] = ((0x30, 0x39),)
_WORD: tuple[_Range, ...] = ((0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A))
_SPACE: tuple[_Range, ...] = ((0x09, 0x0D), (0x20, 0x20))

_OUTSIDE = frozenset("\\.[](){}|*+?^$")
_INSIDE = frozenset("\\[]^-&~|")
_CONTROL = {"t": "\t", "n": "\n", "r": "\r"}
_WRITTEN = {character: f"\\{letter}" for letter, character in _CONTROL.items()}
_TIMES = re.compile(r"\{(\d+)(,(\d*))?\}", re.ASCII)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class _Piece:
    """A part of a pattern in normal form.

    `size` is how many characters it speaks of with every repetition written out; `empty`
    whether it is found in an empty text; `anchor` whether it is ``^`` or ``$`` itself.
    """

    text: str
    size: int = 0
    empty: bool = True
    anchor: bool = False


def read_pattern(text: str) -> str:
    r"""Return a pattern in the one form that every engine reads alike.

    Parameters
    ----------
    text
        The pattern as a user writes it.

    Raises
    ------
    FilterError
        If it is outside the subset; the message says where and what would be right.

    Examples
    --------
    >>> read_pattern(r"^gpt-\d+(\.\d)?$")
    '^gpt-[0-9]+(?:\\.[0-9])?\\z'
    """
    if not isinstance(text, str):
        message = f"a pattern is text, not {text!r}"
        raise FilterError(message)
    return _Reader(text).whole()


def for_postgres(pattern: str) -> str:
    r"""Return a pattern in normal form as Postgres writes it, which has no ``\z``.

    >>> for_postgres(r"a\\z\z")
    'a\\\\z$'
    """
    return _ESCAPE.sub(lambda found: "$" if found[1] == "z" else found[0], pattern)


class _Reader:
    """Reads one pattern from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._deep = 0
        if len(text) > MOST_CHARACTERS:
            self._refuse(f"it is longer than {MOST_CHARACTERS} characters", at=0)
        for at, character in enumerate(text):
            if character == "\0" or "\ud800" <= character <= "\udfff":
                self._refuse("no text holds that character", at=at)

    def whole(self) -> str:
        piece = self._either()
        if self._at < len(self._text):  # only a closing parenthesis ends it early
            self._refuse("no group is open; for the character itself write '\\)'")
        return piece.text

    def _either(self) -> _Piece:
        branches = [self._branch()]
        while self._taken("|"):
            branches.append(self._branch())
        texts = [branch.text for branch in branches]
        return self._checked(
            "|".join(texts) if any(texts) else "",
            sum(branch.size for branch in branches),
            empty=any(branch.empty for branch in branches),
        )

    def _branch(self) -> _Piece:
        pieces = []
        while self._at < len(self._text) and self._text[self._at] not in "|)":
            pieces.append(self._repeated(self._one()))
        return self._checked(
            "".join(piece.text for piece in pieces),
            sum(piece.size for piece in pieces),
            empty=all(piece.empty for piece in pieces),
        )

    def _one(self) -> _Piece:
        character = self._text[self._at]
        match character:
            case "(":
                return self._group()
            case "[":
                return self._class()
            case ".":
                self._at += 1
                return _Piece(r"[^\n]", 1, empty=False)
            case "^" | "$":
                self._at += 1
                return _Piece("^" if character == "^" else r"\z", anchor=True)
            case "\\":
                meant = self._escaped()
                if isinstance(meant, str):
                    return _Piece(_plain(meant), 1, empty=False)
                return _Piece(_as_class(meant), len(meant), empty=False)
            case "*" | "+" | "?" | "{":
                self._refuse(_literally(character, "nothing stands before it to repeat"))
            case "]" | "}":
                self._refuse(_literally(character, "nothing was opened"))
        self._at += 1
        return _Piece(_plain(character), 1, empty=False)

    def _group(self) -> _Piece:
        start = self._at
        self._at += 1
        if self._taken("?") and not self._taken(":"):
            why = "only '(...)' and '(?:...)' are groups; there are no flags and no lookaround"
            self._refuse(why, at=start)
        self._deep += 1
        if self._deep > MOST_DEEP:
            self._refuse(f"groups lie more than {MOST_DEEP} deep", at=start)
        inner = self._either()
        if not self._taken(")"):
            self._refuse("the group is never closed", at=start)
        self._deep -= 1
        # DuckDB makes LIKE of simple patterns, and takes `(?:)ab` for "starts with ab".
        return _Piece(f"(?:{inner.text})" if inner.text else "", inner.size, empty=inner.empty)

    def _repeated(self, piece: _Piece) -> _Piece:
        start = self._at
        times = self._times()
        if times is None:
            return piece
        least, most = times
        if piece.anchor:
            self._refuse("'^' and '$' cannot be repeated", at=start)
        if piece.empty and (least, most) != (0, 1):
            self._refuse("it repeats what may be empty already", at=start)
        if self._at < len(self._text) and self._text[self._at] in "*+?{":
            why = "a repetition is not repeated, and is never lazy or possessive"
            self._refuse(why)
        written = self._text[start : self._at] if piece.text else ""
        size = piece.size * max(1, least if most is None else most)
        return self._checked(piece.text + written, size, empty=piece.empty or not least, at=start)

    def _times(self) -> tuple[int, int | None] | None:
        """Return how often at least and at most, None where nothing is said."""
        for sign, least, most in (("*", 0, None), ("+", 1, None), ("?", 0, 1)):
            if self._taken(sign):
                return least, most
        if not self._text.startswith("{", self._at):
            return None
        found = _TIMES.match(self._text, self._at)
        if found is None:
            why = "a repetition is '{3}', '{2,}' or '{2,5}'"
            self._refuse(_literally("{", why))
        least = int(found[1])
        most = least if found[2] is None else int(found[3]) if found[3] else None
        if max(least, most or 0) > MOST_REPEATED:
            self._refuse(f"nothing is repeated more than {MOST_REPEATED} times")
        if most is not None and (most < least or most == 0):
            self._refuse("it repeats nothing")
        self._at = found.end()
        return least, most

    def _class(self) -> _Piece:
        start = self._at
        self._at += 1
        negated = self._taken("^")
        ranges: list[_Range] = []
        first = True
        while first or not self._taken("]"):
            if self._at >= len(self._text):
                self._refuse("the class is never closed", at=start)
            ranges += self._range(first=first)
            first = False
        chosen = _united(ranges)
        if negated:
            chosen = _others(chosen)
        if not chosen:
            self._refuse("no character is in the class", at=start)
        return self._checked(_as_class(chosen), len(chosen), empty=False, at=start)

    def _range(self, *, first: bool) -> Iterable[_Range]:
        """Return what one item of a class means: a character, a range or a shorthand."""
        start = self._at
        low = self._member(first=first)
        if not isinstance(low, str):
            return low
        if not self._text.startswith("-", self._at) or self._text.startswith("-]", self._at):
            return ((ord(low), ord(low)),)
        self._at += 1
        if self._at >= len(self._text):
            self._refuse("the class is never closed", at=start)
        high = self._member(first=False)
        if not isinstance(high, str) or ord(high) < ord(low):
            self._refuse("a range goes from one character up to a later one", at=start)
        return ((ord(low), ord(high)),)

    def _member(self, *, first: bool) -> str | tuple[_Range, ...]:
        character = self._text[self._at]
        if character == "\\":
            return self._escaped()
        if character == "[":
            self._refuse(_literally("[", "a class holds no other class"))
        if character == "]":
            self._refuse(_literally("]", "an empty class is none"))
        if character in "&~|" and self._text.startswith(character * 2, self._at):
            self._refuse(_literally(character, "classes are not combined"))
        if character == "-" and not first and not self._text.startswith("-]", self._at):
            self._refuse(_literally("-", "it stands first, last, or between two characters"))
        self._at += 1
        return character

    def _escaped(self) -> str | tuple[_Range, ...]:
        r"""Return the character that is escaped, or the characters of ``\d``."""
        start = self._at
        letter = self._text[start + 1 : start + 2]
        if not letter:
            self._refuse(_literally("\\", "nothing follows it"))
        self._at += 2
        if letter in _CONTROL:
            return _CONTROL[letter]
        if (shorthand := _SHORTHANDS.get(letter)) is not None:
            return shorthand
        if not letter.isascii() or letter.isalnum():
            hints = {"b": "; there are no word boundaries", "A": "; write '^'", "Z": "; write '$'"}
            why = f"'\\{letter}' has no meaning here{hints.get(letter, '')}"
            self._refuse(why, at=start)
        return letter

    def _taken(self, text: str) -> bool:
        if not self._text.startswith(text, self._at):
            return False
        self._at += len(text)
        return True

    def _checked(self, text: str, size: int, *, empty: bool, at: int | None = None) -> _Piece:
        if size > MOST_CHARACTERS:
            why = f"with every repetition written out it is longer than {MOST_CHARACTERS}"
            self._refuse(f"{why} characters", at=at)
        return _Piece(text, size, empty)

    def _refuse(self, why: str, *, at: int | None = None) -> NoReturn:
        place = self._at if at is None else at
        shown = self._text if len(self._text) <= 80 else f"{self._text[:80]}…"
        where = f" at {self._text[place]!r}, character {place + 1}" * (place < len(self._text))
        message = f"pattern {shown!r} cannot be read{where}: {why}"
        raise FilterError(message)


def _literally(character: str, why: str) -> str:
    return f"{why}; for the character itself write '\\{character}'"


def _plain(character: str) -> str:
    if character in _WRITTEN:
        return _WRITTEN[character]
    return f"\\{character}" if character in _OUTSIDE else character


def _as_class(ranges: tuple[_Range, ...]) -> str:
    if ranges[-1][1] < _LAST:
        return f"[{_listed(ranges)}]"
    others = _others(ranges)
    return f"[^{_listed(others)}]" if others else r"(?:[^\n]|\n)"


def _listed(ranges: Iterable[_Range]) -> str:
    def written(code: int) -> str:
        character = chr(code)
        if character in _WRITTEN:
            return _WRITTEN[character]
        return f"\\{character}" if character in _INSIDE else character

    return "".join(
        f"{written(low)}-{written(high)}"
        if high - low > 1
        else "".join(written(code) for code in range(low, high + 1))
        for low, high in ranges
    )


def _united(ranges: Iterable[_Range]) -> tuple[_Range, ...]:
    """Return the same characters as ascending ranges that do not touch; no surrogates."""
    found: list[_Range] = []
    for whole in sorted(ranges):
        for block in _ALL:
            low, high = max(whole[0], block[0]), min(whole[1], block[1])
            if low > high:
                continue
            if found and low <= found[-1][1] + 1:
                found[-1] = found[-1][0], max(found[-1][1], high)
            else:
                found.append((low, high))
    return tuple(found)


def _others(ranges: tuple[_Range, ...]) -> tuple[_Range, ...]:
    """Return every character that is not in the ascending ranges."""
    found = []
    for block in _ALL:
        start = block[0]
        for low, high in ranges:
            if not block[0] <= low <= block[1]:
                continue
            if start < low:
                found.append((start, low - 1))
            start = high + 1
        if start <= block[1]:
            found.append((start, block[1]))
    return tuple(found)


_SHORTHANDS: dict[str, tuple[_Range, ...]] = {
    "d": _DIGIT,
    "w": _WORD,
    "s": _SPACE,
    "D": _others(_DIGIT),
    "W": _others(_WORD),
    "S": _others(_SPACE),
}

"""Where things stand in a TOML file: tomllib says what is wrong in it, but not where.

Only for text that tomllib has read, so that nothing has to be checked here: statements are
told apart by the line ends outside of strings and brackets.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

# Brackets and line ends in strings and comments mean nothing; longer quotes come first.
_PIECE = re.compile(
    r'"""(?:\\.|[^\\])*?"""(?:"{0,2})'
    r"|'''.*?'''(?:'{0,2})"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'"
    r"|#[^\n]*"
    r"|\n|.",
    re.DOTALL,
)
_OPENING = frozenset("[{")
_CLOSING = frozenset("]}")


@dataclass(frozen=True, slots=True)
class Statement:
    """One header or one key with its value.

    Attributes
    ----------
    line
        Where it begins, counted from 1.
    path
        The table a header opens, or the key, in its parts.
    is_header
        Whether it is a header.
    braces
        Lines of the inline tables that stand directly in its value's array.
    """

    line: int
    path: tuple[str, ...]
    is_header: bool
    braces: tuple[int, ...] = ()


class Lines:
    r"""The lines of one text, which is gone through once.

    Parameters
    ----------
    text
        TOML that can be read.
    array
        The array of tables whose entries are asked for.

    Examples
    --------
    >>> lines = Lines('[[price]]\nmodel = "[[price]]"\n[[price]]\nb = 2\n', "price")
    >>> lines.of_entry(1), lines.of_key(1, "b"), lines.of_name("price")
    (3, 4, 1)
    """

    def __init__(self, text: str, array: str) -> None:
        self._array = array
        self._statements = tuple(statements(text))
        self._entries: list[int] = []
        for statement in self._statements:
            if statement.path == (array,):
                self._entries += statement.braces or (statement.line,)

    def of_entry(self, place: int) -> int:
        """Return the line of an entry of the array, counted from 0."""
        return self._entries[place]

    def of_key(self, place: int, key: str) -> int:
        """Return the line of a key of such an entry, else that of the entry."""
        entry = self.of_entry(place)
        inside = False
        below: tuple[str, ...] = ()
        for statement in self._statements:
            if statement.is_header:
                if statement.path[:1] != (self._array,) or statement.path == (self._array,):
                    inside = statement.line == entry
                below = statement.path[1:]
                if inside and below[:1] == (key,):
                    return statement.line
            elif inside and not below and statement.path[:1] == (key,):
                return statement.line
        return entry

    def of_name(self, name: str) -> int:
        """Return the line where a name at the top of the file first stands."""
        return next((each.line for each in self._statements if each.path[:1] == (name,)), 1)


def statements(text: str) -> Iterator[Statement]:
    """Yield the headers and keys of a TOML text that can be read."""
    line = begun = 1
    depth = 0
    head = ""
    is_value = False
    braces: list[int] = []
    for match in _PIECE.finditer(text + "\n"):
        piece = match[0]
        if piece == "\n" and depth == 0:
            if head.strip():
                yield _statement(begun, head.strip(), tuple(braces))
            head, is_value, braces = "", False, []
        elif piece[0] != "#":
            if not head.strip():
                begun = line
            if is_value:
                if piece == "{" and depth == 1:
                    braces.append(line)
                depth += (piece in _OPENING) - (piece in _CLOSING)
            elif piece == "=":
                is_value = True
            else:
                head += piece
        line += piece.count("\n")


def _statement(line: int, head: str, braces: tuple[int, ...]) -> Statement:
    is_header = head.startswith("[")
    parsed: Any = tomllib.loads(head if is_header else f"{head} = 0")
    path = []
    while isinstance(parsed, dict) and parsed:
        ((name, parsed),) = parsed.items()
        path.append(name)
        if isinstance(parsed, list):
            parsed = parsed[0]
    return Statement(line, tuple(path), is_header, braces)

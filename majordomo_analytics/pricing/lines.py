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


def line_of_entry(text: str, array: str, place: int) -> int:
    r"""Return the line of an entry of an array of tables, counted from 0.

    >>> line_of_entry('[[price]]\nmodel = "[[price]]"\n[[price]]\n', "price", 1)
    3
    """
    headers = []
    for statement in statements(text):
        if statement.path == (array,):
            if not statement.is_header:
                return (statement.braces or (statement.line,) * (place + 1))[place]
            headers.append(statement.line)
    return headers[place]


def line_of_key(text: str, array: str, place: int, key: str) -> int:
    r"""Return the line of a key of such an entry, else that of the entry.

    >>> line_of_key("[[price]]\na = 1\n[[price]]\nb = 2\na = 3\n", "price", 1, "a")
    5
    """
    entry = line_of_entry(text, array, place)
    inside = False
    below: tuple[str, ...] = ()
    for statement in statements(text):
        if statement.is_header:
            if statement.path[:1] != (array,) or statement.path == (array,):
                inside = statement.line == entry
            below = statement.path[1:]
            if inside and below[:1] == (key,):
                return statement.line
        elif inside and not below and statement.path[:1] == (key,):
            return statement.line
    return entry


def line_of_name(text: str, name: str) -> int:
    """Return the line where a name at the top of the file first stands."""
    return next((each.line for each in statements(text) if each.path[:1] == (name,)), 1)


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

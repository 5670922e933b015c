"""A scanner for JSON too large to hold: it copies the members wanted and drops the rest.

It knows strings and brackets, not values: whatever it cannot make sense of is dropped, and
what it copies is decoded by others. Its memory is bounded whatever comes, and each byte is
looked at a fixed number of times however the bytes are cut.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

Kept = Mapping[bytes, "Kept | None"]
"""Names of the members to copy: whole (None), or only some of the members inside.

Arrays are looked through: ``{b"choices": {b"usage": None}}`` is the usage of each choice.
"""

MAX_KEPT_BYTES = 256 * 1024
"""Most that is copied of one document; a document that needs more is dropped."""

_NOTHING: Final[Kept] = {}

_TEXT = rb"\"[^\"\\]*+(?:\\.[^\"\\]*+)*+\""
_FLAT = rb"[^\"{}\[\]]*+(?:" + _TEXT + rb"[^\"{}\[\]]*+)*+"
_NESTED = _FLAT + rb"(?:[{\[]" + _FLAT + rb"[}\]]" + _FLAT + rb")*+"

_SPACE = re.compile(rb"[ \t\r\n]*+")
_SCALAR = re.compile(rb"[^ \t\r\n,:\"{}\[\]]++")
_REST_OF_STRING = re.compile(rb"[^\"\\]*+(?:\\.[^\"\\]*+)*+", re.DOTALL)
OPENING_BRACKETS = re.compile(rb"[{\[]++")
CLOSING_BRACKETS = re.compile(rb"[}\]]++")
# Small containers go by in one match, so that log probabilities, say, cost little.
TO_BRACKET = re.compile(_NESTED + rb"(?:[{\[]" + _NESTED + rb"[}\]]" + _NESTED + rb")*+", re.DOTALL)


class Scanner:
    """Cuts text into its JSON documents and emits each with only the members wanted.

    Documents are the objects at the top: one alone, one after another (NDJSON), or the
    elements of an array.

    Attributes
    ----------
    is_array
        Whether the documents are elements of an array.
    documents
        How many have been emitted.
    is_too_large
        Whether a document was dropped because too much of it was wanted.
    """

    def __init__(self, kept: Kept, emit: Callable[[bytes], object]) -> None:
        self.is_array = False
        self.documents = 0
        self.is_too_large = False
        self._kept = kept
        self._emit = emit
        self._out = bytearray()
        self._is_over = False
        # Open containers that are looked into: what is wanted inside, and their bracket.
        self._open: list[tuple[Kept, int]] = []
        self._wanted: Kept | None = _NOTHING  # of the value that comes next
        self._awaits_key = False
        self._key_at = -1  # where in `_out` the key being read begins
        self._depth = 0  # inside a value that is copied or dropped whole
        self._is_copying = False
        self._in_string = False
        self._is_escaped = False  # the last byte was a backslash

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        position, end = 0, len(data)
        while position < end:
            if self._in_string:
                position = self._read_string(data, position)
            elif self._depth:
                position = self._read_inside(data, position)
            else:
                position = self._read_token(data, position)

    def _read_string(self, data: bytes, start: int) -> int:
        position = _end_of(_REST_OF_STRING, data, start + self._is_escaped)
        self._is_escaped = False
        if position < len(data):
            if data[position] == _QUOTE:
                self._in_string = False
            else:
                self._is_escaped = True
            position += 1
        self._copy(data[start:position])
        if not self._in_string and not self._depth:
            self._is_copying = False
            if self._key_at >= 0:
                self._end_key()
        return position

    def _read_inside(self, data: bytes, start: int) -> int:
        position = _end_of(TO_BRACKET, data, start)
        if position < len(data):
            byte = data[position]
            if byte == _QUOTE:  # a string that ends in a later chunk
                self._in_string = True
                position += 1
            elif byte in _OPENING:
                opened = _end_of(OPENING_BRACKETS, data, position) - position
                self._depth += opened
                position += opened
            else:
                closed = _end_of(CLOSING_BRACKETS, data, position) - position
                closed = min(closed, self._depth)
                self._depth -= closed
                position += closed
        self._copy(data[start:position])
        self._is_copying &= self._depth > 0
        return position

    def _read_token(self, data: bytes, start: int) -> int:
        position = _end_of(_SPACE, data, start)
        if position > start:
            if self._wanted is None:  # else "1 2" would become 12
                self._write(data[start:position])
            return position
        byte = data[start]
        if byte == _QUOTE:
            self._begin_string()
        elif byte in _OPENING:
            self._open_container(byte)
        elif byte in _CLOSING:
            self._close_container(byte)
        elif byte == _COMMA:
            self._await_next()
        elif byte != _COLON:
            position = _end_of(_SCALAR, data, start)
            if self._begin_simple_value():
                self._write(data[start:position])
            return position
        return start + 1

    def _begin_string(self) -> None:
        self._in_string = True
        if self._awaits_key:
            self._awaits_key = False
            self._key_at = len(self._out)
            self._write_separator()
            self._is_copying = True
        else:
            self._is_copying = self._begin_simple_value()
        self._copy(b'"')

    def _begin_simple_value(self) -> bool:
        """Return whether to copy the text or number that comes."""
        if self._wanted and self._open[-1][1] == _OBJECT:
            # Members of it were wanted, but it has none.
            self._write(b"null")
            self._wanted = _NOTHING
        return self._wanted is None

    def _end_key(self) -> None:
        key = bytes(self._out[self._key_at :]).lstrip(b",")[1:-1]
        self._wanted = self._open[-1][0].get(key, _NOTHING)
        if self._wanted is _NOTHING:
            del self._out[self._key_at :]
        else:
            self._write(b":")
        self._key_at = -1

    def _open_container(self, byte: int) -> None:
        if not self._open:
            if byte == _ARRAY:
                self.is_array = True
                return
            self._wanted = self._kept
        if self._wanted:
            self._write_separator()
            self._write(bytes((byte,)))
            self._open.append((self._wanted, byte))
            self._await_next()
        else:
            self._depth = 1
            self._is_copying = self._wanted is None
            self._copy(bytes((byte,)))

    def _close_container(self, byte: int) -> None:
        if not self._open:
            return
        self._open.pop()
        self._write(bytes((byte,)))
        self._awaits_key = False
        self._wanted = _NOTHING
        if not self._open:
            self._end_document()

    def _await_next(self) -> None:
        if self._open:
            kept, bracket = self._open[-1]
            self._awaits_key = bracket == _OBJECT
            self._wanted = _NOTHING if self._awaits_key else kept

    def _end_document(self) -> None:
        if self._is_over:
            self._is_over = False
            self.is_too_large = True
        else:
            self.documents += 1
            self._emit(bytes(self._out))
        self._out.clear()

    def _copy(self, data: bytes) -> None:
        if self._is_copying:
            self._write(data)

    def _write(self, data: bytes) -> None:
        if len(self._out) + len(data) > MAX_KEPT_BYTES:
            self._is_over = True
        if not self._is_over:
            self._out += data

    def _write_separator(self) -> None:
        if self._out and self._out[-1] not in b"{[:":
            self._write(b",")


def _end_of(pattern: re.Pattern[bytes], data: bytes, start: int) -> int:
    match = pattern.match(data, start)
    return start if match is None else match.end()


_QUOTE, _COMMA, _COLON, _OBJECT, _ARRAY = b'",:{['
_OPENING = b"{["
_CLOSING = b"}]"

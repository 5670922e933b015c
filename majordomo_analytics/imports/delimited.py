"""CSV, row by row, with the line of each; an empty field is not a quoted empty one.

Python's own reader does not tell those two apart, and gives up at the first bad row. This
one reads what RFC 4180 describes, in bounded memory, and says what is wrong where.
"""

from __future__ import annotations

import re
from typing import IO, TYPE_CHECKING

from majordomo_analytics.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator

DELIMITERS = (",", ";", "\t", "|")
MOST_CHARACTERS = 4 * 2**20
"""Of one row: what is longer is a quote that is never closed."""

_BOM = b"\xef\xbb\xbf"


class RowError(Exception):
    """A row that cannot be read, why, and what stands there.

    Attributes
    ----------
    raw
        The text of it, or of its first line.
    """

    def __init__(self, reason: str, raw: str | None = None) -> None:
        self.raw = raw
        super().__init__(reason)


Cells = list[str | None]


class DelimitedReader:
    """Reads rows from a file of bytes.

    Parameters
    ----------
    file
        What to read; UTF-8, with or without a byte order mark.
    name
        Its name in messages.

    Attributes
    ----------
    columns
        The names in the first line.

    Raises
    ------
    SourceError
        If the first line is no header.
    """

    columns: tuple[str, ...]

    def __init__(self, file: IO[bytes], name: str) -> None:
        self._file = file
        self._line = 0
        first = self._next_line().removeprefix(_BOM)
        try:
            head = first.decode("utf-8")
        except UnicodeDecodeError:
            message = f"{name} is no UTF-8 text; save it as UTF-8"
            raise SourceError(message) from None
        delimiter = max(DELIMITERS, key=head.count)
        self._delimiter = delimiter
        self._end = re.compile(rf"{re.escape(delimiter)}|\r?\n|\Z")
        try:
            cells = self._row(first)
        except RowError as error:
            message = f"the first line of {name} is no header: {error}"
            raise SourceError(message) from None
        self.columns = tuple((cell or "").strip() for cell in cells)
        if repeated := [c for c in self.columns if self.columns.count(c) > 1]:
            message = f"the first line of {name} names the column {repeated[0]!r} twice"
            raise SourceError(message)
        if not any(self.columns):
            message = f"{name} has no first line with the names of its columns"
            raise SourceError(message)

    def __iter__(self) -> Iterator[tuple[int, Cells | RowError]]:
        """Yield the line that each row begins in, and its cells or what is wrong."""
        while line := self._next_line():
            if not line.strip(b"\r\n"):
                continue
            number = self._line
            try:
                cells = self._row(line)
            except RowError as error:
                error.raw = _shown(line)
                yield number, error
                continue
            if len(cells) != len(self.columns):
                message = f"it has {len(cells)} fields, and the first line {len(self.columns)}"
                yield number, RowError(message, _shown(line))
            else:
                yield number, cells

    def _next_line(self) -> bytes:
        line = self._file.readline(MOST_CHARACTERS)
        self._line += bool(line)
        return line

    def _row(self, line: bytes) -> Cells:
        text = self._decoded(line)
        first, behind_first = self._line, None
        cells: Cells = []
        at = 0
        while True:
            if text.startswith('"', at):
                seen = at + 1
                while (end := _closing_quote(text, seen)) < 0:
                    seen = len(text)
                    if behind_first is None:
                        behind_first = self._file.tell()
                    more = self._next_line()
                    if not more or len(text) > MOST_CHARACTERS:
                        # Else one stray quote would take the rest of the file with it.
                        self._file.seek(behind_first)
                        self._line = first
                        message = "a quote in it is never closed"
                        raise RowError(message)
                    text += self._decoded(more)
                cells.append(text[at + 1 : end].replace('""', '"'))
                at = end + 1
            else:
                end = self._end.search(text, at).start()  # type: ignore[union-attr]  # has \Z
                cells.append(text[at:end] or None)
                at = end
            if text.startswith(self._delimiter, at):
                at += 1
            elif text[at:].strip("\r\n"):
                message = f"something stands behind the closing quote of field {len(cells)}"
                raise RowError(message)
            else:
                return cells

    @staticmethod
    def _decoded(line: bytes) -> str:
        try:
            return line.decode("utf-8")
        except UnicodeDecodeError as error:
            message = f"byte {error.start + 1} of it is no UTF-8"
            raise RowError(message) from None


def _shown(line: bytes) -> str:
    return line.decode("utf-8", "replace").rstrip("\r\n")


def _closing_quote(text: str, at: int) -> int:
    """Return where the quoted field ends that goes on at `at`, -1 if not in this text."""
    while (at := text.find('"', at)) >= 0:
        if not text.startswith('""', at):
            return at
        at += 2
    return -1

"""Forms of a body: JSON, an array of it, NDJSON, server-sent events, AWS event streams.

The first bytes decide which, never a content type. Every form ends as JSON documents that
are offered, one by one, to a `Take`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from majordomo_analytics.capture.eventstream import PRELUDE_BYTES, Frames, is_prelude
from majordomo_analytics.capture.scanner import Scanner

if TYPE_CHECKING:
    from majordomo_analytics.capture.scanner import Kept

Take = Callable[[bytes], bool]
"""Takes one document, or answers False if it cannot be read as it is."""

MAX_HELD_BYTES = 64 * 1024
"""Documents up to this size are held and decoded whole, larger ones are scanned."""

_FIELDS = (b"data:", b"event:", b"id:", b"retry:", b":")
"""How server-sent events begin."""

_BOM = b"\xef\xbb\xbf"


class Documents:
    """The JSON documents of a body that is JSON: one, an array of them, or NDJSON.

    Attributes
    ----------
    is_streamed
        Whether the body is an array or has several documents.
    is_too_large
        Whether a document was dropped because too much of it was wanted.
    """

    def __init__(self, kept: Kept, take: Take) -> None:
        self.is_streamed = False
        self.is_too_large = False
        self._take = take
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._kept = kept
        self._scanner: Scanner | None = None

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the body."""
        if self._scanner is not None:
            self._scanner.feed(chunk)
            return
        self._held.append(chunk)
        self._held_bytes += len(chunk)
        if self._held_bytes > MAX_HELD_BYTES:
            self._scan_held()

    def finish(self) -> None:
        """Offer what is still held; documents that were cut short are dropped."""
        scanner = self._scanner
        if scanner is None:
            body = b"".join(self._held)
            if body.startswith(b"{") and self._take(body):
                return
            scanner = self._scan_held()
        self.is_streamed = scanner.is_array or scanner.documents > 1
        self.is_too_large = scanner.is_too_large

    def _scan_held(self) -> Scanner:
        scanner = self._scanner = Scanner(self._kept, self._take)
        for chunk in self._held:
            scanner.feed(chunk)
        self._held.clear()
        return scanner


class Events:
    """The data of server-sent events, each one a document.

    The grammar is that of the HTML standard, but for the last event: it counts even
    without the blank line after it. Names of events are not read, the data say the same.

    Attributes
    ----------
    is_streamed
        Always true.
    is_too_large
        Whether an event was dropped because too much of it was wanted.
    """

    is_streamed = True

    def __init__(self, kept: Kept, take: Take) -> None:
        self.is_too_large = False
        self._kept = kept
        self._take = take
        self._is_between = True  # two events, with nothing held
        self._ended_with_cr = False
        self._line: list[bytes] = []  # what came of a line whose end has not
        self._line_bytes = 0
        self._is_long_line = False
        self._is_long_data = False  # of a long line: whether it is one of data
        self._data: list[bytes] = []  # the data lines of the event so far
        self._data_bytes = 0
        self._scanner: Scanner | None = None  # reads the event if it is long

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the body."""
        if (
            self._is_between
            and chunk.startswith(b"data: ")
            and chunk.endswith(b"\n\n")
            and chunk.find(b"\n") == len(chunk) - 2
            and b"\r" not in chunk
            and len(chunk) < MAX_HELD_BYTES
        ):
            # One event in one line, as most providers send them.
            data = chunk[6:-2]
            if data and not self._take(data):
                Scanner(self._kept, self._take).feed(data)
            return
        self._feed_lines(chunk)
        self._is_between = not (
            self._line_bytes or self._data or self._scanner or self._ended_with_cr
        )

    def _feed_lines(self, chunk: bytes) -> None:
        if self._ended_with_cr and chunk.startswith(b"\n"):
            chunk = chunk[1:]
            self._ended_with_cr = False
        if not chunk:
            return
        self._ended_with_cr = chunk.endswith(b"\r")
        lines = chunk.splitlines()
        rest = b"" if chunk.endswith((b"\r", b"\n")) else lines.pop()
        if self._line_bytes and lines:
            self._end_line(lines.pop(0))
        for line in lines:
            if line:
                self._read_line(line)
            else:
                self._end_event()
        if rest:
            self._hold(rest)

    def finish(self) -> None:
        """Read what came of a last line and a last event."""
        if self._line_bytes:
            self._end_line(b"")
        self._end_event()

    def _hold(self, part: bytes) -> None:
        self._line_bytes += len(part)
        if self._is_long_line:
            self._read_long(part)
            return
        self._line.append(part)
        if self._line_bytes > MAX_HELD_BYTES:
            line = b"".join(self._line)
            self._line.clear()
            self._is_long_line = True
            self._is_long_data = line.startswith(b"data:")
            self._read_long(b"\n" + _value_of(line))

    def _read_long(self, part: bytes) -> None:
        if self._is_long_data:
            self._scan(part)

    def _end_line(self, part: bytes) -> None:
        if self._is_long_line:
            self._read_long(part)
            self._is_long_line = False
        else:
            self._read_line(b"".join([*self._line, part]))
            self._line.clear()
        self._line_bytes = 0

    def _read_line(self, line: bytes) -> None:
        if line.startswith(b"data: "):
            value = line[6:]
        elif line.startswith(b"data:") or line == b"data":
            value = line[5:]
        else:
            return
        if self._scanner is not None:
            self._scan(b"\n" + value)
            return
        self._data.append(value)
        self._data_bytes += len(value) + 1
        if self._data_bytes > MAX_HELD_BYTES:
            self._scan(b"")

    def _scan(self, data: bytes) -> None:
        if self._scanner is None:
            self._scanner = Scanner(self._kept, self._take)
            self._scanner.feed(b"\n".join(self._data))
            self._data.clear()
        self._scanner.feed(data)

    def _end_event(self) -> None:
        if self._scanner is not None:
            self.is_too_large |= self._scanner.is_too_large
            self._scanner = None
        elif self._data:
            data = b"\n".join(self._data)
            self._data.clear()
            if data and not self._take(data):
                Scanner(self._kept, self._take).feed(data)
        self._data_bytes = 0


def _value_of(line: bytes) -> bytes:
    """Return the value of a data line; one space after the colon is not part of it."""
    return line[6:] if line.startswith(b" ", 5) else line[5:]


class Form:
    """Finds out from the first bytes which form a body has, and reads it as that.

    Parameters
    ----------
    kept
        The members wanted of a document too large to hold.
    take
        Takes each document.
    may_be_other
        Whether the body may be something else, such as audio, and is then passed over.
    """

    def __init__(self, kept: Kept, take: Take, *, may_be_other: bool = False) -> None:
        self._kept = kept
        self._take = take
        self._may_be_other = may_be_other
        self._is_other = False
        self._head = b""
        self._reader: Documents | Events | Frames | None = None

    def feed(self, text: bytes) -> None:
        """Take the next bytes of the decoded body."""
        if self._reader is not None:
            self._reader.feed(text)
            return
        if self._is_other:
            return
        head = (self._head + text).lstrip()
        # No text begins with the length of a frame.
        may_be_frames = head.startswith((b"\0", b"\1"))
        is_cut = len(head) < (PRELUDE_BYTES if may_be_frames else len(_BOM))
        if is_cut and (may_be_frames or _BOM.startswith(head)):
            self._head = head
            return
        self._head = b""
        head = head.removeprefix(_BOM).lstrip()
        if not head:
            return
        if self._may_be_other and not head.startswith((b"{", b"[", *_FIELDS)):
            if any(field.startswith(head) for field in _FIELDS):
                self._head = head
            else:
                self._is_other = True
            return
        self._reader = self._reader_of(head)
        self._reader.feed(head)

    @property
    def direct(self) -> Callable[[bytes], object] | None:
        """What takes the rest of the body, once it is known."""
        return None if self._reader is None else self._reader.feed

    def finish(self) -> Documents | Events | Frames | None:
        """Return the reader of the whole body, or None if there was nothing to read."""
        if self._reader is not None:
            self._reader.finish()
        return self._reader

    def _reader_of(self, head: bytes) -> Documents | Events | Frames:
        if head.startswith((b"{", b"[")):
            return Documents(self._kept, self._take)
        if is_prelude(head):
            return Frames(self._kept, self._take, MAX_HELD_BYTES)
        return Events(self._kept, self._take)

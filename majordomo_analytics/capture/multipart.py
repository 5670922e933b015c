"""The small fields of a multipart form: uploads name their model in one.

Files are passed over as they come, whatever their size; the form is never held.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

if TYPE_CHECKING:
    from collections.abc import Collection

MAX_FIELD_BYTES = 4000
"""Most that is kept of one field; the rest of it is dropped."""

MAX_HEADERS = 32
"""Most headers of one part."""

_MAX_BOUNDARY_BYTES = 70  # RFC 2046
_MAX_CONTENT_TYPE_CHARACTERS = 1000

# Its warnings are about what a caller sent, which is no news to who runs the proxy.
logging.getLogger("python_multipart").setLevel(logging.ERROR)


def form_boundary(content_type: str | None) -> bytes | None:
    """Return what divides the parts of a body of this type, None if it is no form.

    >>> form_boundary('multipart/form-data; boundary="x y"')
    b'x y'
    >>> form_boundary("application/json") is None
    True
    """
    if not content_type or "multipart/" not in content_type[:20].lower():
        return None
    try:
        kind, options = parse_options_header(content_type[:_MAX_CONTENT_TYPE_CHARACTERS])
    except UnicodeEncodeError:  # letters that no header has
        return None
    boundary = options.get(b"boundary", b"")
    is_form = kind == b"multipart/form-data" and 0 < len(boundary) <= _MAX_BOUNDARY_BYTES
    return boundary if is_form else None


class FormFields:
    """Reads some fields of one form, in bounded memory; bad bytes never raise.

    Parameters
    ----------
    boundary
        What divides the parts, from `form_boundary`.
    wanted
        Names of the fields to keep.
    """

    def __init__(self, boundary: bytes, wanted: Collection[str]) -> None:
        self._wanted = wanted
        self._found: dict[str, str] = {}
        self._header_name = bytearray()
        self._header_value = bytearray()
        self._field: str | None = None  # that is being read, None if it is not wanted
        self._value = bytearray()
        self._parser: MultipartParser | None = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin_part,
                "on_header_begin": self._begin_header,
                "on_header_field": self._take_header_name,
                "on_header_value": self._take_header_value,
                "on_header_end": self._end_header,
                "on_part_data": self._take_value,
                "on_part_end": self._end_part,
            },
            max_header_count=MAX_HEADERS,
        )

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the form."""
        if self._parser is not None:
            try:
                self._parser.write(chunk)
            except FormParserError:
                self._parser = None

    def finish(self) -> dict[str, str]:
        """Return the fields that came whole, of equal names the last."""
        return self._found

    def _begin_part(self) -> None:
        self._field = None
        self._value.clear()

    def _begin_header(self) -> None:
        self._header_name.clear()
        self._header_value.clear()

    def _take_header_name(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _take_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _end_header(self) -> None:
        if self._header_name.lower() == b"content-disposition":
            _, options = parse_options_header(self._header_value.decode("latin-1"))
            name = options.get(b"name", b"").decode("utf-8", "replace")
            if name in self._wanted and b"filename" not in options:
                self._field = name

    def _take_value(self, data: bytes, start: int, end: int) -> None:
        if self._field is not None:
            self._value += data[start : min(end, start + MAX_FIELD_BYTES - len(self._value))]

    def _end_part(self) -> None:
        if self._field is not None:
            self._found[self._field] = self._value.decode("utf-8", "replace")

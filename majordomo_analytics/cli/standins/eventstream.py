"""AWS's framing of events: lengths, headers, a payload, and two checksums for each."""

from __future__ import annotations

import json
import struct
import zlib
from typing import Any

MEDIA_TYPE = "application/vnd.amazon.eventstream"
TEXT = 7
"""The type of a header's value; others are never used here."""


def frame(event_type: str, payload: dict[str, Any]) -> bytes:
    """Return one event as AWS frames it."""
    content = json.dumps(payload, ensure_ascii=False).encode()
    headers = b"".join(
        bytes([len(name)]) + name.encode() + struct.pack(">BH", TEXT, len(value)) + value.encode()
        for name, value in (
            (":event-type", event_type),
            (":content-type", "application/json"),
            (":message-type", "event"),
        )
    )
    # Both lengths and their checksum stand before the headers, one more ends the frame.
    prelude = struct.pack(">II", 12 + len(headers) + len(content) + 4, len(headers))
    prelude += struct.pack(">I", zlib.crc32(prelude))
    message = prelude + headers + content
    return message + struct.pack(">I", zlib.crc32(message))

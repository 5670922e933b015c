"""Ids of rows: UUIDv7, so that they sort by time (RFC 9562, section 5.7)."""

from __future__ import annotations

import os
import time


def new_request_id(*, after: str | None = None) -> str:
    """Return a fresh UUIDv7 as text; ids made in later milliseconds sort after it.

    Parameters
    ----------
    after
        Another one, which it has to sort after even if the clock was set back since.
    """
    milliseconds = time.time_ns() // 1_000_000
    if after is not None:
        milliseconds = max(milliseconds, int(after[:8] + after[9:13], 16) + 1)
    value = milliseconds << 80 | int.from_bytes(os.urandom(10))
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

"""Give memory back that a pass over the spools is done with.

Rows become Arrow tables, Parquet and the log of the lake, in many short-lived pieces. What
they took stays with the allocators, which keep it in case, and is never as small again.
"""

from __future__ import annotations

import ctypes
from functools import cache
from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Callable


def give_back() -> None:
    """Let the operating system have what is free, as far as the allocators can."""
    pa.default_memory_pool().release_unused()
    _trim()


@cache
def _trimmer() -> Callable[[int], int] | None:
    """Return glibc's `malloc_trim`; other C libraries have none."""
    try:
        return ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):
        return None


def _trim() -> None:
    if (trim := _trimmer()) is not None:
        trim(0)

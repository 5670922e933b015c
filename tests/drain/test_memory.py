"""Memory that the drain is done with goes back to the operating system."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

SCRIPT = """
from pathlib import Path
import pyarrow as pa
from majordomo_analytics.drain.memory import give_back

def resident():
    return int(Path("/proc/self/status").read_text().partition("VmRSS:")[2].split()[0]) // 1024

before = resident()
pieces = [bytearray(b"x" * 60_000) for _ in range(2_000)]
kept = pieces[-1]
full = resident()
del pieces
give_back()
assert full - before > 100, (before, full)
assert resident() - before < 20, (before, resident())
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="this is not glibc")
def test_what_is_free_goes_back_though_something_at_the_end_of_it_is_in_use() -> None:
    subprocess.run([sys.executable, "-c", SCRIPT], check=True, timeout=60)

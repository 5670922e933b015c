"""A worker loads what it needs to relay, and nothing of the analytics."""

from __future__ import annotations

import subprocess
import sys

HEAVY = ("duckdb", "polars", "pyarrow", "deltalake", "plotly", "genai_prices", "httpx", "pydantic")


def test_importing_the_app_loads_no_analytics() -> None:
    code = "import sys, majordomo_proxy.app, majordomo_proxy.worker; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()

    assert not {name.partition(".")[0] for name in loaded} & set(HEAVY)

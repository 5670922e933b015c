"""Imports as a person starts them, and what is in the lake afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from majordomo_analytics.datadir import DataDirectory
from majordomo_analytics.imports.importing import ImportReport, import_requests
from majordomo_analytics.imports.rejects import Rejects
from majordomo_analytics.imports.rows import Wishes
from majordomo_analytics.imports.source import Reading, open_source
from majordomo_analytics.lake.table import take_snapshot


def imported(
    source: str | Path,
    data: DataDirectory,
    *,
    reading: Reading | None = None,
    wishes: Wishes | None = None,
    rows_per_commit: int = 20_000,
    also: Any = None,
) -> tuple[ImportReport, Rejects]:
    """Import in this process; rejected rows go to `rejects.jsonl` in the data directory."""
    rejects = Rejects(data.root / "rejects.jsonl")
    report = import_requests(
        open_source(str(source), reading or Reading()),
        data,
        wishes=wishes or Wishes(),
        rejects=rejects,
        rows_per_commit=rows_per_commit,
        also=also,
    )
    return report, rejects


def lake_rows(data: DataDirectory) -> list[dict[str, Any]]:
    """Return the rows of the lake in the order of their ids, metadata as dicts."""
    found: list[dict[str, Any]] = []
    for file in take_snapshot(data.lake).files:
        with pq.ParquetFile(file.uri) as parquet:
            more = {"requested_date": file.requested_date}
            found += [row | more for row in parquet.read().to_pylist()]
    for row in found:
        row["raw_metadata"] = dict(row["raw_metadata"])
    return sorted(found, key=lambda row: row["id"])


def start(*arguments: str | Path, cwd: Path | None = None) -> subprocess.Popen[str]:
    """Start `mdm` in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "majordomo_analytics", *map(str, arguments)],
        cwd=cwd,
        env=os.environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def mdm(*arguments: str | Path, code: int = 0, cwd: Path | None = None) -> str:
    """Run `mdm`, and return what it says to a person."""
    with start(*arguments, cwd=cwd) as process:
        out, said = process.communicate(timeout=120)
    assert process.returncode == code, out + said
    return said

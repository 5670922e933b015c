"""What a power cut can take away: nothing that the lake says it has."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from majordomo_analytics.datadir import DataDirectory
from majordomo_analytics.drain.loop import drain_once
from majordomo_analytics.lake.table import appended_up_to
from majordomo_analytics.spool.files import spool_files
from tests.drain.spools import spool
from tests.support.proxy import lake_rows
from tests.support.records import a_record

TRACED = "fsync,fdatasync,rename,renameat2,link,linkat,unlink,unlinkat"


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_the_disk_holds_rows_then_the_log_and_then_the_spool_goes(
    data: DataDirectory, tmp_path: Path
) -> None:
    """As the kernel is asked: the order that no SIGKILL can prove."""
    writer = spool(data, a_record())
    trace = tmp_path / "trace"
    drain = (sys.executable, "-m", "majordomo_analytics", "drain", "--data", str(data.root))
    strace = ("strace", "-f", "-y", "-s", "4000", "-e", f"trace={TRACED}")
    subprocess.run([*strace, "-o", str(trace), *drain, "--once"], check=True, timeout=300)

    def first(name: str, *parts: str) -> int:
        """Return the line of the first call of a name with these texts in it."""
        return next(
            n
            for n, line in enumerate(lines)
            if re.search(rf"\b{name}\(", line) and all(part in line for part in parts)
        )

    lines = trace.read_text("utf-8", "replace").splitlines()
    (file,) = data.lake.rglob("*.parquet")
    log = data.lake / "_delta_log"
    (named,) = (path for path in log.glob("*.json") if file.name in path.read_text())
    made = first("link(at)?", f'"{named}"')
    assert first("fsync", f"<{file}>") < made, "the log names rows that are not on the disk"
    assert first("fsync", f"<{file.parent}>") < made
    assert first("fsync", f"<{data.lake}>") < made, "the folder of a new day is not on the disk"
    gone = first("unlink(at)?", f'{writer.uuid}.sqlite"')
    assert made < first("fsync", f"<{named}>") < gone
    assert made < first("fsync", f"<{log}>") < gone


def test_a_commit_that_was_lost_with_the_power_is_made_again(data: DataDirectory) -> None:
    """What is left of a file that was never flushed is often its name, and no content."""
    writer = spool(data, a_record(), close=False)
    drain_once(data)
    assert appended_up_to(data.lake, writer.uuid) == 1
    assert spool_files(data.spool), "its worker lives: the rows are there still"
    newest = max((data.lake / "_delta_log").glob("*.json"))
    newest.write_bytes(b"")

    writer.close()
    drain_once(data)

    assert len(lake_rows(data.root)) == 1
    assert spool_files(data.spool) == []

"""One at a time maintains a lake; who is refused is told by whom."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from majordomo_analytics.errors import LakeBusyError, LakeError, LakeNotFoundError
from majordomo_analytics.lake.compaction import compact
from majordomo_analytics.lake.maintenance import maintenance
from majordomo_analytics.lake.promotion import demote, promote
from majordomo_analytics.lake.table import append_once, create_lake, take_snapshot
from majordomo_analytics.lake.vacuuming import vacuum
from tests.lake.rows import rows

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HOLDER = """
import sys, time
from majordomo_analytics.lake.maintenance import maintenance
with maintenance(sys.argv[1], doing="a long erasure"):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    create_lake(tmp_path / "lake")
    return tmp_path / "lake"


def test_who_is_refused_is_told_who_holds_the_lock_until_that_one_is_dead(lake: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(lake)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        version = take_snapshot(lake).version
        attempts: list[Callable[[], object]] = [
            lambda: promote(lake, "Plan"),
            lambda: demote(lake, "Team"),
            lambda: compact(lake),
            lambda: vacuum(lake),
        ]
        for attempt in attempts:
            with pytest.raises(LakeBusyError, match="a long erasure") as refused:
                attempt()
            assert f"process {holder.pid} on" in refused.value.holder
        # The drain does not wait for it.
        assert append_once(lake, rows("a"), application="spool", first=1, last=1)
        assert take_snapshot(lake).version == version + 1
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait(60)

    with maintenance(lake, doing="the next"):
        pass


def test_a_patient_one_waits_for_the_other(lake: Path) -> None:
    held, seen = threading.Event(), []

    def hold() -> None:
        with maintenance(lake, doing="a short one"):
            held.set()
            release.wait(60)
            seen.append("first")

    release = threading.Event()
    other = threading.Thread(target=hold)
    other.start()
    assert held.wait(60)
    threading.Timer(0.2, release.set).start()
    with maintenance(lake, doing="the next", patience_s=60):
        seen.append("second")
    other.join(60)

    assert seen == ["first", "second"]


def test_a_lake_has_one_lock_by_whatever_path_it_is_reached(lake: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(lake)
    with (
        maintenance(lake, doing="one"),
        pytest.raises(LakeBusyError),
        maintenance(tmp_path / "link", doing="other"),
    ):
        pass


def test_only_a_lake_that_is_there_and_on_this_machine_is_maintained(tmp_path: Path) -> None:
    with pytest.raises(LakeNotFoundError), maintenance(tmp_path / "none", doing="x"):
        pass
    with pytest.raises(LakeError, match="not on a disk"), maintenance("s3://b/lake", doing="x"):
        pass
    assert list(tmp_path.iterdir()) == []

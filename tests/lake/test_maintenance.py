"""One at a time rewrites the lake, and whoever comes second is told who is first."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from majordomo_analytics.errors import LakeBusyError, LakeError
from majordomo_analytics.lake.maintenance import lock_path, maintenance

HOLD = (
    "import sys, time\n"
    "from majordomo_analytics.lake.maintenance import maintenance\n"
    "with maintenance(sys.argv[1], doing='compaction'):\n"
    "    print('held', flush=True)\n"
    "    time.sleep(600)\n"
)


def test_the_holder_is_named_and_its_death_frees_the_lock(tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(lake)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"

        with (
            pytest.raises(LakeBusyError, match=rf"compaction \(process {process.pid}, since") as e,
            maintenance(lake, doing="erasure"),
        ):
            pass
        assert e.value.doing == "erasure"
        assert str(lake) in str(e.value)

        os.kill(process.pid, signal.SIGKILL)

    with maintenance(lake, doing="erasure"):
        pass


def test_a_lock_that_was_given_back_can_be_taken_again(tmp_path: Path) -> None:
    """Also after what was done under it failed."""
    lake = tmp_path / "lake"
    with pytest.raises(ValueError, match="broken"), maintenance(lake, doing="erasure"):
        raise ValueError("broken")

    with maintenance(lake, doing="retention"):
        assert lock_path(lake).parent == tmp_path
        with pytest.raises(LakeBusyError, match="retention"), maintenance(lake, doing="erasure"):
            pass
    assert lock_path(lake).read_text() == ""


def test_where_no_lock_can_be_it_is_said(tmp_path: Path) -> None:
    with (
        pytest.raises(LakeError, match="cannot be locked"),
        maintenance(tmp_path / "missing" / "lake", doing="erasure"),
    ):
        pass

"""A child leaves nothing behind in the supervisor, however its life goes."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from majordomo_proxy.children import FIRST_PAUSE_S, Child


def descriptors() -> set[Path]:
    return set(Path("/proc/self/fd").iterdir())


def a_worker(*command: str) -> Child:
    return Child("worker", "worker 1", list(command), (), dict(os.environ))


def test_one_that_is_killed_before_it_serves_leaves_no_pipe() -> None:
    before = descriptors()
    child = a_worker(sys.executable, "-c", "import time; time.sleep(600)")
    child.start()
    assert descriptors() > before
    child.kill()
    assert child.process is not None
    assert child.process.returncode == -signal.SIGKILL
    assert descriptors() == before


def test_one_that_cannot_be_started_leaves_no_pipe_and_pauses(tmp_path: Path) -> None:
    before = descriptors()
    child = a_worker(str(tmp_path / "no-such-program"))
    for times in range(3):
        with pytest.raises(FileNotFoundError):
            child.start()
        assert descriptors() == before
        assert child.pause() == FIRST_PAUSE_S * 2**times
    assert child.process is None

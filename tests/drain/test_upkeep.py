"""The drain has its lake looked after, now and then, by a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from majordomo_analytics.datadir import DataDirectory
from majordomo_analytics.drain import upkeep
from majordomo_analytics.drain.upkeep import Upkeep
from majordomo_analytics.lake.compaction import FEW, MANY
from majordomo_analytics.lake.maintenance import maintenance
from majordomo_analytics.lake.table import append_once, create_lake, take_snapshot
from tests.drain.spools import spool
from tests.lake.rows import NOON, some_requests, tagged
from tests.support.records import a_record

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DataDirectory:
    """Give one with a lake that has many small files of a day that is over."""
    monkeypatch.setattr(upkeep, "FIRST_AFTER_S", 0.0)
    directory = DataDirectory.create(tmp_path / "data")
    create_lake(directory.lake)
    for number, batch in enumerate(some_requests(1, FEW, 1), 1):
        append_once(directory.lake, tagged(*batch), application="s", first=number, last=number)
    return directory


class Told:
    """An upkeep, and what it said."""

    def __init__(self, data: DataDirectory) -> None:
        self.done: list[str] = []
        self.troubles: list[str] = []
        self.upkeep = Upkeep(data.root, on_done=self.done.append, on_trouble=self.troubles.append)

    def tend_until_ended(self) -> None:
        """Do as the drain does, until what was begun has ended."""
        self.upkeep.tend()
        deadline = time.monotonic() + 120
        while self.upkeep._process is not None and time.monotonic() < deadline:
            time.sleep(0.05)
            self.upkeep.tend()


@pytest.fixture
def told(data: DataDirectory) -> Iterator[Told]:
    told = Told(data)
    yield told
    told.upkeep.close()


def test_small_files_of_a_day_that_is_over_become_one(data: DataDirectory, told: Told) -> None:
    told.tend_until_ended()

    assert len(take_snapshot(data.lake).files) == 1
    assert told.troubles == []
    assert len(told.done) == 1
    assert told.done[0].startswith(f"{FEW} files of 1 day ")


def test_it_is_done_again_only_after_many_commits_and_some_minutes(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[bool] = []
    monkeypatch.setattr(Upkeep, "_begin", lambda _, *, is_new_day: begun.append(is_new_day))
    told.upkeep.tend()
    assert begun == [True]

    for _ in range(MANY - 1):
        told.upkeep.count_commit()
    told.upkeep.tend()
    assert begun == [True]
    told.upkeep.count_commit()
    told.upkeep.tend()
    assert begun == [True, False]
    told.upkeep._begun_at = time.monotonic()
    told.upkeep.tend()
    assert begun == [True, False]
    told.upkeep._begun_at -= upkeep.EVERY_S
    assert told.upkeep._day is not None
    told.upkeep._day -= timedelta(days=1)
    told.upkeep._commits = 0
    told.upkeep.tend()
    assert begun == [True, False, True]


def test_a_lake_that_somebody_else_maintains_or_that_is_not_there_is_no_trouble(
    data: DataDirectory, told: Told
) -> None:
    with maintenance(data.lake, doing="something else"):
        told.tend_until_ended()
    empty = Told(DataDirectory.create(data.root / "other"))
    empty.tend_until_ended()

    assert (told.done, told.troubles, empty.troubles) == ([], [], [])
    assert len(take_snapshot(data.lake).files) == FEW


def test_what_goes_wrong_is_told_and_the_drain_goes_on(data: DataDirectory, told: Told) -> None:
    (data.lake / "_delta_log" / "00000000000000000003.json").write_text("{ not json")
    told.tend_until_ended()

    assert told.done == []
    assert len(told.troubles) == 1
    assert "could not be looked after: mdm: the lake at" in told.troubles[0]


def test_it_ends_with_the_drain(data: DataDirectory, told: Told) -> None:
    told.upkeep.tend()
    process = told.upkeep._process
    assert process is not None

    told.upkeep.close()

    assert process.poll() is not None
    assert take_snapshot(data.lake).rows == FEW


DRAIN = """
import sys
from majordomo_analytics.cli.main import main
from majordomo_analytics.drain import upkeep
upkeep.FIRST_AFTER_S = 0.0
sys.argv = ["mdm", "drain", *sys.argv[1:]]
main()
"""


@pytest.mark.slow
@pytest.mark.parametrize(("options", "files"), [([], 1), (["--no-upkeep"], FEW)])
def test_a_running_drain_does_it_by_itself_unless_told_not_to(
    data: DataDirectory, options: list[str], files: int
) -> None:
    command = [sys.executable, "-c", DRAIN, "--data", str(data.root), *options]
    with subprocess.Popen(command) as process:
        deadline = time.monotonic() + 120
        rows = FEW
        # Each row takes the drain once through its loop, where it would begin.
        while rows < FEW + 3 and time.monotonic() < deadline:
            spool(data, a_record())
            rows += 1
            while take_snapshot(data.lake).rows < rows and time.monotonic() < deadline:
                time.sleep(0.1)
        day = NOON.date()
        while files == 1 and time.monotonic() < deadline:
            if len(take_snapshot(data.lake).files_between(day, day)) == files:
                break
            time.sleep(0.1)
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(120) == 0
    assert len(take_snapshot(data.lake).files_between(day, day)) == files
    assert take_snapshot(data.lake).rows == FEW + 3

"""Vacuum removes what nobody may still read, and nothing else."""

from __future__ import annotations

import json
import os
import time
from datetime import timedelta
from pathlib import Path

import pytest
from deltalake import DeltaTable

import majordomo_analytics as ma
from majordomo_analytics.errors import SettingsError
from majordomo_analytics.lake import vacuuming
from majordomo_analytics.lake.compaction import compact
from majordomo_analytics.lake.table import append_once, create_lake, open_table, take_snapshot
from majordomo_analytics.lake.vacuuming import vacuum
from tests.lake.rows import cost_by, some_requests, tagged

BATCHES = some_requests(2, 3, 4)
DAY_S = 86_400


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """Give a lake that was compacted just now: two files for six."""
    path = tmp_path / "lake"
    create_lake(path)
    for number, batch in enumerate(BATCHES, 1):
        append_once(path, tagged(*batch), application="fill", first=number, last=number)
    for file in path.rglob("*.parquet"):
        os.utime(file, (time.time() - 30 * DAY_S,) * 2)
    compact(path)
    return path


def replaced_days_ago(lake: Path, days: float) -> None:
    """Have the log say that everything that was replaced was so some days ago."""
    for path in (lake / "_delta_log").glob("*.json"):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        for line in lines:
            if "remove" in line:
                line["remove"]["deletionTimestamp"] -= int(days * DAY_S * 1000)
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    for path in (lake / "_delta_log").glob("*checkpoint*"):
        path.unlink()


def files_on_disk(lake: Path) -> int:
    return len(list(lake.rglob("requested_date=*/*.parquet")))


def test_files_that_were_replaced_a_short_time_ago_are_kept(lake: Path) -> None:
    """However old they are: a question may have begun before they were replaced."""
    before = take_snapshot(lake, version=6)

    assert vacuum(lake).files == 0
    assert vacuum(lake, kept=timedelta(hours=1)).files == 0
    assert files_on_disk(lake) == 8
    assert all(Path(file.uri).exists() for file in before.files)
    ledger = ma.open(lake, version=6)
    answer = ledger.query("total_cost", dimensions="Plan").to_polars()
    assert dict(answer.rows()) == cost_by("Plan", BATCHES)


def test_files_that_were_replaced_long_ago_are_removed_and_answers_stay(lake: Path) -> None:
    replaced_days_ago(lake, 6.9)
    assert vacuum(lake).files == 0
    replaced_days_ago(lake, 0.2)
    size = sum(f.stat().st_size for f in lake.rglob("requested_date=*/*.parquet"))
    ledger = ma.open(lake)

    trial = vacuum(lake, is_trial=True)
    assert files_on_disk(lake) == 8
    done = vacuum(lake)

    assert done == trial
    assert done.files == 6
    assert files_on_disk(lake) == 2
    left = sum(f.stat().st_size for f in lake.rglob("requested_date=*/*.parquet"))
    assert done.freed_bytes == size - left
    answer = ledger.query("total_cost", dimensions="Plan").to_polars()
    assert dict(answer.rows()) == cost_by("Plan", BATCHES)


def test_a_file_that_is_just_being_written_is_kept_and_a_forgotten_one_is_not(
    lake: Path,
) -> None:
    """A commit may follow; of a promotion that was killed last week none does."""
    folder = next(lake.glob("requested_date=*"))
    (folder / "part-being-written.parquet").write_bytes(b"PAR1")
    forgotten = folder / "part-forgotten.parquet"
    forgotten.write_bytes(b"PAR1")
    os.utime(forgotten, (time.time() - 8 * DAY_S,) * 2)

    assert vacuum(lake).files == 1
    assert not forgotten.exists()
    assert (folder / "part-being-written.parquet").exists()


def test_less_than_an_hour_has_to_be_forced(lake: Path) -> None:
    for kept in (timedelta(minutes=59), timedelta(0)):
        with pytest.raises(SettingsError, match="kept for an hour at the least"):
            vacuum(lake, kept=kept)
    with pytest.raises(SettingsError, match="at the least"):
        vacuum(lake, kept=timedelta(hours=-1))
    assert files_on_disk(lake) == 8

    assert vacuum(lake, kept=timedelta(0), force=True).files == 6
    assert files_on_disk(lake) == 2


def test_what_a_drain_commits_meanwhile_stays_however_much_is_forced(
    lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its file is in no version that the vacuum knows, and just not committed yet."""
    opened = open_table
    new = some_requests(1, 1, 5, seed=2)[0]

    def and_a_drain_commits(uri: Path) -> DeltaTable:
        table = opened(uri)
        append_once(lake, tagged(*new), application="drain", first=1, last=1)
        return table

    monkeypatch.setattr(vacuuming, "open_table", and_a_drain_commits)
    assert vacuum(lake, kept=timedelta(0), force=True).files == 6

    assert all(Path(file.uri).exists() for file in take_snapshot(lake).files)
    answer = ma.open(lake).query("total_cost", dimensions="Plan").to_polars()
    assert dict(answer.rows()) == cost_by("Plan", [*BATCHES, new])


def test_longer_than_the_lake_remembers_is_refused(lake: Path) -> None:
    """It would remove files as forgotten that it should keep."""
    with pytest.raises(SettingsError, match="forgets after 7 days when a file was replaced"):
        vacuum(lake, kept=timedelta(days=8))

"""`mdm metadata promote`, `demote` and `mdm compact` do it, and say what they did."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import majordomo_analytics as ma
from majordomo_analytics.datadir import DataDirectory
from majordomo_analytics.lake.maintenance import maintenance
from majordomo_analytics.lake.table import append_once, create_lake, take_snapshot
from tests.lake.rows import cost_by, some_requests, tagged
from tests.support.proxy import mdm

if TYPE_CHECKING:
    from pathlib import Path

BATCHES = some_requests(2, 3, 4)


@pytest.fixture
def data(tmp_path: Path) -> DataDirectory:
    directory = DataDirectory.create(tmp_path / "data")
    create_lake(directory.lake)
    for number, batch in enumerate(BATCHES, 1):
        append_once(directory.lake, tagged(*batch), application="s", first=number, last=number)
    return directory


def promoted(data: DataDirectory) -> tuple[str, ...]:
    return take_snapshot(data.lake).promoted


def test_keys_are_promoted_and_demoted_for_the_whole_lake(data: DataDirectory) -> None:
    place = ["--data", str(data.root)]

    said = mdm("metadata", "promote", "plan", "team", *place).stderr
    assert said.splitlines() == [
        "Team: promoted already",
        "Plan: promoted",
        "24 rows were given the columns that they lacked",
    ]
    assert "Plan" in promoted(data)
    again = mdm("metadata", "promote", "plan", *place).stderr
    assert again.splitlines()[0] == "Plan: promoted already"

    assert mdm("metadata", "demote", "PLAN", *place).stderr == "Plan: demoted\n"
    assert "Plan" not in promoted(data)
    answer = ma.open(data.root).query("total_cost", dimensions="Plan").to_polars()
    assert dict(answer.rows()) == cost_by("Plan", BATCHES)


def test_what_is_wrong_is_one_sentence_and_ends_with_two(data: DataDirectory) -> None:
    place = ["--data", str(data.root)]
    for arguments, problem in (
        (["metadata", "demote", "Teem"], "no promoted metadata key is named 'Teem'; did you mean"),
        (["metadata", "promote", "Provider"], "'Provider' is no metadata key: x-majordomo-"),
        (["compact", "--keep", "soon"], "--keep 'soon' cannot be read; write a number of hours"),
        (["compact", "--vacuum", "--keep", "0h"], "kept for an hour at the least"),
    ):
        ended = mdm(*arguments, *place, check=False)
        assert ended.returncode == 2
        assert ended.stderr.splitlines()[-1].startswith("mdm: ")
        assert problem in ended.stderr
    with maintenance(data.lake, doing="an erasure"):
        ended = mdm("compact", *place, check=False)
    assert ended.returncode == 2
    assert "compaction has to wait: an erasure by process" in ended.stderr


def test_small_files_become_one_a_day_and_what_was_replaced_is_removed_when_told(
    data: DataDirectory,
) -> None:
    place = ["--data", str(data.root)]
    on_disk = list(data.lake.rglob("requested_date=*/*.parquet"))

    trial = mdm("compact", "--dry-run", *place).stderr
    assert trial == "0 files (0.0 MiB) that were replaced more than 7d ago would be removed\n"
    said = mdm("compact", *place).stderr
    assert said.startswith("6 files of 2 days (0.1 MiB) became 2 (0.0 MiB); 24 rows")
    assert mdm("compact", *place).stderr == "no day has several small files, or lacks a column\n"
    assert len(list(data.lake.rglob("requested_date=*/*.parquet"))) == len(on_disk) + 2

    said = mdm("compact", "--vacuum", "--keep", "0h", "--force", *place).stderr
    assert "6 files (0.1 MiB) that were replaced more than 0h ago were removed" in said
    assert len(list(data.lake.rglob("requested_date=*/*.parquet"))) == 2
    answer = ma.open(data.root).query("total_cost", dimensions="Plan").to_polars()
    assert dict(answer.rows()) == cost_by("Plan", BATCHES)

"""The newest snapshot is the same object until the lake changes, and never an older one."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from majordomo_analytics.drain.sinks import LakeSink
from majordomo_analytics.errors import LakeNotFoundError
from majordomo_analytics.lake.newest import NewestSnapshot
from majordomo_analytics.lake.table import create_lake, take_snapshot
from tests.support.records import a_record


def append(lake: Path) -> None:
    sink = LakeSink(lake)
    sink.open()
    sink.append([a_record()], None)
    sink.close()


def test_it_is_the_same_until_there_is_a_new_version(tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    create_lake(lake)
    newest = NewestSnapshot(lake)

    before = newest.take()
    assert newest.take() is before
    append(lake)
    after = newest.take()

    assert (before.rows, after.rows) == (0, 1)
    assert after == take_snapshot(lake)


def test_another_table_in_its_place_is_seen_though_its_version_is_the_same(tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    create_lake(lake)
    append(lake)
    newest = NewestSnapshot(lake)
    before = newest.take()

    shutil.rmtree(lake)
    create_lake(lake)
    append(lake)

    assert newest.take().version == before.version
    assert newest.take() == take_snapshot(lake) != before


def test_a_log_whose_last_entry_was_cleaned_up_is_read_each_time(tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    create_lake(lake)
    newest = NewestSnapshot(lake)
    version = newest.take().version
    entry = lake / "_delta_log" / f"{version:020d}.json"
    away = tmp_path / "away"

    entry.rename(away)
    with pytest.raises(LakeNotFoundError):  # and not what was held
        newest.take()
    away.rename(entry)

    assert newest.take().version == version

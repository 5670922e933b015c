"""A spool goes when every sink has all of it, and not a moment earlier."""

from __future__ import annotations

import os
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from majordomo_analytics.datadir import DataDirectory
from majordomo_analytics.drain import removal
from majordomo_analytics.drain.loop import drain_once
from majordomo_analytics.drain.removal import (
    check_place,
    expect_sink,
    fed_place,
    fed_sinks,
    flush_since,
    forget_sink,
    remember_sink,
    remove_drained,
)
from majordomo_analytics.errors import SettingsError
from majordomo_analytics.records.ids import new_request_id
from majordomo_analytics.spool.files import SpoolFile, spool_files
from tests.drain.spools import spool
from tests.support.records import a_record


def left(data: DataDirectory) -> list[str]:
    return sorted(path.name for path in data.spool.iterdir() if path.suffix != ".lock")


def test_a_spool_goes_when_the_slowest_sink_has_its_last_row(data: DataDirectory) -> None:
    uuid = spool(data, a_record(), a_record()).uuid

    for lake, postgres, removed in ((2, 1, 0), (1, 2, 0), (2, 2, 1)):
        positions = {"lake": {uuid: lake}, "postgres": {uuid: postgres}}
        assert remove_drained(data, positions) == removed
    assert left(data) == []


def test_a_spool_of_which_a_sink_has_said_nothing_stays(data: DataDirectory) -> None:
    """Not even one without rows: what was not asked is not known."""
    spool(data)

    assert remove_drained(data, {"lake": {}}) == 0
    assert len(spool_files(data.spool)) == 1


def test_a_spool_with_a_writer_stays(data: DataDirectory) -> None:
    writer = spool(data, a_record(), close=False)

    assert remove_drained(data, {"lake": {writer.uuid: 1}}) == 0
    writer.close()
    assert remove_drained(data, {"lake": {writer.uuid: 1}}) == 1


def test_rows_written_after_a_sink_was_asked_keep_the_spool(data: DataDirectory) -> None:
    uuid = spool(data, a_record(), a_record(), a_record()).uuid

    assert remove_drained(data, {"lake": {uuid: 2}}) == 0


def test_a_sink_that_was_fed_and_is_not_asked_keeps_everything(data: DataDirectory) -> None:
    uuid = spool(data, a_record()).uuid
    remember_sink(data, "postgres", "dbname=llm")

    assert fed_sinks(data) == {"lake", "postgres"}
    assert remove_drained(data, {"lake": {uuid: 1}}) == 0
    assert remove_drained(data, {"postgres": {uuid: 1}}) == 0
    assert (forget_sink(data, "postgres"), forget_sink(data, "postgres")) == (True, False)
    assert remove_drained(data, {"lake": {uuid: 1}}) == 1


def test_a_sink_that_was_never_reached_is_waited_for_too(data: DataDirectory) -> None:
    """Rows that a proxy wrote for it stay, wherever it will be; what is known is kept."""
    uuid = spool(data, a_record()).uuid

    expect_sink(data, "postgres")

    assert remove_drained(data, {"lake": {uuid: 1}}) == 0
    check_place(data, "postgres", "dbname=one")
    remember_sink(data, "postgres", "dbname=one")
    expect_sink(data, "postgres")
    assert fed_place(data, "postgres") == "dbname=one"


@pytest.mark.parametrize("fed", ["", None])
def test_where_a_sink_is_that_was_fed_from_here_is_kept(
    data: DataDirectory, fed: str | None
) -> None:
    """Also where an earlier version noted only that there is one."""
    data.spool.mkdir(exist_ok=True)
    if fed is not None:
        (data.spool / "postgres.fed").write_text(fed, "utf-8")
    assert fed_place(data, "postgres") == fed
    check_place(data, "postgres", "dbname=one")

    remember_sink(data, "postgres", "dbname=one")

    assert left(data) == ["postgres.fed"]
    assert stat.S_IMODE((data.spool / "postgres.fed").stat().st_mode) == 0o600
    assert fed_place(data, "postgres") == "dbname=one"
    check_place(data, "postgres", "dbname=one")
    with pytest.raises(SettingsError, match=r"for the one at 'dbname=one', not .* 'dbname=two'"):
        check_place(data, "postgres", "dbname=two")


def test_a_spool_that_another_drain_removed_leaves_nothing_behind(
    data: DataDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lock file would come back when it is asked for the lock."""
    writer = spool(data, a_record())
    listed = spool_files(data.spool)
    listed[0].unlink()
    monkeypatch.setattr(removal, "spool_files", lambda _: listed)

    assert remove_drained(data, {"lake": {writer.uuid: 1}}) == 0
    assert left(data) == []


def test_the_lake_is_on_the_disk_before_the_spool_goes(
    data: DataDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every file that was written since the spool was begun, and its folder."""
    spool(data, a_record())
    events: list[str] = []
    fsync = os.fsync

    def watched(descriptor: int) -> None:
        events.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", watched)
    monkeypatch.setattr(SpoolFile, "unlink", lambda _: events.append("unlink"))
    drain_once(data)

    lake = {str(path) for path in data.lake.rglob("*.parquet")}
    lake |= {str(path) for path in (data.lake / "_delta_log").glob("*.json")}
    folders = {str(Path(path).parent) for path in lake}
    assert len(lake) > 2
    assert events[-1] == "unlink"
    assert lake | folders <= set(events[:-1])


def test_files_from_before_are_not_flushed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[Path] = []
    monkeypatch.setattr(removal, "flush", flushed.append)
    old, new = tmp_path / "old", tmp_path / "deep" / "new"
    new.parent.mkdir()
    quiet = tmp_path / "quiet"
    quiet.mkdir()
    for path, seconds in ((old, 100), (new, 200), (new.parent, 100), (quiet, 100), (tmp_path, 100)):
        path.touch()
        os.utime(path, (seconds, seconds))

    flush_since(tmp_path, 150_000)

    assert flushed == [new, new.parent]


def test_the_lake_is_flushed_also_when_a_spool_is_named_ahead_of_the_clock(
    data: DataDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As those are that a worker begins after its clock was set back by hours."""
    writer = spool(data, a_record())
    ahead = new_request_id(after=f"{int(writer.uuid[:8], 16) + 1000:08x}{writer.uuid[8:]}")
    for path in data.spool.glob(f"{writer.uuid}*"):
        path.rename(path.with_name(path.name.replace(writer.uuid, ahead)))
    flushed: list[Path] = []
    monkeypatch.setattr(removal, "flush", flushed.append)

    assert drain_once(data).spools_removed == 1

    assert set(data.lake.rglob("*.parquet")) <= set(flushed)


def test_a_folder_that_has_a_new_folder_is_flushed_as_well(
    data: DataDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first rows of a day make one; its entry could be lost with the power."""
    spool(data, a_record(requested_at=datetime(2026, 11, 20, tzinfo=UTC)))
    drain_once(data)
    spool(data, a_record(requested_at=datetime(2026, 11, 21, tzinfo=UTC)))
    flushed: list[Path] = []
    monkeypatch.setattr(removal, "flush", flushed.append)
    drain_once(data)

    assert {data.root, data.lake, data.lake / "requested_date=2026-11-21"} <= set(flushed)


def test_what_an_interrupted_removal_left_goes_with_the_next_one(data: DataDirectory) -> None:
    """And the side files of a spool that is there stay."""
    writer = spool(data, a_record(), close=False)
    for name in ("gone.sqlite-wal", "gone.sqlite-shm"):
        (data.spool / name).touch()

    remove_drained(data, {"lake": {}})

    suffixes = (".sqlite", ".sqlite-shm", ".sqlite-wal", ".writer")
    assert left(data) == sorted(writer.uuid + suffix for suffix in suffixes)
    writer.close()

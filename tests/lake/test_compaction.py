"""Compaction makes few files of many; nobody sees a row twice, or misses one."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa
import pytest
from deltalake import DeltaTable

import majordomo_analytics as ma
from majordomo_analytics.errors import LakeError, SettingsError
from majordomo_analytics.lake import rewriting
from majordomo_analytics.lake.compaction import FEW, compact
from majordomo_analytics.lake.promotion import demote, promote
from majordomo_analytics.lake.rewriting import rewrite
from majordomo_analytics.lake.table import append_once, create_lake, open_table, take_snapshot
from tests.lake.rows import NOON, Request, cost_by, some_requests, tagged

if TYPE_CHECKING:
    from collections.abc import Sequence

BATCHES = some_requests(3, 4, 5)


def fill(lake: Path, batches: Sequence[Sequence[Request]]) -> None:
    create_lake(lake)
    for number, batch in enumerate(batches, 1):
        append_once(lake, tagged(*batch), application="fill", first=number, last=number)


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    fill(tmp_path / "lake", BATCHES)
    return tmp_path / "lake"


def everything(lake: Path) -> list[dict[str, object]]:
    """Return all rows, by a reader of Delta tables that is not ours."""
    rows = pa.table(DeltaTable(str(lake)).to_pyarrow_table()).sort_by("id").to_pylist()
    return [dict(row) for row in rows]


def test_each_day_becomes_one_file_with_the_same_rows(lake: Path) -> None:
    before = everything(lake)
    size = sum(file.size_bytes for file in take_snapshot(lake).files)
    told: list[tuple[int, int]] = []

    done = compact(lake, progress=lambda rows, whole: told.append((rows, whole)))

    assert everything(lake) == before
    files = take_snapshot(lake).files
    assert (done.days, done.files_before, done.files_after, done.rows) == (3, 12, 3, 60)
    assert (done.bytes_before, done.bytes_after) == (size, sum(f.size_bytes for f in files))
    assert (told[0], told[-1]) == ((0, 60), (60, 60))
    assert [file.size_bytes for file in files] == [Path(f.uri).stat().st_size for f in files]
    assert dict(ma.open(lake).query("total_cost", dimensions="plan").to_polars().rows()) == cost_by(
        "Plan", BATCHES
    )


def test_what_is_compact_is_left_alone(lake: Path) -> None:
    compact(lake)
    version = take_snapshot(lake).version

    assert compact(lake).days == 0
    assert take_snapshot(lake).version == version


def test_a_file_that_is_large_is_not_written_again(lake: Path) -> None:
    """Unless it lacks a column; large is half of what is wanted."""
    rewrite(lake, [f for f in take_snapshot(lake).files if f.requested_date == NOON.date()])
    large = next(f for f in take_snapshot(lake).files if f.requested_date == NOON.date())
    many = [
        (f"new-{n}", NOON, [("Feature", random.Random(n).randbytes(2000).hex())], "1")
        for n in range(600)
    ]
    append_once(lake, tagged(*many), application="more", first=1, last=1)
    append_once(lake, tagged(*many), application="more", first=2, last=2)
    assert large.size_bytes < 2**19 < max(f.size_bytes for f in take_snapshot(lake).files)
    big = {f.uri for f in take_snapshot(lake).files if f.size_bytes > 2**19}

    compact(lake, target_bytes=2**20)

    assert big <= {f.uri for f in take_snapshot(lake).files}
    promote(lake, "Later")
    assert not big & {f.uri for f in take_snapshot(lake).files}


def test_a_file_ends_where_it_is_as_large_as_was_wanted(
    lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of rows that are sorted in several runs."""
    monkeypatch.setattr(rewriting, "MOST_RUN_ROWS", 200)
    monkeypatch.setattr(rewriting, "READ_ROWS", 50)
    noise = [random.Random(n).randbytes(4000).hex() for n in range(1000)]
    many = [
        (f"{n:04}", NOON + timedelta(seconds=n), [("Feature", noise[n])], "1") for n in range(1000)
    ]
    for first in range(0, 1000, 250):
        rows = tagged(*many[first : first + 250])
        append_once(lake, rows, application="more", first=first + 1, last=first + 250)
    before = everything(lake)

    day = [f for f in take_snapshot(lake).files if f.requested_date == NOON.date()]
    done = rewrite(lake, day, target_bytes=2**20)

    assert done.files_after > 2
    assert everything(lake) == before
    sizes = [f.size_bytes for f in take_snapshot(lake).files if f.requested_date == NOON.date()]
    assert all(2**20 <= size < 2 * 2**20 for size in sorted(sizes)[1:])


def test_a_size_that_makes_no_sense_is_refused(lake: Path) -> None:
    with pytest.raises(SettingsError, match="a MiB is the least"):
        compact(lake, target_bytes=1000)


def test_a_light_one_leaves_days_alone_that_have_but_few_files(tmp_path: Path) -> None:
    days = some_requests(2, FEW, 1)
    fill(tmp_path / "lake", days[:-1])  # the second day has one too few

    assert compact(tmp_path / "lake", is_light=True).days == 1
    assert compact(tmp_path / "lake", is_light=True).days == 0
    assert compact(tmp_path / "lake").days == 1


def test_files_that_somebody_else_took_away_are_not_put_back(lake: Path) -> None:
    """As by a compaction with another program: rows would be there twice."""
    day = [f for f in take_snapshot(lake).files if f.requested_date == NOON.date()]
    before = everything(lake)
    DeltaTable(str(lake)).optimize.compact()
    there = set(lake.rglob("*.parquet"))

    with pytest.raises(LakeError, match=r"somebody else took 4 files of 2026-11-01 away"):
        rewrite(lake, day)

    assert everything(lake) == before
    assert set(lake.rglob("*.parquet")) == there


def test_a_commit_that_comes_in_between_is_kept(
    lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one that takes the files away at the last moment."""
    appended: list[int] = []

    def open_and_be_late(uri: Path) -> DeltaTable:
        table = open_table(uri)
        if len(appended) < 3:
            number = len(appended) + 1
            appended.append(number)
            rows = tagged((f"late-{number}", NOON, [], "1"))
            append_once(uri, rows, application="late", first=number, last=number)
        return table

    monkeypatch.setattr(rewriting, "open_table", open_and_be_late)
    compact(lake)

    ids = [row["id"] for row in everything(lake)]
    assert len(ids) == len(set(ids)) == 63


def test_a_table_in_which_rows_are_marked_as_deleted_is_not_rewritten(lake: Path) -> None:
    """To write its files anew would bring the rows back."""
    log = sorted((lake / "_delta_log").glob("*.json"))
    version = int(log[-1].stem) + 1
    protocol = {
        "minReaderVersion": 3,
        "minWriterVersion": 7,
        "readerFeatures": ["deletionVectors"],
        "writerFeatures": ["deletionVectors"],
    }
    path = lake / "_delta_log" / f"{version:020}.json"
    path.write_text(json.dumps({"protocol": protocol}) + "\n")

    with pytest.raises(LakeError, match="marks rows of files as deleted"):
        compact(lake)


def test_the_log_gets_a_checkpoint_and_loses_what_is_older_than_it_is_kept(lake: Path) -> None:
    """A lake of an earlier version is told for how long."""
    DeltaTable(str(lake)).alter.set_table_properties(
        {"delta.logRetentionDuration": "interval 0 seconds"}
    )
    before = everything(lake)

    compact(lake)

    names = sorted(path.name for path in (lake / "_delta_log").iterdir())
    assert "_last_checkpoint" in names
    assert len([name for name in names if name.endswith(".json")]) < 4
    assert everything(lake) == before
    assert append_once(lake, tagged(*BATCHES[0]), application="fill", first=1, last=1) is False
    assert append_once(lake, tagged(("z", NOON, [], "1")), application="new", first=1, last=1)


def test_a_lake_of_an_earlier_version_is_told_how_its_log_is_kept(lake: Path) -> None:
    log = sorted((lake / "_delta_log").glob("*.json"))[0]
    said = log.read_text()
    for name in ("delta.checkpointInterval", "delta.logRetentionDuration"):
        assert name in said
        said = said.replace(name, name.replace("delta.", "other."))
    log.write_text(said)

    compact(lake)

    configuration = DeltaTable(str(lake)).metadata().configuration
    assert configuration["delta.checkpointInterval"] == "20"
    assert configuration["delta.logRetentionDuration"] == "interval 7 days"


def row_groups(lake: Path, condition: str) -> tuple[int, int, int]:
    """Return how many row groups DuckDB reads, of how many, and how many rows are found."""
    files = [file.uri for file in take_snapshot(lake).files]
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        statement = f"SELECT count(total_cost) FROM read_parquet({files}) WHERE {condition}"
        (said,) = connection.execute(f"EXPLAIN ANALYZE {statement}").fetchall()
        (counted,) = connection.execute(statement).fetchall()
    found = re.search(r"Row Groups Scanned: (\d+) / (\d+)", said[1])
    assert found, said[1]
    return int(found[1]), int(found[2]), counted[0]


def test_files_and_row_groups_are_skipped_by_time_and_by_a_promoted_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DuckDB says how many it reads; in small: runs of 4,000 rows, groups of 1,000."""
    monkeypatch.setattr(rewriting, "MOST_RUN_ROWS", 4000)
    monkeypatch.setattr(rewriting, "READ_ROWS", 1000)
    monkeypatch.setattr(rewriting, "ROWS_PER_GROUP", 1000)
    lake = tmp_path / "lake"
    midnight = NOON.replace(hour=0)
    batches = [
        [
            # Two hours in a batch, twelve batches a day, each part all the time.
            (f"{n:05}", midnight + timedelta(seconds=n * 3.6), [("Part", f"part-{n % 40:02}")], "1")
            for n in range(batch * 2000, batch * 2000 + 2000)
        ]
        for batch in range(36)
    ]
    fill(lake, batches)
    one_part = "\"indexed_Part\" = 'part-07'"
    two_hours = "requested_at >= '2026-11-02 10:00Z' AND requested_at < '2026-11-02 12:00Z'"
    promote(lake, "Part")
    for key in ("Feature", "Team", "User-Tier", "Experiment", "Environment"):
        demote(lake, key)  # so that Part is the first, by which rows are sorted
    old = take_snapshot(lake).files
    for day in sorted({file.requested_date for file in old}):
        rewrite(lake, [file for file in old if file.requested_date == day])

    # 72 row groups: on each of three days six runs of four. Of each run, one has the part.
    assert row_groups(lake, one_part) == (18, 72, 1800)
    # Of all runs, one has the two hours, or two at its edges.
    read, whole, rows = row_groups(lake, two_hours)
    assert (whole, rows) == (72, 2000)
    assert read <= 8
    # And of both together, one or two groups.
    assert row_groups(lake, f"{one_part} AND {two_hours}")[0] <= 2
    # By the log alone the files of other days are not even opened.
    begin = midnight + timedelta(days=1, hours=10)
    files = take_snapshot(lake).files
    held = [file for file in files if file.may_hold(begin, begin + timedelta(hours=2))]
    assert (len(files), len(held)) == (3, 1)
    (part,) = ma.open(lake).filter(Part="part-07").query("requests").total.values()
    assert part == 1800


def append_on(lake: Path, stop: threading.Event, done: list[int]) -> None:
    number = 0
    while not stop.is_set():
        number += 1
        at = datetime.now(UTC) if number % 3 else NOON
        rows = tagged(*((f"{number}-{n}", at, [("Plan", "new")], "0.5") for n in range(3)))
        append_once(lake, rows, application="loop", first=number, last=number)
        done.append(number)


@pytest.mark.slow
def test_readers_and_an_appender_in_a_loop_lose_and_double_nothing(tmp_path: Path) -> None:
    """The count never falls, and rises by whole batches only."""
    lake = tmp_path / "lake"
    fill(lake, some_requests(4, 6, 10))
    old = 240
    stop = threading.Event()
    appended: list[int] = []
    troubles: list[str] = []

    def append() -> None:
        try:
            append_on(lake, stop, appended)
        except Exception as error:  # noqa: BLE001 - told by the test
            troubles.append(repr(error))

    def read() -> None:
        ledger = ma.open(lake)
        last = 0
        while not stop.is_set():
            least = len(appended)
            found = ledger.sql("select count(*) n, count(distinct id) ids from llm_requests")
            rows, ids = found.row(0)
            most = len(appended) + 1
            if rows != ids or rows < last or not old + 3 * least <= rows <= old + 3 * most:
                troubles.append(f"{rows} rows, {ids} ids, {least} to {most} batches")
            last = rows

    threads = [threading.Thread(target=append), *(threading.Thread(target=read) for _ in range(2))]
    for thread in threads:
        thread.start()
    try:
        compactions = [compact(lake) for _ in range(12)]
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)

    assert troubles == []
    assert sum(done.days for done in compactions) > 12
    ids = [row["id"] for row in everything(lake)]
    assert len(ids) == len(set(ids)) == old + 3 * len(appended)


@pytest.mark.slow
def test_a_compaction_that_is_killed_changes_no_answer(tmp_path: Path) -> None:
    """By SIGKILL at any point; what it left behind goes with the next vacuum."""
    batches = some_requests(10, 3, 60)
    lake = tmp_path / "lake"
    fill(lake, batches)
    expected = cost_by("Plan", batches)
    script = (
        "import sys; from majordomo_analytics.lake.compaction import compact; compact(sys.argv[1])"
    )
    chance = random.Random(3)
    for _ in range(20):
        last = take_snapshot(lake).version
        with subprocess.Popen([sys.executable, "-c", script, str(lake)]) as process:
            deadline = time.monotonic() + 60
            while process.poll() is None and time.monotonic() < deadline:
                if take_snapshot(lake).version > last:
                    break
            time.sleep(chance.uniform(0, 0.05))
            process.kill()
            ended = process.wait(60)
        answer = ma.open(lake).query("total_cost", dimensions="Plan").to_polars()
        assert dict(answer.rows()) == expected
        if ended == 0:
            break
    compact(lake)

    assert len(take_snapshot(lake).files) == 10
    assert everything(lake)[0]["total_cost"] == Decimal(batches[0][0][3])

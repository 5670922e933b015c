"""The lake takes each row once, and a snapshot of it never changes."""

from __future__ import annotations

import multiprocessing
import re
import shutil
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake

import majordomo_analytics as ma
from majordomo_analytics.datadir import DataDirectory
from majordomo_analytics.errors import LakeError, LakeNotFoundError
from majordomo_analytics.lake.properties import VERSION_PROPERTY
from majordomo_analytics.lake.table import (
    LakeSnapshot,
    append_once,
    appended_up_to,
    create_lake,
    ids_held,
    take_snapshot,
)
from majordomo_analytics.records.columns import COLUMNS
from tests.lake.rows import NOON, rows

if TYPE_CHECKING:
    import threading


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    path = tmp_path / "lake" / "llm_requests"
    create_lake(path)
    return path


def ids_in(snapshot: LakeSnapshot) -> list[str]:
    """Return the ids of a snapshot by plain Parquet, one for each row, sorted."""
    return sorted(
        request_id
        for file in snapshot.files
        for request_id in pq.read_table(file.uri, columns=["id"])["id"].to_pylist()
    )


def test_a_new_lake_is_empty_and_has_the_columns_of_the_table(lake: Path) -> None:
    snapshot = take_snapshot(lake)

    assert (snapshot.version, snapshot.rows, snapshot.files) == (0, 0, ())
    assert snapshot.schema.names[: len(COLUMNS)] == [column.name for column in COLUMNS]
    assert snapshot.promoted == ("Feature", "Team", "User-Tier", "Experiment", "Environment")


def test_making_a_lake_that_is_there_leaves_its_rows(lake: Path) -> None:
    append_once(lake, rows("a"), application="spool", first=1, last=1)
    create_lake(lake)

    assert ids_in(take_snapshot(lake)) == ["a"]


def test_rows_come_back_as_they_went_in(lake: Path) -> None:
    """By another reader than ours: money keeps its ten places, text its map."""
    append_once(lake, rows("a", "b"), application="spool", first=1, last=2)
    expected = rows("a", "b")
    read = pa.table(DeltaTable(str(lake)).to_pyarrow_table())

    assert read.select(expected.column_names).to_pylist() == expected.to_pylist()


def test_the_same_batch_twice_is_appended_once(lake: Path) -> None:
    """A commit that was made but never confirmed is tried again after a restart."""
    first = append_once(lake, rows("a", "b"), application="spool", first=1, last=2)
    again = append_once(lake, rows("a", "b"), application="spool", first=1, last=2)

    assert (first, again) == (True, False)
    assert ids_in(take_snapshot(lake)) == ["a", "b"]


def test_an_older_batch_is_not_appended_after_a_newer_one(lake: Path) -> None:
    append_once(lake, rows("a"), application="spool", first=1, last=1)
    append_once(lake, rows("b"), application="spool", first=2, last=2)

    assert not append_once(lake, rows("a"), application="spool", first=1, last=1)
    assert ids_in(take_snapshot(lake)) == ["a", "b"]


def test_a_batch_of_which_the_lake_holds_a_part_is_refused(lake: Path) -> None:
    """Appending it would double rows, skipping it would lose some."""
    append_once(lake, rows("a", "b"), application="spool", first=1, last=2)

    with pytest.raises(LakeError, match="rows of spool up to 2, inside 2-3"):
        append_once(lake, rows("b", "c"), application="spool", first=2, last=3)

    assert ids_in(take_snapshot(lake)) == ["a", "b"]


def test_each_application_has_its_own_numbers(lake: Path) -> None:
    append_once(lake, rows("a"), application="one", first=1, last=1)
    append_once(lake, rows("b", "c"), application="two", first=1, last=2)

    assert [appended_up_to(lake, name) for name in ("one", "two", "three")] == [1, 2, 0]
    assert ids_in(take_snapshot(lake)) == ["a", "b", "c"]


def append_batches(lake: str, application: str, batches: int, start: threading.Event) -> None:
    """Append batches of three rows, each of them tried twice; runs in its own process."""
    start.wait()
    for batch in range(batches):
        first, last = batch * 3 + 1, batch * 3 + 3
        batch_rows = rows(*(f"{application}-{n:03}" for n in range(first, last + 1)))
        for _ in range(2):
            append_once(lake, batch_rows, application=application, first=first, last=last)


@pytest.mark.slow
def test_two_processes_that_append_at_once_both_land_exactly_once(lake: Path) -> None:
    context = multiprocessing.get_context("spawn")  # deltalake does not survive a fork
    start = context.Event()
    workers = [
        context.Process(target=append_batches, args=(str(lake), name, 10, start))
        for name in ("one", "two")
    ]
    for worker in workers:
        worker.start()
    start.set()
    for worker in workers:
        worker.join(120)

    assert [worker.exitcode for worker in workers] == [0, 0]
    assert ids_in(take_snapshot(lake)) == sorted(
        f"{name}-{n:03}" for name in ("one", "two") for n in range(1, 31)
    )


def test_a_snapshot_holds_still_while_another_appends(lake: Path) -> None:
    append_once(lake, rows("a"), application="spool", first=1, last=1)
    before = take_snapshot(lake)
    append_once(lake, rows("b"), application="spool", first=2, last=2)

    assert ids_in(before) == ["a"]
    assert ids_in(take_snapshot(lake)) == ["a", "b"]
    assert take_snapshot(lake, version=before.version) == before


def test_files_are_chosen_by_day_with_both_ends_included(lake: Path) -> None:
    days = [date(2026, 11, day) for day in (3, 1, 2)]
    for number, day in enumerate(days, start=1):
        append_once(
            lake, rows(f"r{day.day}", day=day), application="spool", first=number, last=number
        )
    snapshot = take_snapshot(lake)

    def chosen(first: date | None, last: date | None) -> list[int]:
        return [file.requested_date.day for file in snapshot.files_between(first, last)]

    assert chosen(None, None) == [1, 2, 3]
    assert chosen(days[2], None) == [2, 3]
    assert chosen(None, days[2]) == [1, 2]
    assert chosen(days[2], days[2]) == [2]
    assert snapshot.rows == 3


def test_ids_are_looked_for_in_the_files_of_the_instants_that_are_asked_for(
    lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a day, too, only the files that may hold them are read."""
    instants = [datetime(2026, 11, 1, hour, tzinfo=UTC) for hour in (9, 12, 15)]
    for number, at in enumerate(instants, 1):
        batch = rows(f"a{number}", f"b{number}")
        place = batch.schema.get_field_index("requested_at")
        column = pa.array([at] * 2, batch.schema.field(place).type)
        batch = batch.set_column(place, batch.schema.field(place), column)
        append_once(lake, batch, application="spool", first=number, last=number)
    read: list[str] = []
    read_table = pq.read_table

    def watched(path: str, **options: object) -> pa.Table:
        read.append(path)
        return read_table(path, **options)

    monkeypatch.setattr(pq, "read_table", watched)
    asked = ["b1", "b2", "b3", "c"]
    first, middle, last = instants

    assert ids_held(lake, asked, first=first, last=last) == {"b1", "b2", "b3"}
    assert len(read) == 3
    assert ids_held(lake, asked, first=middle, last=middle) == {"b2"}
    assert len(read) == 4
    assert ids_held(lake, asked, first=middle - timedelta(days=9), last=first) == {"b1"}
    assert (
        ids_held(lake, asked, first=last + timedelta(seconds=1), last=last + timedelta(days=1))
        == set()
    )


@pytest.mark.parametrize("content", [None, b"", b"PAR1 and then nothing"])
def test_ids_in_a_file_that_cannot_be_read_are_an_error_of_the_lake(
    lake: Path, content: bytes | None
) -> None:
    append_once(lake, rows("x"), application="spool", first=1, last=1)
    (file,) = lake.rglob("requested_date=*/*.parquet")
    file.unlink()
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(LakeError, match="cannot be read"):
        ids_held(lake, ["x"], first=NOON, last=NOON)


@pytest.mark.parametrize(
    "name",
    ["a b", "a#b", "a%b", "50% off", "größe", "日本", "a?b", "a*b", "a'b", 'a"b', "a{b,c}", "a:b"],
)
def test_a_lake_in_a_folder_of_any_name_is_read_as_it_was_written(
    tmp_path: Path, name: str
) -> None:
    """By ids and by both engines, also where others lie beside it that are much alike."""
    data = DataDirectory.create(tmp_path / name / "data")
    create_lake(data.lake)
    append_once(data.lake, rows("x", "y"), application="spool", first=1, last=2)
    beside = tmp_path / re.sub(r"[^a-z]", "x", name)
    shutil.copytree(tmp_path / name, beside)

    snapshot = take_snapshot(data.lake)

    assert [Path(file.uri).parent.parent for file in snapshot.files] == [data.lake]
    assert ids_held(data.lake, ["x", "z"], first=NOON, last=NOON) == {"x"}
    for engine in ("duckdb", "polars"):
        found = ma.open(data.root).query("requests", engine=engine)
        assert found.total["requests"] == 2, engine


def test_a_lake_that_is_not_there_is_said_so_and_not_made(tmp_path: Path) -> None:
    missing = tmp_path / "lake"

    for ask in (take_snapshot, lambda path: appended_up_to(path, "spool")):
        with pytest.raises(LakeNotFoundError, match=r"there is no lake at .* yet"):
            ask(missing)

    assert not missing.exists()


@pytest.mark.parametrize("layout", ["2", "10", "next", "-1"])
def test_a_lake_of_an_unknown_layout_is_neither_read_nor_written(lake: Path, layout: str) -> None:
    append_once(lake, rows("a"), application="spool", first=1, last=1)
    DeltaTable(str(lake)).alter.set_table_properties(
        {VERSION_PROPERTY: layout}, raise_if_not_exists=False
    )
    version = DeltaTable(str(lake)).version()
    sentence = f"has layout '{layout}', this version reads up to 1; upgrade"

    with pytest.raises(LakeError, match=sentence):
        take_snapshot(lake)
    with pytest.raises(LakeError, match=sentence):
        append_once(lake, rows("b"), application="spool", first=2, last=2)

    assert DeltaTable(str(lake)).version() == version


def test_a_damaged_log_is_an_error_of_the_lake(lake: Path) -> None:
    log = next((lake / "_delta_log").glob("*.json"))
    log.write_text("{ not json")

    with pytest.raises(LakeError, match="cannot be read"):
        take_snapshot(lake)


def test_a_delta_table_of_somebody_else_is_an_error_of_the_lake(tmp_path: Path) -> None:
    write_deltalake(str(tmp_path / "theirs"), pa.table({"x": [1, 2]}))

    with pytest.raises(LakeError, match="is no table of requests"):
        take_snapshot(tmp_path / "theirs")


def test_rows_that_do_not_fit_the_table_are_refused_and_nothing_lands(lake: Path) -> None:
    with pytest.raises(LakeError, match="cannot be written"):
        append_once(lake, pa.table({"x": [1]}), application="spool", first=1, last=1)

    assert take_snapshot(lake).rows == 0
    assert appended_up_to(lake, "spool") == 0

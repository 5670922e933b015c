"""Promotion changes how fast a question is answered, and never the answer."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

import majordomo_analytics as ma
from majordomo_analytics.datadir import DataDirectory
from majordomo_analytics.drain.loop import drain_once
from majordomo_analytics.errors import SettingsError, UnknownNameError
from majordomo_analytics.lake import promotion
from majordomo_analytics.lake.compaction import compact
from majordomo_analytics.lake.promotion import MOST_PROMOTED, demote, promote
from majordomo_analytics.lake.table import (
    append_once,
    create_lake,
    lake_schema,
    take_snapshot,
)
from tests.drain.spools import spool
from tests.lake.rows import Request, cost_by, some_requests, tagged
from tests.support.records import a_record

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

BATCHES = some_requests(3, 2, 5)


def fill(lake: Path, batches: Sequence[Sequence[Request]]) -> None:
    create_lake(lake)
    for number, batch in enumerate(batches, 1):
        append_once(lake, tagged(*batch), application="fill", first=number, last=number)


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    fill(tmp_path / "lake", BATCHES)
    return tmp_path / "lake"


def costs(lake: Path, key: str = "Plan") -> dict[str, Decimal]:
    return dict(ma.open(lake).query("total_cost", dimensions=key).to_polars().rows())


def files_with(lake: Path, column: str) -> tuple[int, int]:
    """Return how many files of the newest version have a column, and how many there are."""
    files = take_snapshot(lake).files
    return sum(column in pq.read_schema(file.uri).names for file in files), len(files)


def test_every_row_of_days_that_are_over_gets_its_value_and_answers_stay(lake: Path) -> None:
    """In whatever spelling it came, by another reader of Delta tables too."""
    before = costs(lake)
    told: list[tuple[int, int]] = []

    done = promote(lake, ["plan"], progress=lambda rows, whole: told.append((rows, whole)))

    assert (done.promoted, done.already, done.rows_filled, done.files_filled, done.rows_left) == (
        ("Plan",),
        (),
        30,
        6,
        0,
    )
    assert (told[0], told[-1]) == ((0, 30), (30, 30))
    assert costs(lake) == before == cost_by("Plan", BATCHES)
    assert files_with(lake, "indexed_Plan") == (3, 3)
    read = pa.table(DeltaTable(str(lake)).to_pyarrow_table(columns=["id", "indexed_Plan"]))
    expected = {
        request_id: next((v for name, v in metadata or [] if name.lower() == "plan"), None)
        for batch in BATCHES
        for request_id, _, metadata, _ in batch
    }
    assert {row["id"]: row["indexed_Plan"] for row in read.to_pylist()} == expected


def test_promoting_again_does_nothing(lake: Path) -> None:
    promote(lake, "Plan")
    version = take_snapshot(lake).version

    done = promote(lake, ["PLAN", "plan"])

    assert (done.promoted, done.already, done.rows_filled) == ((), ("Plan",), 0)
    assert take_snapshot(lake).version == version


def test_the_log_knows_the_ends_of_a_promoted_column_in_old_and_new_files(lake: Path) -> None:
    """Readers of Delta tables skip files by them."""
    promote(lake, "Plan")
    append_once(lake, tagged(*BATCHES[0][:3]), application="new", first=1, last=1)

    actions = pa.table(DeltaTable(str(lake)).get_add_actions(flatten=True)).to_pylist()
    for action in actions:
        rows = pq.read_table(lake / action["path"], partitioning=None).to_pylist()
        for column in ("indexed_Plan", "requested_at", "total_cost", "provider", "indexed_Team"):
            known = [row[column] for row in rows if row[column] is not None]
            assert action[f"null_count.{column}"] == len(rows) - len(known)
            if known and column != "requested_at":
                ends = action[f"min.{column}"], action[f"max.{column}"]
                assert ends == (min(known), max(known))
            elif known:
                assert action[f"min.{column}"] <= min(known)
                assert action[f"max.{column}"] >= max(known)
        assert action["num_records"] == len(rows)


def test_rows_made_before_a_promotion_and_appended_after_it_have_the_column(lake: Path) -> None:
    """The drain reads the columns first, and makes rows; in between anything may happen."""
    late = tagged(*some_requests(1, 1, 4, seed=9)[0])
    promote(lake, "Plan")

    append_once(lake, late, application="late", first=1, last=1)

    assert files_with(lake, "indexed_Plan") == (4, 4)
    assert costs(lake) == cost_by("Plan", [*BATCHES, *some_requests(1, 1, 4, seed=9)])


def test_the_current_day_is_left_to_the_drain_and_to_compaction(tmp_path: Path) -> None:
    data = DataDirectory.create(tmp_path / "data")
    now = datetime.now(UTC)
    if now.hour == 23 and now.minute >= 58:
        pytest.skip("the day is about to end")
    for plan in ("pro", "free"):
        spool(data, a_record(requested_at=now, metadata={"Plan": plan}))
        drain_once(data)

    assert promote(data.lake, "Plan").rows_left == 2
    assert files_with(data.lake, "indexed_Plan") == (0, 2)
    spool(data, a_record(requested_at=now, metadata={"Plan": "pro"}))
    drain_once(data)
    assert files_with(data.lake, "indexed_Plan") == (1, 3)
    counts = dict(ma.open(data.root).query("requests", dimensions="Plan").to_polars().rows())
    assert counts == {"pro": 2, "free": 1}

    compact(data.lake)
    assert files_with(data.lake, "indexed_Plan") == (1, 1)
    counts = dict(ma.open(data.root).query("requests", dimensions="Plan").to_polars().rows())
    assert counts == {"pro": 2, "free": 1}


def test_a_demoted_key_has_no_column_any_more_and_the_same_answers(lake: Path) -> None:
    promote(lake, "Plan")
    ledger = ma.open(lake)
    assert "indexed_Plan" in ledger.sql("select * from llm_requests limit 0").columns

    assert demote(lake, "plan") == ("Plan",)

    assert "Plan" not in take_snapshot(lake).promoted
    assert "indexed_Plan" not in ledger.sql("select * from llm_requests limit 0").columns
    assert costs(lake) == cost_by("Plan", BATCHES)
    # New rows have it still, so that what has the column has it right.
    append_once(lake, tagged(*BATCHES[0]), application="new", first=1, last=1)
    assert files_with(lake, "indexed_Plan") == (4, 4)
    compact(lake)  # one day has two files
    assert files_with(lake, "indexed_Plan") == (2, 3)
    assert costs(lake) == cost_by("Plan", [*BATCHES, BATCHES[0]])


def test_a_key_that_was_demoted_is_promoted_again(lake: Path) -> None:
    promote(lake, "Plan")
    demote(lake, "Plan")
    append_once(lake, tagged(*BATCHES[0]), application="new", first=1, last=1)
    compact(lake)

    done = promote(lake, "Plan")

    assert (done.promoted, done.files_filled) == (("Plan",), 1)
    assert files_with(lake, "indexed_Plan") == (3, 3)
    assert costs(lake) == cost_by("Plan", [*BATCHES, BATCHES[0]])


def test_only_what_is_promoted_is_demoted(lake: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"no promoted metadata key .*'Teem'; did you mean"):
        demote(lake, ["Team", "Teem"])
    assert "Team" in take_snapshot(lake).promoted


def test_spellings_of_one_key_are_one_column(lake: Path) -> None:
    """Delta takes columns that differ in case for one, and refuses the second."""
    done = promote(lake, ["user_tier", "USER-TIER", "straße", "STRASSE", "Strasse"])

    assert done.already == ("User-Tier",)
    assert done.promoted == ("Straße",)
    assert promote(lake, "strasse").already == ("Straße",)
    names = [name.casefold() for name in lake_schema(lake).names]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("key", ["A b", "A,b", "A`b", "A.b", 'A"b', "A'b", "A{b}=%", "Größe", "数"])
def test_a_key_of_any_characters_is_promoted(lake: Path, key: str) -> None:
    batch: list[Request] = [("z", BATCHES[0][0][1], [(key, "x")], "5")]
    append_once(lake, tagged(*batch), application="new", first=1, last=1)

    promote(lake, key)
    append_once(lake, tagged(*batch), application="new", first=2, last=2)

    assert costs(lake, key)["x"] == Decimal(10)
    actions = pa.table(DeltaTable(str(lake)).get_add_actions(flatten=True)).to_pylist()
    column = lake_schema(lake).names[-1]
    assert {action[f"max.{column}"] for action in actions} == {None, "x"}


def test_what_is_no_metadata_key_is_not_promoted(lake: Path) -> None:
    version = take_snapshot(lake).version
    for keys, problem in (
        ([], "name at least one"),
        ([""], "'' is no name"),
        (["a\nb"], "is no name of a metadata key"),
        (["x" * 129], "has 129 characters; names of metadata keys are cut at 128"),
        (
            ["Provider"],
            "no metadata key: x-majordomo-provider is a control|x-majordomo-provider is",
        ),
        ([f"k{n}" for n in range(MOST_PROMOTED)], f"{MOST_PROMOTED} can be at most"),
    ):
        with pytest.raises(SettingsError, match=problem):
            promote(lake, keys)
    assert take_snapshot(lake).version == version


def test_what_was_cut_short_between_two_steps_is_finished_by_the_next(
    lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The column is there, and nothing says yet that it counts."""

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    set_promoted = promotion._set_promoted
    calls = []

    def once(*arguments: object) -> None:
        calls.append(arguments)
        (set_promoted if len(calls) == 1 else die)(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(promotion, "_set_promoted", once)
    with pytest.raises(KeyboardInterrupt):
        promote(lake, "Plan")
    monkeypatch.undo()
    assert "indexed_Plan" in lake_schema(lake).names
    assert "Plan" not in take_snapshot(lake).promoted
    assert costs(lake) == cost_by("Plan", BATCHES)

    assert promote(lake, "Plan").promoted == ("Plan",)
    assert files_with(lake, "indexed_Plan") == (3, 3)


def test_files_of_a_rewriting_that_failed_are_taken_away(
    lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = set(lake.rglob("*.parquet"))

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        promote(lake, "Plan")
    monkeypatch.undo()

    assert set(lake.rglob("*.parquet")) == there
    assert costs(lake) == cost_by("Plan", BATCHES)


@pytest.mark.slow
def test_a_promotion_that_is_killed_again_and_again_ends_with_the_same_answers(
    tmp_path: Path,
) -> None:
    """By SIGKILL, wherever it is; a question after each kill, and one lock that is free."""
    batches = some_requests(12, 3, 60)
    data = DataDirectory.create(tmp_path / "data")
    fill(data.lake, batches)
    expected = cost_by("Plan", batches)
    chance = random.Random(7)
    command = [sys.executable, "-m", "majordomo_analytics", "metadata", "promote", "Plan"]
    command += ["--data", str(data.root)]
    begun = take_snapshot(data.lake).version
    states = set()
    for _ in range(40):
        last = take_snapshot(data.lake).version
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
            # From when it has begun to change something, at some point of the next change.
            deadline = time.monotonic() + 60
            while process.poll() is None and time.monotonic() < deadline:
                if take_snapshot(data.lake).version > last:
                    break
            time.sleep(chance.uniform(0, 0.06))
            process.kill()
            ended = process.wait(60)
        states.add(files_with(data.lake, "indexed_Plan")[0])
        assert costs(data.lake) == expected
        if ended == 0:
            break

    assert subprocess.run(command, check=False, stderr=subprocess.DEVNULL).returncode == 0
    assert files_with(data.lake, "indexed_Plan") == (12, 12)
    assert costs(data.lake) == expected
    assert len(states - {0, 12}) > 2, (states, begun)
    assert take_snapshot(data.lake).rows == sum(map(len, batches))


@pytest.mark.slow
def test_keys_are_promoted_and_demoted_while_a_drain_appends_and_somebody_asks(
    tmp_path: Path,
) -> None:
    """Nothing is lost or doubled, and what has a column has it right."""
    data = DataDirectory.create(tmp_path / "data")
    batches = some_requests(6, 2, 20)
    fill(data.lake, batches)
    old = cost_by("Plan", batches)
    drained, stop = [0], threading.Event()
    troubles: list[str] = []
    yesterday = datetime.now(UTC) - timedelta(days=1)

    def drain() -> None:
        while not stop.is_set():
            number = drained[0]
            at = yesterday if number % 2 else datetime.now(UTC)
            name = ("Plan", "plan")[number % 3 == 0]
            spool(data, a_record(requested_at=at, metadata={name: "drained"}))
            report = drain_once(data)
            troubles.extend(report.troubles)
            drained[0] += report.rows

    def ask() -> None:
        while not stop.is_set():
            least = drained[0]
            answer = ma.open(data.root).query(["total_cost", "requests"], dimensions="Plan")
            found = {row[0]: row[1:] for row in answer.to_polars().rows()}
            for plan, cost in old.items():
                if found[plan][0] != cost:
                    troubles.append(f"{plan}: {found[plan]}")
            requests = found.get("drained", (None, 0))[1]
            if not least <= requests <= drained[0] + 1:
                troubles.append(f"{requests} drained, not {least} to {drained[0] + 1}")

    threads = [threading.Thread(target=drain), threading.Thread(target=ask)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(4):
            promote(data.lake, "Plan")
            compact(data.lake)
            demote(data.lake, "Plan")
            compact(data.lake)
        promote(data.lake, "Plan")
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)

    assert troubles == []
    assert drained[0] > 4
    answer = ma.open(data.root).query("requests", dimensions="Plan").to_polars()
    assert dict(answer.rows())["drained"] == drained[0]
    for file in take_snapshot(data.lake).files:
        rows = pq.read_table(file.uri, partitioning=None).to_pylist()
        for row in rows:
            if "indexed_Plan" in row:
                in_metadata = [v for name, v in row["raw_metadata"] if name.lower() == "plan"]
                assert [row["indexed_Plan"]] == (in_metadata or [None])

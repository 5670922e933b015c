"""A sample in a folder: made once, finished after a crash, never over something else."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from majordomo_analytics.datadir import DataDirectory
from majordomo_analytics.errors import DataDirectoryError, SettingsError
from majordomo_analytics.lake.table import take_snapshot
from majordomo_analytics.ledger.opening import open as open_ledger
from majordomo_analytics.sampling import making
from majordomo_analytics.sampling.directory import TRUTH, UNFINISHED, make_sample, read_truth
from majordomo_analytics.sampling.making import Making, Recipe
from majordomo_analytics.sampling.shipped import fingerprint

SMALL = Recipe(rows=3000, seed=5, days=9)


def content(recipe: Recipe) -> list[str]:
    """Return the fingerprint of each chunk."""
    return [fingerprint(table) for table in Making(recipe).tables()]


def test_the_same_recipe_makes_the_same_rows_and_truth() -> None:
    first, again = Making(SMALL), Making(SMALL)

    assert [fingerprint(t) for t in first.tables()] == [fingerprint(t) for t in again.tables()]
    assert first.truth() == again.truth()


@pytest.mark.parametrize("other", [Recipe(3000, 6, 9), Recipe(3001, 5, 9), Recipe(3000, 5, 10)])
def test_another_recipe_makes_other_rows(other: Recipe) -> None:
    assert content(SMALL) != content(other)


def test_threads_do_not_change_what_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(making, "CHUNK_ROWS", 400)
    several = Making(SMALL)
    chunks = [fingerprint(table) for table in several.tables()]
    monkeypatch.setattr(making, "WORKERS", 1)
    alone = Making(SMALL)

    assert len(chunks) > 5
    assert chunks == [fingerprint(table) for table in alone.tables()]
    assert several.truth() == alone.truth()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"rows": 0}, "rows of a sample is 0; give 1 to 1,000,000,000"),
        ({"rows": 2_000_000_000}, "give 1 to"),
        ({"rows": 5.0}, "give a whole number"),
        ({"rows": True}, "give a whole number"),
        ({"rows": 5, "days": 121}, "days of a sample is 121; give 1 to 120"),
        ({"rows": 5, "seed": -1}, "seed of a sample is -1"),
    ],
)
def test_what_cannot_be_made_is_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        Recipe(**wrong)


def test_a_sample_of_one_request_has_one(tmp_path: Path) -> None:
    truth = make_sample(tmp_path / "one", Recipe(1))

    assert open_ledger(tmp_path / "one").query("requests").total == {"requests": 1}
    assert truth["total"]["requests"] == 1


def test_what_lies_after_a_short_window_did_not_happen(tmp_path: Path) -> None:
    told = make_sample(tmp_path / "short", Recipe(2000, days=30))["story"]

    assert told["price_change"] is None
    assert not told["launch"]["happened"]
    assert not told["anomaly"]["happened"]
    assert told["anomaly"]["requests"] == 0
    assert [each["happened"] for each in told["experiments"]] == [True, False]


def test_a_folder_with_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")

    with pytest.raises(DataDirectoryError, match="not empty and no sample"):
        make_sample(tmp_path, SMALL)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_real_data_directory_is_left_alone(tmp_path: Path) -> None:
    """Made-up rows among real ones could not be told from them."""
    DataDirectory.create(tmp_path)
    before = sorted(tmp_path.rglob("*"))

    with pytest.raises(DataDirectoryError, match="not empty and no sample"):
        make_sample(tmp_path, SMALL)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_file_is_no_folder_for_a_sample(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")

    with pytest.raises(DataDirectoryError, match="is a file"):
        make_sample(file, SMALL)


def test_a_finished_sample_is_not_made_twice(tmp_path: Path) -> None:
    truth = make_sample(tmp_path, SMALL)
    before = take_snapshot(DataDirectory.open(tmp_path).lake)
    counted: list[int] = []

    assert make_sample(tmp_path, SMALL, on_rows=counted.append) == truth
    assert counted == []
    assert take_snapshot(DataDirectory.open(tmp_path).lake) == before


def test_another_sample_in_the_folder_is_refused_with_what_differs(tmp_path: Path) -> None:
    make_sample(tmp_path, SMALL)

    with pytest.raises(DataDirectoryError, match="rows 3000 instead of 9"):
        make_sample(tmp_path, Recipe(rows=9, seed=5, days=9))


def test_a_damaged_truth_is_said_and_kept(tmp_path: Path) -> None:
    (tmp_path / TRUTH).write_text("{")

    with pytest.raises(DataDirectoryError, match="cannot be read as the truth"):
        read_truth(tmp_path)
    with pytest.raises(DataDirectoryError, match="no sample"):
        make_sample(tmp_path, SMALL)


def test_rows_are_counted_for_the_progress_bar(tmp_path: Path) -> None:
    counted: list[int] = []
    make_sample(tmp_path, SMALL, on_rows=counted.append)

    assert sum(counted) == SMALL.rows


RUN = """
import sys
from majordomo_analytics.sampling import making
from majordomo_analytics.sampling.directory import make_sample

making.CHUNK_ROWS = 2000
make_sample(sys.argv[1], making.Recipe(rows=60_000, seed=9, days=20))
"""


@pytest.mark.slow
def test_a_sample_that_was_killed_is_finished_without_loss_or_doubles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGKILL while it writes, some commits in; then the same call again."""
    cut, whole = tmp_path / "cut", tmp_path / "whole"
    process = subprocess.Popen([sys.executable, "-c", RUN, str(cut)])
    log = cut / "lake" / "llm_requests" / "_delta_log"
    deadline = time.monotonic() + 120
    while len(list(log.glob("*.json"))) < 6:
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert (cut / UNFINISHED).exists()
    assert not (cut / TRUTH).exists()
    assert take_snapshot(cut / "lake" / "llm_requests").rows < 60_000
    monkeypatch.setattr(making, "CHUNK_ROWS", 2000)
    recipe = Recipe(rows=60_000, seed=9, days=20)

    assert make_sample(cut, recipe) == make_sample(whole, recipe)
    measures = ["requests", "total_cost", "input_tokens"]
    assert open_ledger(cut).query(measures).total == open_ledger(whole).query(measures).total
    ids = open_ledger(cut).sql("select count(distinct id) as n from llm_requests")
    assert ids["n"].item() == 60_000
    assert not (cut / UNFINISHED).exists()


MEASURE = """
import resource, sys
from majordomo_analytics.sampling.directory import make_sample
from majordomo_analytics.sampling.making import Recipe

make_sample(sys.argv[1], Recipe(rows=int(sys.argv[2])))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_rows(tmp_path: Path) -> None:
    peaks_mb = {}
    for rows in (250_000, 1_000_000):
        command = [sys.executable, "-c", MEASURE, str(tmp_path / str(rows)), str(rows)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        peaks_mb[rows] = int(done.stdout)
        truth = json.loads((tmp_path / str(rows) / TRUTH).read_text())
        assert truth["total"]["requests"] == rows

    assert peaks_mb[1_000_000] < 1000
    assert peaks_mb[1_000_000] < 1.4 * peaks_mb[250_000]

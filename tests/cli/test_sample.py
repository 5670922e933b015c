"""`mdm sample`: says what it did, and leaves alone what is no sample."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

from tests.support.proxy import mdm


def test_it_makes_a_data_directory_that_the_other_commands_read(tmp_path: Path) -> None:
    out = tmp_path / "made"
    done = mdm("sample", "--rows", "2500", "--out", str(out), "--seed", "3", "--days", "50")
    truth = json.loads((out / "truth.json").read_text())
    answer = json.loads(
        mdm("query", "--data", str(out), "--by", "Feature", "--format", "json").stdout
    )

    assert "2,500 requests of " in done.stderr
    assert "2026-06-01 to 2026-07-20" in done.stderr
    assert f"mdm query --data {out} --by Feature" in done.stderr
    assert {row["Feature"]: row["requests"] for row in answer["rows"]} == {
        name: sums["requests"] for name, sums in truth["by"]["Feature"].items()
    }
    assert Decimal(answer["total"]["total_cost"]) == Decimal(truth["total"]["total_cost"])
    assert truth["generator"]["seed"] == 3


def test_a_folder_that_is_no_sample_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    done = mdm("sample", "--rows", "200", "--out", str(tmp_path), check=False)

    assert done.returncode == 2
    assert done.stderr.startswith("mdm: ")
    assert "is not empty and no sample; name a folder of its own for it" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_number_that_cannot_be_is_refused(tmp_path: Path) -> None:
    done = mdm("sample", "--rows", "0", "--out", str(tmp_path / "x"), check=False)

    assert done.returncode == 2
    assert "rows of a sample is 0; give 1 to 1,000,000,000" in done.stderr
    assert not (tmp_path / "x").exists()

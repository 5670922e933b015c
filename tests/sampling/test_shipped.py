"""The set that is shipped: small, pinned, made anew by one command, and `ma.sample()`."""

from __future__ import annotations

import hashlib
import importlib.metadata
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import majordomo_analytics as ma
from majordomo_analytics.errors import SettingsError
from majordomo_analytics.sampling import shipped
from majordomo_analytics.sampling.directory import TRUTH
from majordomo_analytics.sampling.making import Recipe
from majordomo_analytics.sampling.shipped import (
    FOLDER,
    REQUESTS,
    SHIPPED,
    cache_folder,
    cached_sample,
    fingerprint,
    make_shipped,
    shipped_truth,
)

ROOT = Path(__file__).parents[2]


def test_the_file_is_the_one_that_the_truth_belongs_to() -> None:
    held = hashlib.sha256(REQUESTS.read_bytes()).hexdigest()

    assert held == shipped_truth()["file_sha256"]


def test_the_rows_are_those_that_were_pinned() -> None:
    rows = pq.read_table(REQUESTS)

    assert fingerprint(rows) == shipped_truth()["content_sha256"]


def test_it_is_made_anew_with_the_same_content(tmp_path: Path) -> None:
    """With the prices in `constraints.txt`; `make sample-data` after they changed."""
    made, held = make_shipped(tmp_path), shipped_truth()

    assert made["generator"] == held["generator"], "run `make sample-data`"
    made.pop("file_sha256")
    held.pop("file_sha256")
    assert made == held
    assert fingerprint(pq.read_table(tmp_path / REQUESTS.name)) == held["content_sha256"]


def test_it_is_priced_with_the_lists_that_are_installed() -> None:
    installed = importlib.metadata.version("genai-prices")

    assert shipped_truth()["generator"]["price_version"] == f"genai-prices {installed}"


def test_it_is_small() -> None:
    assert REQUESTS.stat().st_size < 3_000_000
    assert (FOLDER / TRUTH).stat().st_size < 100_000


def test_the_links_of_the_sample_folder_lead_to_it() -> None:
    for name in (REQUESTS.name, TRUTH):
        assert (ROOT / "sample_data" / name).read_bytes() == (FOLDER / name).read_bytes()


def test_any_reader_of_parquet_reads_it() -> None:
    held = pl.read_parquet(REQUESTS)

    assert len(held) == SHIPPED.rows
    assert str(held["total_cost"].sum()) == shipped_truth()["total"]["total_cost"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([1, None], [1, 0]),
        (["ab", "c"], ["a", "bc"]),
        ([None, "a"], ["a", None]),
        ([[("k", "v")]], [[("k", "w")]]),
        ([[], [("k", "v")]], [[("k", "v")], []]),
        ([Decimal("1.0")], [Decimal("1.1")]),
        ([True], [False]),
    ],
)
def test_different_content_has_different_fingerprints(one: list[Any], other: list[Any]) -> None:
    kind = pa.map_(pa.string(), pa.string()) if isinstance(one[0], list) else pa.array(one).type
    tables = [pa.table({"x": pa.array(values, kind)}) for values in (one, other)]

    assert fingerprint(tables[0]) != fingerprint(tables[1])


def test_the_same_content_has_one_fingerprint_however_it_is_cut() -> None:
    rows = pq.read_table(REQUESTS).slice(0, 900)
    parts = pa.concat_tables([rows.slice(0, 333), rows.slice(333)])

    assert fingerprint(parts) == fingerprint(rows.combine_chunks())


def test_sample_opens_the_shipped_set() -> None:
    ledger = ma.sample()

    assert repr(ledger).startswith("Ledger of the sample: 40,000 requests")
    assert str(ledger.query().total["total_cost"]) == shipped_truth()["total"]["total_cost"]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MAJORDOMO_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_other_sizes_are_made_once_and_kept(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = ma.sample(rows=1200)
    monkeypatch.setattr(shipped, "make_sample", None)  # nothing may be made any more

    assert ma.sample(rows=1200).query().total == first.query().total
    assert first.query("requests").total == {"requests": 1200}
    assert len(list((cache / "samples").iterdir())) == 1


def test_another_seed_is_another_sample(cache: Path) -> None:
    assert ma.sample(rows=500, seed=1).total != ma.sample(rows=500, seed=2).total


def test_nothing_is_left_of_a_sample_that_failed(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: int) -> None:
        message = "the disk is full"
        raise OSError(message)

    with pytest.raises(OSError, match="the disk is full"):
        cached_sample(Recipe(100), on_rows=broken)
    assert list((cache / "samples").iterdir()) == []


def test_the_same_sample_made_by_somebody_else_meanwhile_is_taken(cache: Path) -> None:
    done: list[None] = []

    def meanwhile(_: int) -> None:
        if not done:
            done.append(None)
            cached_sample(Recipe(100))

    place, _ = cached_sample(Recipe(100), on_rows=meanwhile)

    assert [path.name for path in (cache / "samples").iterdir()] == [place.name]
    assert ma.open(place).query("requests").total == {"requests": 100}


def test_a_size_that_cannot_be_is_refused() -> None:
    with pytest.raises(SettingsError, match="give 1 to"):
        ma.sample(rows=0)


def test_the_cache_is_where_the_desktop_keeps_such_things(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MAJORDOMO_CACHE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "majordomo-analytics"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_folder() == tmp_path / ".cache" / "majordomo-analytics"
    monkeypatch.setenv("MAJORDOMO_CACHE", "~/here")
    assert cache_folder() == tmp_path / "here"

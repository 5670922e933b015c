"""The lake is opened as it was: by number, or by when that was."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

import majordomo_analytics as ma
from majordomo_analytics.errors import LakeVersionError, SourceError
from majordomo_analytics.lake.compaction import compact
from majordomo_analytics.lake.promotion import demote, promote
from majordomo_analytics.lake.table import append_once, create_lake
from majordomo_analytics.lake.vacuuming import vacuum
from majordomo_analytics.lake.versions import lake_versions
from tests.lake.rows import cost_by, some_requests, tagged

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """Give a lake whose version N has N rows, up to 5."""
    path = tmp_path / "lake"
    create_lake(path)
    for number, batch in enumerate(some_requests(1, 5, 1), 1):
        append_once(path, tagged(*batch), application="s", first=number, last=number)
    return path


def count(ledger: ma.Ledger) -> object:
    return ledger.query("requests").total["requests"]


def test_a_version_is_opened_by_its_number_and_stays_as_it_was(lake: Path) -> None:
    third = ma.open(lake, version=3)
    compact(lake)

    assert count(third) == count(ma.open(lake, version="3")) == 3
    assert count(ma.open(lake, version=0)) == 0
    assert count(ma.open(lake)) == 5
    assert "at version 3: 3 requests" in repr(third)


def test_a_version_is_opened_by_when_it_was_the_newest(lake: Path) -> None:
    known = lake_versions(lake)
    fourth = known[4]

    # Commits of one millisecond count together.
    last = max(v.number for v in known if v.made_at == fourth.made_at)
    assert count(ma.open(lake, version=fourth.made_at)) == min(last, 5)
    assert count(ma.open(lake, version=fourth.made_at.isoformat())) == min(last, 5)
    assert count(ma.open(lake, version=datetime.now(UTC))) == 5
    assert count(ma.open(lake, version=fourth.made_at.replace(tzinfo=None))) == min(last, 5)


def test_a_version_that_is_not_there_is_told_with_those_that_are(lake: Path) -> None:
    known = r"versions 0 \(20.*\) to 5 \(20.* UTC\) are there"
    for version, problem in (
        (6, "6 of the lake is not there"),
        (-1, "-1 of the lake is not there"),
        (date(2020, 1, 1), "is before the oldest"),
        ("2020-01-01", "is before the oldest"),
        (datetime.now(UTC) + timedelta(days=1), "is in the future"),
        ("yesterday", "is no number, date or time"),
        (True, "is no number, date or time"),
    ):
        with pytest.raises(LakeVersionError, match=f"{problem}; {known}"):
            ma.open(lake, version=version)


def test_a_version_whose_files_are_gone_is_not_opened(lake: Path) -> None:
    compact(lake)
    vacuum(lake, kept=timedelta(0), force=True)

    with pytest.raises(LakeVersionError, match="cannot be read any more: 3 of its 3 files"):
        ma.open(lake, version=3)
    assert count(ma.open(lake)) == 5


def test_an_earlier_version_has_the_promoted_keys_that_it_had_and_the_same_answers(
    lake: Path,
) -> None:
    promote(lake, "Plan")
    promoted = lake_versions(lake)[-1].number
    demote(lake, "Plan")
    expected = cost_by("Plan", some_requests(1, 5, 1))

    for version in (5, promoted, None):
        ledger = ma.open(lake, version=version)
        answer = ledger.query("total_cost", dimensions="Plan").to_polars()
        assert dict(answer.rows()) == expected
        keys = ledger.metadata_keys()
        is_promoted = keys.filter(keys["name"] == "Plan")["promoted"].item()
        assert is_promoted == (version == promoted)


def test_only_the_newest_version_of_a_lake_is_changed(lake: Path) -> None:
    with pytest.raises(SourceError, match="at version 2 cannot be changed; open it without"):
        ma.open(lake, version=2).promote("Plan")
    with pytest.raises(SourceError, match="a frame is no lake"):
        ma.open(pa.table({"requested_at": [datetime.now(UTC)]})).demote("Plan")
    with pytest.raises(SourceError, match="a frame has no versions"):
        ma.open(pa.table({"requested_at": [datetime.now(UTC)]}), version=1)

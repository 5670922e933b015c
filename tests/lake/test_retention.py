"""Days that are too old go as a whole, and nothing else does."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest

from majordomo_analytics.datadir import DataDirectory
from majordomo_analytics.errors import LakeBusyError
from majordomo_analytics.lake import retention as retention_module
from majordomo_analytics.lake.maintenance import maintenance
from majordomo_analytics.lake.registry import read_registry
from majordomo_analytics.lake.retention import days_before, drop_days_before
from majordomo_analytics.lake.table import append_once, create_lake, take_snapshot
from majordomo_analytics.lake.tallystore import TallyStore
from tests.lake.rows import rows

FIRST = date(2026, 1, 1)


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    create_lake(tmp_path / "lake")
    for number in range(1, 8):
        day = FIRST + timedelta(days=number - 1)
        table = rows(*(f"{number}-{n}" for n in range(number)), day=day)
        append_once(tmp_path / "lake", table, application="t", first=number, last=number)
    return tmp_path / "lake"


def days_of(lake: Path) -> list[int]:
    return [file.requested_date.day for file in take_snapshot(lake).files]


def test_every_day_before_goes_and_no_file_is_written(
    lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In commits of some days each; what goes is counted and told beforehand."""
    monkeypatch.setattr(retention_module, "DAYS_PER_COMMIT", 2)
    kept = {file.uri for file in take_snapshot(lake).files if file.requested_date.day >= 6}
    version = take_snapshot(lake).version
    expected = {FIRST + timedelta(days=n): n + 1 for n in range(5)}
    went: list[int] = []

    assert days_before(lake, date(2026, 1, 6)) == expected
    assert days_of(lake) == [1, 2, 3, 4, 5, 6, 7]
    assert drop_days_before(lake, date(2026, 1, 6), on_rows=went.append) == expected

    assert {file.uri for file in take_snapshot(lake).files} == kept
    assert went == [1 + 2, 3 + 4, 5]
    assert take_snapshot(lake).version == version + 3
    assert drop_days_before(lake, date(2026, 1, 6)) == {}


def test_whoever_is_stopped_amid_it_goes_on(lake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention_module, "DAYS_PER_COMMIT", 1)

    def stop(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        drop_days_before(lake, date(2026, 1, 4), on_rows=stop)
    assert days_of(lake) == [2, 3, 4, 5, 6, 7]

    drop_days_before(lake, date(2026, 1, 4))
    assert days_of(lake) == [4, 5, 6, 7]


def test_whoever_was_killed_before_the_registry_forgot_has_it_forget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though there is no day any more that would have to go."""
    data = DataDirectory.create(tmp_path / "data")
    create_lake(data.lake)
    append_once(data.lake, rows("a", day=FIRST), application="t", first=1, last=1)
    read_registry(take_snapshot(data.lake), store=data.registry)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(retention_module, "forget_removed", killed)
        with pytest.raises(KeyboardInterrupt):
            drop_days_before(data.lake, date(2026, 1, 4))
    assert len(TallyStore(data.registry).read()) == 1

    assert drop_days_before(data.lake, date(2026, 1, 4)) == {}
    assert TallyStore(data.registry).read() == {}


def test_it_waits_for_nobody_and_does_not_disturb(lake: Path, tmp_path: Path) -> None:
    with maintenance(lake, doing="compaction"), pytest.raises(LakeBusyError, match="compaction"):
        drop_days_before(lake, date(2026, 1, 4))
    assert len(days_of(lake)) == 7
    assert drop_days_before(tmp_path / "none", date(2026, 1, 4)) == {}

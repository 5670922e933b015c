"""What is known of metadata keys is what counting every row says, whatever happened."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from deltalake import DeltaTable
from hypothesis import given, settings
from hypothesis import strategies as st

import majordomo_analytics as ma
from majordomo_analytics.datadir import DataDirectory
from majordomo_analytics.lake import registry as registry_module
from majordomo_analytics.lake.history import drop_history
from majordomo_analytics.lake.registry import (
    KeyUse,
    Registry,
    forget_removed,
    read_registry,
    store_of,
)
from majordomo_analytics.lake.sketches import DISTINCT_ERROR, FREQUENT_ERROR
from majordomo_analytics.lake.table import append_once, create_lake, take_snapshot
from majordomo_analytics.lake.tallies import tally_file
from majordomo_analytics.lake.tallystore import TallyStore
from majordomo_analytics.records.columns import promoted_column
from majordomo_analytics.records.metadata import PROMOTED_FROM_THE_START
from majordomo_analytics.records.schemas import arrow_schema
from tests.lake.rows import REQUIRED

FIRST = datetime(2026, 11, 1, tzinfo=UTC)


def append(lake: Path, rows: list[tuple[datetime, dict[str, str]]], number: int) -> None:
    """Append rows of these instants and metadata in one commit."""
    made = [
        REQUIRED
        | {
            "id": f"{number}-{place}",
            "requested_at": at,
            "requested_date": at.date(),
            "raw_metadata": list(metadata.items()),
            **{promoted_column(key): once(metadata).get(key) for key in PROMOTED_FROM_THE_START},
        }
        for place, (at, metadata) in enumerate(rows)
    ]
    table = pa.Table.from_pylist(made, schema=arrow_schema(PROMOTED_FROM_THE_START))
    append_once(lake, table, application="tests", first=number, last=number)


def once(metadata: dict[str, str]) -> dict[str, str]:
    """Return metadata by canonical names, of two spellings the canonical one."""
    chosen: dict[str, str] = {}
    for spelling in sorted(metadata):
        parts = spelling.replace("_", "-").split("-")
        chosen.setdefault("-".join(map(str.capitalize, parts)), metadata[spelling])
    return chosen


def brute_force(rows: list[tuple[datetime, dict[str, str]]]) -> dict[str, dict[str, Any]]:
    """Count with dicts: canonical spelling first, each key of a request once."""
    values: defaultdict[str, Counter[str]] = defaultdict(Counter)
    seen: defaultdict[str, list[datetime]] = defaultdict(list)
    for at, metadata in rows:
        for name, value in once(metadata).items():
            values[name][value] += 1
            seen[name].append(at)
    return {
        name: {
            "requests": counts.total(),
            "distinct_values": len(counts),
            "first_seen": min(seen[name]),
            "last_seen": max(seen[name]),
            "top": sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:10],
        }
        for name, counts in values.items()
    }


def as_dicts(registry: Registry) -> dict[str, dict[str, Any]]:
    return {
        key.name: {
            "requests": key.requests,
            "distinct_values": key.distinct_values,
            "first_seen": key.first_seen,
            "last_seen": key.last_seen,
            "top": list(key.top_values),
        }
        for key in registry.keys
    }


instants = st.integers(0, 4 * 86_400_000_000).map(lambda us: FIRST + timedelta(microseconds=us))
names = st.sampled_from(["Feature", "feature", "User-Id", "user_id", "Plan", "Größe"])
texts = st.sampled_from(["", "a", "b", "=a", "ä☕", "x" * 300, "null", "0"]) | st.text(
    st.characters(codec="utf-8", exclude_characters="\x00"), max_size=3
)
batches = st.lists(
    st.lists(st.tuples(instants, st.dictionaries(names, texts, max_size=4)), max_size=12),
    min_size=1,
    max_size=4,
)


@settings(max_examples=15)
@given(batches=batches, compacted=st.integers(0, 3))
def test_the_registry_is_what_counting_every_row_says(
    batches: list[list[tuple[datetime, dict[str, str]]]], compacted: int
) -> None:
    """After each commit, a compaction amid them, and by a store of what came before.

    Reading all rows with DuckDB says the same.
    """
    with tempfile.TemporaryDirectory() as folder:
        data = DataDirectory.create(Path(folder) / "data")
        create_lake(data.lake)
        held: list[tuple[datetime, dict[str, str]]] = []
        for number, rows in enumerate(batches, 1):
            if rows:
                append(data.lake, rows, number)
                held += rows
            if number == compacted:
                DeltaTable(str(data.lake)).optimize.compact()
            registry = read_registry(take_snapshot(data.lake), store=data.registry)
            assert as_dicts(registry) == brute_force(held)
            assert registry.requests == len(held)

        ledger = ma.open(data.root)
        frame = ledger.metadata_keys()
        scanned = ledger.during(("2026-10-01", "2026-12-01")).metadata_keys()
        assert frame.equals(scanned)
        assert frame.schema == scanned.schema
        days = Counter(at.date() for at, _ in held)
        covered = ledger.metadata_coverage()
        of_days = ledger.during(("2026-10-01", "2026-12-01")).metadata_coverage()
        assert covered.equals(of_days)
        assert len(covered) == len(days) * len(frame)
        for day, name, requests, coverage in covered.rows():
            had = sum(at.date() == day and name in once(keys) for at, keys in held)
            assert (requests, coverage) == (had, had / days[day])


@pytest.fixture
def data(tmp_path: Path) -> DataDirectory:
    directory = DataDirectory.create(tmp_path / "data")
    create_lake(directory.lake)
    return directory


def days_of(*keys: str, days: int = 3) -> list[tuple[datetime, dict[str, str]]]:
    return [(FIRST + timedelta(days=n), dict.fromkeys(keys, f"v{n}")) for n in range(days)]


def registry_of(data: DataDirectory, **how: Any) -> Registry:
    return read_registry(take_snapshot(data.lake), store=data.registry, **how)


def test_many_values_are_estimated_within_the_bound(data: DataDirectory) -> None:
    """10,000 requests each in two files that share half of their values; one stands out."""
    instants = [FIRST + timedelta(days=day, seconds=1) for day in range(2)]
    for number, at in enumerate(instants, 1):
        users = [*range(5_000), *range(5_000 * number, 5_000 * (number + 1))]
        rows = [(at, {"User-Id": f"user-{user}"}) for user in users]
        rows += [(at, {"User-Id": "loud"})] * 2_000
        append(data.lake, rows, number)

    (key,) = registry_of(data).keys

    true = 15_000 + 1
    assert key.requests == 24_000
    assert abs(key.distinct_values - true) <= DISTINCT_ERROR * true
    assert 4_000 <= dict(key.top_values)["loud"] <= 4_000 + FREQUENT_ERROR * key.requests
    assert key.top_values[0][0] == "loud"


def test_only_files_that_are_new_are_read(
    data: DataDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what is known of files that are gone is forgotten."""
    append(data.lake, days_of("Feature"), 1)
    read: list[int] = []
    registry_of(data, on_rows=read.append)
    assert read == [1, 1, 1]
    append(data.lake, days_of("Feature", days=1), 2)
    registry_of(data, on_rows=read.append)
    assert read == [1, 1, 1, 1]

    with monkeypatch.context() as patch:
        patch.setattr(registry_module, "tally_file", None)  # calling it would fail
        assert registry_of(data).requests == 4

    DeltaTable(str(data.lake)).delete("requested_date = '2026-11-02'")
    assert registry_of(data, on_rows=read.append).requests == 3
    assert len(read) == 4
    with sqlite3.connect(data.registry) as connection:
        assert connection.execute("select count(*) from tallies").fetchone() == (3,)
    connection.close()


def test_an_older_version_is_told_without_being_kept(data: DataDirectory) -> None:
    """Else what an erasure has removed would come back with whoever looks at the past."""
    append(data.lake, days_of("Feature"), 1)
    old = take_snapshot(data.lake)
    DeltaTable(str(data.lake)).delete("requested_date = '2026-11-02'")
    registry_of(data)

    assert read_registry(old, store=data.registry).requests == 3
    with sqlite3.connect(data.registry) as connection:
        assert connection.execute("select count(*) from tallies").fetchone() == (2,)
    connection.close()


@pytest.mark.parametrize("is_history_dropped", [False, True])
@pytest.mark.parametrize("moment", ["before a tally is kept", "as it is kept"])
def test_what_is_erased_while_it_is_counted_is_not_kept(
    data: DataDirectory, monkeypatch: pytest.MonkeyPatch, moment: str, is_history_dropped: bool
) -> None:
    """Values stand in tallies: of files that are gone there is none, whoever was first."""
    append(data.lake, days_of("Feature", days=1), 1)
    snapshot = take_snapshot(data.lake)
    keep = TallyStore.keep
    pending = [True]

    def erase() -> None:
        if pending:
            pending.clear()
            DeltaTable(str(data.lake)).delete("requested_date <= '2026-11-03'")
            forget_removed(take_snapshot(data.lake), data.registry)
            if is_history_dropped:
                drop_history(data.lake)

    def tallied(file: Any) -> Any:
        tally = tally_file(file)
        if moment == "before a tally is kept":
            erase()
        return tally

    def kept(store: TallyStore, *args: Any) -> None:
        if moment == "as it is kept":
            erase()
        keep(store, *args)

    monkeypatch.setattr(registry_module, "tally_file", tallied)
    monkeypatch.setattr(TallyStore, "keep", kept)
    assert read_registry(snapshot, store=data.registry).requests == 1

    assert TallyStore(data.registry).read() == {}


def damage_all(path: Path) -> None:
    path.write_bytes(b"no database at all" * 1000)


def damage_a_page(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4096 + 500 : 4096 + 1500] = os.urandom(1000)
    path.write_bytes(content)


def damage_a_tally(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("update tallies set tally = zeroblob(length(tally))")
    connection.close()


def another_layout(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("pragma user_version = 99")
    connection.close()


@pytest.mark.parametrize(
    "harm", [Path.unlink, damage_all, damage_a_page, damage_a_tally, another_layout]
)
def test_a_store_that_is_damaged_or_gone_is_made_anew(data: DataDirectory, harm: Any) -> None:
    append(data.lake, days_of("Feature", "Plan"), 1)
    expected = registry_of(data)

    harm(data.registry)

    read: list[int] = []
    assert registry_of(data) == expected
    assert registry_of(data, on_rows=read.append) == expected
    assert read == []


def test_a_store_that_cannot_be_written_is_done_without(data: DataDirectory) -> None:
    """As by an analyst who may only read: a folder stands where the file would."""
    append(data.lake, days_of("Feature"), 1)
    data.registry.mkdir()

    assert registry_of(data).requests == 3


def test_the_store_is_its_owners_alone_and_lies_in_the_data_directory(
    data: DataDirectory, tmp_path: Path
) -> None:
    """Values stand in it. A Delta table of somebody else gets no file beside it."""
    append(data.lake, days_of("Feature"), 1)
    ma.open(data.lake).metadata_keys()

    assert store_of(data.lake) == data.registry
    assert data.registry.stat().st_mode & 0o777 == 0o600
    assert store_of(tmp_path / "elsewhere" / "table") is None


@pytest.mark.slow
def test_whoever_is_killed_amid_it_leaves_what_is_right(data: DataDirectory) -> None:
    """Killed again and again while it fills the store, at moments that come by chance."""
    for number in range(1, 25):
        append(data.lake, days_of("Feature", "Plan", days=1), number)
    script = (
        "import sys; from pathlib import Path\n"
        "from majordomo_analytics.lake.registry import read_registry\n"
        "from majordomo_analytics.lake.table import take_snapshot\n"
        "print('ready', flush=True)\n"
        "read_registry(take_snapshot(sys.argv[1]), store=Path(sys.argv[2]),"
        " on_rows=lambda _: print('read', flush=True))\n"
    )
    places = [str(data.lake), str(data.registry)]
    for lines in (2, 5, 9):
        with subprocess.Popen(
            [sys.executable, "-c", script, *places], stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            for _ in range(lines):
                process.stdout.readline()
            os.kill(process.pid, signal.SIGKILL)

    registry = registry_of(data)

    uses = {key.name: key.requests for key in registry.keys}
    assert (registry.requests, uses) == (24, {"Feature": 24, "Plan": 24})
    assert registry.days == {date(2026, 11, 1): 24}


def test_a_lake_without_rows_has_no_keys(data: DataDirectory) -> None:
    registry = registry_of(data)

    assert (registry.requests, registry.keys) == (0, ())
    assert ma.open(data.root).metadata_keys().is_empty()
    assert ma.open(data.root).metadata_coverage().is_empty()


def test_coverage_over_weeks_and_hours(data: DataDirectory) -> None:
    """Weeks begin on Monday; hours are those of the zone, worked out by asking."""
    append(data.lake, [*days_of("Feature", days=3), (FIRST, {})], 1)
    ledger = ma.open(data.root)

    weeks = ledger.metadata_coverage("week")
    hours = ledger.during("2026-11-01", timezone="Europe/Berlin").metadata_coverage("hour")

    assert weeks.rows() == [
        (date(2026, 10, 26), "Feature", 1, 0.5),
        (date(2026, 11, 2), "Feature", 2, 1.0),
    ]
    assert hours.schema["hour"] == pl.Datetime("us", "Europe/Berlin")
    assert [(at.hour, *rest) for at, *rest in hours.rows()] == [(1, "Feature", 1, 0.5)]


def test_a_key_is_told_as_promoted_where_the_lake_has_its_column(data: DataDirectory) -> None:
    append(data.lake, days_of("Feature", "Plan"), 1)

    told: dict[str, KeyUse] = {key.name: key for key in registry_of(data).keys}

    assert {name: key.promoted for name, key in told.items()} == {"Feature": True, "Plan": False}
    assert told["Plan"].coverage == 1.0

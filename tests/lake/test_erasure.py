"""A value that is erased is nowhere in the lake, and every total is as it was."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, Field
from deltalake.table import ProtocolVersions
from hypothesis import given, settings
from hypothesis import strategies as st

import majordomo_analytics as ma
from majordomo_analytics.errors import LakeBusyError, LakeError
from majordomo_analytics.lake import promotion, rewriting
from majordomo_analytics.lake.erasure import (
    ErasedFromLake,
    Erasure,
    erase_from_lake,
    requests_in_lake,
)
from majordomo_analytics.lake.history import drop_history, old_files
from majordomo_analytics.lake.maintenance import maintenance
from majordomo_analytics.lake.table import (
    append_once,
    appended_up_to,
    create_lake,
    lake_schema,
    take_snapshot,
)
from majordomo_analytics.records.columns import promoted_column
from majordomo_analytics.records.schemas import promoted_keys
from tests.lake.rows import REQUIRED

ALICE = "alice@example.org"
FIRST = datetime(2026, 11, 1, 8, tzinfo=UTC)


def append(lake: Path, number: int, rows: list[dict[str, Any]]) -> None:
    schema = lake_schema(lake)
    made = []
    for place, row in enumerate(rows):
        metadata = row.pop("metadata", {})
        columns = {promoted_column(key): metadata.get(key) for key in promoted_keys(schema)}
        at = row.get("requested_at", FIRST)
        made.append(
            REQUIRED
            | {"id": f"{number}-{place}", "requested_at": at, "requested_date": at.date()}
            | {"raw_metadata": list(metadata.items()), **columns}
            | row
        )
    table = pa.Table.from_pylist(made, schema=schema)
    append_once(lake, table, application="tests", first=number, last=number)


def rows_of(lake: Path) -> list[dict[str, Any]]:
    """Return all rows by Polars, metadata as dicts."""
    rows = pl.scan_delta(str(lake)).sort("id").collect().to_dicts()
    return [{**row, "raw_metadata": dict(row["raw_metadata"].items())} for row in rows]


def promote(lake: Path, key: str) -> None:
    """Add the column of a key; files that are there do not get it."""
    column = Field(promoted_column(key), "string", nullable=True)  # type: ignore[arg-type]
    DeltaTable(str(lake)).alter.add_columns([column])


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    path = tmp_path / "lake" / "llm_requests"
    path.parent.mkdir()
    create_lake(path)
    return path


def a_row(user: str | None, **more: Any) -> dict[str, Any]:
    metadata = {"Feature": "search", "Session-Id": f"s-{user}"} | (
        {"User-Id": user} if user else {}
    )
    return {
        "metadata": metadata,
        "provider_request_id": "req_1",
        "response_id": "resp_9",
        "request_path": "/v1/responses/resp_9",
        "error_message": f"no quota for {user}",
        "total_cost": Decimal("0.0000000003"),
        **more,
    }


def test_a_row_keeps_its_books_and_loses_what_identifies(lake: Path) -> None:
    """The key in any spelling, its column, the ids of the provider, keys that go along."""
    promote(lake, "User-Id")
    append(lake, 1, [a_row(ALICE), a_row("bob"), a_row(None)])
    before = rows_of(lake)

    done = erase_from_lake(lake, Erasure("user_id", ALICE, also=("session-id",)))

    assert done == ErasedFromLake(requests=1, days=1)
    after = rows_of(lake)
    assert after[1:] == before[1:]
    changes = {name: after[0][name] for name in after[0] if after[0][name] != before[0][name]}
    assert changes == {
        "raw_metadata": {"Feature": "search"},
        "indexed_User-Id": None,
        "provider_request_id": None,
        "response_id": None,
        "error_message": None,
        "request_path": "/v1/responses/erased",
        "flags": ["erased"],
    }
    assert erase_from_lake(lake, Erasure("user_id", ALICE)) == ErasedFromLake()


def test_rows_go_as_a_whole_if_that_is_asked_for(lake: Path) -> None:
    """Also the only ones of a day, whose partition is then empty."""
    append(lake, 1, [a_row(ALICE), a_row("bob")])
    append(lake, 2, [a_row(ALICE, requested_at=FIRST + timedelta(days=1))])

    done = erase_from_lake(lake, Erasure("User-Id", ALICE, rows=True))

    assert done == ErasedFromLake(requests=2, days=2)
    assert [row["id"] for row in rows_of(lake)] == ["1-1"]


def test_a_key_promoted_later_stays_known_of_rows_in_older_files(lake: Path) -> None:
    """A day that is written anew gets its column, filled: null would mean untagged."""
    append(lake, 1, [a_row(ALICE), a_row("bob")])
    promote(lake, "User-Id")
    promote(lake, "Session-Id")
    append(lake, 2, [a_row("carol")])

    erase_from_lake(lake, Erasure("User-Id", ALICE))

    assert [(row["indexed_User-Id"], row["indexed_Session-Id"]) for row in rows_of(lake)] == [
        (None, f"s-{ALICE}"),
        ("bob", "s-bob"),
        ("carol", "s-carol"),
    ]


def test_a_demoted_key_keeps_no_erased_value_and_loses_no_other(lake: Path) -> None:
    """Its columns are in files still, where the lake's schema names them no more."""
    promotion.promote(lake, ["Plan", "User-Id"])
    plans = {"1-0": (ALICE, "gold"), "1-1": ("bob", "free"), "1-2": ("carol", "secret plan")}
    append(lake, 1, [a_row(None, metadata={"User-Id": u, "Plan": p}) for u, p in plans.values()])
    promotion.demote(lake, ["Plan", "User-Id"])
    append(lake, 2, [a_row(None, metadata={"Plan": "free"})])

    assert erase_from_lake(lake, Erasure("plan", "secret plan")).requests == 1
    assert erase_from_lake(lake, Erasure("User-Id", ALICE)).requests == 1

    names = ["User-Id", "Plan"]
    raw = [
        {"id": row["id"]} | {name: row["raw_metadata"].get(name) for name in names}
        for row in rows_of(lake)
    ]
    assert raw == [
        {"id": "1-0", "User-Id": None, "Plan": "gold"},
        {"id": "1-1", "User-Id": "bob", "Plan": "free"},
        {"id": "1-2", "User-Id": "carol", "Plan": None},
        {"id": "2-0", "User-Id": None, "Plan": "free"},
    ]
    promotion.promote(lake, names)
    for engine in ("duckdb", "polars"):
        asked = ma.open(lake).query(["requests"], names, engine=engine).to_polars()
        found = sorted(asked.select(*names).rows())
        untagged = "(untagged)"
        assert found == sorted((r["User-Id"] or untagged, r["Plan"] or untagged) for r in raw)
    by_column = [tuple(row[promoted_column(name)] for name in names) for row in rows_of(lake)]
    assert by_column == [tuple(row[name] for name in names) for row in raw]
    drop_history(lake)
    assert ALICE not in (left := everything_in(lake))
    assert "secret plan" not in left


@pytest.mark.parametrize("whole", [False, True])
def test_a_file_without_metadata_keeps_its_rows(lake: Path, whole: bool) -> None:
    """As one that another writer appended, on a day that is written anew."""
    append(lake, 1, [a_row(ALICE), a_row("bob")])
    append(lake, 2, [a_row(None, id="bare", metadata={})])
    for path in lake.rglob("*.parquet"):
        held = pq.read_table(path, partitioning=None)
        if held["id"].to_pylist() == ["bare"]:
            pq.write_table(held.drop_columns(["raw_metadata"]), path)

    erase_from_lake(lake, Erasure("User-Id", ALICE, rows=whole))

    ids = {i for f in take_snapshot(lake).files for i in pq.read_table(f.uri)["id"].to_pylist()}
    assert ids == {"1-1", "bare"} | (set() if whole else {"1-0"})


def test_rows_that_another_program_marked_as_deleted_do_not_come_back(
    lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such files are not written anew at all."""
    append(lake, 1, [a_row(ALICE)])
    monkeypatch.setattr(
        DeltaTable, "protocol", lambda _: ProtocolVersions(3, 7, None, ["deletionVectors"])
    )

    with pytest.raises(LakeError, match="marks rows of files as deleted"):
        erase_from_lake(lake, Erasure("User-Id", ALICE))


def test_only_days_that_hold_the_value_are_written_anew(lake: Path) -> None:
    """A value of another key, and another value with this one in it, are not meant."""
    append(lake, 1, [a_row(ALICE), a_row("bob")])
    later = FIRST + timedelta(days=1)
    append(lake, 2, [a_row(ALICE + "x", requested_at=later, metadata={"Team": ALICE})])
    untouched = {f.uri for f in take_snapshot(lake).files if f.requested_date == later.date()}
    seen: list[int] = []

    assert requests_in_lake(lake, Erasure("User-Id", ALICE)) == 1
    done = erase_from_lake(lake, Erasure("User-Id", ALICE), on_rows=seen.append)

    assert done.days == 1
    assert untouched <= {file.uri for file in take_snapshot(lake).files}
    assert sum(seen) == 3 + 2  # looked at, written


def test_nothing_holds_the_value_once_the_history_is_dropped(lake: Path) -> None:
    """Neither a file, nor the log, which names least and greatest values of each file."""
    DeltaTable(str(lake)).alter.set_table_properties(
        {"delta.dataSkippingStatsColumns": "requested_at,`indexed_User-Id`"},
        raise_if_not_exists=False,
    )
    promote(lake, "User-Id")
    append(lake, 1, [a_row(ALICE), a_row("bob")])
    assert ALICE in everything_in(lake)

    erase_from_lake(lake, Erasure("User-Id", ALICE, also=("Session-Id",)))
    assert ALICE in everything_in(lake)
    assert len(old_files(lake)) == 1

    assert drop_history(lake) == 1
    assert ALICE not in everything_in(lake)
    assert len(rows_of(lake)) == 2
    assert appended_up_to(lake, "tests") == 1
    append(lake, 2, [a_row("dora")])
    assert len(rows_of(lake)) == 3


def everything_in(lake: Path) -> str:
    """Return all that can be read in the folder, whatever names it."""
    texts = []
    for path in sorted(p for p in lake.parent.rglob("*") if p.is_file()):
        if path.suffix == ".parquet":
            texts.append(repr(pl.read_parquet(path, hive_partitioning=False).to_dicts()))
        texts.append(path.read_bytes().decode("latin-1"))
    return "\n".join(texts)


def test_a_file_that_is_about_to_be_committed_stays(lake: Path) -> None:
    """A drain writes its file first and names it afterwards."""
    append(lake, 1, [a_row(ALICE)])
    fresh = lake / "requested_date=2026-11-01" / "fresh.parquet"
    stale = fresh.with_name("stale.parquet")
    for path in (fresh, stale):
        path.write_bytes(b"PAR1")
    os.utime(stale, (1, 1))

    drop_history(lake)

    assert fresh.exists()
    assert not stale.exists()


def test_the_disk_holds_what_stays_before_anything_goes(
    lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the power could fail with the old gone and the new not yet there."""
    append(lake, 1, [a_row(ALICE), a_row("bob")])
    erase_from_lake(lake, Erasure("User-Id", ALICE))
    log = lake / "_delta_log"
    erased = max(path.name for path in log.glob("*.json"))
    flushed, by_vacuum, by_unlink = set[str](), list[set[str]](), list[set[str]]()
    fsync, vacuum, unlink = os.fsync, DeltaTable.vacuum, Path.unlink

    def noted(descriptor: int) -> None:
        flushed.add(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        fsync(descriptor)

    def vacuumed(*args: Any, **options: Any) -> list[str]:
        by_vacuum.append(set(flushed))
        return vacuum(*args, **options)

    def unlinked(path: Path, **options: Any) -> None:
        by_unlink.append(set(flushed))
        unlink(path, **options)

    monkeypatch.setattr(os, "fsync", noted)
    monkeypatch.setattr(DeltaTable, "vacuum", vacuumed)
    monkeypatch.setattr(Path, "unlink", unlinked)
    drop_history(lake)

    left = {path.name for path in log.iterdir()}
    assert any("checkpoint" in name for name in left)
    assert {erased, log.name} <= by_vacuum[0]
    assert left | {log.name} <= by_unlink[0]


def test_two_do_not_maintain_a_lake_at_once(lake: Path) -> None:
    append(lake, 1, [a_row(ALICE)])
    with maintenance(lake, doing="compaction"):
        for act in (
            lambda: erase_from_lake(lake, Erasure("User-Id", ALICE)),
            lambda: drop_history(lake),
        ):
            with pytest.raises(LakeBusyError, match="compaction"):
                act()
    assert rows_of(lake)[0]["raw_metadata"]["User-Id"] == ALICE


def test_rows_that_come_amid_it_are_neither_lost_nor_doubled(
    lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An append to the same day between reading and commit: done again, with that row."""
    append(lake, 1, [a_row(ALICE), a_row("bob")])
    replace = rewriting._replace
    overtaken = iter([2, 3])
    calmed: list[int] = []

    def overtake(*args: Any, **options: Any) -> None:
        if number := next(overtaken, None):
            append(lake, number, [a_row(ALICE)])
        replace(*args, **options)

    @contextmanager
    def calm() -> Iterator[None]:
        calmed.append(1)
        yield

    monkeypatch.setattr(rewriting, "_replace", overtake)
    done = erase_from_lake(lake, Erasure("User-Id", ALICE), calm=calm)

    assert done == ErasedFromLake(requests=3, days=1)
    assert calmed == [1]
    users = [row["raw_metadata"].get("User-Id") for row in rows_of(lake)]
    assert users == [None, "bob", None, None]


def test_a_day_that_is_never_left_in_peace_is_an_error_and_changes_nothing(
    lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(lake, 1, [a_row(ALICE)])
    numbers = iter(range(2, 100))
    replace = rewriting._replace

    def overtake(*args: Any, **options: Any) -> None:
        append(lake, next(numbers), [a_row("bob")])
        replace(*args, **options)

    monkeypatch.setattr(rewriting, "_replace", overtake)
    with pytest.raises(LakeError, match="2026-11-01 8 times"):
        erase_from_lake(lake, Erasure("User-Id", ALICE))

    assert [row["raw_metadata"]["User-Id"] for row in rows_of(lake)] == [ALICE] + ["bob"] * 8


def test_what_the_registry_knew_of_the_value_goes_with_it(tmp_path: Path) -> None:
    data = ma_directory(tmp_path)
    append(data.lake, 1, [a_row(ALICE), a_row("bob")])
    ma.open(data.root).metadata_keys()
    assert ALICE.encode() in data.registry.read_bytes()

    erase_from_lake(data.lake, Erasure("User-Id", ALICE))

    assert ALICE.encode() not in data.registry.read_bytes()
    keys = ma.open(data.root).metadata_keys().rows_by_key("name", named=True, unique=True)
    assert keys["User-Id"]["requests"] == 1


def ma_directory(path: Path) -> Any:
    from majordomo_analytics.datadir import DataDirectory

    data = DataDirectory.create(path / "data")
    create_lake(data.lake)
    return data


users = st.sampled_from([ALICE, "bob", "", "ALICE@example.org", ALICE + " "])
keys = st.sampled_from(["User-Id", "user-id", "user_id", "Team", "Session-Id"])
rows_ = st.lists(
    st.tuples(st.integers(0, 2), st.dictionaries(keys, users, max_size=4)), min_size=1, max_size=8
)


@settings(max_examples=20)
@given(batches=st.lists(rows_, min_size=1, max_size=3), whole=st.booleans(), late=st.booleans())
def test_any_lake_loses_the_value_and_no_total(
    batches: list[list[tuple[int, dict[str, str]]]], whole: bool, late: bool
) -> None:
    """Compared with what the rows are by hand, in both modes."""
    with tempfile.TemporaryDirectory() as folder:
        lake = Path(folder) / "lake"
        create_lake(lake)
        expected: dict[str, dict[str, str]] = {}
        for number, rows in enumerate(batches, 1):
            if late and number == 2:
                promote(lake, "User-Id")
            made = []
            for place, (day, metadata) in enumerate(rows):
                at = FIRST + timedelta(days=day)
                made.append(a_row(None, metadata=dict(metadata), requested_at=at))
                is_meant = any(
                    v == ALICE and k.lower().replace("_", "-") == "user-id"
                    for k, v in metadata.items()
                )
                left = {
                    k: v for k, v in metadata.items() if k.lower().replace("_", "-") != "user-id"
                }
                if not (is_meant and whole):
                    expected[f"{number}-{place}"] = left if is_meant else metadata
            append(lake, number, made)

        erase_from_lake(lake, Erasure("User-Id", ALICE, rows=whole))

        rows_after = rows_of(lake)
        assert {row["id"]: row["raw_metadata"] for row in rows_after} == expected
        assert sum(row["total_cost"] for row in rows_after) == Decimal("0.0000000003") * len(
            expected
        )


SCRIPT = (
    "import sys\n"
    "from majordomo_analytics.lake.erasure import Erasure, erase_from_lake\n"
    "print('ready', flush=True)\n"
    "erase_from_lake(sys.argv[1], Erasure('User-Id', sys.argv[2]),"
    " on_rows=lambda _: print('rows', flush=True))\n"
)


@pytest.mark.slow
def test_killed_again_and_again_while_others_write_and_read(lake: Path) -> None:
    """Readers see each row that was there when they began, once, and no wrong total."""
    days = [FIRST + timedelta(days=n) for n in range(6)]
    for number, day in enumerate(days, 1):
        users = [ALICE if n % 5 == 0 else f"u{n}" for n in range(400)]
        append(lake, number, [a_row(user, requested_at=day) for user in users])
    stop, written, troubles = threading.Event(), [2400], list[str]()

    def write() -> None:
        number = 100
        while not stop.wait(0.05):
            append(lake, number, [a_row("late", requested_at=days[number % 6])])
            written[0] += 1
            number += 1

    def read() -> None:
        while not stop.is_set():
            least = written[0]
            total = ma.open(lake).query().total
            most = written[0] + 1
            if not least <= int(str(total["requests"])) <= most:
                troubles.append(f"{total['requests']} requests, not {least} to {most}")
            if total["total_cost"] != Decimal("0.0000000003") * int(str(total["requests"])):
                troubles.append(f"{total}")

    threads = [threading.Thread(target=act) for act in (write, read)]
    for thread in threads:
        thread.start()
    try:
        for lines in (2, 8, 9, 11):  # while looking, amid the first days, later
            with subprocess.Popen(
                [sys.executable, "-c", SCRIPT, str(lake), ALICE], stdout=subprocess.PIPE
            ) as process:
                assert process.stdout is not None
                for _ in range(lines):
                    process.stdout.readline()
                os.kill(process.pid, signal.SIGKILL)
        erase_from_lake(lake, Erasure("User-Id", ALICE))
    finally:
        stop.set()
        for thread in threads:
            thread.join()

    assert troubles == []
    rows = rows_of(lake)
    assert len({row["id"] for row in rows}) == len(rows) == written[0]
    assert sum(row["flags"] == ["erased"] for row in rows) == 480
    assert all(row["raw_metadata"].get("User-Id") != ALICE for row in rows)

"""A value that is erased is nowhere: not where rows wait, end, or were refused."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import tempfile
import threading
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

import majordomo_analytics as ma
from majordomo_analytics.datadir import DataDirectory
from majordomo_analytics.drain import stillness
from majordomo_analytics.drain.dead_letters import DeadLetter, DeadLetters
from majordomo_analytics.drain.erasing import ErasureReport, PostgresPlace, erase
from majordomo_analytics.drain.expiry import expire, find_expired, first_day_kept
from majordomo_analytics.drain.imported import (
    imported_elsewhere,
    imported_places,
    note_imported,
)
from majordomo_analytics.drain.loop import drain_once
from majordomo_analytics.drain.postgres import PostgresSink
from majordomo_analytics.drain.removal import remember_sink
from majordomo_analytics.drain.sinks import LakeSink, Sink
from majordomo_analytics.errors import LakeError, SettingsError
from majordomo_analytics.lake.erasure import Erasure
from majordomo_analytics.lake.history import old_files
from majordomo_analytics.records.request import RequestRecord, decode_record, encode_record
from majordomo_analytics.spool.locks import Lock
from tests.drain.spools import spool, spool_many
from tests.support.postgres import select
from tests.support.proxy import MDM, clean_environment, lake_rows, mdm
from tests.support.records import a_record
from tests.support.server import running_server

ALICE = "alice@example.org"
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
ERASE = Erasure("User-Id", ALICE, also=("Session-Id",))


def of(user: str, **fields: object) -> RequestRecord:
    values = {
        "majordomo_api_key_id": "00000000-0000-0000-0000-000000000001",
        "metadata": {"Feature": "search", "User-Id": user, "Session-Id": f"of {user}"},
        "response_id": f"resp {user}",
        "provider_request_id": f"req {user}",
        "error_message": f"{user} has no quota",
        "request_path": f"/v1/responses/resp {user}",
    }
    return a_record(**(values | fields))


def sinks(data: DataDirectory, dsn: str | None = None) -> list[Sink]:
    lake: list[Sink] = [LakeSink(data.lake)]
    return lake if dsn is None else [*lake, PostgresSink(dsn, lake=data.lake)]


def files_with(data: DataDirectory, text: str) -> list[str]:
    """Return which files of the data directory have a text in them; Parquet aside."""
    found = [path for path in data.root.rglob("*") if path.is_file()]
    return [str(p.relative_to(data.root)) for p in found if text.encode() in p.read_bytes()]


def test_the_books_in_both_sinks_stay_and_the_value_goes(
    data: DataDirectory, postgres: str
) -> None:
    """What waits in the spool is drained first; cost and tokens are as they were."""
    spool(data, *(of(user) for user in (ALICE, "bob", ALICE, "carol")))
    drain_once(data, sinks(data, postgres))
    spool(data, of(ALICE))
    books = "select count(*), sum(total_cost), sum(input_tokens) from llm_requests"

    report = erase(
        data, ERASE, sinks=sinks(data, postgres), postgres=PostgresPlace(postgres), vacuum_now=True
    )

    assert report == ErasureReport(
        lake=3, days=1, postgres=3, spool=0, dead_letters=0, old_files=0, removed_files=2, left=()
    )
    total = ma.open(data.root).query(["requests", "total_cost", "input_tokens"]).total
    assert tuple(total.values()) == select(postgres, books)[0]
    assert total["requests"] == 5
    rows = select(
        postgres,
        "select raw_metadata, indexed_metadata, response_id, provider_request_id, error_message, "
        "request_path, flags from llm_requests where 'erased' = any(flags)",
    )
    kept = {"Feature": "search"}
    assert rows == [(kept, kept, None, None, None, "/v1/responses/erased", ["erased"])] * 3
    assert files_with(data, ALICE) == []
    assert ALICE not in str(lake_rows(data.root))
    assert ALICE not in str(select(postgres, "select llm_requests::text from llm_requests"))
    counts = select(postgres, "select key_name, request_count from llm_requests_metadata_keys")
    assert dict(counts) == {"Feature": 5, "User-Id": 2, "Session-Id": 2}
    listed = ma.open(data.root).metadata_keys().select("name", "requests").rows()
    assert dict(listed) == dict(counts)

    again = erase(data, ERASE, sinks=sinks(data, postgres), postgres=PostgresPlace(postgres))
    assert again == ErasureReport(0, 0, 0, 0, 0, old_files=0, removed_files=0, left=())


@pytest.mark.parametrize("rows", [False, True])
def test_a_key_in_letters_that_the_database_cannot_fold_is_erased(rows: bool) -> None:
    """Under locale C, PostgreSQL lowers ASCII only; each spelling of a key is the key."""
    spellings = ("Équipe", "ÉQUIPE", "équipe", "Straße_A", "STRASSE-a")
    with running_server() as server, tempfile.TemporaryDirectory() as folder:
        data = DataDirectory.create(Path(folder) / "data")
        spool(data, *(of("bob", metadata={name: ALICE, "Plan": "x"}) for name in spellings))
        drain_once(data, sinks(data, server.dsn))
        place = PostgresPlace(server.dsn)
        for key, meant in (("éQUIPE", 3), ("strasse_a", 2)):
            erasure = Erasure(key, ALICE, rows=rows)
            report = erase(data, erasure, sinks=sinks(data, server.dsn), postgres=place)
            assert (report.lake, report.postgres) == (meant, meant)

        held = select(server.dsn, "select raw_metadata, indexed_metadata from llm_requests")
        assert [raw for raw, _ in held] == ([] if rows else [{"Plan": "x"}] * 5)
        assert ALICE not in str(held)
        counted = "select key_name, request_count from llm_requests_metadata_keys"
        counts = dict(select(server.dsn, counted))
        assert counts.pop("Plan") == (0 if rows else 5)
        assert set(counts.values()) == {0}


def test_whole_rows_leave_both_sinks(data: DataDirectory, postgres: str) -> None:
    spool(data, of(ALICE), of("bob"))
    whole = Erasure("User-Id", ALICE, rows=True)

    report = erase(data, whole, sinks=sinks(data, postgres), postgres=PostgresPlace(postgres))

    assert (report.lake, report.postgres) == (1, 1)
    users = "select raw_metadata ->> 'User-Id' from llm_requests"
    assert select(postgres, users) == [("bob",)]
    assert [row["raw_metadata"]["User-Id"] for row in lake_rows(data.root)] == ["bob"]
    counts = select(postgres, "select distinct request_count from llm_requests_metadata_keys")
    assert counts == [(1,)]


def test_a_spool_that_a_worker_writes_is_told_and_left_alone(data: DataDirectory) -> None:
    """Its rows are erased where they are drained to; the file goes with its worker."""
    writer = spool(data, of(ALICE), of("bob"), close=False)

    report = erase(data, ERASE, sinks=sinks(data))

    assert (report.lake, report.spool) == (1, 0)
    assert len(report.left) == 1
    assert "1 records stand in spools that workers write" in report.left[0]
    assert "SIGHUP" in report.left[0]
    assert any("spool" in name for name in files_with(data, ALICE))

    writer.close()
    assert erase(data, ERASE, sinks=sinks(data)).left == ()
    assert not any("spool" in name for name in files_with(data, ALICE))


@pytest.mark.parametrize("rows", [False, True])
def test_spools_that_wait_for_a_postgres_that_is_down_are_erased_where_they_lie(
    data: DataDirectory, postgres: str, rows: bool
) -> None:
    """And what they hold later reaches that Postgres without the value."""
    spool(data, of("bob"))
    drain_once(data, sinks(data, postgres))
    spool(data, of(ALICE), of("carol"))

    report = erase(data, Erasure("User-Id", ALICE, ("Session-Id",), rows=rows), sinks=sinks(data))

    assert report.spool == 1
    assert report.left == ("a Postgres was fed from here and is not named; give --postgres",)
    assert not any("spool" in name for name in files_with(data, ALICE))
    drain_once(data, sinks(data, postgres))
    users = select(postgres, "select raw_metadata ->> 'User-Id' from llm_requests")
    expected = ["bob", "carol"] if rows else ["None", "bob", "carol"]
    assert sorted(str(user) for (user,) in users) == expected
    assert list(data.spool.glob("*.sqlite")) == []


def letter(record: RequestRecord, data: bytes | None = None) -> DeadLetter:
    content = encode_record(record) if data is None else data
    return DeadLetter("lake", record.id, "spool", 1, "Refused", f"not {record.metadata}", content)


def test_dead_letters_are_erased_with_the_reason_that_repeats_them(data: DataDirectory) -> None:
    letters = DeadLetters(data.dead_letters)
    alice, bob, broken = of(ALICE), of("bob"), a_record()
    letters.write([letter(alice), letter(bob), letter(broken, b"\xff no record")])

    assert erase(data, ERASE, sinks=sinks(data)).dead_letters == 1

    kept = {each.id: each for each in letters.of("lake")}
    assert decode_record(kept[alice.id].record).metadata == {"Feature": "search"}
    assert kept[bob.id] == letter(bob)
    assert kept[broken.id].record == b"\xff no record"
    assert files_with(data, ALICE) == []
    whole = Erasure("User-Id", "bob", rows=True)
    assert erase(data, whole, sinks=sinks(data)).dead_letters == 1
    assert bob.id not in {each.id for each in letters.of("lake")}


def test_dead_letters_that_cannot_be_read_are_told(data: DataDirectory) -> None:
    """They may be anybody's; what is readable beside them is erased."""
    letters = DeadLetters(data.dead_letters)
    letters.write([letter(of(ALICE)), letter(a_record(), b"\xff"), letter(a_record(), b"{}")])

    report = erase(data, ERASE, sinks=sinks(data))

    assert report.dead_letters == 1
    (said,) = report.left
    assert said.startswith("2 dead letters cannot be read")


def test_rows_that_an_import_rejected_go_with_the_value_in_them(
    data: DataDirectory, tmp_path: Path
) -> None:
    """As a field, as a word of a text, as JSON in a text, as a broken line; others stay."""
    name = 'Zoë "Z" O'
    quoted = json.dumps({"user": name}).replace('"', '""')
    doubled = name.replace('"', '""')
    lines = [
        "id,timestamp,provider,User-Id,note",
        f'1,never,openai,"{doubled}",field',
        f'2,never,openai,bob,"said {doubled}, often"',
        f'3,never,openai,bob,"{quoted}"',
        f'4,never,openai,"{doubled}x",another',
        "5,never,openai,carol,other",
        f'6,never,openai,"{doubled}",broken,line,too,long',
    ]
    source = tmp_path / "in.csv"
    source.write_text("\n".join(lines) + "\n", "utf-8")
    where = ("--data", str(data.root))
    assert mdm("import", str(source), *where, check=False).returncode == 3
    (rejects,) = data.rejects.iterdir()
    whole = rejects.read_text()
    assert len(whole.splitlines()) == 6

    done = mdm("erase", "--user-id", name, "--json", *where)

    assert json.loads(done.stdout)["rejected"] == 4
    kept = rejects.read_text()
    assert set(kept.splitlines()) < set(whole.splitlines())
    assert [json.loads(line)["row"]["id"] for line in kept.splitlines()] == ["4", "5"]
    assert list(data.rejects.iterdir()) == [rejects]
    assert rejects.stat().st_mode & 0o777 == 0o600
    mdm("erase", "--user-id", "carol", *where)
    mdm("erase", "--user-id", name + "x", *where)
    assert list(data.rejects.iterdir()) == []


def test_rejected_rows_that_cannot_be_read_or_are_just_written_are_told(
    data: DataDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A number is a value, too; a draft that a killed erasure left goes."""
    monkeypatch.setattr(stillness, "WAIT_S", 0.1)
    data.rejects.mkdir()
    rejects = data.rejects / "old.jsonl"
    lines = ['{"row": {"user": 17}}', '{"row": {"user": 170}}', '{"row": {"us']
    rejects.write_text("\n".join(lines))
    (data.rejects / "old.jsonl.erasing").write_text("half")
    whole = Erasure("User-Id", "17")
    held = Lock(data.root / "import.lock")
    assert held.acquire()
    try:
        report = erase(data, whole, sinks=sinks(data))
        assert report.rejected == 0
        assert "an import is at work" in report.left[0]
    finally:
        held.release()

    report = erase(data, whole, sinks=sinks(data))

    assert report.rejected == 1
    assert report.left[0].startswith("1 lines of ")
    assert rejects.read_text().splitlines() == lines[1:]
    assert list(data.rejects.iterdir()) == [rejects]
    for found in (find_expired(data, NOON.date()), expire(data, NOON.date())):
        assert len(found.left) == 1
        assert found.left[0].startswith("1 files in ")


def test_damaged_spools_and_a_postgres_that_is_away_are_told(data: DataDirectory) -> None:
    spool(data, of(ALICE))
    data.quarantine.mkdir()
    (data.quarantine / "old.sqlite").write_bytes(b"x")
    away = "postgresql://nobody@127.0.0.1:9/none"

    report = erase(data, ERASE, sinks=sinks(data, away), postgres=PostgresPlace(away))

    assert report.lake == 1
    assert report.postgres is None
    said = " ".join(report.left)
    for expected in ("Postgres may hold it", "cannot be reached", "quarantine"):
        assert expected in said


@pytest.mark.parametrize(
    ("erasure", "said"),
    [
        (Erasure("User-Id", ""), "no value to erase"),
        (Erasure(" ", "x"), "no metadata key"),
        (Erasure("User-Id", "x", also=("",)), "no metadata key"),
    ],
)
def test_what_cannot_be_meant_is_refused(data: DataDirectory, erasure: Erasure, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        erase(data, erasure, sinks=sinks(data))


def test_another_postgres_than_the_one_that_is_fed_is_refused(
    data: DataDirectory, postgres: str
) -> None:
    spool(data, of(ALICE))
    drain_once(data, sinks(data, postgres))
    other = PostgresPlace(postgres, "elsewhere")

    with pytest.raises(SettingsError, match="not for the one"):
        erase(
            data,
            ERASE,
            sinks=[LakeSink(data.lake), PostgresSink(postgres, schema="elsewhere", lake=data.lake)],
            postgres=other,
        )
    with pytest.raises(SettingsError, match="not for the one"):
        expire(data, NOON.date(), postgres=other)
    assert lake_rows(data.root)[0]["raw_metadata"]["User-Id"] == ALICE


def test_a_postgres_that_has_imported_rows_is_not_forgotten(
    data: DataDirectory, postgres: str, tmp_path: Path
) -> None:
    """The drain does not feed it, so spools do not wait for it, but it holds the value."""
    path = tmp_path / "u.csv"
    path.write_text(f"id,time,provider,user_id\n1,2026-10-01,openai,{ALICE}\n", "utf-8")
    where = ("--data", str(data.root))
    mdm("import", str(path), "--postgres", postgres, *where)
    note = data.root / "imported-postgres"
    noted = PostgresSink(postgres, lake=data.lake).place

    unnamed = mdm("erase", "--user-id", ALICE, *where, check=False)
    expired = mdm("retain", "--days", "9999", "--dry-run", *where, check=False)
    held = select(postgres, "select raw_metadata ->> 'User-Id' from llm_requests")
    named = mdm("erase", "--user-id", ALICE, "--postgres", postgres, *where)
    left = select(postgres, "select raw_metadata ->> 'User-Id' from llm_requests")

    assert (note.read_text("utf-8"), note.stat().st_mode & 0o777) == (f"{noted}\n", 0o600)
    assert (unnamed.returncode, expired.returncode) == (3, 3)
    assert "requests were imported into the Postgres at" in unnamed.stderr
    assert "requests were imported into the Postgres at" in expired.stderr
    assert (held, left) == ([(ALICE,)], [(None,)])
    assert "requests were imported" not in named.stderr


def test_places_of_imports_are_noted_once_and_told_unless_reached(data: DataDirectory) -> None:
    dsn = "postgresql://somebody:geheim@127.0.0.1:9/one"
    one, two = (
        PostgresSink(dsn, schema=schema, lake=data.lake).place for schema in ("public", "other")
    )

    for place in (one, two, one):
        note_imported(data, place)

    assert imported_places(data) == (one, two)
    assert "geheim" not in (data.root / "imported-postgres").read_text("utf-8")
    assert len(imported_elsewhere(data, None)) == 2
    (said,) = imported_elsewhere(data, PostgresPlace(dsn))
    assert "schema=other" in said
    remember_sink(data, "postgres", two)
    (said,) = imported_elsewhere(data, None)
    assert "schema=public" in said


def test_an_import_into_another_postgres_than_the_one_that_is_fed_is_refused(
    data: DataDirectory, postgres: str, tmp_path: Path
) -> None:
    path = tmp_path / "u.csv"
    path.write_text("id,time,provider\n1,2026-10-01,openai\n", "utf-8")
    remember_sink(data, "postgres", "host=db.internal dbname=requests schema=public")

    refused = mdm(
        "import", str(path), "--postgres", postgres, "--data", str(data.root), check=False
    )

    assert refused.returncode == 2
    assert "not for the one at" in refused.stderr
    assert not (data.root / "imported-postgres").exists()
    assert not data.lake.exists()
    assert select(postgres, "select to_regclass('llm_requests')") == [(None,)]


def test_the_command_says_what_it_did_and_what_is_left(data: DataDirectory) -> None:
    """Exit status 3 as long as the value may stand somewhere."""
    writer = spool(data, of(ALICE), of("bob"), close=False)
    where = ("--data", str(data.root))

    drain_once(data)
    dry = mdm("erase", "--user-id", ALICE, "--dry-run", *where)
    first = mdm("erase", "--user-id", ALICE, "--also", "session-id", *where, check=False)
    writer.close()
    last = mdm("erase", "--value", ALICE, "--vacuum", "now", "--json", *where)
    nonsense = mdm("erase", "--user-id", "", *where, check=False)

    assert dry.stdout.startswith("1 requests in the lake are meant; nothing was changed")
    assert first.returncode == 3
    assert "1 requests in the lake, on 1 days" in first.stderr
    assert "--vacuum now removes them" in first.stderr
    assert "SIGHUP" in first.stderr
    assert ALICE not in first.stderr + first.stdout
    assert json.loads(last.stdout)["removed_files"] == 1
    assert json.loads(last.stdout)["left"] == []
    assert files_with(data, ALICE) == []
    assert nonsense.returncode == 2


@pytest.mark.slow
def test_killed_again_and_again_while_a_drain_goes_on(data: DataDirectory, postgres: str) -> None:
    """In the end the value is nowhere, and each row is there once, in both sinks."""
    records = [
        of(ALICE if n % 3 else f"u{n}", requested_at=NOON - timedelta(days=n % 5))
        for n in range(2_000)
    ]
    spool_many(data, records)
    drain_once(data, sinks(data, postgres))
    stop, troubles, late = threading.Event(), list[str](), [0]

    def drain() -> None:
        while not stop.is_set():
            spool(data, of("late"), of("late", requested_at=NOON - timedelta(days=1)))
            late[0] += 2
            troubles.extend(drain_once(data, sinks(data, postgres)).troubles)

    arguments = ["erase", "--user-id", ALICE, "--also", "Session-Id", "--data", str(data.root)]
    thread = threading.Thread(target=drain)
    thread.start()
    try:
        for seconds in (1.5, 2.5, 3.5):
            with subprocess.Popen(
                [*MDM, *arguments, "--postgres", postgres],
                env=clean_environment(),
                stderr=subprocess.DEVNULL,
            ) as process:
                try:
                    process.wait(seconds)
                except subprocess.TimeoutExpired:
                    os.kill(process.pid, signal.SIGKILL)
        done = mdm(*arguments, "--postgres", postgres, "--vacuum", "now", check=False)
    finally:
        stop.set()
        thread.join()

    assert done.returncode in (0, 3), done.stderr
    assert troubles == []
    rows = lake_rows(data.root)
    assert len({row["id"] for row in rows}) == len(rows) == 2_000 + late[0]
    assert sum(row["flags"] == ["erased"] for row in rows) == 1_333
    assert ALICE not in str(rows)
    assert ALICE not in str(select(postgres, "select llm_requests::text from llm_requests"))
    both = "select count(*), sum(total_cost) from llm_requests"
    assert select(postgres, both) == [(len(rows), sum(row["total_cost"] for row in rows))]


def test_days_that_are_too_old_leave_both_sinks_and_the_dead_letters(
    data: DataDirectory, postgres: str
) -> None:
    """The first day that is kept is kept to its first microsecond; told beforehand."""
    edge = datetime(2026, 11, 10, tzinfo=UTC)
    instants = [edge - timedelta(days=9), edge - timedelta(microseconds=1), edge, NOON]
    records = [of(f"u{n}", requested_at=at) for n, at in enumerate(instants)]
    spool(data, *records)
    drain_once(data, sinks(data, postgres))
    dead = DeadLetters(data.dead_letters)
    dead.write([letter(of("x", requested_at=at)) for at in instants])
    place = PostgresPlace(postgres)

    found = find_expired(data, edge.date(), postgres=place)
    assert (found.days, found.postgres, found.dead_letters) == (
        {date(2026, 11, 1): 1, date(2026, 11, 9): 1},
        2,
        2,
    )
    assert len(lake_rows(data.root)) == 4

    done = expire(data, edge.date(), postgres=place, vacuum_now=True)

    assert (done.days, done.postgres, done.dead_letters) == (found.days, 2, 2)
    assert (done.old_files, done.left) == (0, ())
    ids = [records[2].id, records[3].id]
    assert [row["id"] for row in lake_rows(data.root)] == ids
    assert {str(i) for (i,) in select(postgres, "select id from llm_requests")} == set(ids)
    assert len(dead.of("lake")) == 2
    counted = "select distinct request_count, first_seen_at from llm_requests_metadata_keys"
    assert select(postgres, counted) == [(2, edge)]
    assert expire(data, edge.date(), postgres=place).days == {}


@pytest.mark.parametrize(("name", "who"), [("spool/drain", "a drain"), ("import", "an import")])
def test_older_versions_go_only_while_nobody_appends(
    data: DataDirectory, monkeypatch: pytest.MonkeyPatch, name: str, who: str
) -> None:
    """Who appends could write a commit anew that is being removed."""
    monkeypatch.setattr(stillness, "WAIT_S", 0.1)
    spool(data, of(ALICE), of("bob", requested_at=NOON - timedelta(days=9)))
    drain_once(data)
    held = Lock(data.root / f"{name}.lock")
    assert held.acquire()
    try:
        with pytest.raises(LakeError, match=f"{who} is at work"):
            expire(data, NOON.date(), vacuum_now=True)
        if who == "an import":
            with pytest.raises(LakeError, match=f"{who} is at work"):
                erase(data, ERASE, sinks=sinks(data), vacuum_now=True)
    finally:
        held.release()
    assert len(old_files(data.lake)) >= 1

    assert erase(data, ERASE, sinks=sinks(data), vacuum_now=True).old_files == 0
    assert expire(data, NOON.date(), vacuum_now=True).old_files == 0


def test_numbers_of_days_without_meaning_are_refused() -> None:
    now = datetime(2026, 11, 20, 0, 30, tzinfo=UTC)
    for days in (0, -1, 36_501):
        with pytest.raises(SettingsError, match="from 1 to 36,500"):
            first_day_kept(days, now=now)
    assert first_day_kept(400, now=now) == date(2025, 10, 16)


def test_the_retention_command_shows_first_and_ends_with_3_for_what_it_cannot_reach(
    data: DataDirectory,
) -> None:
    old = datetime.now(UTC) - timedelta(days=30)
    spool(data, of("a", requested_at=old), of("b", requested_at=datetime.now(UTC)))
    drain_once(data)
    where = ("--data", str(data.root), "--days", "7")

    shown = mdm("retain", "--dry-run", *where)
    assert "1 requests would go, of 1 days" in shown.stderr
    assert len(lake_rows(data.root)) == 2
    done = json.loads(mdm("retain", "--json", *where).stdout)
    assert (done["lake"], done["left"]) == (1, [])
    assert len(lake_rows(data.root)) == 1
    away = ("--postgres", "postgresql://nobody@127.0.0.1:9/none")
    assert mdm("retain", *where, *away, check=False).returncode == 3
    assert mdm("retain", "--days", "0", check=False).returncode == 2


def test_the_registry_is_listed(data: DataDirectory) -> None:
    spool(data, of(ALICE), of("bob"), a_record(metadata={}))
    drain_once(data)

    listed = json.loads(mdm("metadata", "list", "--json", "--data", str(data.root)).stdout)
    shown = mdm("metadata", "list", "--data", str(data.root))

    users = next(key for key in listed if key["name"] == "User-Id")
    assert (users["requests"], users["distinct_values"], users["promoted"]) == (2, 2, False)
    assert users["coverage"] == 2 / 3
    assert users["first_seen"] == users["last_seen"] == NOON.isoformat()
    assert users["top_values"] == [{"value": u, "requests": 1} for u in (ALICE, "bob")]
    assert "Session-Id" in shown.stdout
    assert "66.7%" in shown.stdout
    assert "in no request yet: Team" in shown.stderr


def test_a_lost_registry_file_is_no_loss(data: DataDirectory) -> None:
    spool(data, of(ALICE))
    drain_once(data)
    before = ma.open(data.root).metadata_keys()
    with closing(sqlite3.connect(data.registry)) as connection, connection:
        connection.execute("delete from tallies")
    Path(data.registry).unlink()
    assert ma.open(data.root).metadata_keys().equals(before)

"""Both places that API keys live in do the same, and neither holds a plain key."""

from __future__ import annotations

import hashlib
import re
import sqlite3
import stat
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from majordomo_analytics.apikeys import ApiKeyCache, ApiKeyStore
from majordomo_analytics.apikeys.issuing import KeyStore, StoredKey, listed, read_overlap
from majordomo_analytics.drain.keystore import PostgresKeyStore
from majordomo_analytics.errors import (
    ApiKeyError,
    ApiKeyStoreError,
    PostgresError,
    SettingsError,
)
from tests.support.postgres import run, select

DAY = timedelta(days=1)


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest) -> Iterator[KeyStore]:
    """Yield an empty store, of each kind in turn."""
    if request.param == "sqlite":
        yield ApiKeyStore(request.getfixturevalue("tmp_path") / "keys.sqlite")
        return
    with closing(PostgresKeyStore(request.getfixturevalue("postgres"))) as store:
        yield store


def stored(place: Any) -> dict[str, StoredKey]:
    content = place.content()
    keys = content[1] if isinstance(content, tuple) else [held.key for held in content]
    return {key.id: key for key in keys}


def works(key: StoredKey, text: str) -> bool:
    """Say by the rules of the page whether a text is one of a key's that works now."""
    now = datetime.now(UTC)
    return key.revoked_at is None and any(
        secret.key_hash == hashlib.sha256(text.encode()).digest()
        and (secret.expires_at is None or secret.expires_at > now)
        for secret in key.secrets
    )


def test_a_key_has_32_random_bytes_and_is_stored_as_its_hash(place: KeyStore) -> None:
    issued = place.create("  billing ")

    assert re.fullmatch(r"mdm_sk_[A-Za-z0-9_-]{43}", issued.key)
    assert issued.name == "billing"
    (secret,) = stored(place)[issued.id].secrets
    assert secret.key_hash == hashlib.sha256(issued.key.encode()).digest()
    assert issued.key not in repr(issued)


def test_keys_are_listed_oldest_first_with_their_lives(place: KeyStore) -> None:
    begun = datetime.now(UTC) - timedelta(seconds=1)
    first, second, third = (place.create(name) for name in ("first", "second", "third"))
    place.revoke(first.id)
    place.rotate(second.id, DAY)

    keys = place.all_keys()

    assert [(key.id, key.name) for key in keys] == [
        (issued.id, issued.name) for issued in (first, second, third)
    ]
    revoked, rotated, plain = keys
    assert revoked.revoked_at is not None
    assert begun < revoked.created_at <= revoked.revoked_at < datetime.now(UTC) + DAY
    assert (revoked.rotated_at, revoked.overlap_ends_at) == (None, None)
    assert rotated.rotated_at is not None
    assert rotated.overlap_ends_at is not None
    ahead = rotated.overlap_ends_at - rotated.rotated_at
    assert abs(ahead - DAY) < timedelta(seconds=1)
    assert (plain.rotated_at, plain.overlap_ends_at, plain.revoked_at) == (None, None, None)


def test_a_rotation_keeps_the_id_and_lets_the_earlier_text_work_for_the_overlap(
    place: KeyStore,
) -> None:
    first = place.create("billing")
    second = place.rotate(first.id, DAY)

    key = stored(place)[first.id]
    assert (second.id, second.name) == (first.id, "billing")
    assert first.key != second.key
    assert works(key, first.key)
    assert works(key, second.key)


def test_a_rotation_without_overlap_ends_every_earlier_text(place: KeyStore) -> None:
    first = place.create("billing")
    second = place.rotate(first.id, DAY)
    third = place.rotate(first.id, timedelta(0))

    key = stored(place)[first.id]
    assert [works(key, issued.key) for issued in (first, second, third)] == [False, False, True]
    (row,) = place.all_keys()
    assert row.overlap_ends_at is None


def test_rotating_again_prolongs_no_earlier_text(place: KeyStore) -> None:
    """The new text of the first rotation may never have reached the callers."""
    first = place.create("billing")
    place.rotate(first.id, DAY)
    place.rotate(first.id, 7 * DAY)

    ends = {
        secret.key_hash: secret.expires_at - datetime.now(UTC)
        for secret in stored(place)[first.id].secrets
        if secret.expires_at is not None
    }
    first_ends = ends.pop(hashlib.sha256(first.key.encode()).digest())
    (second_ends,) = ends.values()
    assert timedelta(hours=23) < first_ends <= DAY
    assert 6 * DAY < second_ends <= 7 * DAY


def test_revoking_ends_all_texts_and_is_for_good(place: KeyStore) -> None:
    first = place.create("billing")
    second = place.rotate(first.id, DAY)
    place.revoke(first.id)

    key = stored(place)[first.id]
    assert not works(key, first.key)
    assert not works(key, second.key)
    for change in (place.revoke, lambda key_id: place.rotate(key_id, DAY)):
        with pytest.raises(ApiKeyError, match="mdm keys list"):
            change(first.id)


@pytest.mark.parametrize("key_id", ["nobody", "", "' or true --", "00000000-0000-0000-0000-0"])
def test_an_id_that_never_was_is_an_error(place: KeyStore, key_id: str) -> None:
    with pytest.raises(ApiKeyError, match="no active API key has the id"):
        place.revoke(key_id)
    with pytest.raises(ApiKeyError, match="no active API key has the id"):
        place.rotate(key_id, DAY)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("", "1 to 255 characters, got 0"),
        ("   ", "1 to 255 characters, got 0"),
        ("x" * 256, "1 to 255 characters, got 256"),
        ("red\x1b[31m", "cannot be shown"),
        ("nul\x00", "cannot be shown"),
        ("\udcff", "cannot be shown"),
    ],
)
def test_a_name_that_names_nothing_is_refused(place: KeyStore, name: str, says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        place.create(name)
    assert place.all_keys() == []


def test_names_are_kept_as_they_are_and_may_repeat(place: KeyStore) -> None:
    names = ["Ünïcode ☕", "'; drop table api_keys; --", "x" * 255, "twice", "twice"]
    for name in names:
        place.create(name)

    assert [key.name for key in place.all_keys()] == names


def test_keys_made_by_many_at_once_are_all_there(place: KeyStore) -> None:
    made: list[str] = []

    def make(number: int) -> None:
        if isinstance(place, PostgresKeyStore):
            with closing(PostgresKeyStore(place._session._conninfo)) as own:
                made.append(own.create(f"{number}").id)
        else:
            made.append(place.create(f"{number}").id)

    place.all_keys()
    threads = [threading.Thread(target=make, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert len(made) == 8
    assert {key.id for key in place.all_keys()} == set(made)


@pytest.mark.parametrize(
    ("text", "overlap"),
    [
        ("0s", timedelta(0)),
        ("90s", timedelta(seconds=90)),
        ("30m", timedelta(minutes=30)),
        (" 24H ", timedelta(hours=24)),
        ("7d", timedelta(days=7)),
        ("366d", timedelta(days=366)),
    ],
)
def test_an_overlap_is_a_number_and_a_unit(text: str, overlap: timedelta) -> None:
    assert read_overlap(text) == overlap


@pytest.mark.parametrize(
    "text", ["", "24", "h", "-1h", "1.5h", "1w", "367d", "9" * 20 + "d", "1e3s"]
)
def test_an_overlap_that_is_none_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(SettingsError, match=r"such as 24h or 0s, and at most 366d; got"):
        read_overlap(text)


def test_an_overlap_that_is_over_is_not_listed(store: ApiKeyStore) -> None:
    issued = store.create("billing")
    store.rotate(issued.id, DAY)
    keys = [held.key for held in store.content()]

    (later,) = listed(keys, datetime.now(UTC) + 2 * DAY)

    assert later.overlap_ends_at is None
    assert later.rotated_at is not None


# The file


def test_nothing_of_a_key_is_in_the_files_but_its_hash(tmp_path: Path) -> None:
    path = tmp_path / "keys.sqlite"
    store = ApiKeyStore(path)
    with closing(ApiKeyCache(path)):  # keeps the files beside it there
        first = store.create("billing")
        second = store.rotate(first.id, DAY)
        files = sorted(file.name for file in tmp_path.iterdir())
        content = b"".join(file.read_bytes() for file in tmp_path.iterdir())
        modes = {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}

    assert files == ["keys.sqlite", "keys.sqlite-shm", "keys.sqlite-wal"]
    assert modes == {0o600}
    for issued in (first, second):
        assert issued.key.encode() not in content
        assert hashlib.sha256(issued.key.encode()).digest() in content


def test_a_file_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    path = tmp_path / "keys.sqlite"
    ApiKeyStore(path)
    path.chmod(0o644)

    ApiKeyStore(path)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_workers_that_start_at_once_make_one_file(tmp_path: Path) -> None:
    failures: list[Exception] = []
    barrier = threading.Barrier(6)

    def begin(path: Path) -> None:
        try:
            barrier.wait(30)
            ApiKeyStore(path)
        except Exception as error:  # noqa: BLE001 - shown by the test
            failures.append(error)

    for turn in range(10):
        path = tmp_path / f"{turn}.sqlite"
        threads = [threading.Thread(target=begin, args=(path,)) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)

    assert failures == []


FIRST_LAYOUT = """
create table api_keys (
    id text primary key,
    name text not null,
    key_hash blob not null unique,
    created_at text not null,
    revoked_at text
) strict
"""


def test_a_file_of_the_first_layout_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "keys.sqlite"
    text = "mdm_sk_" + "a" * 43
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("pragma journal_mode = wal")
        connection.execute(FIRST_LAYOUT)
        for key_id, digest, revoked in (
            ("active", hashlib.sha256(text.encode()).digest(), None),
            ("gone", b"x" * 32, "2026-11-02T00:00:00.000000+00:00"),
        ):
            connection.execute(
                "insert into api_keys values (?, 'old', ?, '2026-11-01T00:00:00.000000+00:00', ?)",
                (key_id, digest, revoked),
            )

    store = ApiKeyStore(path)
    ApiKeyStore(path)  # and a second time changes nothing

    active, gone = store.all_keys()
    assert (active.id, active.revoked_at) == ("active", None)
    assert active.created_at == datetime(2026, 11, 1, tzinfo=UTC)
    assert gone.revoked_at == datetime(2026, 11, 2, tzinfo=UTC)
    with closing(ApiKeyCache(path)) as cache:
        assert cache.find(text.encode()) == "active"
    second = store.rotate("active", DAY)
    with closing(ApiKeyCache(path)) as cache:
        assert cache.find(second.key.encode()) == cache.find(text.encode()) == "active"


SECOND_LAYOUT = """
create table api_keys (
    id text primary key,
    name text not null,
    created_at text not null,
    revoked_at text,
    unsent integer not null default 0
) strict;
create table api_key_secrets (
    key_hash blob primary key,
    api_key_id text not null references api_keys (id),
    created_at text not null,
    expires_at text
) strict;
create index api_key_secrets_api_key on api_key_secrets (api_key_id);
create table followed (
    one integer primary key check (one = 1),
    identity text not null,
    token text not null,
    place text not null
) strict;
pragma user_version = 2;
"""


@pytest.mark.parametrize("is_copy", [True, False])
def test_a_file_of_the_second_layout_goes_on_and_knows_what_its_place_has_had(
    tmp_path: Path, is_copy: bool
) -> None:
    """A key with unsent changes may have been made here, so it is not taken for known."""
    path = tmp_path / "keys.sqlite"
    at = "2026-11-01T00:00:00.000000+00:00"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(SECOND_LAYOUT)
        for number, key_id in enumerate(("copied", "changed")):
            connection.execute(
                "insert into api_keys values (?, 'old', ?, null, ?)", (key_id, at, number)
            )
            connection.execute(
                "insert into api_key_secrets values (?, ?, ?, null)",
                (key_id.encode().ljust(32), key_id, at),
            )
        if is_copy:
            connection.execute("insert into followed values (1, 'tables', 'state', 'place')")

    store = ApiKeyStore(path)
    ApiKeyStore(path)  # and a second time changes nothing

    held = {held.key.id: held for held in store.content()}
    assert {key_id: one.unsent for key_id, one in held.items()} == {"copied": 0, "changed": 1}
    assert held["copied"].is_known == is_copy
    assert held["copied"].known_hashes == ({b"copied".ljust(32)} if is_copy else set())
    assert not held["changed"].is_known
    assert not held["changed"].known_hashes


def test_a_file_of_a_newer_layout_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "keys.sqlite"
    ApiKeyStore(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("pragma user_version = 9")

    with pytest.raises(ApiKeyStoreError, match=r"layout 9, .*upgrade majordomo-analytics"):
        ApiKeyStore(path)


def test_a_damaged_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "keys.sqlite"
    path.write_bytes(b"no database at all" * 100)

    with pytest.raises(
        ApiKeyStoreError, match=r"keys\.sqlite' cannot be used: file is not.*move it away"
    ):
        ApiKeyStore(path)


# Postgres


def test_every_change_by_whatever_hand_moves_the_state(
    postgres: str, there: PostgresKeyStore
) -> None:
    """A revocation typed into psql reaches the proxies like any other."""
    issued = there.create("billing")
    states = [there.state()]
    for statement in (
        "update api_keys set revoked_at = now()",
        "update api_key_secrets set expires_at = now()",
        "delete from api_key_secrets",
        "delete from api_keys",
        "truncate api_keys, api_key_secrets",
    ):
        run(postgres, statement)
        states.append(there.state())

    assert len({state.token for state in states}) == len(states)
    assert {state.identity for state in states} == {states[0].identity}
    assert all(there.has_had(state.token) for state in states)
    assert not there.has_had("00000000-0000-0000-0000-000000000000")
    assert issued.id not in stored(there)


def test_settings_of_a_database_change_nothing(postgres: str) -> None:
    """Its way to write dates, its time zone, and whether it waits for commits."""
    (name,) = select(postgres, "select quote_ident(current_database())")[0]
    for setting in ("datestyle = 'German, DMY'", "timezone = 'Asia/Kathmandu'"):
        run(postgres, f"alter database {name} set {setting}")
    run(postgres, f"alter database {name} set synchronous_commit = off")
    begun = datetime.now(UTC) - timedelta(minutes=5)

    with closing(PostgresKeyStore(postgres)) as store:
        issued = store.create("billing")
        store.rotate(issued.id, DAY)
        (key,) = store.all_keys()

    assert begun < key.created_at < begun + timedelta(minutes=10)
    assert key.overlap_ends_at is not None
    assert begun + DAY < key.overlap_ends_at < begun + DAY + timedelta(minutes=10)


def test_changes_are_in_the_order_of_their_commits(postgres: str, there: PostgresKeyStore) -> None:
    """Else a change that commits late would stand before one that was seen already."""
    there.state()
    with psycopg.connect(postgres) as slow:
        slow.execute("insert into api_keys (id, name) values (gen_random_uuid(), 'slow')")
        done = threading.Event()

        def make() -> None:
            with closing(PostgresKeyStore(postgres)) as own:
                own.create("quick")
            done.set()

        before = there.state()
        thread = threading.Thread(target=make)
        thread.start()
        assert not done.wait(0.3)
        assert there.state() == before
        slow.commit()
        thread.join(30)

    names = [row[0] for row in select(postgres, "select name from api_keys order by created_at")]
    assert sorted(names) == ["quick", "slow"]
    assert there.state() != before


def test_keys_in_a_schema_of_their_own(postgres: str) -> None:
    run(postgres, "create table api_keys (id uuid primary key, hers text)")
    with (
        closing(PostgresKeyStore(postgres)) as foreign,
        pytest.raises(PostgresError, match=r"'api_keys' that is not ours.*--postgres-schema"),
    ):
        foreign.create("billing")

    with closing(PostgresKeyStore(postgres, schema='ours "quoted"')) as store:
        issued = store.create("billing")
        before = store.state()
        store.revoke(issued.id)
        assert store.state() != before

    assert select(postgres, "select count(*) from api_keys") == [(0,)]


def test_the_address_is_in_no_repr_and_the_password_in_no_error(postgres: str) -> None:
    dsn = "postgresql://someone:hunter2secret@127.0.0.1:1/llm"
    with closing(PostgresKeyStore(dsn)) as store:
        with pytest.raises(PostgresError) as raised:
            store.all_keys()
        assert "hunter2secret" not in f"{raised.value}{store!r}{store._session!r}{store.place}"

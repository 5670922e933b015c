"""Keys in Postgres and their copy: none is lost, and none comes back to life."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from majordomo_analytics.apikeys import ApiKeyCache, ApiKeyStore, IssuedKey
from majordomo_analytics.apikeys import copying as copying_module
from majordomo_analytics.apikeys.copying import State, copy_keys, copying
from majordomo_analytics.apikeys.issuing import StoredKey
from majordomo_analytics.drain.keystore import PostgresKeyStore
from majordomo_analytics.errors import ApiKeyStoreError, PostgresError
from tests.support.postgres import Line, run, select

DAY = timedelta(days=1)
TABLES = ("api_keys", "api_key_secrets", "api_key_changes")


def working(path: Path, *issued: IssuedKey) -> list[str | None]:
    """Return what a worker that starts now says to each key."""
    with closing(ApiKeyCache(path)) as cache:
        return [cache.find(one.key.encode()) for one in issued]


def same(store: ApiKeyStore, there: PostgresKeyStore) -> bool:
    return [held.key for held in store.content()] == there.content()[1]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.sqlite"


@dataclass
class Backup:
    """The rows of the tables of API keys, taken and put back as a restore does."""

    dsn: str
    rows: dict[str, bytes] = field(default_factory=dict)

    def take(self) -> Backup:
        with psycopg.connect(self.dsn) as connection, connection.cursor() as cursor:
            for table in TABLES:
                with cursor.copy(f"copy {table} to stdout".encode()) as copy:
                    self.rows[table] = b"".join(bytes(part) for part in copy)
        return self

    def put_back(self) -> None:
        with psycopg.connect(self.dsn) as connection, connection.cursor() as cursor:
            cursor.execute("set session_replication_role = replica")  # fires no trigger
            for table in TABLES:
                cursor.execute(f"delete from {table}".encode())
                with cursor.copy(f"copy {table} from stdin".encode()) as copy:
                    copy.write(self.rows[table])


def test_what_changes_in_postgres_changes_in_the_copy(
    path: Path, store: ApiKeyStore, there: PostgresKeyStore
) -> None:
    first, second = there.create("first"), there.create("second")
    assert copy_keys(store, there)
    assert working(path, first, second) == [first.id, second.id]

    there.revoke(first.id)
    newer = there.rotate(second.id, timedelta(0))
    assert copy_keys(store, there)

    assert working(path, first, second, newer) == [None, None, second.id]
    assert same(store, there)


def test_nothing_is_copied_while_nothing_changes(
    store: ApiKeyStore, there: PostgresKeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One small question is asked."""
    there.create("billing")
    assert copy_keys(store, there)
    monkeypatch.delattr(PostgresKeyStore, "content")

    assert not copy_keys(store, there)


def test_keys_that_were_made_before_postgres_was_named_move_there(
    path: Path, store: ApiKeyStore, there: PostgresKeyStore
) -> None:
    """Same ids, same hashes: no caller notices. One that was revoked stays so."""
    active, revoked, theirs = store.create("active"), store.create("no"), there.create("theirs")
    newer = store.rotate(active.id, DAY)
    store.revoke(revoked.id)

    copy_keys(store, there)

    callers = (active, newer, revoked, theirs)
    assert working(path, *callers) == [active.id, active.id, None, theirs.id]
    assert {key.id: key.revoked_at is None for key in there.all_keys()} == {
        active.id: True,
        revoked.id: False,
        theirs.id: True,
    }
    assert same(store, there)
    assert not copy_keys(store, there)


def test_two_data_directories_share_their_keys(
    tmp_path: Path, store: ApiKeyStore, there: PostgresKeyStore
) -> None:
    other_path = tmp_path / "other.sqlite"
    other = ApiKeyStore(other_path)
    one, two = store.create("one"), other.create("two")
    for each in (store, other, store):
        copy_keys(each, there)

    for file in (tmp_path / "keys.sqlite", other_path):
        assert working(file, one, two) == [one.id, two.id]
    there.revoke(one.id)
    copy_keys(other, there)
    assert working(other_path, one, two) == [None, two.id]


def test_changes_made_in_the_copy_while_postgres_is_away_get_there(
    path: Path, store: ApiKeyStore, there: PostgresKeyStore
) -> None:
    kept, revoked, rotated = (there.create(name) for name in ("kept", "revoked", "rotated"))
    copy_keys(store, there)

    store.revoke(revoked.id)
    newer = store.rotate(rotated.id, timedelta(0))
    made = store.create("made here")
    assert working(path, revoked, rotated, newer, made) == [None, None, rotated.id, made.id]
    assert copy_keys(store, there)

    assert same(store, there)
    callers = (kept, revoked, rotated, newer, made)
    expected = [kept.id, None, None, rotated.id, made.id]
    assert working(path, *callers) == expected
    fresh = path.with_name("fresh.sqlite")
    copy_keys(ApiKeyStore(fresh), there)
    assert working(fresh, *callers) == expected
    assert not copy_keys(store, there)


def test_a_key_that_is_deleted_in_postgres_is_revoked_in_the_copy(
    postgres: str, path: Path, store: ApiKeyStore, there: PostgresKeyStore
) -> None:
    kept, deleted = there.create("kept"), there.create("deleted")
    copy_keys(store, there)

    run(postgres, f"delete from api_keys where id = '{deleted.id}'")
    copy_keys(store, there)

    assert working(path, kept, deleted) == [kept.id, None]


def delete(dsn: str, issued: IssuedKey) -> None:
    run(dsn, f"delete from api_keys where id = '{issued.id}'")


@pytest.mark.parametrize("origin", ["made there", "made here and sent"])
@pytest.mark.parametrize("change", ["rotate", "revoke", "rotate twice"])
def test_no_unsent_change_brings_a_deleted_key_back_to_life(
    postgres: str,
    path: Path,
    store: ApiKeyStore,
    there: PostgresKeyStore,
    origin: str,
    change: str,
) -> None:
    """What was made in the copy while Postgres was away still gets there."""
    deleted = (there if origin == "made there" else store).create("leaver")
    copy_keys(store, there)
    newer = []
    if change == "revoke":
        store.revoke(deleted.id)
    else:
        newer = [store.rotate(deleted.id, DAY) for _ in change.split()]
    made = store.create("made here")
    delete(postgres, deleted)

    for _ in range(2):
        copy_keys(store, there)

    callers = (deleted, *newer, made)
    expected = [*([None] * (1 + len(newer))), made.id]
    assert working(path, *callers) == expected
    assert [key.id for key in there.all_keys()] == [made.id]
    fresh = path.with_name("fresh.sqlite")
    copy_keys(ApiKeyStore(fresh), there)
    assert working(fresh, *callers) == expected
    assert not copy_keys(store, there)


@pytest.mark.parametrize("at", ["state", "has_had", "merge", "content"])
def test_a_key_that_is_deleted_while_a_change_of_it_is_sent_stays_deleted(
    postgres: str, path: Path, store: ApiKeyStore, there: PostgresKeyStore, at: str
) -> None:
    """Also one that the very same copy sends for the first time."""
    known = there.create("known")
    copy_keys(store, there)
    newer, made = store.rotate(known.id, DAY), store.create("made here")

    def happens() -> None:
        run(postgres, "delete from api_keys")
        store.rotate(known.id, DAY)
        store.rotate(made.id, DAY)

    place: Any = Interrupted(there, at, happens)
    for _ in range(3):
        copy_keys(store, place)

    was_sent = at == "content"
    assert working(path, known, newer, made) == [None, None, None if was_sent else made.id]
    assert [key.id for key in there.all_keys()] == ([] if was_sent else [made.id])
    assert not copy_keys(store, there)


def test_no_unsent_change_brings_a_deleted_text_back_to_life(
    postgres: str, path: Path, store: ApiKeyStore, there: PostgresKeyStore
) -> None:
    """Its key lives on with the others."""
    leaked = there.create("billing")
    kept = there.rotate(leaked.id, DAY)
    copy_keys(store, there)
    newer = store.rotate(leaked.id, DAY)
    digest = hashlib.sha256(leaked.key.encode()).hexdigest()
    run(postgres, f"delete from api_key_secrets where key_hash = '\\x{digest}'")

    copy_keys(store, there)

    assert working(path, leaked, kept, newer) == [None, leaked.id, leaked.id]
    assert same(store, there)
    assert len(there.content()[1][0].secrets) == 2


def test_a_database_set_back_gets_back_a_key_with_unsent_changes_too(
    postgres: str, path: Path, store: ApiKeyStore, there: PostgresKeyStore
) -> None:
    """It has had the key, but of another time it is not known that anybody deleted it."""
    there.state()
    backup = Backup(postgres).take()
    issued = there.create("billing")
    copy_keys(store, there)
    newer = store.rotate(issued.id, DAY)

    backup.put_back()
    copy_keys(store, there)

    assert working(path, issued, newer) == [issued.id, issued.id]
    assert same(store, there)
    # And from then on, one that is deleted is deleted.
    store.rotate(issued.id, DAY)
    delete(postgres, issued)
    copy_keys(store, there)
    assert working(path, issued, newer) == [None, None]
    assert there.all_keys() == []


def test_a_key_deleted_before_a_restore_stays_revoked_after_it(
    postgres: str, path: Path, store: ApiKeyStore, there: PostgresKeyStore
) -> None:
    deleted = there.create("leaver")
    copy_keys(store, there)
    backup = Backup(postgres).take()
    store.rotate(deleted.id, DAY)
    delete(postgres, deleted)
    copy_keys(store, there)

    backup.put_back()
    copy_keys(store, there)

    assert working(path, deleted) == [None]
    assert there.all_keys()[0].revoked_at is not None
    assert same(store, there)


def test_a_known_key_with_unsent_changes_moves_to_another_postgres(
    path: Path, store: ApiKeyStore, there: PostgresKeyStore, postgres: str
) -> None:
    """What one place has had says nothing about another."""
    issued = there.create("billing")
    copy_keys(store, there)
    newer = store.rotate(issued.id, DAY)
    with closing(PostgresKeyStore(postgres, schema="other")) as other:
        assert copy_keys(store, other, move=True)

        assert working(path, issued, newer) == [issued.id, issued.id]
        assert same(store, other)


def test_a_database_set_back_to_an_earlier_state_gets_back_what_it_lost(
    postgres: str, path: Path, store: ApiKeyStore, there: PostgresKeyStore
) -> None:
    """A key made since works on, and one revoked since does not come back to life."""
    old, revoked, rotated = (there.create(name) for name in ("old", "revoked", "rotated"))
    copy_keys(store, there)
    backup = Backup(postgres).take()
    there.revoke(revoked.id)
    newer = there.rotate(rotated.id, timedelta(0))
    made = there.create("made since")
    copy_keys(store, there)

    backup.put_back()
    assert len(there.all_keys()) == 3
    after = there.create("made after")  # so it has as many changes as the copy knows, or more
    copy_keys(store, there)

    callers = (old, revoked, rotated, newer, made, after)
    assert working(path, *callers) == [old.id, None, None, rotated.id, made.id, after.id]
    assert same(store, there)


def test_tables_that_were_emptied_by_a_restore_take_nothing_away(
    postgres: str, path: Path, store: ApiKeyStore, there: PostgresKeyStore
) -> None:
    there.state()
    backup = Backup(postgres).take()
    issued = there.create("billing")
    copy_keys(store, there)

    backup.put_back()
    copy_keys(store, there)

    assert working(path, issued) == [issued.id]
    assert same(store, there)


@pytest.mark.parametrize("emptied", ["another", "made anew", "truncated"])
def test_the_keys_of_another_postgres_are_not_taken(
    postgres: str, path: Path, store: ApiKeyStore, there: PostgresKeyStore, emptied: str
) -> None:
    """Neither wiped by an empty one, nor opened to the callers of somebody else's."""
    issued = there.create("billing")
    copy_keys(store, there)
    schema = "public"
    if emptied == "another":
        schema = "other"
    elif emptied == "made anew":
        there.close()
        run(postgres, "drop schema public cascade", "create schema public")
    else:
        run(postgres, "truncate api_keys, api_key_secrets, api_key_changes")
        run(postgres, "insert into api_key_changes default values")
    with closing(PostgresKeyStore(postgres, schema=schema)) as other:
        stranger = other.create("stranger")
        with pytest.raises(ApiKeyStoreError, match="mdm keys move"):
            copy_keys(store, other)

        assert working(path, issued, stranger) == [issued.id, None]
        assert [key.name for key in other.all_keys()] == ["stranger"]

        assert copy_keys(store, other, move=True)
        assert working(path, issued, stranger) == [issued.id, stranger.id]
        assert same(store, other)
        assert not copy_keys(store, other)


def test_a_table_of_changes_that_was_emptied_says_what_to_do(
    postgres: str, path: Path, store: ApiKeyStore, there: PostgresKeyStore
) -> None:
    issued = there.create("billing")
    copy_keys(store, there)
    run(postgres, "truncate api_key_changes")

    with pytest.raises(PostgresError, match="insert into api_key_changes default values"):
        copy_keys(store, there)
    assert working(path, issued) == [issued.id]


def test_a_copy_is_of_one_moment(
    postgres: str,
    path: Path,
    store: ApiKeyStore,
    there: PostgresKeyStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What changes while keys are read is seen the next time, and not half now."""
    issued = there.create("billing")
    read_state = PostgresKeyStore._state

    def and_then_a_change(self: PostgresKeyStore, connection: Any) -> State:
        state = read_state(self, connection)
        if connection.info.transaction_status == psycopg.pq.TransactionStatus.INTRANS:
            monkeypatch.undo()
            run(postgres, "update api_keys set revoked_at = now()")
        return state

    monkeypatch.setattr(PostgresKeyStore, "_state", and_then_a_change)
    copy_keys(store, there)
    assert working(path, issued) == [issued.id]

    assert copy_keys(store, there)
    assert working(path, issued) == [None]


class Interrupted:
    """A place where something happens between two questions."""

    def __init__(self, there: PostgresKeyStore, at: str, happens: Callable[[], Any]) -> None:
        self._there = there
        self._at = at
        self._happens = happens

    def __getattr__(self, name: str) -> Any:
        if name == self._at:
            self._at = ""
            self._happens()
        return getattr(self._there, name)


@pytest.mark.parametrize("at", ["state", "has_had", "merge", "content"])
@pytest.mark.parametrize("change", ["create", "revoke", "rotate"])
@pytest.mark.parametrize("is_first", [True, False])
def test_a_change_in_the_copy_while_it_is_copied_is_not_overwritten(
    path: Path, store: ApiKeyStore, there: PostgresKeyStore, at: str, change: str, is_first: bool
) -> None:
    issued = store.create("billing")
    if not is_first:
        copy_keys(store, there)
        store.create("unsent")
    there.create("theirs")
    made: list[IssuedKey] = []
    changes: dict[str, Callable[[], Any]] = {
        "create": lambda: made.append(store.create("new")),
        "revoke": lambda: store.revoke(issued.id),
        "rotate": lambda: made.append(store.rotate(issued.id, timedelta(0))),
    }
    place: Any = Interrupted(there, at, changes[change])

    for _ in range(3):
        copy_keys(store, place)

    assert same(store, there)
    assert not copy_keys(store, place)
    is_same = at == "has_had" and is_first  # it is not asked before the first copy
    if not is_same:
        assert working(path, issued) == [issued.id if change == "create" else None]
        assert working(path, *made) == [one.id for one in made]


# Over time


class Place:
    """A place of API keys in memory, that can be told to fail."""

    place = "memory"

    def __init__(self) -> None:
        self.keys: list[StoredKey] = []
        self.changes = ["first"]
        self.fails: Exception | None = None
        self.asked: list[float] = []

    def change(self, *keys: StoredKey) -> None:
        self.keys = list(keys)
        self.changes.append(f"change {len(self.changes)}")

    def state(self) -> State:
        self.asked.append(time.monotonic())
        if self.fails:
            raise self.fails
        return State(self.changes[0], self.changes[-1])

    def has_had(self, token: str) -> bool:
        return token in self.changes

    def content(self) -> tuple[State, list[StoredKey]]:
        return self.state(), self.keys

    def merge(self, held: Any, *, is_later: bool) -> None:
        raise AssertionError("there is nothing of one's own")

    def close(self) -> None:
        pass


def until(what: Callable[[], Any], within_s: float = 20) -> None:
    deadline = time.monotonic() + within_s
    while not what():
        assert time.monotonic() < deadline, "it did not become true in time"
        time.sleep(0.01)


def test_a_trouble_is_said_once_and_so_is_its_end(
    path: Path, store: ApiKeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it is: nobody starts the thread again."""
    monkeypatch.setattr(copying_module, "POLL_S", 0.01)
    monkeypatch.setattr(copying_module, "LONGEST_PAUSE_S", 0.05)
    source, said = Place(), list[str]()
    issued = store.create("theirs")
    key = store.content()[0].key
    path.unlink()

    with copying(path, source, said.append):
        source.change(key)
        until(lambda: working(path, issued) == [issued.id])
        for trouble in (PostgresError("it is away"), ValueError("what nobody thought of")):
            source.fails = trouble
            source.asked.clear()
            until(lambda: len(source.asked) > 5)
        source.fails = None
        source.change(replace(key, revoked_at=key.created_at))
        until(lambda: working(path, issued) == [None])

    assert [sentence.partition(": ")[2] or sentence for sentence in said] == [
        "it is away",
        "ValueError('what nobody thought of')",
        "API keys are copied from Postgres again",
    ]


def test_a_place_that_is_down_is_asked_less_and_less_often(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []

    class Stop(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            waits.append(timeout or 0.0)
            if len(waits) == 7:
                self.set()
            return self.is_set()

    source = Place()
    source.fails = PostgresError("it is away")
    copying_module.copy_until(Stop(), ApiKeyStore(path), source, on_trouble=lambda _: None)

    assert waits == [0.6, 1.2, 2.4, 3.0, 3.0, 3.0, 3.0]


@pytest.fixture
def line(postgres: str) -> Iterator[Line]:
    with Line(postgres) as running:
        yield running


@pytest.mark.parametrize("way", ["refuse", "black-hole"])
def test_a_postgres_that_is_down_or_silent_holds_up_neither_start_nor_end(
    path: Path, line: Line, way: Any
) -> None:
    line.break_off(way)
    source = PostgresKeyStore(line.dsn)
    begun = time.monotonic()
    with copying(path, source, lambda _: None):
        started = time.monotonic()
    ended = time.monotonic()
    line.break_off("refuse")

    assert started - begun < 10  # two seconds are waited for
    assert ended - started < 10  # and one


def test_a_postgres_that_falls_silent_is_given_up_and_found_again(
    path: Path, line: Line, there: PostgresKeyStore
) -> None:
    said: list[str] = []
    source = PostgresKeyStore(line.dsn, connect_timeout_s=2, answer_timeout_s=0.5)
    with copying(path, source, said.append):
        first = there.create("first")
        until(lambda: working(path, first) == [first.id])
        line.break_off("black-hole")
        until(lambda: said)
        second = there.create("second")
        assert working(path, first, second) == [first.id, None]
        line.break_off("through")
        until(lambda: working(path, first, second) == [first.id, second.id])

    assert "did not answer within 0.5 s" in said[0]
    assert said[-1] == "API keys are copied from Postgres again"
    assert select(line.server, "select 1") == [(1,)]

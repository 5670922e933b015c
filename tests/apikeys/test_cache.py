"""A worker believes what is in the file, sees changes at once, and cannot be flooded."""

from __future__ import annotations

import sqlite3
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from majordomo_analytics.apikeys import ApiKeyCache, ApiKeyStore
from majordomo_analytics.apikeys import cache as cache_module
from majordomo_analytics.apikeys.issuing import new_text

DAY = timedelta(days=1)


class Clocks:
    """Two clocks that stand still until told: the time of day, and elapsed time."""

    def __init__(self) -> None:
        self.of_day_s = time.time()  # the store goes by the real one
        self.elapsed_s = 5_000.0

    def time(self) -> float:
        return self.of_day_s

    def monotonic(self) -> float:
        return self.elapsed_s

    def pass_by(self, seconds: float) -> None:
        self.of_day_s += seconds
        self.elapsed_s += seconds


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    clocks = Clocks()
    monkeypatch.setattr(cache_module, "time", clocks)
    return clocks


@pytest.fixture
def cache(tmp_path: Path, store: ApiKeyStore) -> Iterator[ApiKeyCache]:
    with closing(ApiKeyCache(tmp_path / "keys.sqlite")) as opened:
        yield opened


def test_a_key_that_was_just_made_is_known_at_once(store: ApiKeyStore, cache: ApiKeyCache) -> None:
    issued = store.create("billing")

    assert cache.find(issued.key.encode()) == issued.id


def test_a_revoked_key_is_refused_a_quarter_of_a_second_later(
    store: ApiKeyStore, clocks: Clocks, cache: ApiKeyCache
) -> None:
    issued = store.create("billing")
    assert cache.find(issued.key.encode()) == issued.id

    store.revoke(issued.id)
    clocks.pass_by(0.26)

    assert cache.find(issued.key.encode()) is None


def test_both_texts_of_a_rotated_key_work_until_the_overlap_is_over(
    store: ApiKeyStore, clocks: Clocks, cache: ApiKeyCache
) -> None:
    """Under one id; the worker itself ends the earlier one, nobody tells it."""
    first = store.create("billing")
    second = store.rotate(first.id, DAY)

    assert cache.find(first.key.encode()) == cache.find(second.key.encode()) == first.id
    clocks.pass_by(DAY.total_seconds() - 60)
    assert cache.find(first.key.encode()) == first.id
    clocks.pass_by(120)
    assert cache.find(first.key.encode()) is None
    assert cache.find(second.key.encode()) == first.id


def test_no_overlap_ends_the_earlier_text_at_once(
    store: ApiKeyStore, clocks: Clocks, cache: ApiKeyCache
) -> None:
    first = store.create("billing")
    second = store.rotate(first.id, timedelta(0))
    clocks.pass_by(0.26)

    assert cache.find(first.key.encode()) is None
    assert cache.find(second.key.encode()) == first.id


def test_a_clock_that_is_set_back_prolongs_no_overlap(
    store: ApiKeyStore, clocks: Clocks, cache: ApiKeyCache
) -> None:
    first = store.create("billing")
    store.rotate(first.id, DAY)
    assert cache.find(first.key.encode()) == first.id

    clocks.of_day_s -= 30 * DAY.total_seconds()
    clocks.pass_by(DAY.total_seconds() / 2)
    store.create("another")  # all keys are read again
    assert cache.find(first.key.encode()) == first.id
    clocks.pass_by(DAY.total_seconds() / 2 + 60)

    assert cache.find(first.key.encode()) is None


def test_a_clock_that_is_set_forward_ends_an_overlap_until_it_is_right_again(
    store: ApiKeyStore, clocks: Clocks, cache: ApiKeyCache
) -> None:
    first = store.create("billing")
    store.rotate(first.id, DAY)
    assert cache.find(first.key.encode()) == first.id

    clocks.of_day_s += 2 * DAY.total_seconds()
    assert cache.find(first.key.encode()) is None
    clocks.of_day_s -= 2 * DAY.total_seconds()
    assert cache.find(first.key.encode()) == first.id


@pytest.mark.parametrize(
    "key",
    [b"", b"mdm_sk_", b"\xff\x00", b"mdm_sk_" + b"x" * 44, b"MDM_SK_" + b"x" * 43],
)
def test_what_cannot_be_a_key_is_refused_unread(
    store: ApiKeyStore, cache: ApiKeyCache, key: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither hashed nor looked for."""
    store.create("billing")
    monkeypatch.delattr(cache_module, "hash_key")

    assert cache.find(key) is None


@pytest.mark.parametrize("key", [b"mdm_sk_" + b"\xff" * 43, b"mdm_sk_" + b"\x00" * 43])
def test_bytes_that_are_no_text_are_no_key(
    store: ApiKeyStore, cache: ApiKeyCache, key: bytes
) -> None:
    store.create("billing")

    assert cache.find(key) is None


def test_a_flood_of_unknown_keys_takes_no_memory_and_hardly_a_look(
    store: ApiKeyStore, clocks: Clocks, cache: ApiKeyCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twenty thousand in one second, and a key of ours among them is found throughout."""
    issued = store.create("billing")
    assert cache.find(issued.key.encode()) == issued.id
    looks = 0
    refresh = cache._refresh

    def counted() -> None:
        nonlocal looks
        looks += 1
        refresh()

    monkeypatch.setattr(cache, "_refresh", counted)
    unknown = [new_text().encode() for _ in range(20_000)]
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for key in unknown:
            clocks.pass_by(1 / 20_000)
            assert cache.find(key) is None
            assert cache.find(issued.key.encode()) == issued.id
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert after - before < 20_000
    assert looks <= 50
    assert len(cache._active) == 1


def test_a_key_made_during_a_flood_is_known_within_the_same_quarter(
    store: ApiKeyStore, clocks: Clocks, cache: ApiKeyCache
) -> None:
    for _ in range(100):
        cache.find(new_text().encode())
    issued = store.create("billing")
    clocks.pass_by(0.26)

    assert cache.find(issued.key.encode()) == issued.id


def test_a_file_that_was_put_in_the_place_of_the_store_is_the_store(
    tmp_path: Path, store: ApiKeyStore, clocks: Clocks, cache: ApiKeyCache
) -> None:
    """As by a restore: what is revoked in the file now there is revoked."""
    issued = store.create("billing")
    path = tmp_path / "keys.sqlite"
    with closing(sqlite3.connect(path)) as before, closing(sqlite3.connect(tmp_path / "b")) as copy:
        before.backup(copy)
    later = store.create("made after the backup")
    assert cache.find(later.key.encode()) == later.id

    for ending in ("-wal", "-shm"):
        path.with_name(path.name + ending).unlink(missing_ok=True)
    (tmp_path / "b").replace(path)
    clocks.pass_by(0.26)
    assert cache.find(issued.key.encode()) == issued.id
    assert cache.find(later.key.encode()) is None
    ApiKeyStore(path).revoke(issued.id)
    clocks.pass_by(0.26)

    assert cache.find(issued.key.encode()) is None


def test_known_keys_work_on_while_the_file_is_locked_damaged_or_gone(
    tmp_path: Path, store: ApiKeyStore, clocks: Clocks, cache: ApiKeyCache
) -> None:
    issued = store.create("billing")
    assert cache.find(issued.key.encode()) == issued.id
    path = tmp_path / "keys.sqlite"

    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("begin exclusive")
        clocks.pass_by(1)
        assert cache.find(issued.key.encode()) == issued.id
    path.write_bytes(b"no database at all" * 1000)
    clocks.pass_by(1)
    assert cache.find(issued.key.encode()) == issued.id
    path.unlink()
    clocks.pass_by(1)
    assert cache.find(issued.key.encode()) == issued.id


def test_no_repr_shows_a_hash(store: ApiKeyStore, cache: ApiKeyCache) -> None:
    issued = store.create("billing")
    cache.find(issued.key.encode())
    ((digest, active),) = cache._active.items()

    for shown in (repr(active), repr(store.content()), str(issued)):
        assert digest.hex() not in shown
        assert repr(digest) not in shown
        assert issued.key not in shown

"""API keys: shown once, stored as a hash, believed and refused at once."""

from __future__ import annotations

import hashlib
import json
import re
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from majordomo_analytics.apikeys import ApiKeyCache, ApiKeyStore
from majordomo_analytics.errors import ApiKeyError, SettingsError
from tests.support.proxy import mdm


@pytest.fixture
def store(tmp_path: Path) -> ApiKeyStore:
    return ApiKeyStore(tmp_path / "keys.sqlite")


@pytest.fixture
def cache(tmp_path: Path, store: ApiKeyStore) -> Iterator[ApiKeyCache]:
    with closing(ApiKeyCache(tmp_path / "keys.sqlite")) as opened:
        yield opened


def test_a_key_has_32_random_bytes_and_no_plain_text_at_rest(tmp_path: Path) -> None:
    path = tmp_path / "keys.sqlite"
    issued = ApiKeyStore(path).create("billing")

    assert re.fullmatch(r"mdm_sk_[A-Za-z0-9_-]{43}", issued.key)
    stored = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert issued.key.encode() not in stored
    assert hashlib.sha256(issued.key.encode()).digest() in stored
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert issued.key not in repr(issued)


def test_a_worker_sees_new_and_revoked_keys(store: ApiKeyStore, cache: ApiKeyCache) -> None:
    issued = store.create("billing")
    assert cache.find(issued.key.encode()) == issued.id

    store.revoke(issued.id)
    cache._checked_at = 0.0  # the quarter of a second between two looks is over
    assert cache.find(issued.key.encode()) is None


@pytest.mark.parametrize("key", [b"", b"mdm_sk_", b"\xff\x00", b"x" * 10_000])
def test_what_is_no_key_is_refused(store: ApiKeyStore, cache: ApiKeyCache, key: bytes) -> None:
    store.create("billing")
    assert cache.find(key) is None


def test_a_flood_of_unknown_keys_takes_no_memory(store: ApiKeyStore, cache: ApiKeyCache) -> None:
    store.create("billing")
    for number in range(1000):
        assert cache.find(b"mdm_sk_%d" % number) is None

    assert len(cache._active) == 1


@pytest.mark.parametrize("name", ["", "   ", "x" * 256])
def test_a_name_that_names_nothing_is_refused(store: ApiKeyStore, name: str) -> None:
    with pytest.raises(SettingsError, match="1 to 255 characters"):
        store.create(name)


def test_revoking_twice_or_what_never_was_is_an_error(store: ApiKeyStore) -> None:
    issued = store.create("billing")
    store.revoke(issued.id)
    for key_id in (issued.id, "nobody"):
        with pytest.raises(ApiKeyError, match="mdm keys list"):
            store.revoke(key_id)


def test_the_commands_make_list_and_revoke(tmp_path: Path) -> None:
    """The plain key is printed once; a list shows neither it nor its hash."""
    data = str(tmp_path / "data")
    made = mdm("keys", "create", "--name", "billing [red]", "--data", data, "--json")
    issued = json.loads(made.stdout)
    assert set(issued) == {"id", "name", "key"}

    listed = mdm("keys", "list", "--data", data).stdout
    assert issued["id"] in listed
    assert "billing [red]" in listed
    assert issued["key"] not in listed

    mdm("keys", "revoke", issued["id"], "--data", data)
    (row,) = json.loads(mdm("keys", "list", "--data", data, "--json").stdout)
    assert row["revoked_at"] is not None
    assert mdm("keys", "revoke", issued["id"], "--data", data, check=False).returncode == 2


def test_a_plain_key_can_be_piped(tmp_path: Path) -> None:
    """Without --json, stdout is the key alone; the explanation goes to stderr."""
    made = mdm("keys", "create", "--name", "ci", "--data", str(tmp_path / "data"))

    assert re.fullmatch(r"mdm_sk_[A-Za-z0-9_-]{43}\n", made.stdout)
    assert "not shown again" in made.stderr

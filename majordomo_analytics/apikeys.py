"""API keys: issue, list, revoke and look up the callers' `mdm_sk_…` credentials.

A key is 32 random bytes; only its SHA-256 is stored. Keys live in one SQLite file of the
data directory. Workers read them through `ApiKeyCache`, which never touches anything else,
so that a database elsewhere can be down without a caller being refused.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import sqlite3
import time
import uuid
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from majordomo_analytics.errors import ApiKeyError, SettingsError
from majordomo_analytics.records.metadata import API_KEY_MARK

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEY_PREFIX = API_KEY_MARK
MAX_NAME_CHARACTERS = 255
RECHECK_S = 0.25
"""A worker looks at most this often whether keys were added or revoked."""

_SCHEMA = """
create table if not exists api_keys (
    id text primary key,
    name text not null,
    key_hash blob not null unique,
    created_at text not null,
    revoked_at text
) strict
"""


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A new API key; the only time its plain text is seen.

    Attributes
    ----------
    id, name
        How it is listed and revoked.
    key
        The plain key; kept out of the repr.
    """

    id: str
    name: str
    key: str

    def __repr__(self) -> str:
        return f"IssuedKey(id={self.id!r}, name={self.name!r}, key='{KEY_PREFIX}…')"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An API key as it is listed: never its plain text, nor its hash."""

    id: str
    name: str
    created_at: datetime
    revoked_at: datetime | None


def hash_key(key: bytes) -> bytes:
    """Return the SHA-256 digest under which a key is stored."""
    return hashlib.sha256(key).digest()


class ApiKeyStore:
    """The API keys of one data directory.

    Parameters
    ----------
    path
        The SQLite file; it is made, readable by its owner only, when it is not there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        path.touch(mode=0o600)
        with self._transaction() as connection:
            connection.execute(_SCHEMA)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self._path, timeout=10)) as connection, connection:
            connection.execute("pragma journal_mode = wal")
            yield connection

    def create(self, name: str) -> IssuedKey:
        """Issue a key under `name` and return it, with its plain text.

        Raises
        ------
        SettingsError
            If the name is empty or too long.
        """
        name = name.strip()
        if not name or len(name) > MAX_NAME_CHARACTERS:
            message = (
                f"an API key needs a name of 1 to {MAX_NAME_CHARACTERS} characters, got {len(name)}"
            )
            raise SettingsError(message)
        issued = IssuedKey(str(uuid.uuid4()), name, KEY_PREFIX + secrets.token_urlsafe(32))
        with self._transaction() as connection:
            connection.execute(
                "insert into api_keys (id, name, key_hash, created_at) values (?, ?, ?, ?)",
                (issued.id, name, hash_key(issued.key.encode()), _now()),
            )
        return issued

    def all_keys(self) -> list[ApiKey]:
        """Return all keys, oldest first, revoked ones too."""
        with self._transaction() as connection:
            rows = connection.execute(
                "select id, name, created_at, revoked_at from api_keys order by created_at, id"
            ).fetchall()
        return [
            ApiKey(
                key_id,
                name,
                datetime.fromisoformat(created),
                datetime.fromisoformat(revoked) if revoked else None,
            )
            for key_id, name, created, revoked in rows
        ]

    def revoke(self, key_id: str) -> None:
        """Revoke the key with that id, for good.

        Raises
        ------
        ApiKeyError
            If no active key has that id.
        """
        with self._transaction() as connection:
            changed = connection.execute(
                "update api_keys set revoked_at = ? where id = ? and revoked_at is null",
                (_now(), key_id),
            ).rowcount
        if not changed:
            message = f"no active API key has the id {key_id!r}; `mdm keys list` shows them"
            raise ApiKeyError(message)


class ApiKeyCache:
    """Every active key of a store, in the memory of a worker.

    Holds the issued keys only: a flood of unknown keys costs one look at the store's
    version number each, and no memory.

    Parameters
    ----------
    path
        The SQLite file of an `ApiKeyStore`.
    """

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=1
        )
        self._active: dict[bytes, tuple[bytes, str]] = {}
        self._version = -1
        self._checked_at = 0.0
        self._refresh()

    def find(self, key: bytes) -> str | None:
        """Return the id of the active API key `key`, or None."""
        digest = hash_key(key)
        if time.monotonic() - self._checked_at > RECHECK_S or digest not in self._active:
            self._refresh()
        known, key_id = self._active.get(digest, (b"", None))
        return key_id if hmac.compare_digest(known, digest) else None

    def close(self) -> None:
        """Close the store; the cache must not be used any more."""
        self._connection.close()

    def _refresh(self) -> None:
        self._checked_at = time.monotonic()
        try:
            (version,) = self._connection.execute("pragma data_version").fetchone()
            if version == self._version:
                return
            rows = self._connection.execute(
                "select key_hash, id from api_keys where revoked_at is null"
            ).fetchall()
        except sqlite3.DatabaseError:
            return  # the store is busy, away or damaged: the keys known so far go on working
        self._active = {digest: (digest, key_id) for digest, key_id in rows}
        self._version = version


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")

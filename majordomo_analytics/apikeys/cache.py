"""The API keys in the memory of a worker, which asks nobody but a local file."""

from __future__ import annotations

import hmac
import sqlite3
import time
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from majordomo_analytics.apikeys.issuing import KEY_CHARACTERS, KEY_PREFIX, hash_key

if TYPE_CHECKING:
    from pathlib import Path

RECHECK_S = 0.25
"""How often a worker looks whether keys were revoked or rotated."""

MOST_LOOKS = 10
"""How often it looks in between, at most, for a key that it does not know."""

_MARK = KEY_PREFIX.encode()
_NO_HASH = bytes(32)
_ACTIVE = """
select key_hash, api_key_id, expires_at
from api_key_secrets join api_keys on api_keys.id = api_key_id
where revoked_at is null
"""


@dataclass(frozen=True, slots=True)
class _Active:
    """A text of a key that works.

    One that expires does so by both clocks: setting back the time of day does not prolong
    it, for how much was left is counted on a clock that cannot be set.
    """

    key_hash: bytes = field(repr=False)
    key_id: str
    expires_at_s: float | None
    deadline_s: float

    def is_over(self) -> bool:
        return self.expires_at_s is not None and (
            time.time() >= self.expires_at_s or time.monotonic() >= self.deadline_s
        )


class ApiKeyCache:
    """Every active key of a store, in the memory of a worker.

    Holds the issued keys only: a flood of unknown keys costs no memory, and a few looks a
    second at the number of the file's last change.

    Parameters
    ----------
    path
        The SQLite file of an `ApiKeyStore`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.absolute()
        self._inode = _inode(self._path)
        self._connection = _connection(self._path)
        self._active: dict[bytes, _Active] = {}
        self._version = -1
        self._checked_at = time.monotonic()
        self._looks = 0
        self._refresh()

    def find(self, key: bytes) -> str | None:
        """Return the id of the active API key `key`, or None."""
        if len(key) != KEY_CHARACTERS or not key.startswith(_MARK):
            return None  # whatever its length, it is not hashed
        digest = hash_key(key)
        known = self._active.get(digest)
        now = time.monotonic()
        is_due = now - self._checked_at > RECHECK_S
        if is_due or (known is None and self._looks < MOST_LOOKS):
            self._looks += 1
            if is_due:
                self._checked_at, self._looks = now, 0
                self._follow()
            self._refresh()
            known = self._active.get(digest)
        is_same = hmac.compare_digest(_NO_HASH if known is None else known.key_hash, digest)
        if known is None or not is_same or known.is_over():
            return None
        return known.key_id

    def close(self) -> None:
        """Close the store; the cache must not be used any more."""
        self._connection.close()

    def _follow(self) -> None:
        """Turn to another file that was put in the place of the store, as from a backup.

        What is connected would go on reading the one that is gone.
        """
        inode = _inode(self._path)
        if inode is None or inode == self._inode:
            return
        try:
            connection = _connection(self._path)
        except sqlite3.Error:
            return
        self._connection.close()
        self._connection, self._inode, self._version = connection, inode, -1

    def _refresh(self) -> None:
        try:
            (version,) = self._connection.execute("pragma data_version").fetchone()
            if version == self._version:
                return
            rows = self._connection.execute(_ACTIVE).fetchall()
        except sqlite3.Error:
            return  # the store is busy, away or damaged: the keys known so far go on working
        self._active = {row[0]: self._activated(*row) for row in rows}
        self._version = version

    def _activated(self, key_hash: bytes, key_id: str, expires_at: str | None) -> _Active:
        if expires_at is None:
            return _Active(key_hash, key_id, None, 0.0)
        expires_at_s = datetime.fromisoformat(expires_at).timestamp()
        before = self._active.get(key_hash)
        if before is not None and before.expires_at_s == expires_at_s:
            return before  # with the deadline it was first given
        deadline_s = time.monotonic() + expires_at_s - time.time()
        return _Active(key_hash, key_id, expires_at_s, deadline_s)


def _connection(path: Path) -> sqlite3.Connection:
    # It is asked from an event loop: better to go on with what is known than to wait.
    return sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=0.1)


def _inode(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino

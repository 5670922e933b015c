"""The API keys of a data directory: one SQLite file, which may be a copy."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from majordomo_analytics.apikeys.issuing import (
    HeldKey,
    IssuedKey,
    Secret,
    StoredKey,
    hash_key,
    listed,
    new_key,
    new_text,
    no_active_key,
)
from majordomo_analytics.apikeys.layout import bring_up_to_date
from majordomo_analytics.errors import ApiKeyStoreError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import timedelta
    from pathlib import Path

    from majordomo_analytics.apikeys.issuing import ApiKey

BUSY_TIMEOUT_S = 10


@dataclass(frozen=True, slots=True)
class Followed:
    """The place that a file of API keys is a copy of, and which state it had then.

    Attributes
    ----------
    identity
        Names the tables there, wherever they move.
    token
        Names the last change of them that the copy has.
    place
        Where they were, for messages; without secrets.
    """

    identity: str
    token: str
    place: str


class ApiKeyStore:
    """The API keys of one data directory.

    Parameters
    ----------
    path
        The SQLite file; it is made, readable by its owner only, when it is not there.

    Raises
    ------
    ApiKeyStoreError
        If it cannot be used, here and in every method.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            path.touch(mode=0o600)
            if path.stat().st_mode & 0o077:  # a copy made by hand, with a loose umask
                path.chmod(0o600)
        except OSError as error:
            message = f"the file of API keys {str(path)!r} cannot be made: {error}"
            raise ApiKeyStoreError(message) from error
        with self._connection() as connection:
            _use_wal(connection)
        with self._transaction() as connection:
            bring_up_to_date(connection, path)

    @contextmanager
    def _transaction(self, *, reads: bool = False) -> Iterator[sqlite3.Connection]:
        with self._connection() as connection:
            connection.execute("pragma synchronous = full")
            connection.execute("begin" if reads else "begin immediate")
            try:
                yield connection
            except BaseException:
                if connection.in_transaction:  # SQLite ends it itself on some errors
                    connection.execute("rollback")
                raise
            connection.execute("commit")

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(
                sqlite3.connect(self._path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
            ) as connection:
                yield connection
        except sqlite3.Error as error:
            message = f"the file of API keys {str(self._path)!r} cannot be used: {error}"
            if not isinstance(error, sqlite3.OperationalError):  # it is no passing trouble
                message += (
                    "; move it away, with what lies beside it: keys that live in Postgres come "
                    "back from there, others have to be made anew"
                )
            raise ApiKeyStoreError(message) from error

    def create(self, name: str) -> IssuedKey:
        """Issue a key under `name` and return it, with its plain text.

        Raises
        ------
        SettingsError
            If the name is empty, too long, or would not show as it is.
        """
        issued = new_key(name)
        now = _text(datetime.now(UTC))
        with self._transaction() as connection:
            connection.execute(
                "insert into api_keys (id, name, created_at, unsent) values (?, ?, ?, 1)",
                (issued.id, issued.name, now),
            )
            _add_secret(connection, issued.id, hash_key(issued.key.encode()), now, None)
        return issued

    def rotate(self, key_id: str, overlap: timedelta) -> IssuedKey:
        """Give a key a new text; the earlier ones work for `overlap` yet, at most.

        One that was to expire sooner, because of an earlier rotation, still does.

        Raises
        ------
        ApiKeyError
            If no active key has that id.
        """
        now = datetime.now(UTC)
        ends = _text(now + overlap)
        with self._transaction() as connection:
            found = connection.execute(
                "update api_keys set unsent = unsent + 1 where id = ? and revoked_at is null "
                "returning name",
                (key_id,),
            ).fetchone()
            if found is None:
                raise no_active_key(key_id)
            issued = IssuedKey(key_id, found[0], new_text())
            connection.execute(
                "update api_key_secrets set expires_at = min(coalesce(expires_at, ?), ?) "
                "where api_key_id = ?",
                (ends, ends, key_id),
            )
            _add_secret(connection, key_id, hash_key(issued.key.encode()), _text(now), None)
        return issued

    def revoke(self, key_id: str) -> None:
        """Revoke the key with that id, for good.

        Raises
        ------
        ApiKeyError
            If no active key has that id.
        """
        with self._transaction() as connection:
            changed = connection.execute(
                "update api_keys set revoked_at = ?, unsent = unsent + 1 "
                "where id = ? and revoked_at is null",
                (_text(datetime.now(UTC)), key_id),
            ).rowcount
            if not changed:
                raise no_active_key(key_id)

    def all_keys(self) -> list[ApiKey]:
        """Return all keys, oldest first, revoked ones too."""
        return listed([held.key for held in self.content()])

    def content(self, *, only_unsent: bool = False) -> list[HeldKey]:
        """Return all keys as they are held, or those with unsent changes."""
        with self._transaction(reads=True) as connection:
            content = _content(connection)
        return [held for held in content if held.unsent or not only_unsent]

    def followed(self) -> Followed | None:
        """Return what this file is a copy of, or None if it is no copy."""
        with self._transaction(reads=True) as connection:
            found = connection.execute("select identity, token, place from followed").fetchone()
        return Followed(*found) if found else None

    def has_unsent(self) -> bool:
        """Whether keys were changed here that the place which is followed does not know."""
        with self._transaction(reads=True) as connection:
            return bool(connection.execute("select max(unsent) from api_keys").fetchone()[0])

    def follow(
        self, followed: Followed, keys: Sequence[StoredKey], *, sent: Sequence[HeldKey]
    ) -> None:
        """Become a copy of `keys`, in one transaction.

        A key that is changed here and not `sent` yet stays as it is until it is. One that
        the place has had and that is missing among `keys` was deleted there: it is revoked,
        whatever was changed here.

        Parameters
        ----------
        followed
            Whose keys they are.
        keys
            All of them, as they are in one snapshot.
        sent
            Keys that were merged there before, as they were then.
        """
        with self._transaction() as connection:
            connection.executemany(
                "update api_keys set unsent = unsent - ? where id = ?",
                [(held.unsent, held.key.id) for held in sent],
            )
            missing = {held.key.id: held for held in _content(connection)}
            for key in keys:
                before = missing.pop(key.id, None)
                if before is None or (not before.unsent and before.key != key):
                    _put(connection, key)
            _mark_known(connection, [*keys, *(held.key for held in sent)])
            connection.executemany(
                "update api_keys set revoked_at = ? where id = ? and revoked_at is null "
                "and (unsent = 0 or known_there = 1)",
                [(_text(datetime.now(UTC)), key_id) for key_id in missing],
            )
            connection.execute(
                "replace into followed values (1, ?, ?, ?)",
                (followed.identity, followed.token, followed.place),
            )


def _use_wal(connection: sqlite3.Connection) -> None:
    """Let readers not wait for a writer; the file stays so.

    SQLite does not wait itself where two make this change at once.
    """
    deadline = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            connection.execute("pragma journal_mode = wal")
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _content(connection: sqlite3.Connection) -> list[HeldKey]:
    secrets: dict[str, list[Secret]] = {}
    known: dict[str, set[bytes]] = {}
    for key_id, key_hash, created, expires, is_known in connection.execute(
        "select api_key_id, key_hash, created_at, expires_at, known_there from api_key_secrets "
        "order by created_at, key_hash"
    ):
        secret = Secret(key_hash, datetime.fromisoformat(created), _instant(expires))
        secrets.setdefault(key_id, []).append(secret)
        if is_known:
            known.setdefault(key_id, set()).add(key_hash)
    return [
        HeldKey(
            StoredKey(
                key_id,
                name,
                datetime.fromisoformat(created),
                _instant(revoked),
                tuple(secrets.get(key_id, ())),
            ),
            unsent,
            bool(is_known),
            frozenset(known.get(key_id, ())),
        )
        for key_id, name, created, revoked, unsent, is_known in connection.execute(
            "select id, name, created_at, revoked_at, unsent, known_there from api_keys "
            "order by created_at, id"
        )
    ]


def _mark_known(connection: sqlite3.Connection, keys: Sequence[StoredKey]) -> None:
    connection.executemany(
        "update api_keys set known_there = 1 where id = ? and known_there = 0",
        [(key.id,) for key in keys],
    )
    connection.executemany(
        "update api_key_secrets set known_there = 1 where key_hash = ? and known_there = 0",
        [(secret.key_hash,) for key in keys for secret in key.secrets],
    )


def _put(connection: sqlite3.Connection, key: StoredKey) -> None:
    connection.execute(
        "insert into api_keys (id, name, created_at, revoked_at) values (?, ?, ?, ?) "
        "on conflict (id) do update set name = excluded.name, "
        "created_at = excluded.created_at, revoked_at = excluded.revoked_at",
        (key.id, key.name, _text(key.created_at), _text_or_null(key.revoked_at)),
    )
    connection.execute("delete from api_key_secrets where api_key_id = ?", (key.id,))
    for secret in key.secrets:
        expires = _text_or_null(secret.expires_at)
        _add_secret(connection, key.id, secret.key_hash, _text(secret.created_at), expires)


def _add_secret(
    connection: sqlite3.Connection, key_id: str, key_hash: bytes, created: str, expires: str | None
) -> None:
    connection.execute(
        "insert into api_key_secrets (key_hash, api_key_id, created_at, expires_at) "
        "values (?, ?, ?, ?)",
        (key_hash, key_id, created, expires),
    )


def _text(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat(timespec="microseconds")


def _text_or_null(instant: datetime | None) -> str | None:
    return _text(instant) if instant else None


def _instant(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None

"""API keys in Postgres, where they live once one is named.

Every change, by whatever hand, adds a line to `api_key_changes` by a trigger; the lines
are in the order of the commits. The first names these tables, the last their state.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from psycopg import IsolationLevel, sql

from majordomo_analytics.apikeys.copying import State
from majordomo_analytics.apikeys.issuing import (
    IssuedKey,
    KeyUse,
    Secret,
    StoredKey,
    hash_key,
    listed,
    new_key,
    new_text,
    no_active_key,
)
from majordomo_analytics.drain.session import Session
from majordomo_analytics.errors import PostgresError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import timedelta
    from typing import LiteralString

    from psycopg import Connection

    from majordomo_analytics.apikeys.issuing import ApiKey, HeldKey

SINCE_VERSION = 5
"""The migration that makes the tables of API keys what they are; newer ones keep them."""

CONNECT_TIMEOUT_S = 3
ANSWER_TIMEOUT_S = 5.0

# Nobody else changes keys from here to the commit; who only reads does not wait.
_LOCK = "lock table {changes} in share row exclusive mode"
_STATE = """
select
  (select token::text from {changes} order by number limit 1),
  (select token::text from {changes} order by number desc limit 1)
"""
_HAS_HAD = "select exists (select from {changes} where token::text = %s)"
_KEYS = "select id::text, name, created_at, revoked_at from {keys} order by created_at, id"
_SECRETS = """
select api_key_id::text, key_hash, created_at, expires_at from {secrets}
order by created_at, key_hash
"""
_CREATE = "insert into {keys} (id, name) values (%s, %s)"
_ADD_HASH = "insert into {secrets} (key_hash, api_key_id) values (%s, %s)"
_ACTIVE_NAME = "select name from {keys} where id::text = %s and revoked_at is null"
# `least` passes over nulls, and null is never: the sooner of two ends.
_EXPIRE = """
update {secrets} set expires_at = least(expires_at, now() + %s) where api_key_id::text = %s
"""
_REVOKE = "update {keys} set revoked_at = now() where id::text = %s and revoked_at is null"
_MERGE_KEYS = """
insert into {keys} as known (id, name, created_at, revoked_at)
select id, name, created_at, revoked_at
from unnest(%s::uuid[], %s::text[], %s::timestamptz[], %s::timestamptz[], %s::boolean[])
    as held (id, name, created_at, revoked_at, may_be_added)
where may_be_added or exists (select from {keys} as ours where ours.id = held.id)
on conflict (id) do update set revoked_at = least(known.revoked_at, excluded.revoked_at)
"""
_MERGE_SECRETS = """
insert into {secrets} as known (api_key_id, key_hash, created_at, expires_at)
select api_key_id, key_hash, created_at, expires_at
from unnest(%s::uuid[], %s::bytea[], %s::timestamptz[], %s::timestamptz[], %s::boolean[])
    as held (api_key_id, key_hash, created_at, expires_at, may_be_added)
where exists (select from {keys} as ours where ours.id = held.api_key_id)
and (may_be_added or exists (select from {secrets} as ours where ours.key_hash = held.key_hash))
on conflict (key_hash) do update set expires_at = least(known.expires_at, excluded.expires_at)
"""
_USE = "select majordomo_api_key_id::text, request_count, last_used_at from {usage}"


class PostgresKeyStore:
    """The API keys in one schema of a Postgres database.

    Connects when it is first asked, and makes the tables if need be.

    Parameters
    ----------
    dsn
        Where it is: a URL or ``key=value`` pairs, as libpq reads them.
    schema
        The schema of our tables; it is made if need be.
    connect_timeout_s, answer_timeout_s
        How long Postgres may take to let us in, and over one answer.

    Raises
    ------
    SettingsError
        If `dsn` cannot be read or `schema` is no name of one.
    PostgresError
        In every method: if Postgres refuses what is asked, or cannot be reached.
    """

    def __init__(
        self,
        dsn: str,
        *,
        schema: str = "public",
        connect_timeout_s: int = CONNECT_TIMEOUT_S,
        answer_timeout_s: float = ANSWER_TIMEOUT_S,
    ) -> None:
        self._session = Session(
            dsn, schema, connect_timeout_s=connect_timeout_s, answer_timeout_s=answer_timeout_s
        )
        self._tables = {
            "keys": sql.Identifier(schema, "api_keys"),
            "secrets": sql.Identifier(schema, "api_key_secrets"),
            "changes": sql.Identifier(schema, "api_key_changes"),
            "usage": sql.Identifier(schema, "api_key_usage"),
        }

    @property
    def place(self) -> str:
        """The database and the schema."""
        return self._session.place

    def create(self, name: str) -> IssuedKey:
        """Issue a key under `name` and return it, with its plain text.

        Raises
        ------
        SettingsError
            If the name is empty, too long, or would not show as it is.
        """
        issued = new_key(name)
        with self._changing() as connection:
            connection.execute(self._sql(_CREATE), (issued.id, issued.name))
            self._add_secret(connection, issued)
        return issued

    def rotate(self, key_id: str, overlap: timedelta) -> IssuedKey:
        """Give a key a new text; the earlier ones work for `overlap` yet, at most.

        One that was to expire sooner, because of an earlier rotation, still does.

        Raises
        ------
        ApiKeyError
            If no active key has that id.
        """
        with self._changing() as connection:
            found = connection.execute(self._sql(_ACTIVE_NAME), (key_id,)).fetchone()
            if found is None:
                raise no_active_key(key_id)
            issued = IssuedKey(key_id, found[0], new_text())
            connection.execute(self._sql(_EXPIRE), (overlap, key_id))
            self._add_secret(connection, issued)
        return issued

    def revoke(self, key_id: str) -> None:
        """Revoke the key with that id, for good.

        Raises
        ------
        ApiKeyError
            If no active key has that id.
        """
        with self._changing() as connection:
            if not connection.execute(self._sql(_REVOKE), (key_id,)).rowcount:
                raise no_active_key(key_id)

    def all_keys(self) -> list[ApiKey]:
        """Return all keys, oldest first, revoked ones too."""
        return listed(self.content()[1])

    def uses(self) -> dict[str, KeyUse]:
        """Return, by id, what was done with each API key that was used.

        Counted in the transactions that inserted the requests, so as exact as their rows;
        a row that is deleted later is not taken off again.
        """
        with self._asking() as connection:
            found = connection.execute(self._sql(_USE), binary=True).fetchall()
        return {key_id: KeyUse(count, last) for key_id, count, last in found}

    def state(self) -> State:
        """Return what state the tables are in."""
        with self._asking() as connection:
            return self._state(connection)

    def has_had(self, token: str) -> bool:
        """Whether a change is in their history."""
        with self._asking() as connection:
            found = connection.execute(self._sql(_HAS_HAD), (token,)).fetchone()
        return bool(found and found[0])

    def content(self) -> tuple[State, list[StoredKey]]:
        """Return the keys, and the state they are of, from one snapshot."""
        with self._asking() as connection:
            connection.isolation_level = IsolationLevel.REPEATABLE_READ
            try:
                with connection.transaction():
                    state = self._state(connection)
                    # As binary, so that no DateStyle of the database gets in the way.
                    keys = connection.execute(self._sql(_KEYS), binary=True).fetchall()
                    secrets = connection.execute(self._sql(_SECRETS), binary=True).fetchall()
            finally:
                if not connection.closed:
                    connection.isolation_level = None
        of_key: dict[str, list[Secret]] = {}
        for key_id, *secret in secrets:
            of_key.setdefault(key_id, []).append(Secret(*secret))
        return state, [
            StoredKey(key_id, name, created, revoked, tuple(of_key.get(key_id, ())))
            for key_id, name, created, revoked in keys
        ]

    def merge(self, held: Sequence[HeldKey], *, is_later: bool) -> None:
        """Add keys and texts that are not there; revoke and expire what is so in `held`.

        Where the state here `is_later` than the copy, what was here and is no more was
        deleted, and is not added again; no deletion commits in between.
        """
        keys = [one.key for one in held]
        secrets = [
            (one.key.id, secret, not (is_later and secret.key_hash in one.known_hashes))
            for one in held
            for secret in one.key.secrets
        ]
        with self._changing() as connection:
            connection.execute(
                self._sql(_MERGE_KEYS),
                (
                    [key.id for key in keys],
                    [key.name for key in keys],
                    [key.created_at for key in keys],
                    [key.revoked_at for key in keys],
                    [not (is_later and one.is_known) for one in held],
                ),
            )
            connection.execute(
                self._sql(_MERGE_SECRETS),
                (
                    [key_id for key_id, _, _ in secrets],
                    [secret.key_hash for _, secret, _ in secrets],
                    [secret.created_at for _, secret, _ in secrets],
                    [secret.expires_at for _, secret, _ in secrets],
                    [may_be_added for _, _, may_be_added in secrets],
                ),
            )

    def close(self) -> None:
        """Close the connection; the next call makes a new one."""
        self._session.close()

    def _sql(self, text: LiteralString) -> sql.Composed:
        return sql.SQL(text).format(**self._tables)

    def _state(self, connection: Connection[Any]) -> State:
        found = connection.execute(self._sql(_STATE)).fetchone()
        if found is None or found[0] is None:
            message = (
                "the table api_key_changes in Postgres is empty, so that nobody can say whose "
                "API keys these are; `insert into api_key_changes default values` begins anew"
            )
            raise PostgresError(message)
        return State(*found)

    def _add_secret(self, connection: Connection[Any], issued: IssuedKey) -> None:
        digest = hash_key(issued.key.encode())
        connection.execute(self._sql(_ADD_HASH), (digest, issued.id))

    @contextmanager
    def _changing(self) -> Iterator[Connection[Any]]:
        with self._asking() as connection, connection.transaction():
            self._session.guard(connection)
            connection.execute(self._sql(_LOCK))
            yield connection

    @contextmanager
    def _asking(self) -> Iterator[Connection[Any]]:
        session = self._session
        if not session.is_open:
            session.open(lambda version: version >= SINCE_VERSION)
        with session.answering() as connection:
            yield connection

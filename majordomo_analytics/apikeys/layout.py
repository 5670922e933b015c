"""The tables of a file of API keys, and how one of an earlier layout gets them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from majordomo_analytics.errors import ApiKeyStoreError

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

LAYOUT = 3

_LAYOUT_2 = """
create table api_keys (
    id text primary key,
    name text not null,
    created_at text not null,
    revoked_at text,
    -- Changes made here that the place this file follows has not been told.
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
"""
_FROM_LAYOUT_1 = """
insert into api_keys (id, name, created_at, revoked_at, unsent)
select id, name, created_at, revoked_at, 1 from layout_1;
insert into api_key_secrets (key_hash, api_key_id, created_at)
select key_hash, id, created_at from layout_1;
drop table layout_1;
"""
# Whether the place that is followed has had it. Of a key with unsent changes nobody knows
# any more: it may have been made here, so it counts as one that was.
_LAYOUT_3 = """
alter table api_keys add column known_there integer not null default 0;
alter table api_key_secrets add column known_there integer not null default 0;
update api_keys set known_there = 1 where unsent = 0 and exists (select 1 from followed);
update api_key_secrets set known_there = 1
where api_key_id in (select id from api_keys where known_there = 1);
"""


def bring_up_to_date(connection: sqlite3.Connection, path: Path) -> None:
    """Give a file today's tables, within the transaction that is open.

    Raises
    ------
    ApiKeyStoreError
        If a newer version laid it out.
    """
    (layout,) = connection.execute("pragma user_version").fetchone()
    if layout > LAYOUT:
        message = (
            f"the file of API keys {str(path)!r} has layout {layout}, this version reads up to "
            f"{LAYOUT}; upgrade majordomo-analytics"
        )
        raise ApiKeyStoreError(message)
    if layout == LAYOUT:
        return
    statements = _LAYOUT_3
    if layout < 2:
        # The first layout had no number, and one hash in the row of each key.
        is_first = connection.execute(
            "select 1 from sqlite_master where name = 'api_keys'"
        ).fetchone()
        if is_first:
            connection.execute("alter table api_keys rename to layout_1")
        statements = _LAYOUT_2 + (_FROM_LAYOUT_1 if is_first else "") + _LAYOUT_3
    for statement in statements.split(";"):
        connection.execute(statement)  # `executescript` would commit first
    connection.execute(f"pragma user_version = {LAYOUT}")

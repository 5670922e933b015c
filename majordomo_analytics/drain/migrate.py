"""The tables in Postgres: numbered SQL files, run once each and never changed again.

A file `NNNN_name.before_15.sql` is for servers older than 15, instead of
`NNNN_name.sql`; a later migration brings both forms to one state.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, LiteralString

from psycopg import sql

from majordomo_analytics.errors import PostgresError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from psycopg import Connection

APPLIED = "majordomo_migrations"
OUR_TABLES = {
    "llm_requests": 1,
    "llm_requests_metadata_keys": 2,
    "api_keys": 3,
    "api_key_secrets": 5,
    "api_key_changes": 5,
    "api_key_usage": 5,
    "ingest_checkpoint": 1,
    "llm_requests_days": 8,
    "llm_requests_by_day": 8,
}
"""Every table, and the migration that makes it."""
OLDEST_SERVER = 14
LOCK = int.from_bytes(b"majordom")
"""Key of the advisory lock that whoever migrates holds, in any schema of the database."""

_FILE = re.compile(r"(\d{4})_(\w+)(?:\.before_(\d+))?\.sql")


@dataclass(frozen=True, slots=True)
class Migration:
    """One step from an empty schema to today's tables.

    Attributes
    ----------
    version
        Its number, from 1 without a gap.
    name
        What it adds.
    statements
        SQL without names of schemas: it runs where the search path says.
    older_forms
        What older servers get instead, each by the first major version that does not.
    """

    version: int
    name: str
    statements: str
    older_forms: Mapping[int, str] = field(default_factory=dict)

    def statements_for(self, server: int) -> str:
        """Return what a server of a major version runs."""
        fitting = [before for before in self.older_forms if server < before]
        return self.older_forms[min(fitting)] if fitting else self.statements


@cache
def migrations() -> tuple[Migration, ...]:
    """Return all migrations, in order."""
    folder = files("majordomo_analytics.drain").joinpath("migrations")
    forms: dict[tuple[int, str], dict[int, str]] = {}
    for file in folder.iterdir():
        if found := _FILE.fullmatch(file.name):
            version, name, before = found.groups()
            of_step = forms.setdefault((int(version), name), {})
            of_step[int(before or 0)] = file.read_text("utf-8")
    steps = [
        Migration(version, name, of_step.pop(0), of_step)
        for (version, name), of_step in forms.items()
    ]
    return tuple(sorted(steps, key=lambda step: step.version))


def migrate(connection: Connection[Any], schema: str) -> None:
    """Bring the tables in `schema` up to date; two that do so at once wait for each other.

    Raises
    ------
    PostgresError
        If the server is too old, tables of somebody else are in the schema, or a newer
        version of this package made ours; nothing was changed then.
    """
    server = connection.info.server_version // 10_000
    if server < OLDEST_SERVER:
        message = f"PostgreSQL {server} is too old; {OLDEST_SERVER} or newer is needed"
        raise PostgresError(message)
    newest = migrations()[-1].version
    with connection.transaction():
        connection.execute("select pg_advisory_xact_lock(%s)", (LOCK,))
        version = applied_version(connection, schema)
        if version > newest:
            message = (
                f"the tables in the schema {schema!r} have version {version}, this package "
                f"knows up to {newest}; upgrade majordomo-analytics"
            )
            raise PostgresError(message)
        if version == newest:
            return  # another drain has just done it
        _refuse_foreign_tables(connection, schema, version)
        if version == 0:
            name = sql.Identifier(schema)
            if not _exists(connection, "select from pg_namespace where nspname = %s", schema):
                connection.execute(sql.SQL("create schema {}").format(name))
        connection.execute("select set_config('search_path', quote_ident(%s), true)", (schema,))
        connection.execute(
            sql.SQL(
                "create table if not exists {} (version integer primary key, "
                "name text not null, applied_at timestamptz not null default now())"
            ).format(sql.Identifier(APPLIED))
        )
        for migration in migrations():
            if migration.version > version:
                connection.execute(migration.statements_for(server))
                connection.execute(
                    sql.SQL("insert into {} (version, name) values (%s, %s)").format(
                        sql.Identifier(APPLIED)
                    ),
                    (migration.version, migration.name),
                )


def applied_version(connection: Connection[Any], schema: str) -> int:
    """Return the version of our tables in `schema`, 0 if there are none."""
    if not _exists(connection, _TABLE, schema, APPLIED):
        return 0
    newest = connection.execute(
        sql.SQL("select coalesce(max(version), 0) from {}").format(sql.Identifier(schema, APPLIED))
    ).fetchone()
    return int(newest[0]) if newest else 0


def _refuse_foreign_tables(connection: Connection[Any], schema: str, version: int) -> None:
    for table, since in OUR_TABLES.items():
        if since > version and _exists(connection, _TABLE, schema, table):
            message = (
                f"the schema {schema!r} has a table {table!r} that is not ours, such as "
                "another gateway's; nothing in it was changed. Give --postgres-schema NAME "
                "(MAJORDOMO_POSTGRES_SCHEMA) a schema of its own"
            )
            raise PostgresError(message)


_TABLE: LiteralString = (
    "select from pg_class join pg_namespace n on n.oid = relnamespace "
    "where nspname = %s and relname = %s"
)


def _exists(connection: Connection[Any], query: LiteralString, *names: str) -> bool:
    return connection.execute(query, names).fetchone() is not None

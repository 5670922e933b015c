"""The tables in Postgres: from nothing, from each earlier version, never over others'."""

from __future__ import annotations

import hashlib
import threading
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from majordomo_analytics.apikeys.issuing import KeyUse, Secret, StoredKey
from majordomo_analytics.datadir import DataDirectory
from majordomo_analytics.drain import migrate as migrate_module
from majordomo_analytics.drain.keystore import PostgresKeyStore
from majordomo_analytics.drain.migrate import (
    APPLIED,
    OLDEST_SERVER,
    OUR_TABLES,
    migrate,
    migrations,
)
from majordomo_analytics.drain.postgres import WRITTEN, PostgresSink
from majordomo_analytics.errors import PostgresError
from majordomo_analytics.records.columns import COLUMNS
from tests.support.postgres import run, select

SHIPPED = {
    "0001_llm_requests": "17638f125093d99495f872e8cd2d0980b2a6e475e76358e211271d71de475fff",
    "0002_metadata_keys.before_15": (
        "227ca3091dc058fafff429af9b3e6b920f807ea6dcef14928e869692fd502ddc"
    ),
    "0002_metadata_keys": "df30f14da3a3258caf0165706388e799df7982a7d61840ad580c67f343b4721e",
    "0003_api_keys": "a835b34f32f93126e043a648707ecd8b4f31e525c9cd20710b5267b7b4b861dd",
    "0004_metadata_keys_key": "535c34604a5740f313e117a937e0bbf5598b3ea010337f9e5566771c41b259bd",
    "0005_api_key_secrets": "388564a9e0c5a6230502642bf28b537cfea266ce43a30de31fbf4c077f86e246",
    "0006_metadata_key_values": (
        "82bd4f3f2697967616c829813f32b41257651976b2de40ce88bda7fcebdbd57f"
    ),
    "0007_metadata_keys_filled": (
        "7e8802033b15daa58b8b77b40463081b6cc481d385d86ee7bc448580c42cae8f"
    ),
    "0008_days": "8b596474b182163de7b03df8f5cf8c4996e77c4822583c474421d2afe371bbdb",
}
"""SHA-256 of every migration; a new one gets a line, and no line ever changes."""
NEWEST = 8

TYPES = {
    "text": "text",
    "integer": "bigint",
    "money": "numeric(20,10)",
    "instant": "timestamp with time zone",
    "date": "date",
    "boolean": "boolean",
    "text_list": "text[]",
    "text_map": "jsonb",
}
IDS = {"id": "uuid", "majordomo_api_key_id": "uuid"}

COLUMNS_OF = """
select attname, format_type(atttypid, atttypmod), attnotnull
from pg_attribute where attrelid = %s::regclass and attnum > 0 and not attisdropped
"""
WHAT_IS_THERE = """
select table_schema, table_name, column_name, data_type, is_nullable, column_default
from information_schema.columns
where table_schema not in ('pg_catalog', 'information_schema') order by 1, 2, ordinal_position
"""
PARTS = (
    WHAT_IS_THERE,
    "select indexdef from pg_indexes where schemaname = 'public' order by 1",
    """
    select conrelid::regclass::text, conname, pg_get_constraintdef(oid) from pg_constraint
    where connamespace = 'public'::regnamespace order by 1, 2
    """,
    "select pg_get_triggerdef(oid) from pg_trigger where not tgisinternal order by 1",
    """
    select pg_get_functiondef(oid) from pg_proc
    where pronamespace = 'public'::regnamespace order by 1
    """,
)
KEY = "5d651e05-9f1d-4296-9372-27c29b5e6b84"
A_REQUEST = f"""
insert into llm_requests (
    id, requested_at, requested_date, provider, request_method, request_path,
    outcome, usage_status, cost_status, majordomo_api_key_id
) values (
    '00000000-0000-7000-8000-000000000001', '2026-03-04 12:00Z', '2026-03-04', 'openai',
    'POST', '/', 'completed', 'missing', 'no_usage', '{KEY}'
)
"""
A_METADATA_KEY = """
insert into llm_requests_metadata_keys (key_name, request_count, first_seen_at, last_seen_at)
values ('Feature', 7, now(), now())
"""
AN_API_KEY = f"""
insert into api_keys values (
    '{KEY}', 'billing', sha256('mdm_sk_1'),
    '2026-02-03 12:00Z', '2026-03-05 12:00Z'
)
"""
NO_HASH = """
insert into api_keys values (
    '5d651e05-9f1d-4296-9372-27c29b5e6b85', 'by hand', 'mdm_sk_2', '2026-02-04 12:00Z'
)
"""
ADDED = {1: (A_REQUEST,), 2: (A_METADATA_KEY,), 3: (AN_API_KEY, NO_HASH)}
"""Rows of the tables that a version brought, as that version had them."""


def catalog(dsn: str) -> list[list[tuple[object, ...]]]:
    """Return what our tables are: columns, indexes, constraints, triggers, functions."""
    return [select(dsn, part) for part in PARTS]


def migrated(dsn: str, schema: str = "public") -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        migrate(connection, schema)


def test_a_shipped_migration_is_what_it_was() -> None:
    """Whoever has it already will never run it again."""
    folder = Path(migrate_module.__file__).parent / "migrations"
    found = {
        path.stem: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.iterdir())
    }

    assert found == SHIPPED
    assert [step.version for step in migrations()] == list(range(1, NEWEST + 1))
    forms = [1 + len(step.older_forms) for step in migrations()]
    assert sum(forms) == len(SHIPPED)


def test_the_table_of_requests_has_every_column_of_ours(postgres: str) -> None:
    """A column that is new in the table of columns needs a migration that adds it."""
    migrated(postgres)
    expected = {
        column.name: (IDS.get(column.name, TYPES[column.type]), column.required)
        for column in COLUMNS
    }
    expected["indexed_metadata"] = ("jsonb", True)

    found = {
        name: (kind, required)
        for name, kind, required in select(postgres, COLUMNS_OF, "llm_requests")
    }

    assert found == expected
    assert set(WRITTEN) == set(expected)


@pytest.mark.parametrize("version", range(NEWEST))
def test_every_earlier_version_becomes_the_newest_and_keeps_its_rows(
    postgres: str, version: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Equal to the tables that are made from nothing, with the rows that were there."""
    every = migrations()
    if version:
        monkeypatch.setattr(migrate_module, "migrations", lambda: every[:version])
        migrated(postgres)
        # The fifth version gave the table of API keys other columns.
        added = [since for since in ADDED if since <= version and (since < 3 or version < 5)]
        run(postgres, *(row for since in added for row in ADDED[since]))
        monkeypatch.undo()
    migrated(postgres)
    requests = select(postgres, "select id from llm_requests")
    metadata_keys = select(postgres, "select request_count from llm_requests_metadata_keys")
    applied = select(postgres, f"select version, name from {APPLIED} order by version")
    after = catalog(postgres)

    assert len(requests) == (version >= 1)
    assert metadata_keys == ([(7,)] if version >= 2 else [])
    assert applied == [(step.version, step.name) for step in every]
    run(postgres, "drop schema public cascade", "create schema public")
    migrated(postgres)
    assert after == catalog(postgres)


def test_each_form_of_a_migration_comes_to_the_same_tables(
    postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an older server gets instead runs on every one."""
    migrated(postgres)
    made = catalog(postgres)
    older = tuple(
        replace(step, statements=step.statements_for(OLDEST_SERVER), older_forms={})
        for step in migrations()
    )
    monkeypatch.setattr(migrate_module, "migrations", lambda: older)
    run(postgres, "drop schema public cascade", "create schema public")
    migrated(postgres)

    assert catalog(postgres) == made
    assert [step.statements for step in older] != [step.statements_for(99) for step in migrations()]


def test_a_server_gets_the_form_that_is_nearest_above_it() -> None:
    """One that is as old as a form's number says is new enough for the next."""
    step = migrate_module.Migration(1, "x", "newest", {15: "before 15", 17: "before 17"})

    forms = {server: step.statements_for(server) for server in range(14, 19)}

    assert forms == {
        14: "before 15",
        15: "before 17",
        16: "before 17",
        17: "newest",
        18: "newest",
    }


def test_api_keys_of_version_3_work_on_and_their_requests_are_counted(
    postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was no hash is left out, and opened no door; its key is still listed."""
    every = migrations()
    monkeypatch.setattr(migrate_module, "migrations", lambda: every[:3])
    migrated(postgres)
    run(postgres, A_REQUEST, AN_API_KEY, NO_HASH)
    monkeypatch.undo()

    with closing(PostgresKeyStore(postgres)) as there:  # migrates when it is first asked
        _, (billing, by_hand) = there.content()
        uses = there.uses()
        before = there.state()
        issued = there.create("new")
        changed = there.state()

    created = datetime(2026, 2, 3, 12, tzinfo=UTC)
    digest = hashlib.sha256(b"mdm_sk_1").digest()
    assert billing == StoredKey(
        KEY, "billing", created, datetime(2026, 3, 5, 12, tzinfo=UTC), (Secret(digest, created),)
    )
    assert (by_hand.name, by_hand.secrets) == ("by hand", ())
    assert uses == {KEY: KeyUse(1, datetime(2026, 3, 4, 12, tzinfo=UTC))}
    assert changed.token != before.token, f"no trigger saw {issued.id}"


def test_a_request_without_an_api_key_has_one_line_for_each_metadata_key(postgres: str) -> None:
    """A null is equal to a null there, on every version of the server."""
    migrated(postgres)
    run(postgres, A_METADATA_KEY)

    with pytest.raises(psycopg.errors.UniqueViolation):
        run(postgres, A_METADATA_KEY)


def test_migrating_twice_changes_nothing(postgres: str) -> None:
    migrated(postgres)
    before = select(postgres, f"select version, applied_at from {APPLIED}")
    migrated(postgres)

    assert select(postgres, f"select version, applied_at from {APPLIED}") == before


def test_drains_that_migrate_at_once_wait_for_each_other(postgres: str) -> None:
    failures: list[Exception] = []

    def migrate_once() -> None:
        try:
            migrated(postgres)
        except Exception as error:  # noqa: BLE001 - shown by the test
            failures.append(error)

    threads = [threading.Thread(target=migrate_once) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert failures == []
    assert select(postgres, f"select count(*) from {APPLIED}") == [(NEWEST,)]


@pytest.mark.parametrize("table", OUR_TABLES)
def test_a_schema_with_somebody_elses_tables_is_left_as_it_is(
    postgres: str, table: str, data: DataDirectory
) -> None:
    """Another gateway's have the same names; a schema of our own goes beside them."""
    run(postgres, f"create table {table} (id uuid primary key, hers text)")
    before = select(postgres, WHAT_IS_THERE)

    with pytest.raises(PostgresError, match=rf"'{table}' that is not ours.*--postgres-schema"):
        migrated(postgres)

    assert select(postgres, WHAT_IS_THERE) == before
    sink = PostgresSink(postgres, schema='ours "quoted"', lake=data.lake)
    sink.open()
    sink.close()
    ours = [row for row in select(postgres, WHAT_IS_THERE) if row not in before]
    assert {row[0] for row in ours} == {'ours "quoted"'}
    assert {row[1] for row in ours} == {*OUR_TABLES, APPLIED}


def test_a_table_of_somebody_else_stops_the_migration_that_would_make_it(
    postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Our tables of an earlier version are left as they are too."""
    every = migrations()
    monkeypatch.setattr(migrate_module, "migrations", lambda: every[:3])
    migrated(postgres)
    monkeypatch.undo()
    run(postgres, "create table api_key_usage (hers text)")
    before = catalog(postgres)

    with pytest.raises(PostgresError, match="'api_key_usage' that is not ours"):
        migrated(postgres)

    assert catalog(postgres) == before
    assert select(postgres, f"select max(version) from {APPLIED}") == [(3,)]


def test_tables_of_a_newer_version_are_refused(postgres: str) -> None:
    migrated(postgres)
    run(postgres, f"insert into {APPLIED} values (99, 'later')")

    with pytest.raises(PostgresError, match=r"version 99, .*upgrade majordomo-analytics"):
        migrated(postgres)


def test_a_migration_that_fails_leaves_nothing_behind(
    postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = migrate_module.Migration(NEWEST + 1, "broken", "create table half (); select nonsense")
    monkeypatch.setattr(migrate_module, "migrations", lambda: (*migrations(), broken))

    with pytest.raises(psycopg.Error, match="nonsense"):
        migrated(postgres)

    assert select(postgres, WHAT_IS_THERE) == []


def test_an_old_server_is_refused_with_the_version_that_is_needed(
    postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrate_module, "OLDEST_SERVER", 99)

    with pytest.raises(PostgresError, match=r"PostgreSQL \d+ is too old; 99 or newer"):
        migrated(postgres)

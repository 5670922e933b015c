"""The tables in Postgres: from nothing, from each earlier version, never over others'."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path

import psycopg
import pytest

from majordomo_analytics.datadir import DataDirectory
from majordomo_analytics.drain import migrate as migrate_module
from majordomo_analytics.drain.migrate import APPLIED, OUR_TABLES, migrate, migrations
from majordomo_analytics.drain.postgres import WRITTEN, PostgresSink
from majordomo_analytics.errors import PostgresError
from majordomo_analytics.records.columns import COLUMNS
from tests.support.postgres import run, select

SHIPPED = {
    "0001_llm_requests": "17638f125093d99495f872e8cd2d0980b2a6e475e76358e211271d71de475fff",
    "0002_metadata_keys": "ba88da1f51b7d39a06d4994bc76e3890717827d3ac8e41d9b2f0a92c34c0d44a",
    "0003_api_keys": "e607ac082f95a38b10a46528220c6095d05df2ffa9c1d8f29a304724d01a931c",
}
"""SHA-256 of every migration; a new one gets a line, and no line ever changes."""

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
INDEXES = "select indexdef from pg_indexes where schemaname = 'public' order by 1"


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
    assert [step.version for step in migrations()] == list(range(1, len(SHIPPED) + 1))


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


@pytest.mark.parametrize("version", range(len(SHIPPED)))
def test_every_earlier_version_becomes_the_newest_and_keeps_its_rows(
    postgres: str, version: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Equal to the tables that are made from nothing, with the row that was there."""
    every = migrations()
    if version:
        monkeypatch.setattr(migrate_module, "migrations", lambda: every[:version])
        migrated(postgres)
        run(
            postgres,
            "insert into llm_requests (id, requested_at, requested_date, provider, "
            "request_method, request_path, outcome, usage_status, cost_status) values "
            "('00000000-0000-7000-8000-000000000001', now(), now(), 'openai', 'POST', '/', "
            "'completed', 'missing', 'no_usage')",
        )
        monkeypatch.undo()
    migrated(postgres)
    after = (select(postgres, WHAT_IS_THERE), select(postgres, INDEXES))
    applied = select(postgres, f"select version, name from {APPLIED} order by version")

    assert applied == [(step.version, step.name) for step in every]
    assert len(select(postgres, "select id from llm_requests")) == (1 if version else 0)
    tables = (*OUR_TABLES, APPLIED)
    run(postgres, f"drop table {', '.join(tables)}")
    migrated(postgres)
    assert after == (select(postgres, WHAT_IS_THERE), select(postgres, INDEXES))


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
    assert select(postgres, f"select count(*) from {APPLIED}") == [(len(SHIPPED),)]


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


def test_tables_of_a_newer_version_are_refused(postgres: str) -> None:
    migrated(postgres)
    run(postgres, f"insert into {APPLIED} values (99, 'later')")

    with pytest.raises(PostgresError, match=r"version 99, .*upgrade majordomo-analytics"):
        migrated(postgres)


def test_a_migration_that_fails_leaves_nothing_behind(
    postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = migrate_module.Migration(4, "broken", "create table half (); select nonsense")
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

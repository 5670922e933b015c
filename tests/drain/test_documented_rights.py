"""What the page on Postgres says about rights and later promotion is so, word by word."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from majordomo_analytics.datadir import DataDirectory
from majordomo_analytics.drain.loop import DrainReport, drain_once
from majordomo_analytics.drain.postgres import PostgresSink
from majordomo_analytics.drain.sinks import LakeSink
from tests.drain.spools import spool
from tests.support.postgres import run, select
from tests.support.records import a_record

PAGE = (Path(__file__).parents[2] / "docs" / "postgres.md").read_text("utf-8")


def printed(beginning: str) -> str:
    """Return the SQL on the page that begins so."""
    blocks = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
    (found,) = [block for block in blocks if block.startswith(beginning)]
    return str(found)


def drained(data: DataDirectory, dsn: str) -> DrainReport:
    return drain_once(data, (LakeSink(data.lake), PostgresSink(dsn, lake=data.lake)))


@pytest.fixture
def role(postgres: str) -> Iterator[str]:
    name = f"role_{uuid.uuid4().hex}"
    run(postgres, f"create role {name} login password 'x'")
    yield name
    run(postgres, f"drop owned by {name}", f"drop role {name}")


def test_the_owner_of_a_database_needs_nothing_more(
    data: DataDirectory, postgres_server: str
) -> None:
    names = {word: f"{word}_{uuid.uuid4().hex}" for word in ("majordomo", "llm")}
    statements = printed("create role majordomo")
    for word, name in names.items():
        statements = re.sub(rf"\b{word}\b", name, statements)
    run(postgres_server, *statements.strip().splitlines())
    spool(data, a_record())
    dsn = make_conninfo(
        postgres_server, dbname=names["llm"], user=names["majordomo"], password="PASSWORD"
    )
    try:
        assert drained(data, dsn) == DrainReport(rows=1, postgres_rows=1, spools_removed=1)
    finally:
        run(
            postgres_server,
            f"drop database if exists {names['llm']} with (force)",
            f"drop role {names['majordomo']}",
        )


def test_a_role_that_makes_no_tables_drains_once_they_are_made(
    data: DataDirectory, postgres: str, role: str
) -> None:
    spool(data, a_record())
    drained(data, postgres)
    run(postgres, "revoke create on schema public from public")
    run(postgres, *printed("grant usage").replace("drain;", f"{role};").strip().splitlines())
    spool(data, a_record())

    report = drained(data, make_conninfo(postgres, user=role, password="x"))

    assert report == DrainReport(rows=1, postgres_rows=1, spools_removed=1)
    counts = "select request_count from llm_requests_metadata_keys"
    assert select(postgres, counts) == [(2,)]


def test_how_far_behind_it_is(data: DataDirectory, postgres: str) -> None:
    spool(data, a_record())
    drained(data, postgres)

    ((behind,),) = select(postgres, printed("select now() - max"))
    assert timedelta(0) <= behind < timedelta(minutes=5)


def test_a_row_that_was_deleted_does_not_come_back(data: DataDirectory, postgres: str) -> None:
    writer = spool(data, a_record(), a_record(), close=False)
    drained(data, postgres)
    with psycopg.connect(postgres) as connection:
        connection.execute(
            "delete from llm_requests where id = (select min(id::text)::uuid from llm_requests)"
        )

    assert drained(data, postgres) == DrainReport()
    writer.close()
    assert select(postgres, "select count(*) from llm_requests") == [(1,)]

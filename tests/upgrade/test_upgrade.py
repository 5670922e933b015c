"""What an earlier version left goes on without a loss: directory, lake, database, keys."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import tarfile
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import polars as pl
import psycopg
import pytest

from majordomo_analytics.datadir import DataDirectory
from majordomo_analytics.drain.keystore import PostgresKeyStore
from majordomo_analytics.drain.migrate import migrations
from majordomo_analytics.drain.postgres import PostgresSink
from majordomo_analytics.spool.files import spool_files
from tests.support.postgres import select
from tests.support.proxy import mdm, running_proxy
from tests.support.upstream import Upstream, answer_json, answer_stream

ARCHIVES = sorted(Path(__file__).parent.glob("*.tar.xz"))


def unpacked(archive: Path, folder: Path, dsn: str) -> tuple[DataDirectory, dict[str, Any]]:
    """Put a directory and a database there as they were; return what the callers knew."""
    with tarfile.open(archive) as members:
        members.extractall(folder, filter="data")
    with psycopg.connect(dsn, autocommit=True) as connection:
        if connection.info.server_version < 150_000:
            pytest.skip("the version that made the archive needed PostgreSQL 15")
        connection.execute((folder / "database.sql").read_bytes())
    data = DataDirectory(folder / "data")
    # The database has moved, which an earlier version could not know.
    place = PostgresSink(dsn, lake=data.lake).place
    (data.spool / "postgres.fed").write_text(place, "utf-8")
    return data, json.loads((folder / "callers.json").read_text("utf-8"))


def in_lake(data: DataDirectory) -> list[str]:
    return sorted(pl.scan_delta(str(data.lake)).collect()["id"])


def in_postgres(dsn: str) -> list[str]:
    return sorted(str(row[0]) for row in select(dsn, "select id from llm_requests"))


@pytest.mark.parametrize("archive", ARCHIVES, ids=lambda path: path.name)
def test_an_archive_is_what_it_says(archive: Path, tmp_path: Path, postgres: str) -> None:
    """Else the tests below would show nothing."""
    data, callers = unpacked(archive, tmp_path, postgres)
    known = set(callers["ids"])
    waiting: set[str] = set()
    for spool in data.spool.glob("*.sqlite"):
        with closing(sqlite3.connect(spool)) as connection:
            waiting |= {row[0] for row in connection.execute("select id from finished")}
    settled = set(in_lake(data)) & {*in_postgres(postgres), callers["dead"]}

    assert len(callers["ids"]) == len(known) == 60
    assert waiting | settled == known
    assert len(waiting & settled) == 13
    assert known.issuperset(in_lake(data))
    assert len(in_lake(data)) == 50
    assert known.issuperset(in_postgres(postgres))
    assert len(in_postgres(postgres)) == 29
    assert select(postgres, "select max(version) from majordomo_migrations") == [(3,)]
    assert select(postgres, "select name from api_keys") == [("test",)]


def test_there_is_an_archive_of_the_first_version() -> None:
    assert "spool_1.tar.xz" in [path.name for path in ARCHIVES]


@pytest.mark.parametrize("archive", ARCHIVES, ids=lambda path: path.name)
def test_what_an_earlier_version_left_goes_on_without_a_loss(
    archive: Path, tmp_path: Path, postgres: str
) -> None:
    """The old API key opens the door, and each sink has old and new requests once."""
    data, callers = unpacked(archive, tmp_path, postgres)
    known, dead = set(callers["ids"]), callers["dead"]
    new = []
    with (
        Upstream(answer_stream) as upstream,
        running_proxy(
            data.root, key=callers["key"], openai_base_url=upstream.url, postgres=postgres
        ) as proxy,
    ):
        for body in ({"model": "gpt-4o-mini", "stream": True}, {"model": "gpt-4o-mini"}) * 4:
            answer = proxy.post(json={**body, "messages": []})
            assert answer.status_code == 200
            new.append(answer.headers["x-majordomo-log-id"])
            upstream.script = answer_json
        ended = proxy.stop()
    drained = mdm("drain", "--data", str(data.root), "--once", "--postgres", postgres)
    before_the_retry = in_postgres(postgres)
    mdm("drain", "--data", str(data.root), "--retry-dead", "--once", "--postgres", postgres)

    assert (ended, drained.returncode) == (0, 0)
    assert in_lake(data) == in_postgres(postgres) == sorted({*known, *new})
    assert before_the_retry == sorted({*known, *new} - {dead})
    assert spool_files(data.spool) == []
    assert select(postgres, "select max(version) from majordomo_migrations") == [
        (migrations()[-1].version,)
    ]
    with closing(PostgresKeyStore(postgres)) as keys:
        _, (key,) = keys.content()
        uses = keys.uses()
    assert (key.name, len(key.secrets)) == ("test", 1)
    assert key.secrets[0].key_hash == hashlib.sha256(callers["key"].encode()).digest()
    assert uses[key.id].request_count == len({*known, *new})


@pytest.mark.parametrize("archive", ARCHIVES, ids=lambda path: path.name)
def test_metadata_keys_and_costs_of_old_rows_are_counted_once(
    archive: Path, tmp_path: Path, postgres: str
) -> None:
    """The registry counts on from where it was; both sinks have the same cost."""
    data, _ = unpacked(archive, tmp_path, postgres)
    mdm("drain", "--data", str(data.root), "--once", "--retry-dead", "--postgres", postgres)

    rows = pl.scan_delta(str(data.lake)).collect()
    tagged: Counter[str] = Counter()
    for metadata in rows["raw_metadata"]:
        tagged.update(metadata.keys())
    registered = select(
        postgres,
        "select key_name, sum(request_count)::int from llm_requests_metadata_keys group by 1",
    )
    assert dict(registered) == tagged == {"Feature": 38, "Ticket": 38}
    assert select(postgres, "select sum(total_cost) from llm_requests") == [
        (rows["total_cost"].sum(),)
    ]
    assert rows.filter(pl.col("rerank_searches").is_not_null()).height == 0

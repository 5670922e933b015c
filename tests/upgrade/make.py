"""How an archive of an earlier version was made: once, by the code of that version.

    python -m tests.upgrade.make tests/upgrade/spool_1.tar.xz

The proxy and the drain ran as users run them, and were killed at a time when

- the lake had 50 requests and Postgres 29 of them, and others waited in finished spools,
- the first spool was gone, as both had it, and Postgres had a part of the second,
- one was a dead letter of Postgres, which refused it by a constraint that is gone,
- 10 more had reached the spool and no sink, most of them in a write-ahead log that nobody
  had folded in.

`spool_1` was made by the last commit before API keys lived in Postgres, d10c461: its spools
have version 1, its tables version 3. It was a checkout of it, with `tests/upgrade` and
`tests/support` of a later one. The database is as that code left it, but for one row: it
made a table `api_keys` and never wrote to it, so the API key was put there by hand. From
the lake some columns were taken away, which one of an earlier version did not have. The
server was PostgreSQL 15, and none that is older takes the dump.

A later version makes an archive of its own, under another name, with a pg_dump no newer
than the server.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import polars as pl
import psycopg
from deltalake import CommitProperties, DeltaTable, Schema, Transaction, write_deltalake

from tests.support.postgres import Line, run, select
from tests.support.proxy import RunningProxy, children, running_proxy
from tests.support.server import binaries, running_server
from tests.support.upstream import Upstream, answer_json

COLUMNS_ADDED_LATER = ("social_searches", "code_executions", "rerank_searches")
REFUSED = "refused"
WITHIN_S = 60.0


def main() -> None:
    (name,) = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        database, callers = make(data)
        older_lake(data / "lake" / "llm_requests")
        shutil.rmtree(data / "run")  # made anew at each start
        (Path(folder) / "database.sql").write_text(database, "utf-8")
        (Path(folder) / "callers.json").write_text(json.dumps(callers, indent=1), "utf-8")
        with tarfile.open(name, "w:xz") as archive:
            for member in ("callers.json", "database.sql", "data"):
                archive.add(Path(folder) / member, member)


def make(data: Path) -> tuple[str, dict[str, object]]:
    """Use the proxy; return a dump of the database, and what the callers know."""
    with running_server() as server, Upstream(answer_json) as upstream, Line(server.dsn) as line:
        with running_proxy(
            data, openai_base_url=upstream.url, postgres=line.dsn, spool_rotate_bytes="15000"
        ) as proxy:
            ids = call(proxy, 9)
            wait_for(lambda: set(ids) <= in_postgres(server.dsn))
            run(
                server.dsn,
                "alter table llm_requests add constraint strict "
                f"check (requested_model is distinct from '{REFUSED}')",
            )
            (refused,) = call(proxy, 1, model=REFUSED)
            ids += call(proxy, 20)
            wait_for(lambda: set(ids) <= in_postgres(server.dsn))
            line.break_off("refuse")
            ids += [refused, *call(proxy, 20)]
            wait_for(lambda: set(ids) <= in_lake(data))
            (drain,) = set(children(proxy.supervisor)) - set(proxy.workers())
            os.kill(drain, signal.SIGSTOP)
            ids += call(proxy, 10)
            proxy.kill()
        run(server.dsn, "alter table llm_requests drop constraint strict")
        copy_api_keys(data / "api_keys.sqlite", server.dsn)
        return dump(server.dsn), {"key": proxy.key, "ids": ids, "dead": refused}


def call(proxy: RunningProxy, times: int, model: str = "gpt-4o-mini") -> list[str]:
    """Return the ids of answers that came whole; one in three has no metadata."""
    ids = []
    for n in range(times):
        tags = {"Feature": f"feature-{n % 2}", "Ticket": str(n)} if n % 3 else {}
        answer = proxy.post(headers=proxy.headers(**tags), json={"model": model, "messages": []})
        assert answer.status_code == 200
        ids.append(answer.headers["x-majordomo-log-id"])
    return ids


def in_lake(data: Path) -> set[str]:
    return set(pl.scan_delta(str(data / "lake" / "llm_requests")).collect()["id"])


def in_postgres(dsn: str) -> set[str]:
    if select(dsn, "select to_regclass('llm_requests')") == [(None,)]:
        return set()
    return {str(row[0]) for row in select(dsn, "select id from llm_requests")}


def copy_api_keys(store: Path, dsn: str) -> None:
    """Put the API keys of a data directory into the table that nothing wrote to."""
    with closing(sqlite3.connect(store)) as there, psycopg.connect(dsn) as here:
        for key in there.execute("select id, name, key_hash, created_at from api_keys"):
            here.execute(
                "insert into api_keys (id, name, key_hash, created_at) values (%s, %s, %s, %s)",
                key,
            )


def wait_for(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def dump(dsn: str) -> str:
    """Return the database as SQL that any client may run."""
    program = binaries() / "pg_dump"
    dumped = subprocess.run(
        [program, "--inserts", "--no-owner", "--no-privileges", dsn],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return re.sub(r"(?m)^(\\.*|--.*|)\n", "", dumped.stdout)  # psql's own, and comments


def older_lake(lake: Path) -> None:
    """Write the lake anew without some columns; positions in spools are kept."""
    table = DeltaTable(str(lake))
    rows = table.to_pyarrow_table().drop_columns(list(COLUMNS_ADDED_LATER))
    fields = [f for f in table.schema().fields if f.name not in COLUMNS_ADDED_LATER]
    spools = [path.stem for path in lake.parent.parent.joinpath("spool").glob("*.sqlite")]
    positions = [(spool, table.transaction_version(spool)) for spool in spools]
    about = table.metadata()
    shutil.rmtree(lake)
    made = DeltaTable.create(
        str(lake),
        Schema(fields),
        partition_by=about.partition_columns,
        name=about.name,
        description=about.description,
        configuration=about.configuration,
        raise_if_key_not_exists=False,
    )
    properties = CommitProperties(
        app_transactions=[Transaction(spool, last) for spool, last in positions if last]
    )
    write_deltalake(made, rows, mode="append", commit_properties=properties)


if __name__ == "__main__":
    main()

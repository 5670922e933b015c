"""A promoted key is in `indexed_metadata` of every row, whoever inserts meanwhile."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable
from typing import Any

import pytest
from deltalake import DeltaTable, Field

import majordomo_analytics as ma
from majordomo_analytics.datadir import DataDirectory
from majordomo_analytics.drain import pages as pages_module
from majordomo_analytics.drain import postgres as postgres_module
from majordomo_analytics.drain.indexing import demote_in_postgres, promote_in_postgres
from majordomo_analytics.drain.postgres import PostgresSink
from majordomo_analytics.drain.sinks import Place
from majordomo_analytics.errors import LakeError, PostgresUnreachableError
from majordomo_analytics.lake.table import create_lake
from majordomo_analytics.records.columns import promoted_column
from tests.support.postgres import run, select
from tests.support.records import a_record

INDEXED = "select indexed_metadata from llm_requests"


def promote_in_lake(data: DataDirectory, key: str) -> None:
    column = Field(promoted_column(key), "string", nullable=True)  # type: ignore[arg-type]
    DeltaTable(str(data.lake)).alter.add_columns([column])


def fill(data: DataDirectory, dsn: str, tags: Iterable[dict[str, str]]) -> None:
    """Insert rows as a drain does."""
    create_lake(data.lake)
    sink = PostgresSink(dsn, lake=data.lake)
    sink.open()
    sink.append([a_record(metadata=dict(each)) for each in tags], Place("first", 1, 1))
    sink.close()


def indexed_in(dsn: str) -> list[dict[str, str]]:
    """Return `indexed_metadata` of all rows, sorted."""
    rows = [dict(sorted(row.items())) for (row,) in select(dsn, INDEXED)]
    return sorted(rows, key=str)


def test_every_row_gets_the_key_and_loses_it_again(data: DataDirectory, postgres: str) -> None:
    """Rows without it stay as they are; the registry of keys says so, too."""
    tags = [{"Feature": "a", "Plan": f"p{n}"} for n in range(7)] + [{"Feature": "b"}, {}]
    fill(data, postgres, tags)
    seen: list[int] = []

    assert promote_in_postgres(postgres, ["plan"], on_rows=seen.append) == 7
    assert indexed_in(postgres) == sorted(tags, key=str)
    assert seen == [9]
    active = "select key_name, is_active, activated_at is not null from llm_requests_metadata_keys"
    assert sorted(select(postgres, active)) == [("Feature", True, True), ("Plan", True, True)]
    assert promote_in_postgres(postgres, ["Plan"]) == 0

    assert demote_in_postgres(postgres, ["PLAN"]) == 7
    without = [{name: value for name, value in each.items() if name != "Plan"} for each in tags]
    assert indexed_in(postgres) == sorted(without, key=str)
    assert sorted(select(postgres, active)) == [("Feature", True, True), ("Plan", False, False)]


def test_an_empty_table_has_nothing_to_fill(data: DataDirectory, postgres: str) -> None:
    """Also one that is made only now, in a schema of its own."""
    assert promote_in_postgres(postgres, ["Plan"], schema="books") == 0


def test_the_index_finds_rows_by_the_promoted_key(data: DataDirectory, postgres: str) -> None:
    fill(data, postgres, ({"Plan": f"p{n}"} for n in range(3000)))
    promote_in_lake(data, "Plan")
    promote_in_postgres(postgres, ["Plan"])

    query = """select count(*) from llm_requests where indexed_metadata @> '{"Plan": "p7"}'"""
    plan = "\n".join(row for (row,) in select(postgres, f"explain {query}"))

    assert "llm_requests_indexed_metadata" in plan
    assert select(postgres, query) == [(1,)]


def test_a_batch_under_way_when_a_key_is_promoted_has_it_in_the_end(
    data: DataDirectory, postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The drain has looked what is promoted, and inserts: who promotes waits for it."""
    fill(data, postgres, [{"Plan": "early"}])
    sink = PostgresSink(postgres, lake=data.lake)
    sink.open()
    insert = sink._insert
    promoting: list[threading.Thread] = []

    def insert_amid(*arguments: Any) -> int:
        promote_in_lake(data, "Plan")
        thread = threading.Thread(target=promote_in_postgres, args=(postgres, ["Plan"]))
        thread.start()
        promoting.append(thread)
        waits = "select count(*) from pg_locks where locktype = 'advisory' and not granted"
        while select(postgres, waits) == [(0,)]:
            assert thread.is_alive()
        return insert(*arguments)

    monkeypatch.setattr(sink, "_insert", insert_amid)
    sink.append([a_record(metadata={"Plan": "amid"})], Place("s", 1, 1))
    promoting[0].join()
    monkeypatch.setattr(sink, "_insert", insert)
    sink.append([a_record(metadata={"Plan": "late"})], Place("s", 2, 2))
    sink.close()

    plans = {row["Plan"] for (row,) in select(postgres, INDEXED)}
    assert plans == {"early", "amid", "late"}


def test_a_key_promoted_between_opening_and_inserting_is_seen(
    data: DataDirectory, postgres: str
) -> None:
    """A pass may be long: the lake is asked again in each transaction."""
    create_lake(data.lake)
    sink = PostgresSink(postgres, lake=data.lake)
    sink.open()
    promote_in_lake(data, "Plan")

    sink.append([a_record(metadata={"Plan": "x"})], Place("s", 1, 1))
    sink.close()

    assert select(postgres, INDEXED) == [({"Plan": "x"},)]


def test_what_is_not_to_be_reached_is_said() -> None:
    with pytest.raises(PostgresUnreachableError, match="cannot be reached"):
        promote_in_postgres("postgresql://nobody@127.0.0.1:9/none", ["Plan"])


SCRIPT = (
    "import sys\n"
    "from majordomo_analytics.drain import pages\n"
    "from majordomo_analytics.drain.indexing import promote_in_postgres\n"
    "pages.ROWS_PER_PAGE = 100\n"
    "promote_in_postgres(sys.argv[1], ['Plan'], on_rows=lambda _: print('page', flush=True))\n"
)


def served_by(dsn: str) -> str:
    """Return the plan of the statement that the ledger asks one value of the key with."""
    statement = ma.open(dsn).query("requests", filters={"Plan": "p7"}).sql
    return "\n".join(row for (row,) in select(dsn, f"explain {statement}"))


def plans_of(dsn: str) -> list[tuple[Any, ...]]:
    return ma.open(dsn).query("requests", "Plan").to_polars().sort("Plan").rows()


def test_a_finished_promotion_is_served_by_the_index_and_one_cut_short_is_not(
    data: DataDirectory, postgres: str
) -> None:
    """The answers are the same before, amid and after, and once it is demoted again."""
    fill(data, postgres, ({"Plan": f"p{n % 1000}"} for n in range(3000)))
    expected = sorted((f"p{n}", 3) for n in range(1000))
    assert plans_of(postgres) == expected
    promote_in_lake(data, "Plan")

    killed_after(5, SCRIPT, postgres)
    partly = "select count(*) from llm_requests where indexed_metadata ? 'Plan'"
    assert 0 < select(postgres, partly)[0][0] < 3000
    assert "llm_requests_indexed_metadata" not in served_by(postgres)
    assert plans_of(postgres) == expected

    promote_in_postgres(postgres, ["Plan"])
    assert "llm_requests_indexed_metadata" in served_by(postgres)
    assert plans_of(postgres) == expected

    demote_in_postgres(postgres, ["Plan"])
    assert "llm_requests_indexed_metadata" not in served_by(postgres)
    assert plans_of(postgres) == expected
    noted = "select filled_activation from llm_requests_metadata_keys where key_name = 'Plan'"
    assert select(postgres, noted) == [(None,)]


@pytest.mark.parametrize("when", ["amid", "after"])
def test_rows_of_a_drain_that_cannot_read_the_lake_end_the_trust(
    data: DataDirectory, postgres: str, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """Whether they come while rows are gone through, or once all had the key."""
    fill(data, postgres, ({"Plan": f"p{n}"} for n in range(3000)))
    stale = PostgresSink(postgres, lake=data.lake)
    stale.open()
    promote_in_lake(data, "Plan")
    inserted: list[int] = []

    def insert(_: int) -> None:
        if inserted:
            return
        with monkeypatch.context() as patched:
            patched.setattr(postgres_module, "lake_promoted", cannot_be_read)
            row = a_record(id="00000000-0000-7000-8000-000000000000", metadata={"Plan": "p7"})
            inserted.append(stale.append([row], Place("s", 1, 1)))
        # And the next drain has the key again, so that it is promoted at the end.
        late = PostgresSink(postgres, lake=data.lake)
        late.open()
        late.append([a_record(metadata={"Plan": "p8"})], Place("t", 1, 1))
        late.close()

    monkeypatch.setattr(pages_module, "ROWS_PER_PAGE", 1000)
    promote_in_postgres(postgres, ["Plan"], on_rows=insert if when == "amid" else lambda _: None)
    insert(0)
    stale.close()

    lacking = "select count(*) from llm_requests where not indexed_metadata ? 'Plan'"
    active = "select is_active from llm_requests_metadata_keys where key_name = 'Plan'"
    assert (inserted, select(postgres, lacking), select(postgres, active)) == (
        [1],
        [(1,)],
        [(True,)],
    )
    asked = ma.open(postgres)
    assert asked.query("requests", filters={"Plan": "p7"}).total == {"requests": 2}
    assert "llm_requests_indexed_metadata" not in served_by(postgres)

    promote_in_postgres(postgres, ["Plan"])
    assert asked.query("requests", filters={"Plan": "p7"}).total == {"requests": 2}
    assert "llm_requests_indexed_metadata" in served_by(postgres)


def cannot_be_read(_: object) -> tuple[str, ...]:
    raise LakeError("no lake")


def test_a_demotion_under_way_leaves_alone_what_is_promoted_again(
    data: DataDirectory, postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pages that it had not come to keep the key, and those before get it again."""
    fill(data, postgres, ({"Plan": f"p{n}"} for n in range(3000)))
    promote_in_lake(data, "Plan")
    promote_in_postgres(postgres, ["Plan"])
    monkeypatch.setattr(pages_module, "ROWS_PER_PAGE", 1000)
    filled: list[int] = []

    def promote_again(_: int) -> None:
        if not filled:
            filled.append(promote_in_postgres(postgres, ["Plan"]))

    assert demote_in_postgres(postgres, ["Plan"], on_rows=promote_again) == 1000
    assert filled == [1000]
    lacking = "select count(*) from llm_requests where not indexed_metadata ? 'Plan'"
    assert select(postgres, lacking) == [(0,)]
    assert "llm_requests_indexed_metadata" in served_by(postgres)


def test_tables_of_the_version_before_are_read_as_they_are(
    data: DataDirectory, postgres: str
) -> None:
    """Nobody has noted there what is filled; what always was promoted is trusted."""
    tags = ({"Plan": f"p{n}", "Feature": f"f{n}"} for n in range(3000))
    fill(data, postgres, tags)
    run(postgres, "alter table llm_requests_metadata_keys drop filled_activation")
    run(postgres, "update llm_requests_metadata_keys set is_active = true, activated_at = now()")
    run(
        postgres,
        "update llm_requests_metadata_keys set created_at = activated_at"
        " where key_name = 'Feature'",
        "analyze llm_requests",
    )

    assert "llm_requests_indexed_metadata" not in served_by(postgres)
    statement = ma.open(postgres).query("requests", filters={"Feature": "f7"}).sql
    assert "indexed_metadata" in str(statement)


def killed_after(lines: int, script: str, *arguments: str) -> None:
    """Run a script and kill it when it has printed some lines."""
    with subprocess.Popen(
        [sys.executable, "-c", script, *arguments], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        for _ in range(lines):
            process.stdout.readline()
        os.kill(process.pid, signal.SIGKILL)


@pytest.mark.slow
def test_killed_again_and_again_while_a_drain_inserts(
    data: DataDirectory, postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each row has the key at the end: those before, those after, and those meanwhile."""
    monkeypatch.setattr(pages_module, "ROWS_PER_PAGE", 100)
    fill(data, postgres, ({"Plan": f"p{n}"} for n in range(3000)))
    stop = threading.Event()
    drained = [3000]

    def drain() -> None:
        sink = PostgresSink(postgres, lake=data.lake)
        sink.open()
        number = 0
        while not stop.is_set():
            number += 1
            tags = [{"Plan": f"q{number}"} for _ in range(20)]
            sink.append([a_record(metadata=each) for each in tags], Place("s", number, number))
            drained[0] += 20
        sink.close()

    thread = threading.Thread(target=drain)
    thread.start()
    try:
        promote_in_lake(data, "Plan")
        for lines in (1, 5, 12):
            killed_after(lines, SCRIPT, postgres)
        filled = promote_in_postgres(postgres, ["Plan"])
    finally:
        stop.set()
        thread.join()

    assert 0 < filled < 3000
    lacking = "select count(*) from llm_requests where indexed_metadata <> raw_metadata"
    assert select(postgres, lacking) == [(0,)]
    assert select(postgres, "select count(*) from llm_requests") == [(drained[0],)]

"""Requests are counted by API key in the transaction that inserts them: exactly."""

from __future__ import annotations

import uuid
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from majordomo_analytics.apikeys.issuing import KeyUse
from majordomo_analytics.datadir import DataDirectory
from majordomo_analytics.drain import migrate as migrate_module
from majordomo_analytics.drain.keystore import PostgresKeyStore
from majordomo_analytics.drain.loop import drain_once
from majordomo_analytics.drain.migrate import migrate, migrations
from majordomo_analytics.drain.postgres import PostgresSink
from majordomo_analytics.drain.sinks import LakeSink, Place
from majordomo_analytics.errors import PostgresError
from majordomo_analytics.lake.keyuse import uses_of_api_keys
from majordomo_analytics.records.request import RequestRecord
from tests.drain.spools import spool
from tests.support.postgres import Line, run, select
from tests.support.records import a_record

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
KEYS = [None, *(str(uuid.UUID(int=number)) for number in range(1, 4))]


def record(key: int, minute: int) -> RequestRecord:
    return a_record(majordomo_api_key_id=KEYS[key], requested_at=NOON + timedelta(minutes=minute))


def counted(records: list[RequestRecord]) -> dict[str, KeyUse]:
    """Count requests, each id once, the long way."""
    unique = {r.id: r for r in records if r.majordomo_api_key_id is not None}.values()
    counts = Counter(r.majordomo_api_key_id for r in unique)
    return {
        key: KeyUse(count, max(r.requested_at for r in unique if r.majordomo_api_key_id == key))
        for key, count in counts.items()
        if key is not None
    }


def test_requests_are_counted_in_both_sinks_by_key_and_the_last_is_known(
    data: DataDirectory, postgres: str
) -> None:
    """In any order; requests without an API key belong to none."""
    records = [record(1, 5), record(1, 9), record(1, 7), record(2, 1), record(0, 3)]
    spool(data, *records[:2])
    drain_once(data, (LakeSink(data.lake), PostgresSink(postgres, lake=data.lake)))
    spool(data, *records[2:])
    drain_once(data, (LakeSink(data.lake), PostgresSink(postgres, lake=data.lake)))

    expected = {
        KEYS[1]: KeyUse(3, NOON + timedelta(minutes=9)),
        KEYS[2]: KeyUse(1, NOON + timedelta(minutes=1)),
    }
    with closing(PostgresKeyStore(postgres)) as there:
        assert there.uses() == expected
    in_lake = uses_of_api_keys(data.lake)
    assert {key: KeyUse(*use) for key, use in in_lake.items()} == expected


def test_counting_the_lake_tells_how_many_rows_it_has_read(data: DataDirectory) -> None:
    """All rows, also those without an API key: a bar shows how far it is."""
    read: list[int] = []
    for batch in ([record(1, 1), record(0, 2)], [record(2, 3)]):
        spool(data, *batch)
        drain_once(data, (LakeSink(data.lake),))

    uses = uses_of_api_keys(data.lake, on_rows=read.append)

    assert sorted(read) == [1, 2]
    assert set(uses) == {KEYS[1], KEYS[2]}


def test_a_lake_that_is_not_there_yet_has_no_uses(data: DataDirectory) -> None:
    assert uses_of_api_keys(data.lake) == {}


@settings(max_examples=15, suppress_health_check=list(HealthCheck), deadline=None)
@given(
    batches=st.lists(
        st.lists(st.tuples(st.integers(0, 3), st.integers(0, 500)), max_size=6), max_size=4
    ),
    again=st.lists(st.integers(0, 20), max_size=6),
)
def test_rows_that_come_again_are_not_counted_again(
    postgres: str,
    tmp_path_factory: pytest.TempPathFactory,
    batches: list[list[tuple[int, int]]],
    again: list[int],
) -> None:
    """Batches of any sizes, then some rows once more with new ones beside them."""
    data = DataDirectory.create(tmp_path_factory.mktemp("counts") / "data")
    every: list[RequestRecord] = []
    with closing(PostgresSink(postgres, lake=data.lake)) as sink:
        sink.open()
        run(postgres, "truncate llm_requests, api_key_usage, ingest_checkpoint")
        for batch in batches:
            records = [record(*one) for one in batch]
            sink.append(records, None)
            every += records
        repeated = [every[number % len(every)] for number in again] if every else []
        unique = list({r.id: r for r in repeated}.values())
        sink.append([*unique, new := record(1, 600)], None)
    every.append(new)

    with closing(PostgresKeyStore(postgres)) as there:
        assert there.uses() == counted(every)


def test_a_batch_whose_commit_was_not_confirmed_is_counted_once(
    data: DataDirectory, postgres: str
) -> None:
    records = [record(1, minute) for minute in range(20)]
    place = Place("a spool", 1, 20)
    with Line(postgres) as line, closing(PostgresSink(line.dsn, lake=data.lake)) as sink:
        sink.open()
        line.break_off("cut-at-commit")
        # The line may be cut before the commit was sent, too: it is open already.
        for _ in range(3):
            try:
                sink.open()
                line.way = "cut-at-commit" if not line.cuts else "through"
                sink.append(records, place)
            except PostgresError:
                continue
        assert line.cuts == 1

    with closing(PostgresKeyStore(postgres)) as there:
        assert there.uses() == counted(records)


def test_a_row_that_is_only_tried_out_is_not_counted(data: DataDirectory, postgres: str) -> None:
    with closing(PostgresSink(postgres, lake=data.lake)) as sink:
        sink.open()
        sink.try_out([record(1, 0)])

    with closing(PostgresKeyStore(postgres)) as there:
        assert there.uses() == {}


def test_a_key_that_postgres_learns_of_later_has_its_earlier_requests(
    data: DataDirectory, postgres: str
) -> None:
    """The drain may be quicker than the copy."""
    spool(data, record(1, 0), record(1, 1))
    drain_once(data, (LakeSink(data.lake), PostgresSink(postgres, lake=data.lake)))
    run(postgres, f"insert into api_keys (id, name) values ('{KEYS[1]}', 'late')")

    with closing(PostgresKeyStore(postgres)) as there:
        (key,) = there.all_keys()
        assert there.uses()[key.id].request_count == 2


def test_draining_does_not_look_like_a_change_of_keys(data: DataDirectory, postgres: str) -> None:
    """Else every batch would have every proxy copy all keys."""
    with closing(PostgresKeyStore(postgres)) as there:
        issued = there.create("billing")
        before = there.state()
        spool(data, a_record(majordomo_api_key_id=issued.id))
        drain_once(data, (LakeSink(data.lake), PostgresSink(postgres, lake=data.lake)))

        assert there.uses()[issued.id].request_count == 1
        assert there.state() == before


def test_requests_of_an_earlier_version_are_counted_when_the_tables_are_made(
    postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = migrations()
    monkeypatch.setattr(migrate_module, "migrations", lambda: every[:4])
    with psycopg.connect(postgres, autocommit=True) as connection:
        migrate(connection, "public")
        monkeypatch.undo()
        for key in ("null", f"'{KEYS[1]}'", f"'{KEYS[1]}'"):
            run(
                postgres,
                "insert into llm_requests (id, requested_at, requested_date, provider, "
                "request_method, request_path, outcome, usage_status, cost_status, "
                f"majordomo_api_key_id) values (gen_random_uuid(), '{NOON}', now(), 'openai', "
                f"'POST', '/', 'completed', 'missing', 'no_usage', {key})",
            )
        migrate(connection, "public")

    with closing(PostgresKeyStore(postgres)) as there:
        assert there.uses() == {KEYS[1]: KeyUse(2, NOON)}
    assert select(postgres, "select count(*) from llm_requests") == [(3,)]

"""Postgres holds every row once, in the columns that other gateways have too."""

from __future__ import annotations

import time
import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pyarrow as pa
import pytest
from deltalake import DeltaTable, Schema
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from majordomo_analytics.datadir import DataDirectory
from majordomo_analytics.drain import session as session_module
from majordomo_analytics.drain.loop import DrainReport, drain_once
from majordomo_analytics.drain.passes import serve
from majordomo_analytics.drain.postgres import PostgresSink
from majordomo_analytics.drain.removal import fed_sinks
from majordomo_analytics.drain.sinks import LakeSink, Place, Sink
from majordomo_analytics.errors import PostgresError, PostgresUnreachableError, SettingsError
from majordomo_analytics.records.metadata import clean_text
from majordomo_analytics.spool.files import spool_files
from tests.drain.spools import spool
from tests.support.postgres import Line, run, select
from tests.support.proxy import lake_rows, mdm
from tests.support.records import a_record

KEY = str(uuid.UUID(int=1))
OTHER_KEY = str(uuid.UUID(int=2))


def both(data: DataDirectory, dsn: str) -> tuple[Sink, Sink]:
    return LakeSink(data.lake), PostgresSink(dsn, lake=data.lake)


def rows_of(dsn: str) -> list[dict[str, Any]]:
    """Return all rows as dicts, by their ids."""
    found = select(dsn, "select to_jsonb(r), total_cost from llm_requests r order by id")
    return [{**row, "total_cost": total_cost} for row, total_cost in found]


def test_a_row_is_the_same_in_the_lake_and_in_postgres(data: DataDirectory, postgres: str) -> None:
    """Column by column, as text of JSON; only when each took it differs."""
    record = a_record(
        majordomo_api_key_id=KEY,
        responded_at=datetime(2026, 11, 20, 12, 0, 1, 2, tzinfo=UTC),
        retry_attempt=1,
        is_streamed=False,
        metadata={"Feature": "search", "Ticket": 'ä "☕" \\'},
        flags=("metadata_cut", "metadata_repeated"),
    )
    spool(data, record)

    report = drain_once(data, both(data, postgres))

    assert report == DrainReport(rows=1, spools_removed=1, postgres_rows=1)
    (ours,) = lake_rows(data.root)
    (theirs,) = rows_of(postgres)
    assert theirs.pop("indexed_metadata") == {"Feature": "search"}
    for row in (ours, theirs):
        del row["created_at"]
    for name in ("requested_at", "responded_at"):
        theirs[name] = datetime.fromisoformat(theirs[name])
    ours["requested_date"] = ours["requested_date"].isoformat()
    ours = {name: value for name, value in ours.items() if not name.startswith("indexed_")}
    costs = [name for name in ours if name.endswith("_cost")]
    for name in costs:
        assert ours.pop(name) == (None if theirs[name] is None else Decimal(str(theirs[name])))
        del theirs[name]
    assert theirs == ours


def test_draining_the_same_spool_to_a_second_postgres_later_inserts_its_rows(
    data: DataDirectory, postgres: str
) -> None:
    """Each sink is asked how far it is: the lake has these rows, Postgres none."""
    writer = spool(data, a_record(), a_record(), close=False)
    assert drain_once(data) == DrainReport(rows=2)

    assert drain_once(data, both(data, postgres)) == DrainReport(postgres_rows=2)

    writer.close()
    assert drain_once(data, both(data, postgres)) == DrainReport(spools_removed=1)


def test_a_batch_that_is_given_twice_is_inserted_and_counted_once(
    data: DataDirectory, postgres: str
) -> None:
    records = [a_record(majordomo_api_key_id=KEY, metadata={"Feature": "x"}) for _ in range(3)]
    sink = PostgresSink(postgres, lake=data.lake)
    sink.open()

    taken = [sink.append(records, Place("spool", 1, 3)) for _ in range(2)]
    position = sink.position("spool")
    sink.close()

    assert (taken, position) == ([3, 0], 3)
    assert select(postgres, "select request_count from llm_requests_metadata_keys") == [(3,)]


def test_a_position_never_goes_back(data: DataDirectory, postgres: str) -> None:
    """Should an older batch come late, as after a commit whose end nobody saw."""
    sink = PostgresSink(postgres, lake=data.lake)
    sink.open()
    sink.append([], Place("spool", 4, 6))
    sink.append([], Place("spool", 1, 3))

    assert [sink.position(name) for name in ("spool", "other")] == [6, 0]
    sink.close()


def test_metadata_keys_are_counted_per_api_key_with_first_and_last_seen(
    data: DataDirectory, postgres: str
) -> None:
    noon = datetime(2026, 11, 20, 12, tzinfo=UTC)
    hours = [noon + timedelta(hours=n) for n in range(4)]
    spool(
        data,
        a_record(
            majordomo_api_key_id=KEY, requested_at=hours[1], metadata={"Feature": "a", "Step": "1"}
        ),
        a_record(majordomo_api_key_id=KEY, requested_at=hours[0], metadata={"Feature": "b"}),
        a_record(majordomo_api_key_id=OTHER_KEY, requested_at=hours[2], metadata={"Feature": "a"}),
        a_record(requested_at=hours[3], metadata={"Feature": "c"}),
        a_record(majordomo_api_key_id=KEY, metadata={}),
    )
    drain_once(data, both(data, postgres))
    spool(
        data,
        a_record(majordomo_api_key_id=KEY, requested_at=hours[3], metadata={"Feature": "a"}),
        a_record(requested_at=hours[3], metadata={"Feature": "c"}),
    )
    drain_once(data, both(data, postgres))

    found = select(
        postgres,
        "select majordomo_api_key_id::text, key_name, request_count, first_seen_at, last_seen_at, "
        "is_active from llm_requests_metadata_keys order by 1, 2",
    )
    assert found == [
        (KEY, "Feature", 3, hours[0], hours[3], True),
        (KEY, "Step", 1, hours[1], hours[1], False),
        (OTHER_KEY, "Feature", 1, hours[2], hours[2], True),
        (None, "Feature", 2, hours[3], hours[3], True),
    ]


def test_trap_22_commit_whose_acknowledgement_was_lost_is_not_made_twice(
    data: DataDirectory, postgres: str
) -> None:
    """The server has committed when the line is cut; the drain cannot know."""
    with Line(postgres) as line:
        sinks = both(data, line.dsn)
        drain_once(data, sinks)  # makes the tables, so that the next commit is that of rows
        spool(data, *[a_record(majordomo_api_key_id=KEY) for _ in range(5)])
        line.way = "cut-at-commit"

        cut = drain_once(data, sinks)
        rows_after_the_cut = len(rows_of(postgres))
        again = drain_once(data, sinks)

    assert line.cuts == 1
    assert (cut.rows, cut.postgres_rows, cut.spools_removed) == (5, 0, 0)
    assert "Postgres cannot be reached" in cut.troubles[0]
    assert again == DrainReport(spools_removed=1)
    assert rows_after_the_cut == len(rows_of(postgres)) == 5
    assert select(postgres, "select request_count from llm_requests_metadata_keys") == [(5,)]


@pytest.mark.parametrize("way", ["refuse", "black-hole"])
def test_the_lake_gets_its_rows_while_postgres_cannot_be_reached(
    data: DataDirectory, postgres: str, way: Any
) -> None:
    """The spool stays until both have it, though its worker is gone."""
    spool(data, a_record())
    with Line(postgres, way=way) as line:
        sinks = (
            LakeSink(data.lake),
            PostgresSink(line.dsn, lake=data.lake, connect_timeout_s=2),
        )
        down = drain_once(data, sinks)
        line.way = "through"
        up = drain_once(data, sinks)

    assert (down.rows, down.postgres_rows, down.spools_removed) == (1, 0, 0)
    assert "postgres: Postgres cannot be reached" in down.troubles[0]
    assert up == DrainReport(postgres_rows=1, spools_removed=1)


def test_a_server_that_falls_silent_is_given_up_in_time(data: DataDirectory, postgres: str) -> None:
    """The connection stands, the batch was sent, and nothing ever comes back."""
    with Line(postgres) as line:
        sink = PostgresSink(line.dsn, lake=data.lake, answer_timeout_s=1.0)
        sink.open()
        line.way = "black-hole"
        begun = time.monotonic()
        with pytest.raises(PostgresUnreachableError, match="not answer within 1 s"):
            sink.append([a_record()], Place("spool", 1, 1))
        took_s = time.monotonic() - begun
        line.way = "through"
        sink.open()
        assert sink.append([a_record()], Place("spool", 1, 1)) == 1
        sink.close()

    assert 0.9 < took_s < 10


def test_a_transaction_that_the_network_parted_us_from_does_not_lock_its_rows_for_hours(
    data: DataDirectory, postgres: str
) -> None:
    """The server knows of nothing; the same rows come again by another connection."""
    records = [a_record(majordomo_api_key_id=KEY, metadata={"Feature": "x"}) for _ in range(3)]
    place = Place("spool", 1, 3)
    with Line(postgres) as line:
        sink = PostgresSink(line.dsn, lake=data.lake, answer_timeout_s=2.0)
        sink.open()
        line.way = "parted-at-commit"
        with pytest.raises(PostgresUnreachableError, match="not answer within 2 s"):
            sink.append(records, place)
        deadline = time.monotonic() + 30
        taken = None
        while taken is None:
            try:
                sink.open()
                taken = sink.append(records, place)
            except PostgresUnreachableError:
                assert time.monotonic() < deadline
        sink.close()

    assert line.cuts == 1
    assert taken == len(rows_of(postgres)) == 3
    assert select(postgres, "select request_count from llm_requests_metadata_keys") == [(3,)]


def test_postgres_gets_its_rows_while_the_lake_cannot_be_written(
    data: DataDirectory, postgres: str
) -> None:
    spool(data, a_record())
    data.lake.parent.write_text("a file stands where the lake's folder should be")

    down = drain_once(data, both(data, postgres))
    data.lake.parent.unlink()
    up = drain_once(data, both(data, postgres))

    assert (down.rows, down.postgres_rows, down.spools_removed) == (0, 1, 0)
    assert down.troubles[0].startswith("lake: the lake at")
    assert up == DrainReport(rows=1, spools_removed=1)
    assert len(lake_rows(data.root)) == len(rows_of(postgres)) == 1


def test_a_drain_without_postgres_keeps_what_postgres_has_not_got(
    data: DataDirectory, postgres: str
) -> None:
    """Until it is forgotten on purpose."""
    drain_once(data, both(data, postgres))
    spool(data, a_record())
    arguments = ("drain", "--data", str(data.root), "--once")

    without = mdm(*arguments)
    assert len(spool_files(data.spool)) == 1
    assert "rows wait in the spool for postgres" in without.stderr

    mdm(*arguments[:-1], "--forget-postgres")  # which ends by itself
    assert spool_files(data.spool) == []


@pytest.mark.parametrize("option", [True, False], ids=["option", "variable"])
def test_the_command_says_which_sink_could_not_be_reached_and_never_the_password(
    data: DataDirectory, option: bool
) -> None:
    spool(data, a_record())
    dsn = "postgresql://drain:s3cr3t-pw@127.0.0.1:1/x"
    arguments = ["drain", "--data", str(data.root), "--once"]

    if option:
        ended = mdm(*arguments, "--postgres", dsn, check=False)
    else:
        ended = mdm(*arguments, check=False, MAJORDOMO_POSTGRES=dsn)

    assert ended.returncode == 3
    assert "postgres: Postgres cannot be reached" in ended.stderr
    assert "1 requests appended" in ended.stderr
    assert "s3cr3t" not in ended.stderr + ended.stdout


@pytest.mark.parametrize(
    "dsn",
    [
        "postgres:/drain:s3cr3t-pw@host/x",
        "postgresql://drain:pw@s3cr3t-pw@host/x",
        "postgresql://drain:s3cr3t-pw@host:s3cr3t-pw/x?nonsense=s3cr3t-pw",
        "s3cr3t-pw",
        "postgresql://drain:s3cr3t/pw@host/x",
        "postgresql://drain:12/s3cr3t@host/x",
        "host=h port=s3cr3t dbname=x",
        "host=h port=70000 dbname=s3cr3t",
    ],
)
def test_an_address_that_cannot_be_read_is_not_repeated(dsn: str, data: DataDirectory) -> None:
    with pytest.raises(SettingsError) as caught:
        PostgresSink(dsn, lake=data.lake)

    assert "s3cr3t" not in str(caught.value)
    assert "postgresql://USER:PASSWORD@HOST" in str(caught.value)
    assert "%2F for a /" in str(caught.value)


@pytest.mark.parametrize("name", ["connect_timeout", "keepalives_idle", "tcp_user_timeout"])
def test_a_number_in_an_address_that_is_none_is_a_mistake_in_the_address(
    name: str, data: DataDirectory
) -> None:
    """Not something that Postgres refuses, which would be tried again for ever."""
    PostgresSink(f"dbname=x {name}=7", lake=data.lake)
    with pytest.raises(SettingsError, match=f"{name} in the address .* whole number"):
        PostgresSink(f"dbname=x {name}=abc", lake=data.lake)


@pytest.mark.parametrize(
    ("dsn", "place"),
    [
        ("postgresql://u:pw@db.example:6432/llm", "host=db.example port=6432 dbname=llm"),
        ("host=db.example dbname=llm user=u password=pw", "host=db.example port=5432 dbname=llm"),
        ("postgresql://u:pw@db.example?sslmode=disable", "host=db.example port=5432 dbname=u"),
        ("host=a,b port=1,2 dbname='x y'", "host=a,b port=1,2 dbname='x y'"),
    ],
)
def test_a_place_is_told_by_what_leads_there_and_by_no_role_or_password(
    dsn: str, place: str, data: DataDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PGHOST", "PGPORT", "PGDATABASE", "PGSERVICE"):
        monkeypatch.delenv(name, raising=False)
    assert PostgresSink(dsn, schema="own", lake=data.lake).place == f"{place} schema=own"


def test_the_environment_leads_to_another_place(
    data: DataDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGHOST", "one")
    one = PostgresSink("dbname=x", lake=data.lake).place
    monkeypatch.setenv("PGHOST", "two")

    assert "host=one" in one
    assert "host=two" in PostgresSink("dbname=x", lake=data.lake).place


def test_another_postgres_gets_nothing_until_the_first_is_forgotten(
    data: DataDirectory, postgres: str
) -> None:
    """It would have the first one's rows removed; the lake goes on meanwhile."""
    spool(data, a_record())
    with Line(postgres) as line:
        drain_once(data, (LakeSink(data.lake), PostgresSink(line.dsn, lake=data.lake)))
        line.break_off("refuse")
        spool(data, a_record())
        elsewhere = ("drain", "--data", str(data.root), "--postgres", postgres)
        first = drain_once(data, (LakeSink(data.lake), PostgresSink(line.dsn, lake=data.lake)))
        refused = mdm(*elsewhere, "--once", check=False)
        kept = len(spool_files(data.spool))
    changed = mdm(*elsewhere, "--forget-postgres")

    assert (first.rows, refused.returncode, kept) == (1, 3, 1)
    assert f"port={line.port}" in refused.stderr
    assert "--forget-postgres" in refused.stderr
    assert "1 requests inserted into Postgres" in changed.stderr
    assert spool_files(data.spool) == []


def test_the_postgres_that_is_named_cannot_be_forgotten(data: DataDirectory, postgres: str) -> None:
    drain_once(data, both(data, postgres))
    both_ways = ("drain", "--data", str(data.root), "--postgres", postgres, "--forget-postgres")

    assert mdm(*both_ways, check=False).returncode == 2
    assert fed_sinks(data) == {"lake", "postgres"}


def test_an_address_that_was_never_reached_is_not_remembered(data: DataDirectory) -> None:
    """Rows wait for it as long as it is named, and go when the mistake is corrected."""
    spool(data, a_record())
    mistyped = PostgresSink("postgresql://u@127.0.0.1:1/x", lake=data.lake)

    assert drain_once(data, (LakeSink(data.lake), mistyped)).spools_removed == 0
    assert fed_sinks(data) == {"lake"}
    assert drain_once(data).spools_removed == 1


@pytest.mark.parametrize("schema", ["", "x" * 64, "ä" * 32, "a\x00"])
def test_a_name_that_postgres_would_cut_is_refused(schema: str, data: DataDirectory) -> None:
    """It has 63 bytes for a name and forgets the others."""
    with pytest.raises(SettingsError, match="a name of 1 to 63 bytes"):
        PostgresSink("dbname=x", schema=schema, lake=data.lake)


def test_the_repr_of_a_sink_has_no_address(data: DataDirectory) -> None:
    assert repr(PostgresSink("postgresql://u:s3cr3t@h/d", lake=data.lake)) == (
        "PostgresSink(schema='public')"
    )


@pytest.mark.parametrize(
    ("password", "said", "told"),
    [
        ("s3cr3t", "no s3cr3t here: s3cr3t", "no … here: …"),
        (
            "s3c",
            "service s3c refused postgresql://u:s3c@h",
            "service s3c refused postgresql://u:…@h",
        ),
        ("e", "the role e password=e x", "the role e password=… x"),
    ],
)
def test_a_short_password_is_masked_only_where_it_is_a_password(
    data: DataDirectory, password: str, said: str, told: str
) -> None:
    """One that is masked inside of words makes the sentence a riddle, and tells itself."""
    sink = PostgresSink(f"dbname=x password={password}", lake=data.lake)
    assert sink._session.said(ValueError(said)) == told


def test_a_foreign_table_stops_postgres_and_not_the_lake(
    data: DataDirectory, postgres: str
) -> None:
    run(postgres, "create table llm_requests (id uuid primary key, model varchar(100))")
    spool(data, a_record())
    arguments = ("drain", "--data", str(data.root), "--once", "--postgres", postgres)

    refused = mdm(*arguments, check=False)
    assert refused.returncode == 3
    assert "--postgres-schema" in refused.stderr
    assert len(lake_rows(data.root)) == 1

    mdm(*arguments, "--postgres-schema", "majordomo")
    assert select(postgres, "select count(*) from majordomo.llm_requests") == [(1,)]
    assert select(postgres, "select count(*) from llm_requests") == [(0,)]


texts = st.text(max_size=40).map(clean_text)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    metadata=st.dictionaries(texts.filter(bool), texts, max_size=4),
    model=texts,
    message=texts,
    flags=st.lists(texts, max_size=3),
)
def test_whatever_text_a_row_has_comes_back_as_it_was(
    data: DataDirectory,
    postgres: str,
    metadata: dict[str, str],
    model: str,
    message: str,
    flags: list[str],
) -> None:
    """Tabs, backslashes, braces and quotes are nothing special on the way."""
    record = a_record(
        model=model, error_message=message, metadata=metadata, flags=tuple(dict.fromkeys(flags))
    )
    sink = PostgresSink(postgres, lake=data.lake)
    sink.open()
    sink.append([record], None)
    sink.close()

    (row,) = select(
        postgres,
        "select model, error_message, raw_metadata, flags from llm_requests where id = %s",
        record.id,
    )
    assert row == (model, message, metadata, list(record.flags))


def test_promoted_keys_alone_are_indexed(data: DataDirectory, postgres: str) -> None:
    spool(data, a_record(metadata={"Feature": "a", "Team": "b", "Request-Id": "c"}))
    drain_once(data, both(data, postgres))

    (row,) = rows_of(postgres)
    assert row["indexed_metadata"] == {"Feature": "a", "Team": "b"}
    assert row["raw_metadata"] == {"Feature": "a", "Team": "b", "Request-Id": "c"}


# The connection


def test_a_connection_is_kept_from_pass_to_pass_and_made_anew_when_it_was_lost(
    data: DataDirectory, postgres: str
) -> None:
    """A server that was started anew is no trouble that anybody has to read of."""
    sink = PostgresSink(postgres, lake=data.lake)
    others = "from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
    sink.open()
    (first,) = select(postgres, f"select pid {others}")
    sink.open()
    assert select(postgres, f"select pid {others}") == [first]

    select(postgres, f"select pg_terminate_backend(pid) {others}")
    sink.open()

    assert sink.append([a_record()], Place("spool", 1, 1)) == 1
    sink.close()


def test_a_session_that_may_only_read_is_not_kept(data: DataDirectory, postgres: str) -> None:
    """As after a failover: the server that writes is reached by a new connection."""
    (name,) = select(postgres, "select current_database()")[0]
    sink = PostgresSink(postgres, lake=data.lake)
    sink.open()
    sink.close()
    run(postgres, f"alter database {name} set default_transaction_read_only = on")
    sink.open()
    with pytest.raises(PostgresError, match="read-only"):
        sink.append([a_record()], Place("spool", 1, 1))
    with psycopg.connect(f"{postgres} options='-c default_transaction_read_only=off'") as session:
        session.execute(f"alter database {name} reset default_transaction_read_only".encode())

    assert sink.open()
    assert sink.append([a_record()], Place("spool", 1, 1)) == 1
    sink.close()


def test_a_connection_that_could_not_be_made_ready_is_not_kept(
    data: DataDirectory, postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever went wrong: tables that are half made would be taken for ready ones."""
    sink = PostgresSink(postgres, lake=data.lake)
    with monkeypatch.context() as patched:
        patched.setattr(session_module, "migrate", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            sink.open()

    assert sink.open()
    assert sink.position("spool") == 0
    sink.close()


def test_positions_of_spools_are_asked_anew_after_a_reconnect(
    data: DataDirectory, postgres: str
) -> None:
    """What answers now may be an older state, which has not what was finished before."""
    waiting = spool(data, a_record()).uuid
    sink = PostgresSink(postgres, lake=data.lake)
    finished: dict[str, int] = {}
    serve(data, sink, finished=finished)
    assert finished == {waiting: 1}
    run(
        postgres,
        "truncate llm_requests, ingest_checkpoint",
        "select pg_terminate_backend(pid) from pg_stat_activity "
        "where datname = current_database() and pid <> pg_backend_pid()",
    )

    again = serve(data, sink, finished=finished)

    assert (again.rows, again.troubles) == (1, [])
    assert len(rows_of(postgres)) == 1
    sink.close()


def test_a_sink_that_was_not_opened_is_unreachable(data: DataDirectory, postgres: str) -> None:
    with pytest.raises(PostgresUnreachableError, match="no connection"):
        PostgresSink(postgres, lake=data.lake).position("spool")


def test_what_the_role_may_not_do_is_said_and_the_lake_goes_on(
    data: DataDirectory, postgres: str
) -> None:
    """Since PostgreSQL 15 not everybody may make tables in the schema public."""
    role = f"drain_{uuid.uuid4().hex}"
    run(postgres, f"create role {role} login password 'x'")
    run(postgres, "revoke create on schema public from public")  # as a newer one has it
    spool(data, a_record())
    try:
        dsn = psycopg.conninfo.make_conninfo(postgres, user=role, password="s3cr3t-pw")
        report = drain_once(data, both(data, dsn))
    finally:
        run(postgres, f"drop role {role}")

    (trouble,) = report.troubles
    assert "permission denied for schema public" in trouble or "authentication" in trouble
    assert "s3cr3t" not in trouble
    assert report.rows == 1


def test_keys_promoted_in_the_lake_are_indexed_from_the_next_pass_on(
    data: DataDirectory, postgres: str
) -> None:
    sinks = both(data, postgres)
    spool(data, a_record(metadata={"Plan": "pro"}))
    drain_once(data, sinks)
    DeltaTable(str(data.lake)).alter.add_columns(
        Schema.from_arrow(pa.schema([pa.field("indexed_Plan", pa.string())])).fields
    )
    spool(data, a_record(metadata={"Plan": "free"}))
    drain_once(data, sinks)

    assert [row["indexed_metadata"] for row in rows_of(postgres)] == [{}, {"Plan": "free"}]
    assert select(postgres, "select is_active from llm_requests_metadata_keys") == [(True,)]

"""Postgres answers on the server, from one snapshot, and never writes."""

from __future__ import annotations

import gc
import math
import random
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.conninfo import conninfo_to_dict, make_conninfo

import majordomo_analytics as ma
from majordomo_analytics.engines.postgres.engine import PostgresEngine
from majordomo_analytics.errors import PostgresError, PostgresUnreachableError
from majordomo_analytics.plan import fields as ma_fields
from tests.support.postgres import run, select
from tests.support.requests import request, write_lake, write_postgres
from tests.support.server import running_server


def same(one: ma.QueryResult, other: ma.QueryResult) -> None:
    """Assert that two engines agree; quantiles may differ in the last bit of a float."""
    left, right = one.to_polars(), other.to_polars()
    assert left.schema == right.schema
    assert left.height == right.height
    columns = {name: (left[name].to_list(), right[name].to_list()) for name in left.columns}
    totals = {name: ([value], [other.total[name]]) for name, value in one.total.items()}
    for name, pairs in [*columns.items(), *totals.items()]:
        for a, b in zip(*pairs, strict=True):
            assert a == b or (isinstance(a, float) and math.isclose(a, b, rel_tol=1e-12)), name


@pytest.fixture
def ledger(postgres: str) -> ma.Ledger:
    return ma.open(write_postgres(postgres))


# What it answers


def test_an_open_ledger_says_what_it_holds(ledger: ma.Ledger, postgres: str) -> None:
    """Counted on the server; the address is shown without its password."""
    assert "5 requests, $13.76, 2026-10-01 to 2026-10-31 UTC, by Feature" in repr(ledger)
    with_password = ma.open(make_conninfo(postgres, password="s3cr3t-word"))
    assert "s3cr3t-word" not in repr(with_password)
    assert "s3cr3t-word" not in repr(with_password.source)


def test_requests_are_those_of_the_lake(ledger: ma.Ledger, tmp_path: Path) -> None:
    """The same columns, types and values, whichever store they come from."""
    lake = ma.open(write_lake(tmp_path / "lake"))

    for one, other in ((ledger, lake), (ledger.filter(Team="legal"), lake.filter(Team="legal"))):
        mine, theirs = one.requests(), other.requests()
        assert mine.collect_schema() == theirs.collect_schema()
        found, expected = (frame.sort("id").collect().to_dicts() for frame in (mine, theirs))
        assert found == expected
    assert ledger.requests().head(2).collect().height == 2


def test_metadata_keys_are_those_of_the_lake(ledger: ma.Ledger, tmp_path: Path) -> None:
    """With counts, distinct values and times, and of the requests that are asked about."""
    lake = ma.open(write_lake(tmp_path / "lake"))

    assert ledger.metadata_keys().equals(lake.metadata_keys())
    october_first = ledger.during("2026-10-01").metadata_keys()
    assert october_first.select("name", "requests").rows() == [
        ("Feature", 2),
        ("Team", 2),
        ("Plan", 1),
    ]


def test_a_key_of_the_start_is_known_before_any_request_has_it(ledger: ma.Ledger) -> None:
    """A question by it is no error, and every request is untagged."""
    assert ledger.query("requests", "user_tier").to_polars().rows() == [("(untagged)", 5)]
    with pytest.raises(ma.UnknownNameError, match="did you mean 'Plan'"):
        ledger.query("requests", "Plam")


def test_an_empty_table_gives_an_empty_result_with_its_dtypes(postgres: str) -> None:
    """No rows, no requests, and sums that are not known."""
    ledger = ma.open(write_postgres(postgres, []))

    result = ledger.query(dimensions=["Feature", "status_code"], time_grain="hour", limit=3)

    assert result.to_polars().is_empty()
    assert result.to_polars().schema["total_cost"] == pl.Decimal(38, 10)
    assert result.total == {"total_cost": None, "requests": 0}
    assert ledger.requests().collect().height == 0
    assert ledger.metadata_keys().height == 0


ZONES = ("UTC", "Europe/Berlin", "Australia/Lord_Howe", "America/Havana", "Asia/Kolkata")
TEAMS = ("a", "B", "É", "ß", "🦊", "\uffff", "it's", "_", "", None)


def some_requests(count: int, seed: int) -> list[dict[str, Any]]:
    """Return requests around two changes of clocks, with nulls and odd names."""
    drawn = random.Random(seed)
    rows = []
    for number in range(1, count + 1):
        edge = drawn.choice([datetime(2026, 11, 1, 4), datetime(2026, 4, 4, 14, 50)])  # noqa: DTZ001
        at = edge + timedelta(
            minutes=drawn.randrange(-3000, 3000), microseconds=drawn.choice([0, 1])
        )
        cost = drawn.choice([None, "0", "0.0000000001", "1.5", "9999999999.9999999999"])
        keys = {"Team": drawn.choice(TEAMS), "Plan": drawn.choice(TEAMS)}
        row = request(
            number, at.isoformat(), cost, **{k: v for k, v in keys.items() if v is not None}
        )
        row["status_code"] = drawn.choice([None, 200, 429, 500])
        row["response_time_ms"] = drawn.choice([None, drawn.randrange(10_000)])
        row["majordomo_api_key_id"] = drawn.choice(
            [None, "00000000-0000-7000-8000-00000000000a", "ffffffff-0000-7000-8000-00000000000b"]
        )
        rows.append(row)
    return rows


def test_random_questions_have_the_same_answers_as_in_duckdb(postgres: str, tmp_path: Path) -> None:
    """Over changes of clocks, null values, odd names and ties; all sums add up."""
    rows = some_requests(400, seed=5)
    remote = ma.open(write_postgres(postgres, rows))
    local = ma.open(write_lake(tmp_path / "lake", rows))
    drawn = random.Random(7)
    names = ["Team", "Plan", "status_code", "model", "majordomo_api_key_id", "requested_date"]
    for _ in range(40):
        dimensions = drawn.sample(names, drawn.randrange(4))
        filters: list[dict[str, Any]] = [
            {},
            {"Team": drawn.choice(TEAMS)},
            {"Team": ("!=", drawn.choice(TEAMS[:-1]))},
            {"Plan": ("not in", ["a", None])},
            {"Team": (">", "ß"), "total_cost": (">=", "0.0000000001")},
            {"Plan": ("contains", "'"), "Team": ["a", "🦊", None]},
            {"majordomo_api_key_id": ["00000000-0000-7000-8000-00000000000a", "nobody"]},
        ]
        question: dict[str, Any] = {
            "measures": drawn.sample(list(ma.MEASURES), 5),
            "dimensions": dimensions,
            "filters": drawn.choice(filters),
            "time_grain": drawn.choice([None, "hour", "day", "week", "month"]),
            "timezone": drawn.choice(ZONES),
            "limit": drawn.choice([None, 1, 3]),
            "other": drawn.choice([True, False]),
        }
        same(remote.query(**question), local.query(**question))


def test_rows_beyond_a_limit_and_the_total_add_up(postgres: str) -> None:
    """What is kept and ``(other)`` make the total, exactly."""
    rows = some_requests(300, seed=1)
    ledger = ma.open(write_postgres(postgres, rows))

    result = ledger.query("total_cost", ["Team", "status_code"], limit=3, time_grain="day")

    added = sum((row for row in result.to_polars()["total_cost"] if row is not None), Decimal(0))
    by_hand = sum((row["total_cost"] for row in rows if row["total_cost"] is not None), Decimal(0))
    assert added == result.total["total_cost"] == by_hand


def test_a_sum_out_of_range_is_an_error(postgres: str) -> None:
    """It never wraps, and the next question is answered."""
    huge = [{**request(n, "2026-10-01T09:00", "1"), "input_tokens": 2**63 - 1} for n in (1, 2)]
    ledger = ma.open(write_postgres(postgres, huge))

    with pytest.raises(ma.ResultOverflowError):
        ledger.query("input_tokens")
    assert ledger.query("requests").total == {"requests": 2}


def test_names_that_postgres_would_cut_are_told_apart(postgres: str) -> None:
    """Names of 64 bytes and more, alike in their first 63, in one question."""
    one, other = "K" * 63 + "-Eins", "K" * 63 + "-Zwei"
    row = request(1, "2026-10-01T09:00", "1")
    row["raw_metadata"] = [(ma_name(one), "1"), (ma_name(other), "2")]
    ledger = ma.open(write_postgres(postgres, [row]))
    measures = [ma.measure("m" * 63 + end, "requests") for end in "ab"]

    found = ledger.query(measures, [one, other])

    assert found.to_polars().rows() == [("1", "2", 1, 1)]
    assert ledger.query("requests", [one], limit=1, filters={other: "2"}).total["requests"] == 1


def ma_name(name: str) -> str:
    return "-".join(part.capitalize() for part in name.split("-"))


@given(
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12),
)
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_names_and_values_never_become_sql(ledger: ma.Ledger, key: str, value: str) -> None:
    """Any text is a name or a value: it is compared, or not known, but never run."""
    name = ma.metadata("K\"';--%s{}" + key)
    with pytest.raises(ma.UnknownNameError):
        ledger.query("requests", name)
    text = f"'\\';--%s{value}"
    for operator in ("=", "<", "contains", "starts with"):
        for column in ("Team", "Plan", "model"):
            assert ledger.query("requests", filters={column: (operator, text)}).total


def test_metadata_with_any_name_and_value_is_found(postgres: str) -> None:
    """Quotes, backslashes, signs of SQL and of JSON paths, and emoji."""
    odd = ['"', "\\", "'", "$[0]", "a.b", "%s", "{}", "🦊", "0", "--", "/*"]
    rows = []
    for number, name in enumerate(odd, 1):
        row = request(number, "2026-10-01T09:00", "1")
        row["raw_metadata"] = [("X" + name, name), ("Feature", name)]
        rows.append(row)
    ledger = ma.open(write_postgres(postgres, rows))

    for name in odd:
        key = ma.metadata("X" + name)
        chosen: dict[str | ma_fields.MetadataName, object] = {key: name}
        chosen["Feature"] = [name, "none"]
        assert ledger.query("requests", key, chosen).total == {"requests": 1}


# On the server, from one snapshot


def test_the_server_aggregates(tmp_path: Path) -> None:
    """Its log has the sums; no statement reads requests one by one."""
    with running_server() as server:
        ledger = ma.open(write_postgres(server.dsn))
        run(server.dsn, "alter role postgres set log_statement = 'all'")
        ledger = ma.open(server.dsn)
        before = len(log := server.log())
        ledger.query(dimensions="Team", limit=1)
        asked = server.log()[before:]
        del ledger
        gc.collect()

    assert log
    assert 'SUM(requests."total_cost")' in asked
    assert "LIMIT 1" in asked
    reading = [part for part in asked.split("LOG:") if "FROM llm_requests\n" in part]
    assert len(reading) == 2  # rows and total
    assert all("SUM(" in part and "COUNT(*)" in part for part in reading)
    assert "READ ONLY" in asked


def explained(dsn: str, statement: str) -> str:
    return "\n".join(row[0] for row in select(dsn, f"explain {statement}"))


def test_equality_uses_an_index(postgres: str) -> None:
    """That on indexed metadata for a promoted key, that on API keys for one of those."""
    ledger = ma.open(write_postgres(postgres))
    run(
        postgres,
        "alter table llm_requests alter column request_method set default 'POST'",
        "insert into llm_requests (id, requested_at, requested_date, provider, request_path,"
        " outcome, usage_status, cost_status, raw_metadata, indexed_metadata,"
        " majordomo_api_key_id) select gen_random_uuid(), now(), current_date, 'openai', '/',"
        " 'completed', 'missing', 'no_usage', keys, keys,"
        " ('00000000-0000-7000-8000-' || lpad(to_hex(n % 500), 12, '0'))::uuid"
        " from generate_series(1, 20000) as n,"
        " jsonb_build_object('Team', 'team ' || n % 500) as keys",
        "analyze llm_requests",
    )

    by_team = ledger.query("requests", filters={"Team": ["team 7", "team 8"]})
    one = "00000000-0000-7000-8000-00000000000a"
    by_key = ledger.query("requests", filters={"majordomo_api_key_id": one})

    assert by_team.total == {"requests": 80}
    assert "llm_requests_indexed_metadata" in explained(postgres, str(by_team.sql))
    assert by_key.total == {"requests": 40}
    assert "llm_requests_api_key" in explained(postgres, str(by_key.sql))
    upper = ledger.query("requests", filters={"majordomo_api_key_id": one.upper()})
    assert upper.total == {"requests": 0}  # as everywhere: case counts
    recent = ledger.query("requests", time_range=("2026-10-01", "2026-10-02"))
    assert "llm_requests_requested_at" in explained(postgres, str(recent.sql))


def test_rows_and_total_are_of_one_snapshot(
    ledger: ma.Ledger, postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request that comes between the two statements is in neither."""
    select_once = PostgresEngine.select
    late = iter(range(100, 200))

    def select_and_insert(engine: PostgresEngine, plan: Any) -> Any:
        found = select_once(engine, plan)
        write_postgres(postgres, [request(next(late), "2026-10-05T00:00", "100", Team="late")])
        return found

    monkeypatch.setattr(PostgresEngine, "select", select_and_insert)
    result = ledger.query("requests", "Team")
    monkeypatch.undo()

    assert result.to_polars()["requests"].sum() == result.total["requests"] == 5
    assert ledger.query("requests").total == {"requests": 7}


def test_a_promotion_under_way_changes_no_answer(postgres: str) -> None:
    """Before, while only new rows have it, and as the key is demoted again."""
    ledger = ma.open(write_postgres(postgres))
    asked: dict[str, Any] = {"measures": "requests", "dimensions": "Plan"}
    before = ledger.query(**asked).to_polars()

    run(
        postgres,
        "update llm_requests_metadata_keys set is_active = true, activated_at = clock_timestamp()"
        " where key_name = 'Plan'",
        'update llm_requests set indexed_metadata = indexed_metadata || \'{"Plan": "pro"}\''
        " where raw_metadata ->> 'Plan' = 'pro'",
    )
    during = ledger.query(**asked)

    assert during.to_polars().equals(before)
    assert ledger.query("requests", filters={"Plan": "free"}).total == {"requests": 1}
    assert "Plan" in ledger.requests().collect_schema()
    run(
        postgres,
        "update llm_requests_metadata_keys set is_active = false where key_name = 'Team'",
        "update llm_requests set indexed_metadata = indexed_metadata - 'Team'",
    )
    assert ledger.query("requests", filters={"Team": "legal"}).total == {"requests": 2}


def test_a_key_is_not_trusted_if_it_stopped_being_promoted_meanwhile(
    ledger: ma.Ledger, postgres: str
) -> None:
    """The snapshot that is read decides, not what was known when it was planned."""
    engine = ledger.source.engine("postgres")
    run(
        postgres,
        "update llm_requests_metadata_keys set is_active = false where key_name = 'Team'",
        "update llm_requests set indexed_metadata = indexed_metadata - 'Team'",
    )
    late = ma.Ledger(
        type(ledger.source)("late", ledger.source.pin, engines={"postgres": lambda _: engine})
    )

    assert late.query("requests", filters={"Team": "legal"}).total == {"requests": 2}


# What can go wrong


def test_a_server_that_was_started_anew_is_found_again() -> None:
    """An open ledger connects again by itself; without a server it says so."""
    with running_server() as server:
        ledger = ma.open(write_postgres(server.dsn))
        assert ledger.query("requests").total == {"requests": 5}
        server.kill()
        with pytest.raises(PostgresUnreachableError):
            ledger.query("requests")
        server.start()
        assert ledger.query("requests").total == {"requests": 5}
        del ledger
        gc.collect()


def test_a_ledger_that_is_dropped_leaves_no_session(postgres: str) -> None:
    """Nor a transaction: nothing keeps the server from cleaning up."""
    ledger = ma.open(write_postgres(postgres))
    ledger.query("requests")
    sessions = "select state from pg_stat_activity where application_name = 'majordomo-analytics'"
    sessions += " and datname = current_database()"
    assert select(postgres, sessions) == [("idle",)]

    del ledger
    gc.collect()

    for _ in range(200):
        if not select(postgres, sessions):
            break
        with psycopg.connect(postgres) as connection:
            connection.execute("select pg_sleep(0.05)")
    assert select(postgres, sessions) == []


def test_an_address_that_leads_nowhere_is_told_without_its_password() -> None:
    """Nor is a part of an address shown that cannot be read."""
    with pytest.raises(PostgresUnreachableError) as refused:
        ma.open("postgresql://me:s3cr3t-word@127.0.0.1:1/llm")
    assert "s3cr3t-word" not in str(refused.value)
    with pytest.raises(ma.SourceError, match="%40 for an @") as misread:
        ma.open("postgresql://me:s3cr3t-word@[::1/llm")
    assert "s3cr3t-word" not in str(misread.value)
    with pytest.raises(ma.SourceError) as unknown:
        ma.open("mysql://me:s3cr3t-word@db/llm")
    assert "s3cr3t-word" not in str(unknown.value)


def test_statements_of_a_users_own(ledger: ma.Ledger, postgres: str) -> None:
    """Over every column, promoted keys under their lake names, with any SQL of Postgres."""
    found = ledger.sql(
        """
        with by_team as (
          select "indexed_Team" as team, sum(total_cost) as cost, count(*) n
          from llm_requests where raw_metadata ? 'Feature' and model is null or model like 'gpt%'
          group by 1
        )
        select *, avg(cost) over () as mean from by_team order by team; -- by name
        """.replace("; -- by name", " -- by name")
    )

    assert found["team"].to_list() == ["it's", "legal", "sales", None]
    assert found["cost"].to_list() == [
        Decimal("12"), Decimal("0.0125"), Decimal("1.5"), Decimal("0.25")
    ]  # fmt: skip
    assert found.schema["n"] == pl.Int64
    assert ledger.sql("select '{a,b}'::text[] a, 1.50::numeric b, now() - now() c").row(0) == (
        ["a", "b"], Decimal("1.50"), timedelta(0),
    )  # fmt: skip
    again = ledger.query(["total_cost"], "Team", limit=1)
    assert sorted(ledger.sql(str(again.sql)).rows()) == sorted(again.to_polars().rows())
    assert select(postgres, "select count(*) from llm_requests") == [(5,)]


@pytest.mark.parametrize(
    "statement",
    [
        "selec 1",
        "",
        "delete from llm_requests",
        "select 1) as answer; delete from llm_requests; select * from (select 1",
        "with gone as (delete from public.llm_requests returning *) select * from gone",
        "select 1 as a, 2 as a",
        "select pg_catalog.setval('nothing', 1)",
    ],
)
def test_a_statement_that_is_none_or_would_write_is_refused(
    ledger: ma.Ledger, postgres: str, statement: str
) -> None:
    """With one sentence; the rows are there, and the ledger answers on."""
    with pytest.raises(ma.QueryError):
        ledger.sql(statement)

    assert ledger.query("requests").total == {"requests": 5}
    assert select(postgres, "select count(*) from llm_requests") == [(5,)]


def test_a_statement_that_takes_too_long_for_the_server_is_told(postgres: str) -> None:
    """As what it is, and not as a server that is gone."""
    dsn = make_conninfo(write_postgres(postgres), options="-c statement_timeout=200")

    with pytest.raises(PostgresError, match="statement timeout"):
        ma.open(dsn).sql("select pg_sleep(5)")


def test_what_is_no_table_of_requests_is_told(postgres: str) -> None:
    """None at all, one elsewhere, the log of the client, or something else of that name."""
    with pytest.raises(ma.SourceError, match="has no table 'llm_requests' on the search path"):
        ma.open(postgres)
    write_postgres(postgres, schema="costs")
    with pytest.raises(ma.SourceError, match="schema 'elsewhere'"):
        ma.open(postgres, schema="elsewhere")
    assert ma.open(postgres, schema="costs").query("requests").total == {"requests": 5}
    run(postgres, "create table llm_requests (request_id text, timestamp timestamptz)")
    with pytest.raises(ma.SourceError, match="client majordomo_llm"):
        ma.open(postgres)
    run(postgres, "alter table llm_requests rename column request_id to id")
    with pytest.raises(ma.SourceError, match="no column 'input_tokens'"):
        ma.open(postgres)
    # The one that was named wins over one on the search path.
    assert ma.open(postgres, schema="costs").query("requests", "Team", limit=1).total == {
        "requests": 5
    }


def test_reading_takes_no_more_than_the_right_to_read(postgres: str) -> None:
    """A role that may only select; columns it may not see are not asked for."""
    write_postgres(postgres)
    role = "reader_" + conninfo_to_dict(postgres)["dbname"]  # type: ignore[operator]
    run(
        postgres,
        f"create role {role} login",
        f"grant select on llm_requests, llm_requests_metadata_keys to {role}",
    )
    try:
        ledger = ma.open(make_conninfo(postgres, user=role))
        assert ledger.query(dimensions=["Team", "Plan"], time_grain="day").total["requests"] == 5
        assert ledger.requests().collect().height == 5
        del ledger
        gc.collect()
    finally:
        run(postgres, f"drop owned by {role}", f"drop role {role}")


def test_engines_and_sources_that_do_not_fit_are_told(ledger: ma.Ledger) -> None:
    """DuckDB reads no Postgres, Postgres no frame, and nothing has any other name."""
    frame = ma.open(pl.DataFrame({"requested_at": ["2026-10-05T09:00Z"]}))
    with pytest.raises(ma.UnsupportedByEngineError, match="what can is 'postgres'"):
        ledger.query(engine="duckdb")
    with pytest.raises(ma.UnsupportedByEngineError, match="cannot read a frame"):
        frame.query(engine="postgres")
    with pytest.raises(ma.UnknownNameError, match="postgres"):
        ledger.query(engine="postgre")
    with pytest.raises(ma.SourceError, match="schema"):
        ma.open(pl.DataFrame({"requested_at": []}), schema="public")


def test_a_result_wider_than_postgres_can_give_is_refused_before_it_runs(
    ledger: ma.Ledger,
) -> None:
    """By a typed error."""
    many = [ma.measure(f"m{number}", "requests") for number in range(1601)]

    with pytest.raises(ma.UnsupportedByEngineError, match="at most 1600 columns"):
        ledger.query(many)


def test_without_its_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Instead of failing to import."""
    monkeypatch.setattr("majordomo_analytics.ledger.sources.find_spec", lambda name: None)

    with pytest.raises(ma.MissingExtraError, match=re.escape("majordomo-analytics[postgres]")):
        ma.open("postgresql://localhost/llm")


@pytest.fixture(autouse=True)
def no_connection_is_left() -> Iterator[None]:
    """Ledgers of a test are gone before its database is dropped."""
    yield
    gc.collect()


def test_tables_of_long_names_are_not_cut_to_one(ledger: ma.Ledger) -> None:
    """Two mappings whose names differ only behind what Postgres keeps of them."""
    long = "é" * 40
    one, other = (
        ma.dimension(long + end, "Team", mapping={f"t{n}": "x" for n in range(40)} | {"legal": end})
        for end in ("a", "b")
    )

    found = ledger.query("requests", [one, other], {"Team": "legal"}).to_polars()

    assert found.rows() == [("a", "b", 2)]
    assert found.columns[:2] == [long + "a", long + "b"]

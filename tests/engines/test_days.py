"""What days that are over add up to answers as the requests do, and is never stale."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql
from psycopg.conninfo import make_conninfo

import majordomo_analytics as ma
from majordomo_analytics.drain import summing
from majordomo_analytics.drain.summing import sum_up
from tests.agreement.ledgers import Row, make_rows
from tests.support.postgres import run, select
from tests.support.requests import request, write_postgres

SHAPES = ("ordinary", "a quarter hour apart, Lord Howe", "counts as large as they are summed")
MEASURES = (
    "requests",
    "total_cost",
    "input_cost",
    "output_cost",
    "tool_cost",
    "input_tokens",
    "cached_tokens",
    "cache_creation_tokens",
    "reasoning_tokens",
    "total_tokens",
    "errors",
    "error_rate",
    "cache_hit_rate",
    "cost_per_request",
    "cost_per_1k_tokens",
    "avg_response_time_ms",
    "unpriced_requests",
)


def summed(dsn: str, schema: str = "public", *, budget_s: float = 600) -> int:
    """Add up what is over, as the drain does now and then."""
    names = ("llm_requests", "llm_requests_metadata_keys", "llm_requests_days")
    tables = [sql.Identifier(schema, name) for name in (*names, "llm_requests_by_day")]
    named = dict(zip(("requests", "metadata_keys", "days", "by_day"), tables, strict=True))
    with psycopg.connect(dsn, autocommit=True) as connection:
        return sum_up(connection, named, budget_s=budget_s)


def is_by_days(result: ma.QueryResult) -> bool:
    return "llm_requests_by_day" in str(result.sql)


@pytest.fixture(scope="module", params=SHAPES)
def both(
    request: pytest.FixtureRequest, postgres_server: str
) -> Iterator[tuple[list[Row], list[ma.Ledger]]]:
    """Yield the same requests from two schemas; in the second days were added up."""
    name = f"days_{uuid4().hex}"
    run(postgres_server, f"create database {name}")
    dsn = make_conninfo(postgres_server, dbname=name)
    rows = make_rows(request.param)
    for schema in ("plain", "summed"):
        write_postgres(dsn, rows, schema=schema)
    assert summed(dsn, "summed") > 0
    yield rows, [ma.open(dsn, schema=schema) for schema in ("plain", "summed")]
    run(postgres_server, f"drop database {name} with (force)")


def same(ledgers: list[ma.Ledger], asked: dict[str, Any]) -> bool:
    """Assert that both answer alike; return whether days answered."""
    results: list[ma.QueryResult] = []
    for ledger in ledgers:
        try:
            results.append(ledger.query(**asked, fill_gaps=False))
        except ma.ResultOverflowError:
            continue
    if not results:
        return False
    plain, by_days = results
    assert not is_by_days(plain)
    assert by_days.to_polars().schema == plain.to_polars().schema
    assert by_days.to_polars().equals(plain.to_polars(), null_equal=True)
    assert by_days.total == plain.total
    assert by_days.coverage == plain.coverage
    return is_by_days(by_days)


@st.composite
def asked_about(draw: st.DrawFn, first: datetime, last: datetime) -> dict[str, Any]:
    key = draw(st.sampled_from(["Feature", "Team", "User-Tier"]))
    rest = ["status_code", "outcome", "cost_status"]
    instants = st.integers(-90_000, int((last - first).total_seconds()) + 90_000)
    start, end = sorted(first + timedelta(seconds=draw(instants)) for _ in range(2))
    limit = draw(st.sampled_from([None, None, 1, 3]))
    dimensions = draw(st.lists(st.sampled_from([key, *rest]), max_size=2, unique=True))
    return {
        "measures": draw(st.lists(st.sampled_from(MEASURES), min_size=1, max_size=4, unique=True)),
        "dimensions": dimensions,
        "filters": draw(
            st.sampled_from(
                [
                    {},
                    {key: None},
                    {key: ("!=", "chat")},
                    {key: ("matches", "a")},
                    {"status_code": ("<", 400)},
                    {"total_cost": None},
                    {"input_tokens": ("!=", None), key: ("!=", None)},
                ]
            )
        ),
        "time_range": draw(st.sampled_from([None, (start, end + timedelta(seconds=1))])),
        "time_grain": draw(st.sampled_from([None, None, "day", "week", "month"])),
        "limit": limit if dimensions else None,
        "other": draw(st.booleans()) or limit is None,
    }


def test_days_answer_as_the_requests_themselves(
    both: tuple[list[Row], list[ma.Ledger]],
) -> None:
    """Whatever fits: dimensions, filters, ranges that cut days, grains, limits, ratios."""
    rows, ledgers = both
    instants = [row["requested_at"] for row in rows]
    answered: list[bool] = []

    @settings(
        max_examples=60, suppress_health_check=list(HealthCheck), deadline=None, derandomize=True
    )
    @given(asked_about(min(instants), max(instants)))
    def ask(asked: dict[str, Any]) -> None:
        answered.append(same(ledgers, asked))

    ask()
    assert sum(answered) > len(answered) / 4, "hardly any of them asked what this is about"


MANY = [request(n, f"2026-10-0{1 + n % 3}T09:00", "0.25", Feature=f"f{n % 4}") for n in range(40)]


def asked(dsn: str) -> tuple[ma.QueryResult, list[tuple[Any, ...]]]:
    """Return what the ledger says of each feature, and what the rows themselves do."""
    result = ma.open(dsn).query("requests", "Feature")
    found = select(
        dsn,
        "select coalesce(raw_metadata ->> 'Feature', '(untagged)'), count(*) from llm_requests"
        " group by 1 order by 1",
    )
    assert result.to_polars().sort("Feature").rows() == found
    return result, found


CHANGES = {
    "a row that comes late": "insert into llm_requests select gen_random_uuid(), l.* from ("
    " select {columns} from llm_requests limit 1) l",
    "rows that are deleted": "delete from llm_requests where raw_metadata ->> 'Feature' = 'f1'",
    "rows whose metadata is erased": "update llm_requests"
    " set raw_metadata = '{{}}', indexed_metadata = '{{}}'"
    " where requested_at < '2026-10-02'",
    "rows that move to another day": "update llm_requests"
    " set requested_at = requested_at + interval '2 days' where requested_at < '2026-10-02'",
    "a table that is emptied": "truncate llm_requests",
}


@pytest.mark.parametrize("how", CHANGES)
def test_a_day_that_is_changed_is_forgotten_and_added_up_again(postgres: str, how: str) -> None:
    """By whoever it is, in whatever way; the other days stay."""
    write_postgres(postgres, MANY)
    assert summed(postgres) > 0
    result, before = asked(postgres)
    assert is_by_days(result)
    columns = [name for (name,) in select(postgres, COLUMNS) if name != "id"]

    run(postgres, CHANGES[how].format(columns=", ".join(columns)))
    _, after = asked(postgres)
    assert after != before or how == "rows that move to another day"
    by_day = "select count(*) from llm_requests_by_day where requested_date = '2026-10-01'"
    if how != "a row that comes late":
        assert select(postgres, by_day) == [(0,)]

    assert summed(postgres) > 0 or how == "a table that is emptied"
    result, again = asked(postgres)
    assert is_by_days(result) == (how != "a table that is emptied")
    assert again == after


COLUMNS = """
select attname from pg_attribute
where attrelid = 'llm_requests'::regclass and attnum > 0 and not attisdropped order by attnum
"""


def test_a_promotion_forgets_no_day(postgres: str) -> None:
    """It changes what is indexed, of which nothing is made."""
    write_postgres(postgres, MANY)
    summed(postgres)
    noted = "select count(*) from llm_requests_days where is_summed"
    before = select(postgres, noted)

    run(postgres, 'update llm_requests set indexed_metadata = indexed_metadata || \'{"x": "y"}\'')

    assert select(postgres, noted) == before


def test_rows_that_are_committed_while_their_day_is_added_up_are_not_lost(
    postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They were inserted before it was noted, and are to be seen only afterwards."""
    write_postgres(postgres, MANY)
    late = "insert into llm_requests select gen_random_uuid(), " + ", ".join(
        name for (name,) in select(postgres, COLUMNS) if name != "id"
    )
    late += " from llm_requests where requested_at < '2026-10-02' limit 1"
    with psycopg.connect(postgres) as amid:
        amid.execute(late.encode())
        adding = threading.Thread(target=summed, args=(postgres,))
        adding.start()
        waits = "select count(*) from pg_locks where locktype = 'advisory' and not granted"
        while select(postgres, waits) == [(0,)]:
            assert adding.is_alive()
        amid.commit()
    adding.join()

    result, found = asked(postgres)
    assert is_by_days(result)
    assert sum(row[1] for row in found) == 41


def test_a_row_that_is_inserted_once_a_day_is_noted_undoes_its_sum(postgres: str) -> None:
    """Between the note and the sum, which then is thrown away."""
    write_postgres(postgres, MANY)
    run(postgres, "insert into llm_requests_days values ('Feature', '2026-10-01')")
    statement = sql.SQL(summing._SUM).format(
        requests=sql.Identifier("llm_requests"),
        days=sql.Identifier("llm_requests_days"),
        by_day=sql.Identifier("llm_requests_by_day"),
    )
    values = {"key": "Feature", "no_key": "", "day": "2026-10-01", "most": 100}
    with psycopg.connect(postgres) as amid, psycopg.connect(postgres) as adding:
        amid.execute("delete from llm_requests where requested_at < '2026-10-02'")

        def add() -> None:
            adding.execute(statement, values)
            adding.commit()

        thread = threading.Thread(target=add)
        thread.start()
        waits = "select count(*) from pg_locks where locktype = 'transactionid' and not granted"
        while select(postgres, waits) == [(0,)]:
            assert thread.is_alive()
        amid.commit()
        thread.join()

    assert select(postgres, "select count(*) from llm_requests_by_day") == [(0,)]
    asked(postgres)


def test_a_transaction_of_an_earlier_state_fails_rather_than_leave_a_stale_sum(
    postgres: str,
) -> None:
    """It does not see what was added up since it began, and could not forget it."""
    write_postgres(postgres, MANY)
    with psycopg.connect(postgres) as old:
        old.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        old.execute("select count(*) from llm_requests")
        summed(postgres)
        with pytest.raises(psycopg.errors.SerializationFailure):
            old.execute("delete from llm_requests where requested_at < '2026-10-02'")
    asked(postgres)


def test_a_key_with_too_many_values_is_read_from_the_rows(
    postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sums would be as many as the requests."""
    monkeypatch.setattr(summing, "MOST_GROUPS", 3)
    write_postgres(postgres, MANY)
    summed(postgres)

    asked(postgres)

    by_feature = "select count(*) from llm_requests_by_day where key_name = 'Feature'"
    assert select(postgres, by_feature) == [(0,)]
    assert is_by_days(ma.open(postgres).query("requests"))
    assert summed(postgres) == 0, "it is not tried again and again"


def test_a_role_without_the_right_to_sums_reads_the_rows(postgres: str) -> None:
    """As one that was given its rights before there were any."""
    write_postgres(postgres, MANY)
    summed(postgres)
    role = f"reader_{uuid4().hex}"
    tables = "llm_requests, llm_requests_metadata_keys"
    run(postgres, f"create role {role} login", f"grant select on {tables} to {role}")
    try:
        result = ma.open(make_conninfo(postgres, user=role)).query("requests", "Feature")
        assert not is_by_days(result)
        assert result.total == {"requests": 40}
    finally:
        run(postgres, f"drop owned by {role}", f"drop role {role}")


def test_what_ran_can_be_asked_again_as_sql(postgres: str) -> None:
    write_postgres(postgres, MANY)
    summed(postgres)
    ledger = ma.open(postgres)
    result = ledger.query("requests", "Feature", time_range=("2026-10-01", "2026-10-03"))

    assert is_by_days(result)
    again = ledger.sql(str(result.sql))
    assert again.sort("Feature").rows() == result.to_polars().sort("Feature").rows()

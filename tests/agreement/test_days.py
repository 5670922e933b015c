"""Days of 23 and 25 hours, doubled hours, midnights that come twice or not at all.

A request every five minutes: what a bucket holds is counted with `zoneinfo`, and the days
of a month, the hours of a day, are as many as the month, as the day.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import polars as pl
import psycopg
import pytest
from psycopg import sql

import majordomo_analytics as ma
from tests.agreement.oracle import bucket
from tests.agreement.questions import Question
from tests.agreement.sources import ROADS, Servers
from tests.support.requests import request, write_postgres

ENGINES = sorted({engine for _, engine in ROADS.values()})
EVERY_ENGINE = [
    pytest.param(one, marks=[pytest.mark.slow] if one in ("postgres", "spark") else [])
    for one in ENGINES
]
STEP = timedelta(minutes=5)
CHANGES = [
    ("Europe/Berlin", "2026-03-29", 23),
    ("Europe/Berlin", "2026-10-25", 25),
    ("Australia/Lord_Howe", "2026-04-05", 24.5),
    ("Australia/Lord_Howe", "2026-10-04", 23.5),
    ("America/Havana", "2026-03-08", 23),
    ("America/Havana", "2026-11-01", 25),
    ("America/Santiago", "2026-04-04", 25),  # 23:00 comes twice, before the next day begins
    ("America/St_Johns", "2010-11-07", 25),  # a minute after it began, clocks went back over it
    ("America/Santiago", "2026-09-06", 23),
    ("Asia/Kathmandu", "2026-03-01", 24),
    ("America/St_Johns", "2026-11-01", 25),
    ("Asia/Beirut", "2026-03-29", 23),
    ("Pacific/Apia", "2011-12-31", 24),  # the day before was left out
]


def requests_around(day: str) -> list[datetime]:
    """Return an instant every five minutes of the two months around a day."""
    middle = datetime.fromisoformat(day).replace(tzinfo=UTC)
    start = (middle - timedelta(days=33)).replace(day=1)
    return [start + n * STEP for n in range(75 * 24 * 12)]


def open_requests(instants: list[datetime], engine: str, servers: Servers) -> ma.Ledger:
    """Open a ledger of requests of 0.1 dollars, where an engine reads it."""
    if engine != "postgres":
        frame = pl.DataFrame({"requested_at": instants, "total_cost": ["0.1"] * len(instants)})
        return ma.open(frame, spark=servers.spark)
    schema = f"days_{uuid4().hex}"
    write_postgres(servers.postgres, [], schema=schema)
    with psycopg.connect(servers.postgres) as connection:
        row = request(1, "2026-01-01", "0.1")
        names = ("provider", "request_method", "request_path", "outcome", "usage_status",
                 "cost_status", "total_cost")  # fmt: skip
        insert = sql.SQL(
            "insert into {} (id, requested_at, requested_date, created_at, raw_metadata, flags, {})"
            " select gen_random_uuid(), at, (at at time zone 'UTC')::date, at, '{{}}', '{{}}', {}"
            " from unnest(%s::timestamptz[]) as at"
        ).format(
            sql.Identifier(schema, "llm_requests"),
            sql.SQL(", ").join(map(sql.Identifier, names)),
            sql.SQL(", ").join([sql.Placeholder()] * len(names)),
        )
        connection.execute(insert, [*(row[name] for name in names), instants])
    return ma.open(servers.postgres, schema=schema)


@pytest.mark.parametrize("engine", EVERY_ENGINE)
@pytest.mark.parametrize(("zone", "day", "hours"), CHANGES)
def test_buckets_hold_what_the_clock_says(
    zone: str, day: str, hours: float, engine: str, servers: Servers
) -> None:
    """Each grain counts as `zoneinfo` does, and finer buckets add up to coarser ones."""
    instants = requests_around(day)
    ledger = open_requests(instants, engine, servers)
    counts = {}
    for grain in ("hour", "day", "week", "month", "quarter", "year"):
        question = Question(("requests", "total_cost"), time_grain=grain, timezone=zone)
        rows = ledger.query(**question.asked(), fill_gaps=False, engine=engine).to_polars()
        if grain == "hour":  # to Python, the two hours of one name are equal
            rows = rows.with_columns(pl.col("hour").dt.convert_time_zone("UTC"))
        expected = Counter(bucket(instant, question) for instant in instants)

        assert dict(rows.select(grain, "requests").rows()) == expected, grain
        assert sum(rows["total_cost"], Decimal(0)) == Decimal(len(instants)) / 10
        counts[grain] = dict(rows.select(grain, "requests").rows())
    days = counts["day"]
    assert days[datetime.fromisoformat(day).date()] == hours * 12
    for month, held in counts["month"].items():
        assert held == sum(n for one, n in days.items() if one.replace(day=1) == month)


@pytest.mark.parametrize("engine", ENGINES)
def test_the_doubled_hour_is_two_hours(engine: str, servers: Servers) -> None:
    """Both are called 02:00, and each holds its own requests, in the order of time."""
    at = [datetime(2026, 10, 25, 0, tzinfo=UTC) + n * timedelta(minutes=20) for n in range(9)]
    ledger = open_requests(at, engine, servers)

    rows = ledger.query(
        "requests", time_grain="hour", timezone="Europe/Berlin", engine=engine
    ).to_polars()

    assert rows["hour"].dt.strftime("%H:%M %z").to_list() == [
        "02:00 +0200", "02:00 +0100", "03:00 +0100",
    ]  # fmt: skip
    assert rows["requests"].to_list() == [3, 3, 3]
    assert rows["hour"].dt.convert_time_zone("UTC").to_list() == at[::3]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_range_of_days_is_the_sum_of_its_days(engine: str, servers: Servers) -> None:
    """Each day asked for by itself, and the month asked for at once."""
    instants = requests_around("2026-10-25")
    ledger = open_requests(instants, engine, servers)
    asked: Any = {"measures": "requests", "timezone": "Europe/Berlin", "engine": engine}

    days = [
        ledger.query(**asked, time_range=f"2026-10-{day:02}").total["requests"]
        for day in (23, 24, 25, 26)
    ]
    month = ledger.query(**asked, time_range="2026-10")

    assert days == [288, 288, 300, 288]
    assert month.total["requests"] == 31 * 288 + 12

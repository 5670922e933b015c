"""The SQL that gateways' guides print runs on our tables, and finds the right rows.

The expected numbers are worked out from the requests themselves, and the prices for a
million tokens: 0.15 dollars in and 0.60 out for gpt-4o-mini, 2.50 and 10 for gpt-4o.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from psycopg.conninfo import make_conninfo

from majordomo_analytics.datadir import DataDirectory
from majordomo_analytics.drain.loop import drain_once
from majordomo_analytics.drain.postgres import WRITTEN, PostgresSink
from majordomo_analytics.drain.sinks import LakeSink
from majordomo_analytics.records.request import RequestRecord
from majordomo_analytics.records.usage import Usage
from tests.drain.spools import spool_many
from tests.support.postgres import run, select
from tests.support.records import a_record

Attributed = tuple[str, list[RequestRecord]]
PRICES = {"gpt-4o-mini": ("0.15", "0.60"), "gpt-4o": ("2.50", "10")}
PAGE = Path(__file__).parents[2] / "docs" / "postgres.md"


@pytest.fixture(scope="module")
def attributed(
    tmp_path_factory: pytest.TempPathFactory, postgres_server: str
) -> Iterator[Attributed]:
    """Yield a database with 6,000 requests, one an hour up to now, and those requests."""
    name = f"attributed_{uuid.uuid4().hex}"
    run(postgres_server, f"create database {name}")
    dsn = make_conninfo(postgres_server, dbname=name, options="-c TimeZone=UTC")
    data = DataDirectory.create(tmp_path_factory.mktemp("attributed") / "data")
    # Half an hour away from where any whole number of hours, days or months ago is.
    newest = datetime.now(UTC) - timedelta(minutes=30)
    records = []
    for n in range(6000):
        metadata = {
            "Feature": f"feature-{n % 401}",
            "Team": f"team-{n % 3}",
            "User-Id": f"user-{n % 97}",
        }
        records.append(
            a_record(
                model=("gpt-4o-mini", "gpt-4o")[n % 2],
                requested_at=newest - timedelta(hours=n),
                usage=Usage(input_tokens=1000 + n, output_tokens=n % 100, status="reported"),
                response_time_ms=100 + n % 7,
                metadata=metadata if n % 10 else {},
            )
        )
    spool_many(data, records)
    drain_once(data, (LakeSink(data.lake), PostgresSink(dsn, lake=data.lake)))
    run(dsn, "analyze llm_requests")
    yield dsn, records
    run(postgres_server, f"drop database {name} with (force)")


def cost_of(record: RequestRecord) -> Decimal:
    price_in, price_out = map(Decimal, PRICES[record.model or ""])
    tokens_in, tokens_out = record.usage.input_tokens or 0, record.usage.output_tokens or 0
    return (price_in * tokens_in + price_out * tokens_out) / 1_000_000


def grouped(
    records: list[RequestRecord], key: Callable[[RequestRecord], Any]
) -> dict[Any, list[RequestRecord]]:
    groups: dict[Any, list[RequestRecord]] = {}
    for record in records:
        groups.setdefault(key(record), []).append(record)
    return groups


def spent(records: list[RequestRecord]) -> Decimal:
    return sum(map(cost_of, records), Decimal(0))


def test_by_feature(attributed: Attributed) -> None:
    dsn, records = attributed
    found = select(
        dsn,
        """
        SELECT
            raw_metadata->>'Feature' AS feature,
            COUNT(*) AS requests,
            SUM(input_tokens) AS input_tokens,
            SUM(output_tokens) AS output_tokens,
            SUM(total_cost) AS total_cost
        FROM llm_requests
        WHERE raw_metadata->>'Feature' IS NOT NULL
        GROUP BY 1
        ORDER BY total_cost DESC;
        """,
    )

    groups = grouped(records, lambda r: r.metadata.get("Feature"))
    del groups[None]
    expected = {
        (
            feature,
            len(mine),
            sum(r.usage.input_tokens or 0 for r in mine),
            sum(r.usage.output_tokens or 0 for r in mine),
            spent(mine),
        )
        for feature, mine in groups.items()
    }
    assert set(found) == expected
    assert len(found) == len(expected)
    costs = [row[-1] for row in found]
    assert costs == sorted(costs, reverse=True)


def test_by_team_and_month(attributed: Attributed) -> None:
    """Requests without the key are a group of their own, with a null for a team."""
    dsn, records = attributed
    found = select(
        dsn,
        """
        SELECT
            raw_metadata->>'Team' AS team,
            date_trunc('month', requested_at) AS month,
            SUM(total_cost) AS total_cost
        FROM llm_requests
        WHERE requested_at > now() - interval '3 months'
        GROUP BY 1, 2
        ORDER BY 2 DESC, 3 DESC;
        """,
    )

    (since,) = select(dsn, "select now() - interval '3 months'")[0]
    recent = [record for record in records if record.requested_at > since]
    groups = grouped(
        recent,
        lambda r: (
            r.metadata.get("Team"),
            datetime(*r.requested_at.timetuple()[:2], 1, tzinfo=UTC),
        ),
    )
    rows = [(*group, spent(mine)) for group, mine in groups.items()]
    assert set(found) == set(rows)
    # Two teams may have spent the same: then their order is nobody's business.
    assert [row[1:] for row in found] == sorted((row[1:] for row in rows), reverse=True)


def test_by_model(attributed: Attributed) -> None:
    dsn, records = attributed
    found = select(
        dsn,
        """
        SELECT
            model,
            COUNT(*) AS requests,
            SUM(total_cost) AS total_cost,
            AVG(response_time_ms) AS avg_latency_ms
        FROM llm_requests
        GROUP BY model
        ORDER BY total_cost DESC;
        """,
    )

    rows = [
        (
            model,
            len(mine),
            spent(mine),
            pytest.approx(Decimal(sum(r.response_time_ms or 0 for r in mine)) / len(mine)),
        )
        for model, mine in grouped(records, lambda r: r.model).items()
    ]
    assert found == sorted(rows, key=lambda row: row[2], reverse=True)


def test_top_spenders_this_week(attributed: Attributed) -> None:
    dsn, records = attributed
    found = select(
        dsn,
        """
        SELECT
            raw_metadata->>'User-Id' AS user_id,
            COUNT(*) AS requests,
            SUM(total_cost) AS total_cost
        FROM llm_requests
        WHERE requested_at > now() - interval '7 days'
        GROUP BY 1
        ORDER BY total_cost DESC
        LIMIT 20;
        """,
    )

    week = [r for r in records if r.requested_at > datetime.now(UTC) - timedelta(days=7)]
    assert len(week) == 7 * 24
    rows = [
        (user, len(mine), spent(mine))
        for user, mine in grouped(week, lambda r: r.metadata.get("User-Id")).items()
    ]
    assert set(found) <= set(rows)
    assert len(set(found)) == 20
    assert [row[2] for row in found] == sorted((row[2] for row in rows), reverse=True)[:20]


def test_one_step_of_a_workflow_and_the_newest_first(attributed: Attributed) -> None:
    """As the guides of the agent frameworks ask."""
    dsn, records = attributed
    found = select(
        dsn,
        """
        SELECT model, raw_metadata->>'Team' as step, input_tokens, output_tokens, total_cost
        FROM llm_requests
        WHERE raw_metadata->>'Feature' = 'feature-7'
        ORDER BY requested_at DESC LIMIT 10;
        """,
    )

    mine = [r for r in records if r.metadata.get("Feature") == "feature-7"][:10]
    assert found == [
        (r.model, r.metadata["Team"], r.usage.input_tokens, r.usage.output_tokens, cost_of(r))
        for r in mine
    ]


FEATURE = 'where indexed_metadata @> \'{"Feature": "feature-7"}\''


def test_one_feature_by_the_index(attributed: Attributed) -> None:
    """The documented filter gives the right sum, and the planner takes the GIN index."""
    dsn, records = attributed
    found = select(dsn, f"select sum(total_cost), count(*) from llm_requests {FEATURE}")

    mine = [r for r in records if r.metadata.get("Feature") == "feature-7"]
    assert found == [(spent(mine), len(mine))]
    assert indexes_of(dsn, f"select sum(total_cost) from llm_requests {FEATURE}") == {
        "llm_requests_indexed_metadata"
    }


def test_a_range_of_days_by_the_index(attributed: Attributed) -> None:
    dsn, records = attributed
    first, last = records[100].requested_at, records[80].requested_at
    day = f"requested_at >= '{first}' and requested_at < '{last}'"

    assert indexes_of(dsn, f"select id from llm_requests where {day}") == {
        "llm_requests_requested_at"
    }


def test_the_sql_on_our_own_page_is_served_by_an_index(attributed: Attributed) -> None:
    """With a feature that is there, in place of the one on the page."""
    dsn, records = attributed
    (printed,) = re.findall(r"```sql\n(select model, .*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    query = printed.replace('"search"', '"feature-7"')
    found = select(dsn, query)

    week = [r for r in records if r.requested_at > datetime.now(UTC) - timedelta(days=7)]
    mine = [r for r in week if r.metadata.get("Feature") == "feature-7"]
    assert found == [
        (model, spent(m), len(m)) for model, m in grouped(mine, lambda r: r.model).items()
    ]
    assert len(mine) == 1
    assert indexes_of(dsn, query)


def indexes_of(dsn: str, query: str) -> set[str]:
    """Return the names of the indexes in the plan of a query."""
    plan = select(dsn, f"explain (format json) {query}")
    return set(re.findall(r'"Index Name": "(\w+)"', json.dumps(plan[0][0])))


def test_every_column_is_written(attributed: Attributed) -> None:
    dsn, _ = attributed
    names = select(
        dsn, "select column_name from information_schema.columns where table_name = 'llm_requests'"
    )
    assert {name for (name,) in names} == set(WRITTEN)

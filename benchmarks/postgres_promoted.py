"""How much faster our questions to Postgres are than the SQL that guides to gateways print.

One server has the same requests twice: in the table as the newest open gateway makes it,
with its indexes and keys in lower case, and in ours, after the drain has added up what it
does of days that are over. The gateway's table is asked what its guide to cost attribution
prints, on `raw_metadata`; ours is asked the same through the ledger, `ledger.query(…)` from
the question to the frame, rows and total. Both take turns, and the answers are equal.

The requests are of the 120 days up to now, and lie in order of time, as they come in. A
gateway's table has no index on the time alone: each of its answers reads all requests.
Ours takes as long as the days, the values and today's requests are many.

    python benchmarks/postgres_promoted.py [--rows 1000000] [--rounds 9]

Its end says whether every question is answered fifteen times as fast.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

import majordomo_analytics as ma
from majordomo_analytics.datadir import DataDirectory
from majordomo_analytics.drain.postgres import PostgresSink
from majordomo_analytics.lake.table import create_lake
from majordomo_analytics.records.metadata import PROMOTED_FROM_THE_START
from tests.engines.gateway_tables import make_tables
from tests.support.server import running_server

if TYPE_CHECKING:
    from collections.abc import Callable

WANTED = 15.0
DAYS = 120
GATEWAY, OURS = "gateway", "public"
BY_FEATURE = """
SELECT
    raw_metadata->>'feature' AS feature,
    COUNT(*) AS requests,
    SUM(input_tokens) AS input_tokens,
    SUM(output_tokens) AS output_tokens,
    SUM(total_cost) AS total_cost
FROM gateway.llm_requests
WHERE raw_metadata->>'feature' IS NOT NULL{during}
GROUP BY 1
ORDER BY total_cost DESC
"""
ONE_FEATURE = """
SELECT COUNT(*) AS requests, SUM(total_cost) AS total_cost
FROM gateway.llm_requests
WHERE raw_metadata->>'feature' = 'feature-7'{during}
"""
"""As the guide has them, but for the names of keys, which it gives as they were sent."""

# Every number is a hash of the row's own: both tables get the same requests.
PICK = """
create function pick(n bigint, salt int, most int) returns bigint language sql immutable
as $$ select (hashint8extended(n, salt) & 9223372036854775807) %% most $$
"""
PICKED = """
create table public.picked as
select
  n,
  ('0199' || lpad(to_hex(n), 8, '0') || '7000' || '8000' || lpad(to_hex(n), 12, '0'))::uuid as id,
  %(first)s::timestamptz + n * %(step)s::interval as instant,
  (array['gpt-4o', 'gpt-4o-mini', 'gpt-4.1'])[1 + pick(n, 1, 3)] as model,
  pick(n, 2, 9000) as input_tokens, pick(n, 3, 2000) as output_tokens,
  pick(n, 4, 100000)::numeric / 1000000 as cost,
  format('feature-%%s', pick(n, 5, 40)) as feature,
  format('team-%%s', pick(n, 6, 8)) as team,
  (array['free', 'pro', 'enterprise'])[1 + pick(n, 7, 3)] as tier,
  format('user-%%s', pick(n, 8, 5000)) as "user",
  to_hex(pick(n, 9, 2147483647)) as request
from generate_series(0, %(rows)s - 1) as n
order by n
"""
AS_A_GATEWAY = """
insert into {gateway}.llm_requests (
  id, provider, model, request_path, request_method, requested_at, responded_at,
  response_time_ms, input_tokens, output_tokens, input_cost, output_cost, total_cost,
  status_code, provider_api_key_hash, raw_metadata, indexed_metadata
)
select
  id, 'openai', model, '/v1/chat/completions', 'POST', instant, instant + interval '900 ms',
  200, input_tokens, output_tokens, 0, cost, cost, 200, repeat('a', 64),
  jsonb_build_object(
    'feature', feature, 'team', team, 'user-tier', tier, 'user-id', "user", 'request-id', request
  ),
  jsonb_build_object('feature', feature, 'team', team, 'user-tier', tier)
from public.picked order by n
"""
DRAINED = """
insert into {ours}.llm_requests (
  id, requested_at, responded_at, requested_date, response_time_ms, time_to_first_byte_ms,
  provider_api_key_hash, provider, api_flavour, model, requested_model, request_method,
  request_path, status_code, outcome, is_streamed, response_id, request_bytes, response_bytes,
  input_tokens, output_tokens, usage_status, usage_source, usage_raw, input_cost, output_cost,
  total_cost, cost_status, price_version, raw_metadata, indexed_metadata
)
select
  id, instant, instant + interval '900 ms', (instant at time zone 'UTC')::date, 900, 200,
  repeat('a', 64), 'openai', 'chat', model, model, 'POST',
  '/v1/chat/completions', 200, 'completed', true, 'chatcmpl-' || to_hex(n), 2000, 3000,
  input_tokens, output_tokens, 'reported', 'stream_final',
  format('{{"prompt_tokens":%%s,"completion_tokens":%%s}}', input_tokens, output_tokens),
  0, cost, cost, 'priced', 'genai-prices 1',
  jsonb_build_object(
    'Feature', feature, 'Team', team, 'User-Tier', tier, 'User-Id', "user", 'Request-Id', request
  ),
  jsonb_build_object('Feature', feature, 'Team', team, 'User-Tier', tier)
from public.picked order by n
"""
REGISTERED = """
insert into {ours}.llm_requests_metadata_keys (
  key_name, is_active, activated_at, request_count, first_seen_at, last_seen_at
)
select
  key, key = any(%(promoted)s), case when key = any(%(promoted)s) then now() end,
  count(*), min(requested_at), max(requested_at)
from {ours}.llm_requests, jsonb_object_keys(raw_metadata) as key group by key
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    is_enough = True
    with tempfile.TemporaryDirectory() as folder, running_server() as server:
        fill(server.dsn, Path(folder), arguments.rows)
        ledger = ma.open(server.dsn)
        for span in ("last 7 days", "last 30 days", None):
            with psycopg.connect(server.dsn) as connection:
                is_enough &= compare(ledger, connection, span, arguments.rounds)
    sys.exit(0 if is_enough else 1)


def compare(
    ledger: ma.Ledger, connection: psycopg.Connection[Any], span: str | None, rounds: int
) -> bool:
    """Ask both about a time; return whether the ledger is fast enough."""
    asked: dict[str, dict[str, Any]] = {
        "cost by feature": {
            "measures": ["requests", "input_tokens", "output_tokens", "total_cost"],
            "dimensions": "Feature",
            "order_by": "-total_cost",
        },
        "cost of one feature": {
            "measures": ["requests", "total_cost"],
            "filters": {"Feature": "feature-7"},
        },
    }
    is_enough = True
    for (name, question), printed in zip(asked.items(), (BY_FEATURE, ONE_FEATURE), strict=True):
        result = ledger.query(**question, time_range=span)
        range_ = result.plan.time_range
        during = "" if span is None else f" AND requested_at >= '{range_.start}'"
        during += "" if range_.end is None else f" AND requested_at < '{range_.end}'"
        statement = printed.format(during=during).encode()

        def by_ledger(question: dict[str, Any] = question) -> list[tuple[Any, ...]]:
            return ledger.query(**question, time_range=span).to_polars().rows()

        def by_sql(statement: bytes = statement) -> list[tuple[Any, ...]]:
            return connection.execute(statement).fetchall()

        slow, fast = in_turn(by_sql, by_ledger, rounds)
        is_enough &= slow / fast >= WANTED
        print(
            f"{name}, {span or 'all time'}: {slow * 1000:,.0f} ms as printed, "
            f"{fast * 1000:,.1f} ms by the ledger; {slow / fast:.1f} times as fast "
            f"(wanted: {WANTED:g})"
        )
    return is_enough


def in_turn(
    one: Callable[[], list[tuple[Any, ...]]],
    other: Callable[[], list[tuple[Any, ...]]],
    rounds: int,
) -> tuple[float, float]:
    """Return the median of the seconds that each takes; their answers are equal."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds + 1):  # the first warms up
        answers = []
        for ask, taken in zip((one, other), seconds, strict=True):
            begun = time.perf_counter()
            answers.append(ask())
            taken.append(time.perf_counter() - begun)
        if answers[0] != answers[1]:
            raise RuntimeError(answers)
    return statistics.median(seconds[0][1:]), statistics.median(seconds[1][1:])


def fill(dsn: str, folder: Path, rows: int) -> None:
    """Make both tables, with the same requests, and have days added up."""
    data = DataDirectory.create(folder / "data")
    create_lake(data.lake)
    sink = PostgresSink(dsn, lake=data.lake)
    sink.open()
    sink.close()
    names = {"gateway": sql.Identifier(GATEWAY), "ours": sql.Identifier(OURS)}
    now = datetime.now(UTC)
    values = {
        "first": now - timedelta(days=DAYS),
        "step": timedelta(days=DAYS) / rows,
        "rows": rows,
        "promoted": list(PROMOTED_FROM_THE_START),
    }
    with psycopg.connect(dsn, autocommit=True, cursor_factory=psycopg.ClientCursor) as connection:
        connection.execute("create schema gateway")
        make_tables(make_conninfo(dsn, options="-c search_path=gateway"), "ogw")
        for statement in (PICK, PICKED, AS_A_GATEWAY, DRAINED, REGISTERED):
            connection.execute(sql.SQL(statement).format(**names), values)
        connection.execute("drop table public.picked")
        connection.execute("vacuum analyze")
    while not is_added_up(dsn):  # some seconds of it whenever a drain begins
        sink = PostgresSink(dsn, lake=data.lake)
        sink.open()
        sink.close()


def is_added_up(dsn: str) -> bool:
    query = """
    select count(distinct requested_date) >= %s from llm_requests_days
    where key_name = 'Feature' and is_summed
    """
    with psycopg.connect(dsn) as connection:
        found = connection.execute(query, (DAYS,)).fetchone()
    return bool(found and found[0])


if __name__ == "__main__":
    main()

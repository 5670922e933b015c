"""How much faster a promoted key is: the same questions before and after, in one run.

A lake of requests over some days is asked for the cost by one metadata key, which is read
from the metadata of each row; then the key is promoted and the same is asked again. Both
answers have to be equal. DuckDB is asked through the ledger, Polars by a scan of the files.

    python benchmarks/promoted.py [--rows 3000000] [--rounds 5]

Its end says whether DuckDB is ten times as fast, and Polars eight times.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import polars as pl
import pyarrow as pa

import majordomo_analytics as ma
from majordomo_analytics.lake.promotion import promote
from majordomo_analytics.lake.table import append_once, create_lake, take_snapshot
from majordomo_analytics.records.schemas import arrow_schema

if TYPE_CHECKING:
    from collections.abc import Callable

KEY = "Plan"
DAYS = 30
WANTED = {"duckdb": 10.0, "polars": 8.0}
ROWS_PER_COMMIT = 100_000
PICK = "CREATE MACRO pick(n, salt, most) AS CAST(hash(n, salt) % most AS BIGINT)"
ROWS = """
    SELECT
      printf('%08x-0000-7000-8000-%012x', n, pick(n, 0, 281474976710656)) AS id,
      instant AS requested_at, instant + INTERVAL 900 MILLISECOND AS responded_at,
      CAST(instant AT TIME ZONE 'UTC' AS DATE) AS requested_date,
      900 AS response_time_ms, 200 AS time_to_first_byte_ms,
      'openai' AS provider, ['gpt-4o', 'gpt-4o-mini', 'gpt-4.1'][1 + pick(n, 1, 3)] AS model,
      'POST' AS request_method, '/v1/chat/completions' AS request_path, 200 AS status_code,
      'completed' AS outcome, printf('chatcmpl-%x', pick(n, 2, 281474976710656)) AS response_id,
      pick(n, 3, 9000) AS input_tokens, pick(n, 4, 2000) AS output_tokens,
      'reported' AS usage_status, 'priced' AS cost_status,
      printf('{"prompt_tokens":%d,"completion_tokens":%d}', pick(n, 3, 9000), pick(n, 4, 2000))
        AS usage_raw,
      CAST(pick(n, 5, 100000) AS DECIMAL(20, 10)) / 1000000 AS total_cost,
      MAP {
        'Feature': printf('feature-%d', pick(n, 6, 40)),
        'Team': printf('team-%d', pick(n, 7, 8)),
        'Plan': ['free', 'pro', 'team', 'enterprise'][1 + pick(n, 8, 4)],
        'User-Id': printf('user-%d', pick(n, 9, $users)),
        'Request-Id': printf('%x', pick(n, 10, 281474976710656))
      } AS raw_metadata,
      CAST([] AS VARCHAR[]) AS flags, instant AS created_at
    FROM (
      SELECT range AS n, CAST($start AS TIMESTAMPTZ) + range * CAST($step AS INTERVAL) AS instant
      FROM range($first, $last)
    )
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=3_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        lake = Path(folder) / "llm_requests"
        fill(lake, arguments.rows, days=DAYS)
        ledger = ma.open(lake)
        questions: dict[str, Callable[[Path], Any]] = {
            "duckdb": lambda _: by_duckdb(ledger),
            "polars": by_polars,
        }
        raw = {name: timed(ask, lake, arguments.rounds) for name, ask in questions.items()}
        begun = time.perf_counter()
        done = promote(lake, [KEY])
        print(f"promoted in {time.perf_counter() - begun:.1f} s, {done.rows_filled:,} rows filled")
        promoted = {name: timed(ask, lake, arguments.rounds) for name, ask in questions.items()}
    is_enough = True
    for name, wanted in WANTED.items():
        (slow, before), (fast, after) = raw[name], promoted[name]
        if before != after:
            raise RuntimeError(name, before, after)
        ratio = slow / fast
        is_enough &= ratio >= wanted
        print(
            f"{name}: {slow * 1000:,.0f} ms from the metadata, {fast * 1000:,.0f} ms promoted; "
            f"{ratio:.1f} times as fast (wanted: {wanted:g})"
        )
    sys.exit(0 if is_enough else 1)


def fill(lake: Path, rows: int, *, days: int, users: int = 5_000) -> None:
    """Write requests of days that are over, evenly, as a drain does that was far behind."""
    create_lake(lake)
    start = datetime(2026, 10, 1, tzinfo=UTC)
    for first in range(0, rows, ROWS_PER_COMMIT):
        last = min(rows, first + ROWS_PER_COMMIT)
        values = {
            "start": start.isoformat(),
            "step": f"{days * 86_400_000_000 // rows} microseconds",
            "first": first,
            "last": last,
            "users": users,
        }
        with duckdb.connect() as connection:
            connection.execute("SET TimeZone = 'UTC'")
            connection.execute(PICK)
            found = connection.sql(ROWS, params=values).to_arrow_table()
        append_once(lake, as_lake(found), application="fill", first=first + 1, last=last)


def as_lake(found: pa.Table) -> pa.Table:
    """Return rows in the lake's types; what they lack is null."""
    columns = [
        found.column(field.name).cast(field.type)
        if field.name in found.schema.names
        else pa.nulls(len(found), field.type)
        for field in arrow_schema()
    ]
    return pa.Table.from_arrays(columns, schema=arrow_schema())


def by_duckdb(ledger: ma.Ledger) -> dict[str, Any]:
    rows = ledger.query("total_cost", dimensions=KEY).to_polars()
    return dict(rows.select(KEY, "total_cost").rows())


def by_polars(lake: Path) -> dict[str, Any]:
    snapshot = take_snapshot(lake)
    requests = pl.scan_parquet([file.uri for file in snapshot.files])
    is_promoted = KEY in snapshot.promoted
    value = pl.col(f"indexed_{KEY}") if is_promoted else pl.col("raw_metadata").map.get(KEY)
    found = requests.group_by(value.alias(KEY)).agg(pl.col("total_cost").sum()).collect()
    return dict(found.rows())


def timed(ask: Callable[[Path], Any], lake: Path, rounds: int) -> tuple[float, Any]:
    """Return the median of the seconds that a question takes, and its answer."""
    seconds = []
    for _ in range(rounds + 1):  # the first warms up
        begun = time.perf_counter()
        answer = ask(lake)
        seconds.append(time.perf_counter() - begun)
    return statistics.median(seconds[1:]), answer


if __name__ == "__main__":
    main()

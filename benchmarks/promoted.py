"""How much faster a promoted key is: the same questions before and after, in one run.

A lake of requests over some days has five metadata keys in each; in a copy of it one is
promoted. Both are asked in turns, through the ledger; all answers have to be equal.

    python benchmarks/promoted.py [--rows 3000000] [--rounds 5]

Its end says whether some question is ten times as fast in DuckDB, and eight in Polars. What
a promoted key saves is the reading of the metadata, so that the gain is the larger the less
else there is to do: to add up money takes DuckDB three times as long as to count.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

import majordomo_analytics as ma
from majordomo_analytics.lake.promotion import promote
from majordomo_analytics.lake.table import append_once, create_lake
from majordomo_analytics.records.schemas import arrow_schema

KEY = "Plan"
DAYS = 30
WANTED = {"duckdb": 10.0, "polars": 8.0}
QUESTIONS: dict[str, dict[str, Any]] = {
    "cost by the key": {"measures": "total_cost", "dimensions": KEY},
    "requests by the key": {"measures": "requests", "dimensions": KEY},
    "cost by model of one value": {
        "measures": "total_cost",
        "dimensions": "model",
        "filters": {KEY: "pro"},
    },
}
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
        raw, promoted = Path(folder) / "raw", Path(folder) / "promoted"
        fill(raw, arguments.rows, days=DAYS)
        shutil.copytree(raw, promoted)
        begun = time.perf_counter()
        done = promote(promoted, [KEY])
        print(f"promoted in {time.perf_counter() - begun:.1f} s, {done.rows_filled:,} rows filled")
        ledgers = ma.open(raw), ma.open(promoted)
        most = {
            engine: max(compare(ledgers, engine, name, arguments.rounds) for name in QUESTIONS)
            for engine in WANTED
        }
    sys.exit(0 if all(most[engine] >= wanted for engine, wanted in WANTED.items()) else 1)


def compare(ledgers: tuple[ma.Ledger, ma.Ledger], engine: str, name: str, rounds: int) -> float:
    """Return how many times as fast the promoted key is by the clock, asked in turns."""
    clock: tuple[list[float], list[float]] = ([], [])
    work: tuple[list[float], list[float]] = ([], [])
    answers = []
    for _ in range(rounds + 1):  # the first warms up
        for place, ledger in enumerate(ledgers):
            begun, worked = time.perf_counter(), time.process_time()
            answers.append(ledger.query(**QUESTIONS[name], engine=engine).to_polars().rows())
            clock[place].append(time.perf_counter() - begun)
            work[place].append(time.process_time() - worked)
    if any(answer != answers[0] for answer in answers):
        raise RuntimeError(name, engine, answers)
    slow, fast = (statistics.median(seconds[1:]) for seconds in clock)
    slow_work, fast_work = (statistics.median(seconds[1:]) for seconds in work)
    print(
        f"{engine}, {name}: {slow * 1000:,.0f} ms from the metadata, {fast * 1000:,.0f} ms "
        f"promoted; {slow / fast:.1f} times as fast, with {slow_work / fast_work:.1f} times less "
        f"work of the processors (wanted: {WANTED[engine]:g})"
    )
    return slow / fast


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


if __name__ == "__main__":
    main()

"""How fast Postgres catches up: the drain beside plain COPY of the same rows, in one run.

Requests wait in spools, as after an outage of Postgres. The drain gives them to Postgres in
one process: it reads, decodes, prices, and commits batches that no repetition can double.
COPY puts the rows that came of it, as Postgres itself wrote them out, into the same table
with the same indexes, in batches of the same size: what a loader costs at the least that
computes nothing and promises nothing.

    python benchmarks/catch_up.py [--rows 200000] [--rounds 3]

Its end says whether the drain makes 10,000 rows in a second. CPU time is told as well: the
clock also measures who else uses the machine. The drain and Postgres take turns, so
a machine that has nothing else to do takes the sum of both.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg

from majordomo_analytics.datadir import DataDirectory
from majordomo_analytics.drain.passes import ROWS_PER_COMMIT, serve
from majordomo_analytics.drain.postgres import WRITTEN, PostgresSink
from majordomo_analytics.records.ids import new_request_id
from majordomo_analytics.records.request import RequestRecord, encode_record
from majordomo_analytics.records.usage import Usage
from majordomo_analytics.spool.writer import SpoolWriter
from tests.support.server import running_server

if TYPE_CHECKING:
    from collections.abc import Callable

WANTED_ROWS_PER_SECOND = 10_000
MODELS = {"openai": ("gpt-4o", "gpt-4o-mini"), "anthropic": ("claude-sonnet-4-5",)}
COLUMNS = ", ".join(WRITTEN)
ROWS_PER_SPOOL = 20_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, running_server() as server:
        data = DataDirectory.create(Path(folder) / "data")
        fill(data, arguments.rows)
        ratios, rates = [], []
        for _ in range(arguments.rounds):
            reset(server.dsn)
            before_s = server.cpu_seconds()
            drained_s, cpu_s = timed(partial(drain, data, server.dsn, arguments.rows))
            server_s = server.cpu_seconds() - before_s
            batches = written_out(server.dsn)
            with psycopg.connect(server.dsn) as connection:
                connection.execute("truncate llm_requests")
            copied_s, _ = timed(partial(copy, server.dsn, batches))
            rates.append(arguments.rows / drained_s)
            ratios.append(drained_s / copied_s)
            print(
                f"drain {rates[-1]:,.0f} rows/s ({cpu_s / arguments.rows * 1e6:.0f} µs of its CPU "
                f"and {server_s / arguments.rows * 1e6:.0f} µs of Postgres' a row), "
                f"COPY {arguments.rows / copied_s:,.0f} rows/s; ratio {ratios[-1]:.2f}"
            )
    rate = statistics.median(rates)
    print(
        f"{arguments.rows:,} rows in spools: {rate:,.0f} rows/s, {statistics.median(ratios):.2f} "
        f"times as long as COPY (min {min(ratios):.2f}, max {max(ratios):.2f})"
    )
    sys.exit(0 if rate >= WANTED_ROWS_PER_SECOND else 1)


def fill(data: DataDirectory, rows: int) -> None:
    """Write requests as a proxy does that has several users."""
    chance = random.Random(1)
    now = datetime.now(UTC)
    keys = ["00000000-0000-7000-8000-00000000000" + str(n) for n in range(5)]

    def a_request() -> RequestRecord:
        provider = chance.choice(list(MODELS))
        model = chance.choice(MODELS[provider])
        begun = now - timedelta(seconds=chance.uniform(0, 7200))
        cached = chance.randrange(0, 1000)
        return RequestRecord(
            id=new_request_id(),
            requested_at=begun,
            responded_at=begun + timedelta(milliseconds=900),
            response_time_ms=900,
            time_to_first_byte_ms=200,
            majordomo_api_key_id=chance.choice(keys),
            provider_api_key_hash="a" * 64,
            provider=provider,
            api_flavour="chat",
            model=model,
            requested_model=model,
            request_method="POST",
            request_path="/v1/chat/completions",
            status_code=200,
            outcome="completed",
            is_streamed=True,
            response_id=f"chatcmpl-{chance.getrandbits(60):x}",
            request_bytes=chance.randrange(500, 50_000),
            response_bytes=chance.randrange(500, 50_000),
            usage=Usage(
                input_tokens=cached + chance.randrange(1, 9000),
                cached_tokens=cached,
                output_tokens=chance.randrange(1, 2000),
                status="reported",
                source="stream_final",
                raw=f'{{"prompt_tokens":{cached},"completion_tokens":7,"total_tokens":9}}',
            ),
            metadata={
                "Feature": f"feature-{chance.randrange(40)}",
                "Team": f"team-{chance.randrange(8)}",
                "User-Id": f"user-{chance.randrange(5000)}",
                "Request-Id": f"{chance.getrandbits(64):x}",
            },
        )

    async def write(count: int) -> None:
        writer = SpoolWriter(data.spool)
        for _ in range(count):
            future = writer.append((record := a_request()).id, encode_record(record))
        await future
        writer.close()

    for first in range(0, rows, ROWS_PER_SPOOL):
        asyncio.run(write(min(ROWS_PER_SPOOL, rows - first)))


def reset(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("drop schema public cascade")
        connection.execute("create schema public")


def drain(data: DataDirectory, dsn: str, rows: int) -> None:
    sink = PostgresSink(dsn, lake=data.lake)
    done = serve(data, sink)
    sink.close()
    if done.rows != rows or done.troubles:
        raise RuntimeError(done)


def written_out(dsn: str) -> list[list[bytes]]:
    """Return the rows as COPY writes them, in batches."""
    rows: list[bytes] = []
    with psycopg.connect(dsn) as connection, connection.cursor() as cursor:
        query = f"copy (select {COLUMNS} from llm_requests order by ctid) to stdout"
        with cursor.copy(query.encode()) as copy:
            rows = b"".join(bytes(part) for part in copy).splitlines(keepends=True)
    return [rows[n : n + ROWS_PER_COMMIT] for n in range(0, len(rows), ROWS_PER_COMMIT)]


def copy(dsn: str, batches: list[list[bytes]]) -> None:
    statement = f"copy llm_requests ({COLUMNS}) from stdin".encode()
    with psycopg.connect(dsn, autocommit=True) as connection:
        for batch in batches:
            with connection.cursor().copy(statement) as copying:
                copying.write(b"".join(batch))


def timed(what: Callable[[], Any]) -> tuple[float, float]:
    """Return the seconds that it took, by the clock and of this process's CPU."""
    begun, used = time.perf_counter(), time.process_time()
    what()
    return time.perf_counter() - begun, time.process_time() - used


if __name__ == "__main__":
    main()

"""A real PostgreSQL answers each shape of question as DuckDB does, from its own dialect."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import psycopg
import pytest
from polars.testing import assert_frame_equal
from psycopg import sql

import majordomo_analytics as ma
from majordomo_analytics.engines.base import shape_rows
from majordomo_analytics.engines.sql.compiler import compile_plan
from majordomo_analytics.engines.sql.dialects import POSTGRES
from majordomo_analytics.records.columns import COLUMNS
from tests.engines.test_golden_sql import QUESTIONS
from tests.support.postgres import postgres_server

__all__ = ["postgres_server"]

TYPES = {
    "text": "text", "integer": "bigint", "money": "numeric(20, 10)", "instant": "timestamptz",
    "date": "date", "boolean": "boolean", "text_list": "text[]", "text_map": "jsonb",
}  # fmt: skip


def rows() -> list[dict[str, Any]]:
    """Make a year of requests, with values missing everywhere."""
    draw = random.Random(5)

    def some(*values: Any) -> Any:
        return draw.choice([None, *values])

    made = []
    for number in range(400):
        keys = {
            "Feature": some("chat", "eu-search", "us-west-bulk", "-", ""),
            "Team": some("legal", "it's", "sales", "Zoë"),
            "Plan": some("pro", "free"),
            "User-Id": some(*(f"u{n}" for n in range(40))),
        }
        at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=draw.randrange(365 * 86_400))
        made.append(
            {
                "id": f"{number:04}",
                "requested_at": at,
                "requested_date": at.date(),
                "is_streamed": some(True, False),
                "model": some("gpt-5", "gpt-4o", "o3", "o3-mini", "claude\ngpt-5"),
                "status_code": some(200, 404, 429),
                "outcome": "completed",
                "input_tokens": some(5, 999, 1000, 10_000),
                "output_tokens": some(1, 2, 3),
                "cached_tokens": some(1, 2, 3),
                "response_time_ms": some(10, 200, 5000),
                "web_searches": some(1, 2),
                "social_searches": some(1, 2),
                "total_cost": some(Decimal("0.0125"), Decimal("1.5"), Decimal("0.0000000001")),
                "raw_metadata": json.dumps({k: v for k, v in keys.items() if v is not None}),
            }
        )
    return made


ROWS = rows()


@pytest.fixture(scope="module")
def connection(postgres_server: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(postgres_server, options="-c timezone=Asia/Kolkata") as opened:
        listed = ", ".join(f'"{column.name}" {TYPES[column.type]}' for column in COLUMNS)
        opened.execute(f"create temporary table llm_requests ({listed})".encode())
        statement = sql.SQL("insert into llm_requests ({}) values ({})").format(
            sql.SQL(", ").join(map(sql.Identifier, ROWS[0])),
            sql.SQL(", ").join(map(sql.Placeholder, ROWS[0])),
        )
        opened.cursor().executemany(statement, ROWS)
        yield opened


@pytest.fixture(scope="module")
def ledger() -> ma.Ledger:
    return ma.open(pl.DataFrame(ROWS, infer_schema_length=None))


@pytest.mark.parametrize("name", QUESTIONS)
def test_postgres_agrees_with_duckdb(
    name: str, connection: psycopg.Connection, ledger: ma.Ledger
) -> None:
    """Whatever the zone of the session is."""
    result = ledger.query(**QUESTIONS[name], fill_gaps=False)

    found = connection.execute(compile_plan(result.plan, POSTGRES).encode())
    names = [str(n) for n in range(len(found.description or ()))]
    frame = pl.DataFrame(found.fetchall(), schema=names, orient="row", infer_schema_length=None)

    assert len(result) > 0
    assert_frame_equal(shape_rows(frame, result.plan), result.to_polars(), rel_tol=1e-12, abs_tol=0)


PARTS = [(text, part) for text in ("-", "--", "a-b", "us-", "é") for part in (-3, -1, 0, 1, 2)]


@pytest.mark.parametrize(("separator", "part"), PARTS)
def test_parts_of_a_text_agree(
    separator: str, part: int, connection: psycopg.Connection, ledger: ma.Ledger
) -> None:
    """Also from the end, and where there are fewer parts."""
    own = ma.dimension("own", "Feature", split=separator, part=part)
    result = ledger.query("requests", own)

    found = connection.execute(compile_plan(result.plan, POSTGRES).encode()).fetchall()

    assert sorted(found) == sorted(result.to_polars().iter_rows())

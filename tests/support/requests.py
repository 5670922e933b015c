"""Requests for tests of the read road: rows of plain dicts, and lakes made of them."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import psycopg
import pyarrow as pa
from psycopg import sql
from psycopg.types.json import Jsonb

from majordomo_analytics.drain.migrate import migrate
from majordomo_analytics.lake.table import append_once, create_lake
from majordomo_analytics.records.columns import BY_NAME, promoted_column
from majordomo_analytics.records.metadata import PROMOTED_FROM_THE_START
from majordomo_analytics.records.schemas import arrow_schema

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def request(number: int, at: str, cost: str | None, **metadata: str) -> dict[str, Any]:
    """Return the lake row of a request; metadata keys have ``_`` for ``-``."""
    requested_at = datetime.fromisoformat(at).replace(tzinfo=UTC)
    keys = {name.replace("_", "-"): value for name, value in metadata.items()}
    return {
        "id": f"00000000-0000-7000-8000-{number:012}",
        "requested_at": requested_at,
        "requested_date": requested_at.date(),
        "response_time_ms": 100 * number,
        "provider": "openai",
        "model": "gpt-5" if number % 2 else None,
        "request_method": "POST",
        "request_path": "/v1/chat/completions",
        "status_code": 200 if number % 3 else 429,
        "outcome": "completed",
        "input_tokens": 10 * number,
        "output_tokens": number,
        "usage_status": "reported",
        "total_cost": None if cost is None else Decimal(cost),
        "cost_status": "unpriced" if cost is None else "priced",
        "raw_metadata": list(keys.items()),
        "flags": [],
        "created_at": requested_at,
        **{promoted_column(key): keys.get(key) for key in PROMOTED_FROM_THE_START},
    }


REQUESTS = [
    request(1, "2026-10-01T09:00", "0.0125", Feature="chat", Team="legal", Plan="pro"),
    request(2, "2026-10-01T23:30", "1.50", Feature="search", Team="sales"),
    request(3, "2026-10-02T10:00", "0.25", Feature="chat"),
    request(4, "2026-10-03T11:00", None, Feature="chat", Team="legal", Plan="free"),
    request(5, "2026-10-31T23:59", "12.00", Feature="bulk", Team="it's", User_Id="u1"),
]


def write_lake(path: Path, rows: Sequence[dict[str, Any]] = REQUESTS) -> Path:
    """Make a lake of these rows, one file for each day."""
    create_lake(path)
    if rows:
        table = pa.Table.from_pylist(list(rows), schema=arrow_schema(PROMOTED_FROM_THE_START))
        append_once(path, table, application="tests", first=1, last=len(rows))
    return path


def write_postgres(
    dsn: str, rows: Sequence[dict[str, Any]] = REQUESTS, *, schema: str = "public"
) -> str:
    """Make our tables in a database and put these rows there, as the drain would.

    Promoted are the keys that are so from the start.
    """
    with psycopg.connect(dsn, autocommit=True) as connection:
        migrate(connection, schema)
        connection.execute("select set_config('search_path', quote_ident(%s), false)", (schema,))
        with connection.transaction(), connection.cursor() as cursor:
            for row in rows:
                keys = dict(row["raw_metadata"])
                indexed = {key: keys[key] for key in PROMOTED_FROM_THE_START if key in keys}
                values = {name: value for name, value in row.items() if name in BY_NAME}
                values |= {"raw_metadata": Jsonb(keys), "indexed_metadata": Jsonb(indexed)}
                insert = sql.SQL("insert into llm_requests ({}) values ({})").format(
                    sql.SQL(", ").join(map(sql.Identifier, values)),
                    sql.SQL(", ").join([sql.Placeholder()] * len(values)),
                )
                cursor.execute(insert, list(values.values()))
            cursor.execute(
                "insert into llm_requests_metadata_keys (majordomo_api_key_id, key_name, is_active,"
                " activated_at, request_count, first_seen_at, last_seen_at) select"
                " majordomo_api_key_id, key, key = any(%(keys)s),"
                " case when key = any(%(keys)s) then now() end, count(*), min(requested_at),"
                " max(requested_at) from llm_requests, jsonb_object_keys(raw_metadata) as key"
                " group by majordomo_api_key_id, key on conflict do nothing",
                {"keys": list(PROMOTED_FROM_THE_START)},
            )
    return dsn

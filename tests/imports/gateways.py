"""The table of requests as each version of the real gateway has it, and rows for it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

BEGIN = """
id uuid primary key default gen_random_uuid(),
majordomo_api_key_id uuid,
provider_api_key_hash varchar(64), provider_api_key_alias varchar(255),
provider varchar(100) not null, model varchar(100) not null,
request_path text not null, request_method text not null,
requested_at timestamptz not null, responded_at timestamptz not null,
response_time_ms int not null, input_tokens int not null, output_tokens int not null
"""
END = """
output_cost numeric(12,8) not null, total_cost numeric(12,8) not null, status_code int not null,
error_message text, raw_metadata jsonb, indexed_metadata jsonb default '{}',
model_alias_found boolean not null default true, created_at timestamptz default now()
"""
OLDER = """
proxy_key_id uuid, user_id uuid, cached_tokens int default 0, cache_creation_tokens int default 0,
input_cost numeric(12,8) not null, request_body text, response_body text, body_s3_key text
"""
COLUMNS = {
    "sgw": f"{BEGIN}, {OLDER}, {END}",
    "sgw+": f"{BEGIN}, {OLDER}, org_id uuid, body_storage_key text, {END}",
    "stw": f"""{BEGIN}, {OLDER}, org_id uuid, original_model text, experiment_id uuid,
        experiment_arm_id uuid, deprecated_model_redirected boolean not null default false,
        synced_to_butler boolean not null default false, {END}""",
    "ogw": f"""{BEGIN}, original_model varchar(100), cached_tokens int not null default 0,
        cache_creation_tokens int not null default 0,
        cache_creation_5m_tokens int not null default 0,
        cache_creation_1h_tokens int not null default 0, input_cost numeric(12,8) not null,
        cached_cost numeric(12,8) not null default 0,
        cache_creation_cost numeric(12,8) not null default 0, body_s3_key text,
        deprecated_model_redirected boolean not null default false, trace_id text, span_path text,
        span_name text, span_id uuid, parent_span_id uuid, routed_provider text,
        routing_reason text, routing_original_model text, {END}""",
}
VERSIONS = tuple(COLUMNS)
NOON = datetime(2026, 10, 5, 12, tzinfo=UTC)


def make_gateway(dsn: str, version: str, *rows: dict[str, Any]) -> None:
    """Make the table of a version in a database, and put rows into it."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(f"create table llm_requests ({COLUMNS[version]})".encode())
        for row in rows:
            values = {k: Jsonb(v) if isinstance(v, dict) else v for k, v in row.items()}
            connection.execute(
                sql.SQL("insert into llm_requests ({}) values ({})").format(
                    sql.SQL(", ").join(map(sql.Identifier, values)),
                    sql.SQL(", ").join(map(sql.Placeholder, values)),
                ),
                values,
            )


def a_row(version: str, **fields: Any) -> dict[str, Any]:
    """Return a completed request with a cache read, changed as `fields` say."""
    row: dict[str, Any] = {
        "id": uuid4(),
        "majordomo_api_key_id": uuid4(),
        "provider": "anthropic",
        "model": "claude-haiku-4-5",
        "request_path": "/v1/messages",
        "request_method": "POST",
        "requested_at": NOON,
        "responded_at": NOON + timedelta(milliseconds=1500),
        "response_time_ms": 400,
        "input_tokens": 1000,
        "output_tokens": 50,
        "cached_tokens": 600,
        "cache_creation_tokens": 100,
        "input_cost": "0.00030000",
        "output_cost": "0.00025000",
        "total_cost": "0.00055000",
        "status_code": 200,
        "raw_metadata": {"feature": "search", "user-tier": "pro"},
        "indexed_metadata": {"feature": "search"},
    }
    if version == "ogw":
        row |= {"cached_cost": "0.00006000", "cache_creation_cost": "0.00012500"}
        row["total_cost"] = "0.00073500"
    return row | fields

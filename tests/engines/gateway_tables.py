"""Tables of other Majordomo gateways, of each version, and requests as they write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

_COMMON = """
    id uuid primary key default gen_random_uuid(),
    majordomo_api_key_id uuid,
    provider_api_key_hash varchar(64),
    provider_api_key_alias varchar(255),
    provider varchar(100) not null,
    model varchar(100) not null,
    request_path text not null,
    request_method text not null,
    requested_at timestamptz not null,
    responded_at timestamptz not null,
    response_time_ms int not null,
    input_tokens int not null,
    output_tokens int not null,
    input_cost numeric(12, 8) not null,
    output_cost numeric(12, 8) not null,
    total_cost numeric(12, 8) not null,
    status_code int not null,
    error_message text,
    raw_metadata jsonb,
    indexed_metadata jsonb default '{}',
    body_s3_key text,
    model_alias_found boolean not null default true,
    created_at timestamptz default now()
"""
_NULLABLE_CACHE = "cached_tokens int default 0, cache_creation_tokens int default 0"
_BODIES = "request_body text, response_body text"

TABLES = {
    # The first open gateway.
    "sgw": f"{_COMMON}, proxy_key_id uuid, user_id uuid, {_NULLABLE_CACHE}, {_BODIES}",
    # Its later, unreleased states.
    "sgw+": f"{_COMMON}, proxy_key_id uuid, user_id uuid, {_NULLABLE_CACHE}, {_BODIES},"
    " org_id uuid, body_storage_key text",
    # The steward of the hosted service.
    "stw": f"{_COMMON}, proxy_key_id uuid, org_id uuid, original_model text, {_NULLABLE_CACHE},"
    f" {_BODIES}, experiment_id uuid, experiment_arm_id uuid,"
    " deprecated_model_redirected boolean not null default false,"
    " synced_to_butler boolean not null default false",
    # The newest open gateway, before and after its third migration.
    "ogw2": f"{_COMMON}, original_model varchar(100), cached_tokens int not null default 0,"
    " cache_creation_tokens int not null default 0,"
    " cache_creation_5m_tokens int not null default 0,"
    " cache_creation_1h_tokens int not null default 0,"
    " cached_cost numeric(12, 8) not null default 0,"
    " cache_creation_cost numeric(12, 8) not null default 0,"
    " deprecated_model_redirected boolean not null default false,"
    " trace_id text, span_path text, span_name text, span_id uuid, parent_span_id uuid",
}
TABLES["ogw"] = (
    f"{TABLES['ogw2']}, routed_provider text, routing_reason text, routing_original_model text"
)
VERSIONS = tuple(TABLES)

_REGISTRY = """
create table llm_requests_metadata_keys (
    majordomo_api_key_id uuid not null,
    key_name varchar(255) not null,
    display_name varchar(255),
    key_type varchar(50) default 'string',
    is_required boolean default false,
    is_active boolean not null default false,
    activated_at timestamptz,
    request_count bigint not null default 0,
    last_seen_at timestamptz,
    hll_state bytea,
    approx_cardinality int not null default 0,
    hll_updated_at timestamptz,
    created_at timestamptz default now(),
    primary key (majordomo_api_key_id, key_name)
)
"""
API_KEY = "00000000-0000-4000-8000-00000000000a"


def make_tables(dsn: str, version: str) -> None:
    """Make the tables of one version."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(f"create table llm_requests ({TABLES[version]})".encode())
        connection.execute("create index on llm_requests using gin (indexed_metadata)")
        connection.execute("create index on llm_requests (majordomo_api_key_id, requested_at desc)")
        connection.execute(_REGISTRY)


def write(dsn: str, *rows: dict[str, Any]) -> None:
    """Insert requests as a gateway does: metadata in lower case, 0 for the unknown."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        for row in rows:
            values = {
                name: Jsonb(value) if isinstance(value, dict) else value
                for name, value in row.items()
            }
            statement = sql.SQL("insert into llm_requests ({}) values ({})").format(
                sql.SQL(", ").join(map(sql.Identifier, values)),
                sql.SQL(", ").join([sql.Placeholder()] * len(values)),
            )
            connection.execute(statement, list(values.values()))


def register(dsn: str, *names: str, active: tuple[str, ...] = ()) -> None:
    """Register metadata keys, some of them active."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        for name in names:
            connection.execute(
                "insert into llm_requests_metadata_keys"
                " (majordomo_api_key_id, key_name, is_active, activated_at)"
                " values (%s, %s, %s, case when %s then now() end)",
                (API_KEY, name, name in active, name in active),
            )


def gateway_request(at: str, **changed: Any) -> dict[str, Any]:
    """Return a request that every version can hold, changed as given."""
    requested_at = datetime.fromisoformat(at).replace(tzinfo=UTC)
    return {
        "majordomo_api_key_id": API_KEY,
        "provider": "openai",
        "model": "gpt-4o",
        "request_path": "/v1/chat/completions",
        "request_method": "POST",
        "requested_at": requested_at,
        "responded_at": requested_at + timedelta(milliseconds=2500),
        "response_time_ms": 400,
        "input_tokens": 1000,
        "output_tokens": 100,
        "cached_tokens": 0,
        "cache_creation_tokens": 0,
        "input_cost": "0.25",
        "output_cost": "0.1",
        "total_cost": "0.35",
        "status_code": 200,
        "raw_metadata": {"feature": "search", "user-tier": "pro"},
        "indexed_metadata": {},
        **changed,
    }

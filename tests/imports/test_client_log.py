"""The log of majordomo_llm: SQLite and Postgres as its adapters make them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from majordomo_analytics.datadir import DataDirectory
from majordomo_analytics.errors import SourceError
from majordomo_analytics.imports.source import Reading, open_source
from tests.imports.runs import imported, lake_rows, mdm

NAMES = (
    "request_id", "provider", "model", "timestamp", "response_time", "input_tokens",
    "output_tokens", "cached_tokens", "cache_creation_tokens", "input_cost", "output_cost",
    "total_cost", "storage_request_key", "storage_response_key", "status", "error_message",
    "api_key_hash", "api_key_alias",
)  # fmt: skip
SQLITE = """
create table llm_requests (
  request_id text primary key, provider text not null, model text not null,
  timestamp text not null, response_time real, input_tokens integer, output_tokens integer,
  cached_tokens integer, cache_creation_tokens integer, input_cost real, output_cost real,
  total_cost real, storage_request_key text, storage_response_key text, status text not null,
  error_message text, api_key_hash text, api_key_alias text
)
"""
POSTGRES = """
create table llm_requests (
  request_id varchar(36) primary key, provider varchar(50) not null, model varchar(100) not null,
  timestamp timestamp not null, response_time float, input_tokens integer, output_tokens integer,
  cached_tokens integer, input_cost decimal(10, 8), output_cost decimal(10, 8),
  total_cost decimal(10, 8), s3_request_key varchar(255), s3_response_key varchar(255),
  status varchar(20) not null, error_message text
)
"""
"""As the client documents it: without the counts of cache writes."""

ANSWERED = datetime(2026, 10, 5, 0, 0, 0, 500_000, tzinfo=UTC)


def an_entry(**fields: Any) -> dict[str, Any]:
    return {
        "request_id": str(uuid4()),
        "provider": "openai",
        "model": "gpt-5-mini",
        "timestamp": ANSWERED.isoformat(),
        "response_time": 1.25,
        "input_tokens": 1000,
        "output_tokens": 50,
        "cached_tokens": 600,
        "cache_creation_tokens": 100,
        "input_cost": 0.0001,
        "output_cost": 0.0002,
        "total_cost": 0.0103,
        "status": "success",
        "api_key_alias": "ci",
    } | fields


def sqlite_log(path: Path, *entries: dict[str, Any]) -> Path:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(SQLITE)
        for entry in entries:
            values = [entry.get(name) for name in NAMES]
            database.execute(f"insert into llm_requests values ({', '.join('?' * 18)})", values)
    return path


def postgres_log(dsn: str, *entries: dict[str, Any]) -> None:
    names = [name for name in NAMES if name in POSTGRES]
    with psycopg.connect(dsn) as connection:
        connection.execute(POSTGRES.encode())
        for entry in entries:
            connection.execute(
                f"insert into llm_requests ({', '.join(names)}) "
                f"values ({', '.join(['%s'] * len(names))})".encode(),
                [entry.get(name) for name in names],
            )


def test_an_entry_is_a_request_that_began_before_its_answer(
    tmp_path: Path, data: DataDirectory
) -> None:
    """The client notes the time when the answer is there."""
    entry = an_entry()

    report, _ = imported(sqlite_log(tmp_path / "llm_logs.db", entry), data)

    (row,) = lake_rows(data)
    assert report.imported == 1
    assert row["id"] == entry["request_id"]
    assert row["responded_at"] == ANSWERED
    assert row["requested_at"] == ANSWERED - timedelta(milliseconds=1250)
    assert (row["response_time_ms"], row["status_code"]) == (1250, None)
    assert row["total_cost"] == Decimal("0.0103")
    assert (row["cost_status"], row["price_version"]) == ("stated", "majordomo-llm")


@pytest.mark.parametrize(
    ("provider", "ours", "whole"),
    [
        ("openai", "openai", 1000),
        ("gemini", "gemini", 1000),
        ("anthropic", "anthropic", 1700),
        ("bedrock", "bedrock", 1700),
        ("bedrock_mantle", "bedrock-mantle", 1700),
    ],
)
def test_input_is_whole_for_providers_whose_input_the_client_has_without_the_cache(
    provider: str, ours: str, whole: int, tmp_path: Path, data: DataDirectory
) -> None:
    imported(sqlite_log(tmp_path / "l.db", an_entry(provider=provider)), data)

    (row,) = lake_rows(data)
    assert (row["provider"], row["input_tokens"], row["usage_status"]) == (
        ours,
        whole,
        "reported",
    )
    assert (row["cached_tokens"], row["cache_creation_tokens"]) == (600, 100)


def test_without_a_column_of_cache_writes_the_whole_is_known_in_part(
    postgres: str, data: DataDirectory
) -> None:
    postgres_log(postgres, an_entry(provider="anthropic"), an_entry())

    imported(postgres, data)

    found = {row["provider"]: row for row in lake_rows(data)}
    anthropic, openai = found["anthropic"], found["openai"]
    assert (anthropic["input_tokens"], anthropic["usage_status"]) == (1600, "partial")
    assert (openai["input_tokens"], openai["usage_status"]) == (1000, "reported")
    assert anthropic["total_cost"] == Decimal("0.0103")


def test_a_failed_call_has_its_message_and_neither_tokens_nor_cost(
    tmp_path: Path, data: DataDirectory
) -> None:
    nothing = dict.fromkeys(NAMES[4:12])
    failed = an_entry(**nothing, status="error", error_message="no\x00pe mdm_sk_secret")

    imported(sqlite_log(tmp_path / "l.db", failed), data)

    (row,) = lake_rows(data)
    assert (row["outcome"], row["error_message"]) == ("upstream_error", "nope [API key]")
    assert (row["input_tokens"], row["total_cost"], row["cost_status"]) == (None, None, "no_usage")
    assert row["requested_at"] == ANSWERED
    assert row["flags"] == ["text_cleaned"]


def test_sums_are_those_of_the_log_in_decimals(tmp_path: Path, data: DataDirectory) -> None:
    entries = [an_entry(total_cost=n / 7, response_time=None) for n in range(50)]
    path = sqlite_log(tmp_path / "l.db", *entries)

    report, _ = imported(path, data, rows_per_commit=11)

    with closing(sqlite3.connect(path)) as database:
        costs = [row[0] for row in database.execute("select total_cost from llm_requests")]
    exact = sum(Decimal(repr(cost)).quantize(Decimal("1e-10")) for cost in costs)
    assert report.total_cost == exact


def test_a_database_without_the_log_is_refused_with_what_it_has(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("create table requests (id int)")

    with pytest.raises(SourceError, match=r"no table 'llm_requests'.+did you mean 'requests'"):
        open_source(str(path), Reading())


def test_a_log_that_is_being_written_is_read_and_not_changed(
    tmp_path: Path, data: DataDirectory
) -> None:
    path = sqlite_log(tmp_path / "l o?g#1.db", an_entry())
    before = path.read_bytes()
    with closing(sqlite3.connect(path)) as writing:
        writing.execute("begin immediate")

        mdm("import", path, "--data", data.root)

        writing.rollback()
    assert path.read_bytes() == before
    assert len(lake_rows(data)) == 1

"""Spend logs of LiteLLM: from its table, and from exports of it."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from psycopg import sql

from majordomo_analytics.datadir import DataDirectory
from majordomo_analytics.imports.choices import Kind, Price
from majordomo_analytics.imports.rows import Wishes, row_id
from majordomo_analytics.imports.source import Reading
from tests.imports.runs import imported, lake_rows
from tests.support.postgres import select

TABLE = """
create table "LiteLLM_SpendLogs" (
  request_id text primary key, call_type text not null, api_key text not null default '',
  spend double precision not null default 0, total_tokens int not null default 0,
  prompt_tokens int not null default 0, completion_tokens int not null default 0,
  "startTime" timestamp(3) not null, "endTime" timestamp(3) not null, request_duration_ms int,
  "completionStartTime" timestamp(3), model text not null default '', model_id text default '',
  model_group text default '', custom_llm_provider text default '', api_base text default '',
  "user" text default '', metadata jsonb default '{}', cache_hit text default '',
  cache_key text default '', request_tags jsonb default '[]', team_id text, organization_id text,
  end_user text, requester_ip_address text, messages jsonb default '{}',
  response jsonb default '{}', session_id text, status text, mcp_namespaced_tool_name text,
  agent_id text, proxy_server_request jsonb default '{}', litellm_call_id text,
  created_at timestamp(3) not null default current_timestamp,
  updated_at timestamp(3) not null default current_timestamp
)
"""
NOON = datetime(2026, 10, 5, 12)  # noqa: DTZ001 - its table has no zones, and means UTC
OBJECTS = {
    "usage_object": {
        "prompt_tokens": 1000,
        "completion_tokens": 200,
        "prompt_tokens_details": {"cached_tokens": 600, "audio_tokens": None},
        "completion_tokens_details": {"reasoning_tokens": 150},
        "cache_creation_input_tokens": 100,
    },
    "cost_breakdown": {
        "input_cost": 0.0003,
        "cache_read_cost": 0.00006,
        "cache_creation_cost": 0.000125,
        "output_cost": 0.001,
        "tool_usage_cost": 0.01,
        "total_cost": 0.011485,
    },
}


def a_log(number: int = 1, **fields: Any) -> dict[str, Any]:
    """Return a row of the table, changed as `fields` say."""
    return {
        "request_id": f"chatcmpl-{number}",
        "call_type": "acompletion",
        "api_key": "88dc28d0f030c55ed4ab77ed8faf098196cb1c05df778539800c9f1243fe6b4b",
        "spend": 0.1,
        "total_tokens": 1200,
        "prompt_tokens": 1000,
        "completion_tokens": 200,
        "startTime": NOON,
        "endTime": NOON + timedelta(milliseconds=1500),
        "completionStartTime": NOON + timedelta(milliseconds=300),
        "model": "anthropic/claude-haiku-4-5",
        "model_group": "cheap",
        "custom_llm_provider": "anthropic",
        "metadata": {},
        "cache_hit": "False",
        "request_tags": [],
        "status": "success",
        **fields,
    }


def fill(dsn: str, *rows: dict[str, Any]) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(TABLE.encode())
        for row in rows:
            values = {
                name: json.dumps(value) if isinstance(value, (dict, list)) else value
                for name, value in row.items()
            }
            connection.execute(
                sql.SQL('insert into "LiteLLM_SpendLogs" ({}) values ({})').format(
                    sql.SQL(", ").join(map(sql.Identifier, values)),
                    sql.SQL(", ").join(map(sql.Placeholder, values)),
                ),
                values,
            )


def as_file(path: Path, *rows: dict[str, Any]) -> Path:
    """Write rows as an export of the table has them."""
    if path.suffix == ".parquet":
        flat = [
            {n: json.dumps(v) if isinstance(v, (dict, list)) else v for n, v in row.items()}
            for row in rows
        ]
        pq.write_table(pa.Table.from_pylist(flat), path)
    elif path.suffix == ".csv":
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            for row in rows:
                writer.writerow(
                    {n: json.dumps(v) if isinstance(v, (dict, list)) else v for n, v in row.items()}
                )
    else:
        texts = [json.dumps(row, default=lambda at: f"{at.isoformat()}Z") for row in rows]
        whole = "[" + ",\n".join(texts) + "]" if path.suffix == ".json" else "\n".join(texts)
        path.write_text(whole, "utf-8")
    return path


def row_from(data: DataDirectory, source: str | Path, **wishes: Any) -> dict[str, Any]:
    report, rejects = imported(source, data, wishes=Wishes(**wishes))
    assert report.rejected == 0, rejects.reasons
    (row,) = lake_rows(data)
    return row


@pytest.mark.parametrize("form", ["postgres", "csv", "json", "jsonl", "parquet"])
def test_a_row_is_the_same_from_the_table_and_from_every_export(
    form: str, postgres: str, data: DataDirectory, tmp_path: Path
) -> None:
    log = a_log(metadata=OBJECTS)
    if form == "postgres":
        fill(postgres, log)
    source = postgres if form == "postgres" else as_file(tmp_path / f"logs.{form}", log)

    row = row_from(data, source)

    expected = {
        "id": row_id("litellm", "chatcmpl-1"),
        "response_id": "chatcmpl-1",
        "requested_at": NOON.replace(tzinfo=UTC),
        "response_time_ms": 1500,
        "time_to_first_byte_ms": 300,
        "provider": "anthropic",
        "model": "claude-haiku-4-5",
        "requested_model": "cheap",
        "request_path": "/v1/chat/completions",
        "api_flavour": "chat",
        "outcome": "completed",
        "status_code": None,
        "input_tokens": 1000,
        "cached_tokens": 600,
        "cache_creation_tokens": 100,
        "output_tokens": 200,
        "reasoning_tokens": 150,
        "input_cost": Decimal("0.000485"),
        "output_cost": Decimal("0.001"),
        "tool_cost": Decimal("0.01"),
        "total_cost": Decimal("0.1"),
        "cost_status": "stated",
        "price_version": "litellm",
    }
    assert {name: row[name] for name in expected} == expected
    assert json.loads(row["usage_raw"])["completion_tokens_details"] == {"reasoning_tokens": 150}


def test_sums_are_those_that_sql_gives_on_the_table(postgres: str, data: DataDirectory) -> None:
    """Its spend is a float: each is taken as the text that shows it, and added exactly."""
    fill(postgres, *(a_log(n, spend=n / 7, prompt_tokens=n) for n in range(1, 90)))

    report, _ = imported(postgres, data, rows_per_commit=13)

    ((tokens, cost),) = select(
        postgres,
        'select sum(prompt_tokens), sum(round(spend::text::numeric, 10)) from "LiteLLM_SpendLogs"',
    )
    assert sum(row["input_tokens"] for row in lake_rows(data)) == tokens
    assert report.total_cost == cost


def test_who_called_becomes_metadata_and_what_callers_said_goes_first(
    data: DataDirectory, tmp_path: Path
) -> None:
    log = a_log(
        metadata={
            "spend_logs_metadata": {"user_tier": "pro", "build": 7},
            "user_api_key_team_alias": "legal",
            "user_api_key_alias": "ci",
        },
        request_tags=["feature: search", "Team=other", "canary", "User-Tier:free"],
        end_user="u1",
        api_key="sk-1234",
    )

    metadata = row_from(data, as_file(tmp_path / "l.jsonl", log))["raw_metadata"]

    hashed = metadata.pop("Api-Key-Hash")
    assert metadata == {
        "User-Tier": "pro",
        "Build": "7",
        "Feature": "search",
        "Team": "other",
        "Tags": "canary",
        "User-Id": "u1",
        "Api-Key-Alias": "ci",
    }
    assert len(hashed) == 64


def test_a_failure_is_told_with_its_status_and_has_no_cost(
    data: DataDirectory, tmp_path: Path
) -> None:
    error = {"error_code": "429", "error_message": "slow down"}
    log = a_log(
        status="failure",
        spend=0.0,
        prompt_tokens=0,
        completion_tokens=0,
        metadata={"error_information": error, "attempted_retries": 2},
    )

    row = row_from(data, as_file(tmp_path / "l.jsonl", log))

    assert (row["outcome"], row["status_code"]) == ("upstream_error", 429)
    assert (row["error_message"], row["retry_attempt"]) == ("slow down", 2)
    assert (row["input_tokens"], row["total_cost"], row["cost_status"]) == (None, None, "no_usage")


@pytest.mark.parametrize(
    ("fields", "cost"),
    [
        ({"spend": 0.0}, None),
        ({"spend": 0.0, "cache_hit": "True"}, Decimal(0)),
        ({"spend": 0.0, "metadata": {"cost_breakdown": {"total_cost": 0.0}}}, Decimal(0)),
        ({"spend": 1e-12}, Decimal(0)),
        ({"spend": 0.1 + 0.2}, Decimal("0.3")),
    ],
)
def test_a_spend_of_nothing_is_no_price_unless_it_says_why(
    fields: dict[str, Any], cost: Decimal | None, data: DataDirectory, tmp_path: Path
) -> None:
    row = row_from(data, as_file(tmp_path / "l.jsonl", a_log(**fields)), price=Price.NONE)

    assert row["total_cost"] == cost
    assert row["cost_status"] == ("unpriced" if cost is None else "stated")


def test_what_its_own_cache_answered_is_a_row_of_its_own(
    data: DataDirectory, tmp_path: Path
) -> None:
    hit = a_log(cache_hit="True", spend=0.0) | {"request_id": "chatcmpl-1_cache_hit1790.5"}
    source = as_file(tmp_path / "l.jsonl", a_log(), hit)

    imported(source, data)

    rows = lake_rows(data)
    assert [row["response_id"] for row in rows] == ["chatcmpl-1"] * 2
    assert sorted(row["raw_metadata"].get("Cache-Hit", "") for row in rows) == ["", "true"]


def test_older_tables_without_newer_columns_are_read(data: DataDirectory, tmp_path: Path) -> None:
    old = {
        name: value
        for name, value in a_log().items()
        if name not in {"completionStartTime", "model_group", "custom_llm_provider", "status"}
    }

    row = row_from(data, as_file(tmp_path / "l.csv", old))

    assert (row["provider"], row["model"]) == ("anthropic", "claude-haiku-4-5")
    assert row["time_to_first_byte_ms"] is None


def test_what_was_said_and_from_where_is_never_read(data: DataDirectory, tmp_path: Path) -> None:
    log = a_log(messages={"role": "secret"}, response={}, requester_ip_address="10.0.0.1")

    row = row_from(data, as_file(tmp_path / "l.jsonl", log))

    assert "secret" not in str(row)
    assert "10.0.0.1" not in str(row)


def test_a_row_with_metadata_that_is_none_is_rejected(data: DataDirectory, tmp_path: Path) -> None:
    source = as_file(tmp_path / "l.csv", a_log(1), a_log(2) | {"metadata": "{broken"})

    report, rejects = imported(source, data, reading=Reading(Kind.LITELLM))

    assert (report.imported, report.rejected) == (1, 1)
    assert rejects.reasons == ["line 3: metadata '{broken' is no JSON"]

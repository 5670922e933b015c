"""The SQL of each shape of question as Postgres runs it, and of another gateway's table.

A missing file is a failure; ``MAJORDOMO_WRITE_SNAPSHOTS=1`` writes them anew.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import majordomo_analytics as ma
from tests.engines.gateway_tables import VERSIONS, gateway_request, make_tables, write
from tests.engines.test_golden_sql import QUESTIONS
from tests.support.postgres import run
from tests.support.requests import write_postgres

FOLDER = Path(__file__).parent / "golden" / "postgres"
OF_A_GATEWAY: dict[str, Any] = {"dimensions": "Feature", "filters": {"total_cost": (">", 1)}}


def compare(made: str | None, name: str) -> None:
    golden = FOLDER / f"{name}.sql"
    if os.environ.get("MAJORDOMO_WRITE_SNAPSHOTS"):
        golden.write_text(f"{made}\n", "utf-8")

    assert golden.exists(), f"{golden} is missing"
    assert f"{made}\n" == golden.read_text("utf-8")


def test_sql_is_as_in_the_snapshot(postgres: str) -> None:
    """Of our own tables: promoted keys from indexed metadata, names as they are stored."""
    ledger = ma.open(write_postgres(postgres))
    for name, question in QUESTIONS.items():
        compare(ledger.query(**question).sql, name)


def test_sql_of_a_gateway_is_as_in_the_snapshot(postgres: str) -> None:
    """Of each version: what stands there for a cost that may not be known."""
    for version in VERSIONS:
        run(postgres, "drop schema public cascade", "create schema public")
        make_tables(postgres, version)
        write(postgres, gateway_request("2026-10-01T10:00"))
        ledger = ma.open(postgres)
        compare(ledger.query(**OF_A_GATEWAY).sql, f"gateway_{version.replace('+', '_later')}")
        del ledger


def test_no_snapshot_is_left_over() -> None:
    """Every file belongs to a question."""
    gateways = {f"gateway_{version.replace('+', '_later')}" for version in VERSIONS}
    assert {path.stem for path in FOLDER.glob("*.sql")} == {*QUESTIONS, *gateways}

"""`mdm query` asks Postgres as it asks a lake."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from majordomo_analytics.datadir import DataDirectory
from tests.support.proxy import mdm
from tests.support.requests import write_lake, write_postgres

ASKED = ("query", "--by", "Team", "--measure", "total_cost", "--limit", "1", "--format", "json")


def test_the_answer_of_postgres_is_that_of_the_lake(postgres: str, tmp_path: Path) -> None:
    """With the address in the environment, where a list of processes does not show it."""
    write_lake(DataDirectory.create(tmp_path / "data").lake)
    write_postgres(postgres, schema="costs")
    environment: dict[str, Any] = {
        "MAJORDOMO_DATA": str(tmp_path / "data"),
        "MAJORDOMO_POSTGRES": postgres,
    }

    of_lake = mdm(*ASKED, **environment)
    of_postgres = mdm(*ASKED, "--engine", "postgres", "--postgres-schema", "costs", **environment)

    assert json.loads(of_lake.stdout) == json.loads(of_postgres.stdout)
    assert json.loads(of_lake.stdout)["rows"][1] == {
        "Team": "(other)",
        "total_cost": "1.7625000000",
    }


def test_without_an_address_it_says_what_is_missing(tmp_path: Path) -> None:
    """And does not fall back to the lake."""
    ended = mdm(*ASKED, "--engine", "postgres", check=False, MAJORDOMO_POSTGRES="")

    assert ended.returncode == 2
    assert "--engine postgres reads what --postgres (MAJORDOMO_POSTGRES) names" in ended.stderr

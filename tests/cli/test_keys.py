"""`mdm keys`: the same commands for a data directory and for Postgres."""

from __future__ import annotations

import json
import re
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from majordomo_analytics.apikeys import ApiKeyCache, ApiKeyStore
from majordomo_analytics.apikeys.copying import copy_keys
from majordomo_analytics.datadir import DataDirectory
from majordomo_analytics.drain.keystore import PostgresKeyStore
from majordomo_analytics.drain.loop import drain_once
from majordomo_analytics.drain.postgres import PostgresSink
from majordomo_analytics.drain.sinks import LakeSink
from tests.drain.spools import spool
from tests.support.postgres import postgres, postgres_server
from tests.support.proxy import mdm
from tests.support.records import a_record

__all__ = ["postgres", "postgres_server"]

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


class Keys:
    """Runs `mdm keys` where the keys live."""

    def __init__(self, data: Path, postgres: str | None) -> None:
        self.data = data
        self.environment = {"MAJORDOMO_DATA": str(data)}
        if postgres:
            self.environment["MAJORDOMO_POSTGRES"] = postgres

    def run(self, *arguments: str, check: bool = True) -> Any:
        return mdm("keys", *arguments, check=check, **self.environment)

    def json(self, *arguments: str) -> Any:
        return json.loads(self.run(*arguments, "--json").stdout)

    def list(self) -> list[dict[str, Any]]:
        listed: list[dict[str, Any]] = self.json("list")
        return listed


@pytest.fixture(params=["sqlite", "postgres"])
def keys(request: pytest.FixtureRequest, tmp_path: Path) -> Keys:
    dsn = request.getfixturevalue("postgres") if request.param == "postgres" else None
    return Keys(tmp_path / "data", dsn)


def test_keys_are_made_listed_rotated_and_revoked(keys: Keys) -> None:
    """A plain key is printed once; a list shows neither it nor its hash."""
    issued = keys.json("create", "--name", "billing [red]")
    assert list(issued) == ["id", "name", "key"]
    assert re.fullmatch(r"mdm_sk_[A-Za-z0-9_-]{43}", issued["key"])

    rotated = keys.json("rotate", issued["id"], "--overlap", "36h")
    assert (rotated["id"], rotated["name"]) == (issued["id"], "billing [red]")
    assert rotated["key"] != issued["key"]
    (row,) = keys.list()
    assert list(row) == [
        "id",
        "name",
        "created_at",
        "last_used_at",
        "request_count",
        "rotated_at",
        "overlap_ends_at",
        "revoked_at",
    ]
    rotated_at, overlap_ends = (
        datetime.fromisoformat(row[name]) for name in ("rotated_at", "overlap_ends_at")
    )
    assert (row["last_used_at"], row["request_count"], row["revoked_at"]) == (None, 0, None)
    assert abs(overlap_ends - rotated_at - timedelta(hours=36)) < timedelta(seconds=1)

    shown = keys.run("list").stdout
    assert issued["id"] in shown
    assert "billing [red]" in shown
    assert re.search(rf"rotated, old\s+until\s+{overlap_ends:%Y-%m-%d}", shown)
    assert "mdm_sk_" not in shown

    assert keys.run("revoke", issued["id"]).stderr.endswith(f"revoked {issued['id']}\n")
    (row,) = keys.list()
    assert row["revoked_at"] is not None
    assert row["overlap_ends_at"] is None
    for again in ("revoke", "rotate"):
        refused = keys.run(again, issued["id"], check=False)
        assert refused.returncode == 2
        assert "no active API key has the id" in refused.stderr


def test_a_plain_key_can_be_piped(keys: Keys) -> None:
    """Without --json, stdout is the key alone; the explanation goes to stderr."""
    made = keys.run("create", "--name", "ci")
    assert re.fullmatch(r"mdm_sk_[A-Za-z0-9_-]{43}\n", made.stdout)
    assert "not shown again" in made.stderr
    (row,) = keys.list()

    rotated = keys.run("rotate", row["id"])
    assert re.fullmatch(r"mdm_sk_[A-Za-z0-9_-]{43}\n", rotated.stdout)
    assert "the earlier one works for 24h more" in rotated.stderr
    at_once = keys.run("rotate", row["id"], "--overlap", "0s")
    assert "the earlier one does not work any more" in at_once.stderr


def test_a_list_counts_the_requests_that_are_drained(keys: Keys) -> None:
    used, unused = (keys.json("create", "--name", name) for name in ("used", "unused"))
    data = DataDirectory.create(keys.data)
    spool(
        data,
        *(
            a_record(majordomo_api_key_id=used["id"], requested_at=NOON + timedelta(minutes=n))
            for n in (3, 8, 5)
        ),
    )
    sinks: list[Any] = [LakeSink(data.lake)]
    if dsn := keys.environment.get("MAJORDOMO_POSTGRES"):
        sinks.append(PostgresSink(dsn, lake=data.lake))
    assert [row["request_count"] for row in keys.list()] == [0, 0]
    drain_once(data, sinks)

    rows = {row["id"]: row for row in keys.list()}
    assert rows[used["id"]]["request_count"] == 3
    assert rows[used["id"]]["last_used_at"] == "2026-11-20T12:08:00+00:00"
    assert rows[unused["id"]]["request_count"] == 0
    assert rows[unused["id"]]["last_used_at"] is None
    assert re.search(r"2026-11-20 12:08\s+3\b", keys.run("list").stdout)


def test_an_overlap_that_cannot_be_read_changes_nothing(keys: Keys) -> None:
    issued = keys.json("create", "--name", "billing")
    refused = keys.run("rotate", issued["id"], "--overlap", "soon", check=False)

    assert refused.returncode == 2
    assert "such as 24h or 0s" in refused.stderr
    assert keys.list()[0]["rotated_at"] is None


def test_nothing_yet_says_how_to_begin(keys: Keys) -> None:
    DataDirectory.create(keys.data)

    assert "mdm keys create" in keys.run("list").stderr
    assert keys.list() == []


def test_keys_in_postgres_need_no_data_directory(tmp_path: Path, postgres: str) -> None:
    keys = Keys(tmp_path / "nowhere", postgres)
    keys.json("create", "--name", "billing")
    keys.list()

    assert not keys.data.exists()


def test_a_postgres_that_is_away_is_one_sentence_without_the_password(tmp_path: Path) -> None:
    keys = Keys(tmp_path / "data", "postgresql://someone:hunter2secret@127.0.0.1:1/llm")
    for arguments in (("create", "--name", "x"), ("list",), ("rotate", "x"), ("revoke", "x")):
        refused = keys.run(*arguments, check=False)
        assert refused.returncode == 2
        assert refused.stderr.startswith("mdm: Postgres cannot be reached")
        assert "hunter2secret" not in refused.stderr
        assert refused.stdout == ""


def test_a_copy_says_that_it_is_one(tmp_path: Path, postgres: str) -> None:
    """And may be changed all the same: so a key is revoked while Postgres is away."""
    data = DataDirectory.create(tmp_path / "data")
    store = ApiKeyStore(data.api_keys)
    with closing(PostgresKeyStore(postgres)) as there:
        issued = there.create("billing")
        copy_keys(store, there)
        revoked = Keys(data.root, None).run("revoke", issued.id)
        assert "are a copy of those in Postgres at" in revoked.stderr

        copy_keys(store, there)
        assert there.all_keys()[0].revoked_at is not None


def test_keys_move_to_another_postgres_when_they_are_told(tmp_path: Path, postgres: str) -> None:
    data = DataDirectory.create(tmp_path / "data")
    store = ApiKeyStore(data.api_keys)
    with closing(PostgresKeyStore(postgres)) as first:
        issued = first.create("billing")
        copy_keys(store, first)
    keys = Keys(data.root, postgres)
    moved = keys.run("move", "--postgres-schema", "new")

    assert "1 API keys are in Postgres at" in moved.stderr
    with closing(PostgresKeyStore(postgres, schema="new")) as second:
        assert [key.id for key in second.all_keys()] == [issued.id]
        assert not copy_keys(store, second)
    with closing(ApiKeyCache(data.api_keys)) as cache:
        assert cache.find(issued.key.encode()) == issued.id
    assert "where to?" in Keys(data.root, None).run("move", check=False).stderr

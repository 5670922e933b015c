"""Nothing that a run writes, says or shows holds a secret, however it is coded."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import socket
import sqlite3
import stat
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import quote

import httpx
import polars as pl
import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from majordomo_analytics.apikeys import ApiKeyStore
from majordomo_analytics.datadir import DataDirectory
from tests.support.postgres import postgres, postgres_server, select  # noqa: F401
from tests.support.proxy import (
    RunningProxy,
    children,
    clean_environment,
    free_port,
    lake_rows,
    wait_until_ready,
)
from tests.support.raw import CHAT, exchange, head
from tests.support.upstream import Received, Upstream, answer_json
from tests.support.upstream import head as answer_head

PLANTED = {
    "bearer": "sk-planted-bearer-0123456789",
    "x-api-key": "sk-ant-planted-x-api-key-0123456789",
    "x-goog-api-key": "AIzaPlantedGoogKey0123456789",
    "api-key": "0a1bPlantedAzure2c3d4e5f",
    "query": "PlantedQueryKey0123456789",
    "basic": "PlantedBasic:Password0123456789",
    "cookie": "PlantedCookie0123456789",
    "wrong key": "mdm_sk_PlantedWrongKey0123456789",
    "credential_env": "Planted/Credential+Env0123456789",
    "postgres": "Planted&Postgres/Password0123456789",
    "path": "sk-planted-path-0123456789",
}
"""Distinct, so that a finding says where it is from; `api-key` looks like no credential."""

SETTINGS = """
[providers.together]
base_url = "{answering}"
credential_env = "TOGETHER_CREDENTIAL"
[providers.groq]
base_url = "{answering}"
[providers.mistral]
base_url = "http://127.0.0.1:{closed}"
[providers.deepseek]
base_url = "https://127.0.0.1:{plain}"
[providers.xai]
base_url = "http://planted-host.invalid"
[routes."fast"]
provider = "together"
model = "m"
"""
WAYS_TO_FAIL = ("openai", "mistral", "deepseek", "xai", "groq")


async def echo_credentials(request: Received, writer: asyncio.StreamWriter) -> None:
    """Answer with an error that repeats all that was sent, as providers do."""
    if "script=break" in request.target:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: broken " + request.target.encode())
        writer.close()
        return
    if "script=fine" in request.target:
        await answer_json(request, writer)
        return
    said = "; ".join(f"{name}: {value}" for name, value in request.headers)
    body = json.dumps({"error": {"message": f"refused: {said} at {request.target}"}}).encode()
    writer.write(answer_head("401 Unauthorized", f"Content-Length: {len(body)}") + body)


@pytest.fixture(scope="module")
def run(
    tmp_path_factory: pytest.TempPathFactory,
    postgres_server: str,  # noqa: F811
) -> dict[str, bytes]:
    """Return all that one run wrote and said, by where; every kind of call is in it."""
    folder = tmp_path_factory.mktemp("secrets")
    dsn = _role_with_password(postgres_server)
    with Upstream(echo_credentials) as upstream, socket.create_server(("127.0.0.1", 0)) as plain:
        config = folder / "majordomo.toml"
        config.write_text(
            SETTINGS.format(
                answering=upstream.url, closed=free_port(), plain=plain.getsockname()[1]
            )
        )
        found = _run(folder, config, dsn, upstream)
    _drop_role(postgres_server)
    return found


def _role_with_password(server: str) -> str:
    """Return the address of a database of the role's own; the server may not ask for it."""
    password = PLANTED["postgres"]
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(
            sql.SQL("create role planted login superuser password {}").format(sql.Literal(password))
        )
        connection.execute("create database planted owner planted")
    return make_conninfo(server, user="planted", password=password, dbname="planted")


def _drop_role(server: str) -> None:
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("drop database planted with (force)")
        connection.execute("drop role planted")


def _run(folder: Path, config: Path, dsn: str, upstream: Upstream) -> dict[str, bytes]:
    data = folder / "data"
    key = ApiKeyStore(DataDirectory.create(data).api_keys).create("planted").key
    PLANTED["key"] = key
    port = free_port()
    environment = clean_environment(
        MAJORDOMO_POSTGRES=dsn,
        MAJORDOMO_OPENAI_BASE_URL=upstream.url,
        MAJORDOMO_LOG_LEVEL="debug",
        MAJORDOMO_READ_TIMEOUT_S="2",
        TOGETHER_CREDENTIAL=PLANTED["credential_env"],
        PYTHONASYNCIODEBUG="1",
    )
    command = [sys.executable, "-m", "majordomo_analytics", "proxy"]
    command += ["--data", str(data), "--port", str(port), "--config", str(config)]
    with (folder / "said").open("wb") as said:
        process = subprocess.Popen(
            command, env=environment, stdout=said, stderr=said, start_new_session=True
        )
        proxy = RunningProxy(data, port, key, process)
        try:
            wait_until_ready(port, process)
            found = _calls(proxy)
            _wait_for_rows(dsn)
            found["/metrics"] = httpx.get(f"{proxy.url}/metrics").content
            for pid in (process.pid, *children(process.pid)):
                found[f"command {pid}"] = Path(f"/proc/{pid}/cmdline").read_bytes()
            for name in ("doctor", "keys list"):
                done = subprocess.run(
                    [*command[:3], *name.split(), "--data", str(data)],
                    env=environment,
                    capture_output=True,
                    check=False,
                )
                found[f"mdm {name}"] = done.stdout + done.stderr
            proxy.stop()
        finally:
            if process.poll() is None:
                proxy.kill()
    found["said"] = (folder / "said").read_bytes()
    for path in data.rglob("*"):
        if path.is_file():
            found[str(path.relative_to(data))] = path.read_bytes()
            if path.suffix == ".sqlite":
                found[f"content of {path.name}"] = _content(path)
    found["rows"] = repr(lake_rows(data)).encode()
    parquet = [pl.read_parquet(path).to_dicts() for path in data.rglob("*.parquet")]
    found["parquet"] = repr(parquet).encode()
    query = "select to_jsonb(r)::text from llm_requests r"
    found["postgres"] = repr(select(dsn, query)).encode()
    return found


def _calls(proxy: RunningProxy) -> dict[str, bytes]:
    """Call in every way that goes well or badly, and return the proxy's own answers."""
    key = proxy.key
    secret = {
        "Authorization": f"Bearer {PLANTED['bearer']}",
        "x-api-key": PLANTED["x-api-key"],
        "x-goog-api-key": PLANTED["x-goog-api-key"],
        "api-key": PLANTED["api-key"],
        "Cookie": f"session={PLANTED['cookie']}",
    }
    named = {"X-Majordomo-Key": key}
    basic = base64.b64encode(f"u:{key}".encode()).decode()
    other = base64.b64encode(PLANTED["basic"].encode()).decode()
    query = f"key={PLANTED['query']}"
    ways: list[tuple[str, dict[str, str]]] = [
        (f"{CHAT}?{query}", {**named, **secret}),
        (f"{CHAT}?script=break&{query}", {**named, **secret}),
        (f"{CHAT}?script=fine&{query}", {**named, **secret}),
        (f"{CHAT}?{query}", named),
        (f"{CHAT}?key={quote(key)}&a={key}", {**named, "Authorization": f"Basic {basic}"}),
        (CHAT, {**named, "Authorization": f"Basic {other}"}),
        (CHAT, {**named, "api-key": PLANTED["api-key"]}),
        (CHAT, {"Authorization": f"Bearer {key}"}),
        (CHAT, {**named, "X-Majordomo-Feature": f"with {key} in it"}),
        (CHAT, {**named, "X-Majordomo-Provider-Alias": key, "X-Majordomo-Key-Of": key}),
        (CHAT, {**secret, "X-Majordomo-Key": PLANTED["wrong key"]}),
        (CHAT, {"Authorization": f"Bearer {PLANTED['wrong key']}"}),
        (f"/v1/files/{key}", {**named, **secret}),
        (f"/v1/files/{PLANTED['path']}", {**named, "X-Majordomo-Provider": "openai"}),
        (f"/nowhere/{PLANTED['wrong key']}", named),
        (CHAT, {**named, **secret, "X-Majordomo-Provider": key}),
        (CHAT, {**named, "X-Majordomo-Provider": "majordomo"}),
        *(
            (f"{CHAT}?{query}", {**named, **secret, "X-Majordomo-Provider": p})
            for p in WAYS_TO_FAIL
        ),
    ]
    own: dict[str, bytes] = {}
    for number, (target, headers) in enumerate(ways):
        body = {"model": "fast", "user": key, "messages": []}
        answer = httpx.post(proxy.url + target, headers=headers, json=body, timeout=30)
        if answer.status_code in {400, 401, 403, 404, 502, 504} and b'"type"' in answer.content:
            own[f"answer {number}"] = answer.content
    bad = head(proxy, f"Authorization: Bearer {PLANTED['bearer']}", f"X A: {key}")
    own["malformed"] = exchange(proxy, bad).received
    return own


def _wait_for_rows(dsn: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if select(dsn, "select count(*) from llm_requests")[0][0] >= 12:
                return
        except psycopg.Error:  # the tables are not there yet
            pass
        time.sleep(0.2)
    raise AssertionError("the rows did not come to Postgres")


def _content(path: Path) -> bytes:
    """Return every value of a SQLite file."""
    with sqlite3.connect(path) as database:
        tables = database.execute("select name from sqlite_master where type = 'table'").fetchall()
        rows = [database.execute(f'select * from "{name}"').fetchall() for (name,) in tables]
    database.close()
    return repr(rows).encode()


def forms(secret: str) -> dict[str, bytes]:
    """Return how a secret could look: plain, escaped, and inside base64 at any offset."""
    raw = secret.encode()
    shapes = {
        "plain": raw,
        "percent-encoded": quote(secret, safe="").encode(),
        "JSON": json.dumps(secret)[1:-1].encode(),
        "hexadecimal": raw.hex().encode(),
    }
    for offset in range(3):
        coded = base64.b64encode(b"\0" * offset + raw)
        shapes[f"base64 at {offset}"] = coded[-(-offset * 4 // 3) + (offset > 0) : len(coded) - 4]
    return shapes


@pytest.mark.parametrize("planted", [*PLANTED, "key"])
def test_a_secret_is_nowhere_in_what_a_run_wrote(run: dict[str, bytes], planted: str) -> None:
    found = [
        f"{form} in {place}"
        for place, content in run.items()
        for form, shape in forms(PLANTED[planted]).items()
        if shape in content
    ]

    assert found == []


def test_the_run_wrote_what_it_was_searched_for(run: dict[str, bytes]) -> None:
    """Rows, errors with masks in them, logs at their lowest level, and every process."""
    assert run["rows"].count(b"'outcome'") >= 12
    assert run["rows"].count(b"[credential]") >= 5
    assert run["postgres"].count(b"outcome") >= 12
    assert b"[API key]" in run["rows"]
    assert b"DEBUG" in run["said"]
    assert sum(name.startswith("command ") for name in run) >= 3
    assert sum(name.startswith("answer ") for name in run) >= 8
    assert b"majordomo_refused_total" in run["/metrics"]
    assert any(name.endswith(".parquet") for name in run)
    outcomes = set(re.findall(rb"'outcome': '(\w+)'", run["rows"]))
    assert {b"completed", b"upstream_error"} <= outcomes


def test_how_a_secret_could_look_is_found() -> None:
    """The search itself: in base64 of a longer text, wherever the secret begins in it."""
    for offset in range(3):
        text = base64.b64encode(b"user:"[: 3 + offset] + b"PlantedSecret0123456789:x")
        assert any(shape in text for shape in forms("PlantedSecret0123456789").values())


@pytest.mark.parametrize(
    "umask", [0o000, *(pytest.param(one, marks=pytest.mark.slow) for one in (0o022, 0o077))]
)
def test_what_a_run_makes_is_its_users_alone(tmp_path: Path, umask: int) -> None:
    """Files 0600, folders 0700, whatever the umask: spools, lake, API keys, counters."""
    data = tmp_path / "data"
    with Upstream(answer_json) as upstream:
        port = free_port()
        command = [sys.executable, "-m", "majordomo_analytics", "proxy"]
        process = subprocess.Popen(
            [*command, "--data", str(data), "--port", str(port)],
            env=clean_environment(MAJORDOMO_OPENAI_BASE_URL=upstream.url),
            start_new_session=True,
            umask=umask,
        )
        try:
            wait_until_ready(port, process)
            key = ApiKeyStore(DataDirectory.open(data).api_keys).create("test").key
            proxy = RunningProxy(data, port, key, process)
            assert proxy.post().status_code == 200
            deadline = time.monotonic() + 60
            while not (data / "lake" / "llm_requests" / "_delta_log").exists():
                assert time.monotonic() < deadline
                time.sleep(0.1)
            seen = modes(data)
            proxy.stop()
            seen |= modes(data)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, 9)
                process.wait(10)

    assert any(name.endswith(".parquet") for name in seen)
    assert any("spool" in name for name in seen)
    assert {name: oct(mode) for name, mode in seen.items() if mode & 0o077} == {}


def modes(data: Path) -> dict[str, int]:
    found = {}
    for path in (data, *data.rglob("*")):
        try:
            found[str(path)] = stat.S_IMODE(path.lstat().st_mode)
        except FileNotFoundError:  # a spool that was drained
            continue
    return found

"""SIGHUP reads the settings anew, and no caller notices."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from psycopg.conninfo import make_conninfo

from majordomo_proxy.settings import Settings
from majordomo_proxy.supervisor import Supervisor
from majordomo_proxy.supervisor_metrics import SupervisorMetrics
from tests.support.callers import calling
from tests.support.postgres import select
from tests.support.proxy import RunningProxy, lake_rows, mdm, running_proxy
from tests.support.scripts import answer_by_path
from tests.support.upstream import LAST_CHUNK, Received, Upstream, chunk, event, head

RELOADED = "the settings are reloaded"
CHAT = "/v1/chat/completions"


def until(fact: Callable[[], bool], within_s: float = 60) -> None:
    deadline = time.monotonic() + within_s
    while not fact():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def reload(proxy: RunningProxy, times: int = 1) -> None:
    os.kill(proxy.supervisor, signal.SIGHUP)
    proxy.wait_until_said(RELOADED, times)


@pytest.mark.slow
def test_no_caller_notices_a_reload_under_load(tmp_path: Path) -> None:
    """Three times, to more workers, fewer, as many: all answers come and have rows."""
    config = tmp_path / "majordomo.toml"
    config.write_text("workers = 2\n")
    with (
        Upstream(answer_by_path) as upstream,
        running_proxy(
            tmp_path / "data",
            arguments=("--config", str(config)),
            log=tmp_path / "log",
            openai_base_url=upstream.url,
        ) as proxy,
    ):
        before = set(proxy.workers())
        with calling([proxy]) as seen:
            for times, workers in enumerate((3, 1, 1), start=1):
                config.write_text(f"workers = {workers}\n")
                time.sleep(0.5)
                reload(proxy, times)
                enough = 20 * times
                until(lambda enough=enough: len(seen.ids) > enough)  # type: ignore[misc]
        until(lambda: len(proxy.workers()) == 1)
        assert not before & set(proxy.workers())
        assert proxy.stop() == 0

    assert seen.failures == []
    assert sorted(row["id"] for row in lake_rows(tmp_path / "data")) == sorted(seen.ids)
    assert "WARNING" not in proxy.said


@pytest.mark.slow
def test_a_stream_outlives_the_settings_it_began_with(tmp_path: Path) -> None:
    """However short the time is that answers have when everything ends."""

    async def four_seconds(_: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(
            head("200 OK", "Content-Type: text/event-stream", "Transfer-Encoding: chunked")
        )
        for number in range(40):
            writer.write(chunk(event({"n": number})))
            await writer.drain()
            await asyncio.sleep(0.1)
        writer.write(chunk(b"data: [DONE]\n\n") + LAST_CHUNK)

    with (
        Upstream(four_seconds) as upstream,
        running_proxy(
            tmp_path / "data",
            log=tmp_path / "log",
            openai_base_url=upstream.url,
            stop_timeout_s="0.5",
        ) as proxy,
        ThreadPoolExecutor(1) as pool,
    ):
        answer = pool.submit(proxy.post)
        until(lambda: bool(upstream.received))
        (old,) = proxy.workers()
        reload(proxy)
        assert answer.result().text.endswith("data: [DONE]\n\n")
        until(lambda: old not in proxy.workers())
        assert proxy.stop() == 0

    (row,) = lake_rows(tmp_path / "data")
    assert row["outcome"] == "completed"


def test_settings_that_cannot_be_used_change_nothing(tmp_path: Path) -> None:
    config = tmp_path / "majordomo.toml"
    config.write_text("workers = 1\n")
    faults = {
        "workers = 0\n": "workers in ",
        "wokers = 2\n": "did you mean 'workers'?",
        "workers = \n": "cannot be read",
        "max_headers = inf\n": "is inf; it must be a whole number",
    }
    with (
        Upstream(answer_by_path) as upstream,
        running_proxy(
            tmp_path / "data",
            arguments=("--config", str(config)),
            log=tmp_path / "log",
            openai_base_url=upstream.url,
        ) as proxy,
    ):
        before = proxy.workers()
        for times, (content, said) in enumerate(faults.items(), start=1):
            config.write_text(content)
            os.kill(proxy.supervisor, signal.SIGHUP)
            proxy.wait_until_said("not reloaded, the earlier ones go on", times)
            assert said in proxy.said.splitlines()[-1]
        assert proxy.workers() == before
        assert proxy.post().status_code == 200
        shown = httpx.get(f"{proxy.url}/metrics").text
        assert 'majordomo_reloads_total{result="refused"} 4.0' in shown


def test_a_reload_that_meets_the_unforeseen_changes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever it is: the proxy that runs goes on, and the traceback is told."""

    def reread() -> Settings:
        raise ZeroDivisionError("of a library")

    supervisor = Supervisor(Settings(data=tmp_path), reread=reread)
    supervisor._metrics = SupervisorMetrics()
    supervisor._is_to_reload = True
    supervisor._look()

    assert supervisor._rollout is None
    assert "the earlier ones go on: ZeroDivisionError('of a library')" in caplog.text
    assert "Traceback" in caplog.text


STILLBORN = """
import os, sys
if "majordomo_proxy.worker" in sys.orig_argv and os.path.exists({flag!r}):
    os._exit(7)
"""


def test_settings_that_no_worker_can_start_with_change_nothing(tmp_path: Path) -> None:
    """The first new worker is the trial: nobody makes room before it serves."""
    flag = tmp_path / "flag"
    (tmp_path / "seam").mkdir()
    (tmp_path / "seam" / "sitecustomize.py").write_text(STILLBORN.format(flag=str(flag)))
    path = os.pathsep.join([str(tmp_path / "seam"), *sys.path[1:]])
    with (
        Upstream(answer_by_path) as upstream,
        running_proxy(
            tmp_path / "data",
            log=tmp_path / "log",
            environment={"PYTHONPATH": path},
            openai_base_url=upstream.url,
            workers="2",
        ) as proxy,
    ):
        until(lambda: len(proxy.workers()) == 2)
        # Each makes its spool once it has started.
        until(lambda: len(list(tmp_path.glob("data/spool/*.sqlite"))) == 2)
        before, drains = sorted(proxy.workers()), proxy.drains()
        flag.touch()
        os.kill(proxy.supervisor, signal.SIGHUP)
        proxy.wait_until_said("not reloaded, the earlier ones go on: worker 3 ended with status 7")
        assert proxy.post().status_code == 200
        assert (sorted(proxy.workers()), proxy.drains()) == (before, drains)


def test_what_cannot_change_stays_and_is_named(tmp_path: Path) -> None:
    config = tmp_path / "majordomo.toml"
    config.write_text("")
    with running_proxy(
        tmp_path / "data", arguments=("--config", str(config)), log=tmp_path / "log"
    ) as proxy:
        config.write_text('host = "127.0.0.2"\nworkers = 2\n')
        reload(proxy)
        assert "host stays 127.0.0.1: it cannot change without a restart" in proxy.said
        assert "2 workers have them" in proxy.said
        assert httpx.get(f"{proxy.url}/readyz").status_code == 200


@pytest.mark.slow
def test_the_drain_begins_anew_when_the_price_book_changes_and_only_then(tmp_path: Path) -> None:
    book = tmp_path / "data" / "prices.toml"
    price = (
        '[[price]]\nprovider = "openai"\nmodel = "gpt-4o-mini"\ninput_mtok = {}\noutput_mtok = 0\n'
    )
    with (
        Upstream(answer_by_path) as upstream,
        running_proxy(
            tmp_path / "data", log=tmp_path / "log", openai_base_url=upstream.url
        ) as proxy,
    ):
        (first,) = proxy.drains()
        reload(proxy)
        time.sleep(0.5)
        assert proxy.drains() == [first]
        assert proxy.post().status_code == 200

        book.write_text(price.format("1000000"))
        reload(proxy, 2)
        until(lambda: len(proxy.drains()) == 1 and proxy.drains() != [first])
        assert proxy.post().status_code == 200
        proxy.stop()

    early, late = (row["total_cost"] for row in lake_rows(tmp_path / "data"))
    assert early < 1
    assert late == 120
    assert "ended with status" not in proxy.said


def test_a_terminal_that_hangs_up_ends_no_worker_by_itself(tmp_path: Path) -> None:
    """The signal reaches the whole group; without a terminal it asks for a reload."""
    with running_proxy(tmp_path / "data", log=tmp_path / "log") as proxy:
        drains = proxy.drains()
        os.killpg(proxy.process.pid, signal.SIGHUP)
        proxy.wait_until_said(RELOADED)
        assert proxy.drains() == drains
        assert "ended with status" not in proxy.said


@pytest.mark.slow
def test_a_reload_can_name_a_postgres(tmp_path: Path, postgres: str) -> None:
    """The drain feeds it, API keys are copied from it, and no worker knows its address."""
    config = tmp_path / "majordomo.toml"
    config.write_text("")
    dsn = make_conninfo(postgres)
    with (
        Upstream(answer_by_path) as upstream,
        running_proxy(
            tmp_path / "data",
            arguments=("--config", str(config)),
            log=tmp_path / "log",
            openai_base_url=upstream.url,
        ) as proxy,
    ):
        assert proxy.post().status_code == 200
        config.write_text(f'postgres = "{dsn}"\n')
        reload(proxy)
        there = json.loads(
            mdm("keys", "create", "--name", "there", "--json", MAJORDOMO_POSTGRES=dsn).stdout
        )["key"]
        until(lambda: proxy.post(headers={"X-Majordomo-Key": there}).status_code == 200)
        environments = [Path(f"/proc/{pid}/environ").read_bytes() for pid in proxy.workers()]
        assert not any(dsn.encode() in environment for environment in environments)
        assert proxy.stop() == 0

    ids = {row["id"] for row in lake_rows(tmp_path / "data")}
    held = {row[0] for row in select(postgres, "select id::text from llm_requests")}
    assert held, proxy.said
    assert held <= ids
    assert len(ids - held) <= 1, "what was drained before may be in the lake alone"


@pytest.mark.slow
def test_a_postgres_that_is_named_no_more_leaves_no_time_that_gets_old(
    tmp_path: Path, postgres: str
) -> None:
    """An alert on the last pass would fire for ever; the lake's is there all the time."""
    config = tmp_path / "majordomo.toml"
    config.write_text(f'postgres = "{make_conninfo(postgres)}"\n')

    def sinks() -> set[str]:
        text = httpx.get(f"{proxy.url}/metrics", timeout=30).text
        return set(re.findall(r'last_pass_timestamp_seconds\{sink="(\w+)"\}', text))

    with running_proxy(
        tmp_path / "data", arguments=("--config", str(config)), log=tmp_path / "log"
    ) as proxy:
        until(lambda: sinks() == {"lake", "postgres"})
        config.write_text("")
        reload(proxy)
        assert sinks() == {"lake"}
        assert proxy.stop() == 0

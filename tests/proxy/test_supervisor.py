"""What the supervisor does with its processes when it ends, in whichever way."""

from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from majordomo_analytics.apikeys import ApiKeyStore
from majordomo_analytics.datadir import DataDirectory
from majordomo_proxy.settings import SETTINGS_VARIABLE, load_settings, settings_to_text
from tests.support.callers import CHAT, calling
from tests.support.proxy import children, lake_rows, mdm, running_proxy, wait_until_ready
from tests.support.scripts import answer_by_path
from tests.support.upstream import Upstream


def until(fact: Callable[[], bool], within_s: float = 60) -> None:
    deadline = time.monotonic() + within_s
    while not fact():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_telling_it_to_end_again_does_nothing_worse(tmp_path: Path) -> None:
    """SIGTERM and Ctrl-C, twice each, while a stream is open: it comes to its end."""
    with (
        Upstream(answer_by_path) as upstream,
        running_proxy(
            tmp_path / "data", log=tmp_path / "log", openai_base_url=upstream.url
        ) as proxy,
        ThreadPoolExecutor(1) as pool,
    ):
        answer = pool.submit(proxy.post, f"{CHAT}?script=slow")
        until(lambda: bool(upstream.received))
        time.sleep(0.2)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM, signal.SIGINT):
            os.killpg(proxy.process.pid, number)  # as a terminal does
            time.sleep(0.05)
        assert answer.result().text.endswith("data: [DONE]\n\n")
        assert proxy.process.wait(60) == 0

    (row,) = lake_rows(tmp_path / "data")
    assert row["outcome"] == "completed"
    assert len(proxy.said.splitlines()) == 1


@pytest.mark.slow
def test_a_worker_that_hangs_at_the_end_is_killed_and_named(tmp_path: Path) -> None:
    """Its open request gets a row that says so, and the exit status is not 0."""
    with (
        Upstream(answer_by_path) as upstream,
        running_proxy(
            tmp_path / "data",
            log=tmp_path / "log",
            openai_base_url=upstream.url,
            stop_timeout_s="0",
            spool_wait_s="0.5",
        ) as proxy,
    ):
        (worker,) = proxy.workers()
        with ThreadPoolExecutor(1) as pool:
            stream = pool.submit(proxy.post, f"{CHAT}?script=silent-in-stream")
            until(lambda: bool(upstream.received))
            time.sleep(0.5)  # the first event has passed, and the row was begun before it
            os.kill(worker, signal.SIGSTOP)
            assert proxy.stop() == 1
            assert stream.exception() is not None

    assert "worker 1 did not end in time and was killed" in proxy.said
    (row,) = lake_rows(tmp_path / "data")
    assert row["outcome"] == "interrupted"


def test_children_are_spawned_into_the_supervisors_group(tmp_path: Path) -> None:
    """Not forked: each begins as a Python of its own."""
    with running_proxy(tmp_path / "data", workers="2") as proxy:
        pids = children(proxy.supervisor)
        assert len(pids) == 3
        for pid in pids:
            command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            assert command[1:3] in (
                [b"-m", b"majordomo_proxy.worker"],
                [b"-m", b"majordomo_analytics"],
            )
            assert os.getpgid(pid) == os.getpgid(proxy.supervisor)


def test_another_one_starts_at_once_where_a_supervisor_was_killed(tmp_path: Path) -> None:
    """On the same port and data, while a worker of the first still ends its stream."""
    with Upstream(answer_by_path) as upstream, ThreadPoolExecutor(1) as pool:
        with running_proxy(tmp_path / "data", openai_base_url=upstream.url) as first:
            before = first.post().headers["x-majordomo-log-id"]
            stream = pool.submit(first.post, f"{CHAT}?script=slow")
            until(lambda: len(upstream.received) == 2)
            os.kill(first.supervisor, signal.SIGKILL)
            first.process.wait(10)
            with running_proxy(
                tmp_path / "data",
                key=first.key,
                port=first.port,
                log=tmp_path / "log",
                openai_base_url=upstream.url,
            ) as second:
                second.wait_until_said("majordomo proxy on")
                wait_until_ready(second.port, second.process)  # not a worker of the first
                after = second.post().headers["x-majordomo-log-id"]
                assert stream.result().text.endswith("data: [DONE]\n\n")
                assert second.stop() == 0
        rows = lake_rows(tmp_path / "data")

    ids = [before, stream.result().headers["x-majordomo-log-id"], after]
    assert [row["id"] for row in rows] == sorted(ids)


def test_a_port_that_stays_taken_is_named(tmp_path: Path) -> None:
    with running_proxy(tmp_path / "data") as proxy:
        other = ("--data", str(tmp_path / "other"), "--port", str(proxy.port))
        refused = mdm("proxy", *other, check=False)

    assert refused.returncode == 2
    assert f"cannot listen on 127.0.0.1:{proxy.port}" in refused.stderr
    assert "--port" in refused.stderr


def test_a_worker_that_cannot_be_started_just_now_is_started_later(tmp_path: Path) -> None:
    """The supervisor has no descriptor left for it; it outlives that, and says so."""
    with running_proxy(tmp_path / "data", log=tmp_path / "log") as proxy:
        (worker,) = proxy.workers()
        numbers = [int(path.name) for path in Path(f"/proc/{proxy.supervisor}/fd").iterdir()]
        before = resource.prlimit(proxy.supervisor, resource.RLIMIT_NOFILE)
        least = (max(numbers) + 1, before[1])
        resource.prlimit(proxy.supervisor, resource.RLIMIT_NOFILE, least)
        os.kill(worker, signal.SIGKILL)
        proxy.wait_until_said("worker 1 could not be started: [Errno 24] Too many open files", 2)
        assert "; again in 1 s" in proxy.said
        resource.prlimit(proxy.supervisor, resource.RLIMIT_NOFILE, before)
        wait_until_ready(proxy.port, proxy.process)
        assert proxy.stop() == 0


@pytest.mark.slow
def test_two_supervisors_share_a_data_directory(tmp_path: Path) -> None:
    """Under load one of them ends: nothing lost, nothing doubled, nobody frightened."""
    data = tmp_path / "data"
    with (
        Upstream(answer_by_path) as upstream,
        running_proxy(data, log=tmp_path / "log1", openai_base_url=upstream.url) as first,
        running_proxy(
            data, key=first.key, log=tmp_path / "log2", openai_base_url=upstream.url
        ) as second,
    ):
        with calling([first, second]) as seen:
            until(lambda: len(seen.ids) > 100)
            time.sleep(3)  # both drains have made a pass
        with calling([second]) as later:
            assert first.stop() == 0
            until(lambda: len(later.ids) > 100)
        assert second.stop() == 0

    assert seen.failures + later.failures == []
    assert sorted(row["id"] for row in lake_rows(data)) == sorted(seen.ids + later.ids)
    for proxy in (first, second):
        assert len(proxy.said.splitlines()) == 1


def test_a_worker_whose_supervisor_dies_as_it_starts_ends_in_order(tmp_path: Path) -> None:
    """It begins to serve though nobody hears so, and lets its caller have the answer."""
    with Upstream(answer_by_path) as upstream, socket.create_server(("127.0.0.1", 0)) as listener:
        told = {"MAJORDOMO_OPENAI_BASE_URL": upstream.url}
        settings = load_settings(environment=told, data=tmp_path)
        key = ApiKeyStore(DataDirectory.create(tmp_path).api_keys).create("test").key
        lifeline, supervisors_end = os.pipe()
        nobody, ready = os.pipe()
        os.close(nobody)
        descriptors = (listener.fileno(), lifeline, ready)
        worker = subprocess.Popen(
            [sys.executable, "-m", "majordomo_proxy.worker", *map(str, descriptors)],
            pass_fds=descriptors,
            env={**os.environ, SETTINGS_VARIABLE: settings_to_text(settings)},
            stderr=subprocess.PIPE,
        )
        os.close(ready)
        os.close(lifeline)
        with ThreadPoolExecutor(1) as pool:
            url = f"http://127.0.0.1:{listener.getsockname()[1]}{CHAT}?script=slow"
            headers = {"X-Majordomo-Key": key}
            answer = pool.submit(httpx.post, url, headers=headers, json={}, timeout=60)
            until(lambda: bool(upstream.received))
            os.close(supervisors_end)
            assert answer.result().text.endswith("data: [DONE]\n\n")
        _, said = worker.communicate(timeout=60)

    assert (worker.returncode, said) == (0, b"")

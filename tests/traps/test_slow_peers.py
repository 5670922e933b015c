"""Peers that are slow, or many, when others want to be served and the proxy has to stop."""

from __future__ import annotations

import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.proxy import RunningProxy, lake_rows, running_proxy
from tests.support.upstream import Upstream
from tests.traps.conftest import CHAT, Caller, row_when_there


def resident_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1]) / 1024


def test_trap_21_upload_of_single_bytes_holds_nobody_up(proxy: RunningProxy) -> None:
    """Other requests are served meanwhile, and the slow one is whole in the end."""
    body = b'{"model":"gpt-4o-mini","messages":[]}'
    slow = Caller(proxy, CHAT, b"", length=len(body))
    served = 0
    for byte in body:
        slow.socket.sendall(bytes((byte,)))
        served += proxy.post().status_code == 200
    slow.read_until(b"chatcmpl-7")
    slow.leave()

    assert served == len(body)
    row = row_when_there(proxy, slow.log_id)
    assert (row["request_bytes"], row["requested_model"]) == (len(body), "gpt-4o-mini")


def test_trap_21_reader_who_takes_no_bytes_costs_no_memory(proxy: RunningProxy) -> None:
    """The provider is read no faster than the caller reads: 60 MB wait at the provider."""
    (worker,) = proxy.workers()
    before = resident_mb(worker)
    caller = Caller(proxy, f"{CHAT}?script=much", b'{"stream": true}')
    caller.read_until(b"word 1")
    most = 0.0
    for _ in range(20):
        most = max(most, resident_mb(worker))
        time.sleep(0.1)
    assert proxy.post().status_code == 200
    caller.leave()
    row = row_when_there(proxy, caller.log_id)

    assert most - before < 30
    assert row["outcome"] == "client_disconnected"
    assert (row["input_tokens"], row["usage_status"]) == (70, "reported")


def test_provider_that_takes_no_bytes_of_an_upload_is_given_up(tmp_path: Path) -> None:
    """It accepts the call and reads nothing: after the time set there is an answer."""
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        with running_proxy(tmp_path / "data", openai_base_url=url, read_timeout_s="1") as proxy:
            answer = proxy.post("/v1/files", json=None, content=b"x" * 40_000_000)
            row = row_when_there(proxy, answer.headers["x-majordomo-log-id"])

    assert (answer.status_code, row["status_code"]) == (504, 504)
    assert (row["outcome"], row["usage_status"]) == ("timeout", "missing")
    assert row["response_time_ms"] < 15_000


def test_caller_who_sends_no_more_of_an_upload_is_given_up(
    tmp_path: Path, upstream: Upstream
) -> None:
    with running_proxy(
        tmp_path / "data", openai_base_url=upstream.url, read_timeout_s="1"
    ) as proxy:
        caller = Caller(proxy, "/v1/files", b"x" * 400_000, length=800_000)
        caller.read_until(b"\r\n\r\n")
        caller.leave()
        row = row_when_there(proxy, caller.log_id)

    assert caller.seen.startswith(b"HTTP/1.1 504 ")
    assert row["outcome"] == "timeout"


def test_request_bodies_are_not_kept_while_their_answers_are_awaited(
    tmp_path: Path, upstream: Upstream
) -> None:
    """Twelve open streams with requests of 6 MB each: what was sent is let go."""
    body = b'{"stream": true, "messages": "%b"}' % (b"x" * 6_000_000)
    with running_proxy(tmp_path / "data", openai_base_url=upstream.url) as proxy:
        (worker,) = proxy.workers()
        before = resident_mb(worker)
        target = f"{CHAT}?script=silent-in-stream"
        callers = []
        for _ in range(12):
            callers.append(Caller(proxy, target, body))
            callers[-1].read_until(b"data:")
        held = resident_mb(worker) - before
        for caller in callers:
            caller.leave()

    assert held < 45


@pytest.mark.slow
def test_trap_25_sigterm_with_200_live_streams(tmp_path: Path, upstream: Upstream) -> None:
    """Each leaves a row that says how it ended; the proxy ends with 0."""
    with running_proxy(
        tmp_path / "data", openai_base_url=upstream.url, stop_timeout_s="1"
    ) as proxy:
        with ThreadPoolExecutor(20) as pool:
            target = f"{CHAT}?script=silent-in-stream"
            callers = list(pool.map(lambda _: Caller(proxy, target), range(200)))
        for caller in callers:
            caller.read_until(b"data:")
        status = proxy.stop()
    rows = {row["id"]: row for row in lake_rows(tmp_path / "data")}

    assert status == 0
    assert rows.keys() == {caller.log_id for caller in callers}
    assert {row["outcome"] for row in rows.values()} == {"interrupted"}
    assert {row["usage_status"] for row in rows.values()} == {"missing"}
    for caller in callers:
        caller.leave()

"""A request that is cut short leaves a row that says so, whatever it was cut by."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from majordomo_analytics.spool.files import spool_files
from tests.support.proxy import RunningProxy, lake_rows, mdm, running_proxy
from tests.support.scripts import answer_by_path
from tests.support.upstream import Upstream

CHAT = "/v1/chat/completions"


def begun(proxy: RunningProxy) -> set[str]:
    """Return the ids of the requests that are begun in a spool and have no end there."""
    ids: set[str] = set()
    for file in spool_files(proxy.data / "spool"):
        with file.open() as connection:
            ids.update(row[0] for row in connection.execute("select id from begun"))
    return ids


@contextmanager
def stalled(proxy: RunningProxy) -> Iterator[None]:
    """Let no commit to the spool end in the block."""
    (spool,) = spool_files(proxy.data / "spool")
    other = sqlite3.connect(spool.path, isolation_level=None)
    other.execute("begin immediate")
    try:
        yield
        other.execute("rollback")
    finally:
        other.close()


def test_a_worker_that_is_killed_amid_a_stream_leaves_a_row(tmp_path: Path) -> None:
    """With who asked whom for what, and nothing that is not known."""
    with (
        Upstream(answer_by_path) as upstream,
        running_proxy(tmp_path / "data", openai_base_url=upstream.url) as proxy,
    ):
        headers = proxy.headers(Feature="search")
        body = {"model": "gpt-4o-mini", "stream": True, "messages": []}
        url = f"{proxy.url}{CHAT}?script=silent-in-stream"
        with httpx.stream("POST", url, headers=headers, json=body, timeout=60) as answer:
            assert next(answer.iter_raw())
            log_id = answer.headers["x-majordomo-log-id"]
            assert begun(proxy) == {log_id}
            proxy.kill()
    mdm("drain", "--data", str(proxy.data), "--once")

    (row,) = lake_rows(proxy.data)
    assert (row["id"], row["outcome"]) == (log_id, "interrupted")
    assert (row["provider"], row["model"], row["api_flavour"]) == ("openai", "gpt-4o-mini", "chat")
    assert row["raw_metadata"] == {"Feature": "search"}
    assert row["error_message"] == "the proxy ended before the answer did"
    assert (row["usage_status"], row["cost_status"]) == ("missing", "no_usage")
    unknown = ("status_code", "responded_at", "response_time_ms", "input_tokens", "total_cost")
    assert [row[name] for name in unknown] == [None] * 5
    assert len(row["provider_api_key_hash"]) == 64
    assert spool_files(proxy.data / "spool") == []


def test_a_request_that_waits_for_its_answer_is_begun_too(tmp_path: Path) -> None:
    """The provider may bill it, though nobody ever saw an answer."""
    with (
        Upstream(answer_by_path) as upstream,
        running_proxy(tmp_path / "data", openai_base_url=upstream.url) as proxy,
    ):
        call = threading.Thread(target=_call_in_vain, args=(proxy, f"{CHAT}?script=silent"))
        call.start()
        deadline = time.monotonic() + 20
        while not begun(proxy) and time.monotonic() < deadline:
            time.sleep(0.01)
        (log_id,) = begun(proxy)
        proxy.kill()
        call.join()
    mdm("drain", "--data", str(proxy.data), "--once")

    (row,) = lake_rows(proxy.data)
    assert (row["id"], row["outcome"], row["model"]) == (log_id, "interrupted", "gpt-4o-mini")


def _call_in_vain(proxy: RunningProxy, path: str) -> None:
    with pytest.raises(httpx.TransportError):
        proxy.post(path)


def test_the_headers_of_a_stream_wait_until_its_beginning_is_durable(tmp_path: Path) -> None:
    with (
        Upstream(answer_by_path) as upstream,
        running_proxy(tmp_path / "data", openai_base_url=upstream.url) as proxy,
    ):
        seen = threading.Event()

        def call() -> None:
            url = f"{proxy.url}{CHAT}?script=slow"
            with httpx.stream("POST", url, headers=proxy.headers(), json={}, timeout=60) as answer:
                seen.set()
                answer.read()

        with stalled(proxy):
            caller = threading.Thread(target=call)
            caller.start()
            assert not seen.wait(1.0), "headers left before the request was in the spool"
        assert seen.wait(20)
        caller.join()
        (row,) = proxy.rows()
    assert (row["outcome"], row["input_tokens"], row["output_tokens"]) == ("completed", 7, 5)


def test_a_stream_begins_all_the_same_when_the_disk_stalls_for_too_long(tmp_path: Path) -> None:
    """Twice it was not waited for any longer, and twice it was counted; the row follows."""
    with (
        Upstream(answer_by_path) as upstream,
        running_proxy(tmp_path / "data", openai_base_url=upstream.url, spool_wait_s="0.3") as proxy,
    ):
        with stalled(proxy):
            answer = proxy.post(f"{CHAT}?script=slow")
            assert answer.text.endswith("data: [DONE]\n\n")
            counted = httpx.get(f"{proxy.url}/metrics").text
        assert "majordomo_spool_late_rows_total 2.0" in counted
        proxy.stop()

    (row,) = lake_rows(proxy.data)
    assert (row["id"], row["outcome"]) == (answer.headers["x-majordomo-log-id"], "completed")


@pytest.mark.parametrize("policy", ["refuse", "serve"])
def test_a_full_spool_refuses_or_counts_what_it_loses(tmp_path: Path, policy: str) -> None:
    """No row is lost in silence, and all is well again once there is room."""
    with (
        Upstream(answer_by_path) as upstream,
        running_proxy(
            tmp_path / "data",
            openai_base_url=upstream.url,
            spool_rotate_bytes="50000",
            spool_max_bytes="150000",
            when_spool_full=policy,
        ) as proxy,
    ):
        assert proxy.post().status_code == 200
        ballast = proxy.data / "spool" / "ballast"
        ballast.write_bytes(bytes(200_000))
        ready = _readiness(proxy, 503)
        assert "bytes, and may take 150,000" in ready["reason"]
        assert httpx.get(f"{proxy.url}/health").status_code == 200

        answer = proxy.post()
        if policy == "refuse":
            assert answer.status_code == 503
            assert answer.headers["retry-after"] == "5"
            assert answer.json()["error"]["type"] == "spool_full"
            assert "no row could be kept of this request" in answer.json()["error"]["message"]
            assert len(upstream.received) == 1
            expected = 'majordomo_refused_total{reason="spool_full"} 1.0'
        else:
            assert answer.status_code == 200
            expected = 'majordomo_rows_lost_total{cause="spool_full"} 1.0'
        assert expected in httpx.get(f"{proxy.url}/metrics").text

        ballast.unlink()
        _readiness(proxy, 200)
        assert proxy.post().status_code == 200
        assert len(proxy.rows()) == 2


def _readiness(proxy: RunningProxy, status: int) -> dict[str, str]:
    deadline = time.monotonic() + 20
    while True:
        answer = httpx.get(f"{proxy.url}/readyz")
        if answer.status_code == status:
            return dict(answer.json())
        assert time.monotonic() < deadline, answer.text
        time.sleep(0.05)


def test_a_spool_that_could_never_hold_its_files_is_refused_at_the_start(tmp_path: Path) -> None:
    ended = mdm(
        "proxy",
        "--data",
        str(tmp_path / "data"),
        check=False,
        MAJORDOMO_SPOOL_MAX_BYTES="1000000",
    )
    assert ended.returncode == 2
    said = " ".join(ended.stderr.split())
    assert "spool_max_bytes is 1,000,000; with 1 workers" in said
    assert "it must be at least 201,326,592" in said

"""Once a caller has seen the end of an answer, its row survives whatever comes next."""

from __future__ import annotations

import re
import shutil
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from majordomo_analytics.apikeys import ApiKeyStore
from majordomo_analytics.datadir import DataDirectory
from majordomo_analytics.spool.files import spool_files
from tests.support.proxy import lake_rows, mdm, running_proxy
from tests.support.scripts import answer_by_path
from tests.support.upstream import FRAMINGS, Upstream

CHAT = "/v1/chat/completions"
SEND = re.compile(r"(sendto|sendmsg|write|writev)\(")
END = {
    "content-length": r"\"usage\"",
    "chunked": r"0\r\n\r\n",
    "stream": r"0\r\n\r\n",
}
"""What the send that completes an answer of each framing carries, as strace prints it."""


@pytest.mark.slow
@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("stalled", [False, True], ids=["disk-well", "disk-stalled"])
def test_trap_23_row_survives_sigkill_right_after_the_answer_was_complete(
    tmp_path: Path, framing: str, stalled: bool
) -> None:
    """Ten times of ten, also when the commit had to wait a second for the disk."""
    data = DataDirectory.create(tmp_path / "data")
    key = ApiKeyStore(data.api_keys).create("test").key
    seen = []
    for _ in range(10):
        with (
            Upstream(answer_by_path) as upstream,
            running_proxy(data.root, key=key, openai_base_url=upstream.url) as proxy,
            ThreadPoolExecutor(1) as pool,
        ):
            spool = max(spool_files(data.spool), key=lambda file: file.path.stat().st_ctime_ns)
            other = sqlite3.connect(spool.path, isolation_level=None)
            if stalled:
                other.execute("begin immediate")
            answer = pool.submit(proxy.post, f"{CHAT}?script={framing}")
            if stalled:
                time.sleep(1.0)
                assert not answer.done(), "the end of the answer came before its row was durable"
                other.execute("rollback")
            seen.append(answer.result().headers["x-majordomo-log-id"])
            proxy.kill()
            other.close()
    mdm("drain", "--data", str(data.root), "--once")

    rows = lake_rows(data.root)
    assert [row["id"] for row in rows] == seen
    assert {(row["outcome"], row["input_tokens"]) for row in rows} == {("completed", 120)}


def test_a_caller_is_released_when_the_disk_stalls_for_too_long(tmp_path: Path) -> None:
    """The row follows later, and the delay is counted."""
    with (
        Upstream(answer_by_path) as upstream,
        running_proxy(tmp_path / "data", openai_base_url=upstream.url, spool_wait_s="0.3") as proxy,
    ):
        (spool,) = spool_files(tmp_path / "data" / "spool")
        other = sqlite3.connect(spool.path, isolation_level=None)
        other.execute("begin immediate")
        answer = proxy.post()
        assert answer.status_code == 200
        assert "majordomo_spool_late_rows_total 1.0" in httpx.get(f"{proxy.url}/metrics").text
        other.execute("rollback")
        other.close()
        proxy.stop()

    (row,) = lake_rows(tmp_path / "data")
    assert row["id"] == answer.headers["x-majordomo-log-id"]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
@pytest.mark.parametrize("framing", FRAMINGS)
def test_fdatasync_comes_before_the_headers_and_before_the_last_send(
    tmp_path: Path, framing: str
) -> None:
    """SIGKILL does not prove that a row survives the loss of power; this order does."""
    trace = tmp_path / "trace"
    strace = ("strace", "-ff", "-ttt", "-e", "trace=fdatasync,sendto,sendmsg,write,writev")
    with (
        Upstream(answer_by_path) as upstream,
        running_proxy(
            tmp_path / "data",
            openai_base_url=upstream.url,
            prefix=(*strace, "-s", "4000", "-o", str(trace)),
        ) as proxy,
    ):
        proxy.post(headers=proxy.headers(Feature="warm-up"))
        answer = proxy.post(f"{CHAT}?script={framing}")
        time.sleep(0.5)
        ended = proxy.stop()

    assert ended == 0
    calls = []
    for file in tmp_path.glob("trace.*"):
        calls += [line.split(" ", 1) for line in file.read_text("utf-8", "replace").splitlines()]
    calls.sort(key=lambda call: float(call[0]))
    log_id = answer.headers["x-majordomo-log-id"]
    sends = [i for i, (_, call) in enumerate(calls) if SEND.match(call)]
    head = next(i for i in sends if log_id in calls[i][1])
    last_send = next(i for i in sends if i >= head and END[framing] in calls[i][1])
    asked = max(i for i, (_, call) in enumerate(calls) if i < head and "POST /v1" in call)
    synced = [i for i, (_, call) in enumerate(calls) if call.startswith("fdatasync(")]
    assert any(asked < i < head for i in synced), "no fdatasync before the headers"
    assert any(asked < i < last_send for i in synced), "no fdatasync before the last send"

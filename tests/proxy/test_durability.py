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

from majordomo_analytics.spool.files import spool_files
from tests.support.proxy import lake_rows, mdm, running_proxy
from tests.support.scripts import answer_by_path
from tests.support.upstream import FRAMINGS, Upstream

CHAT = "/v1/chat/completions"


@pytest.mark.slow
@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("stalled", [False, True], ids=["disk-well", "disk-stalled"])
def test_a_row_survives_sigkill_right_after_the_answer_was_complete(
    tmp_path: Path, framing: str, stalled: bool
) -> None:
    """Ten times of ten, also when the commit had to wait a second for the disk."""
    for attempt in range(10):
        data = tmp_path / f"data-{attempt}"
        with (
            Upstream(answer_by_path) as upstream,
            running_proxy(data, openai_base_url=upstream.url) as proxy,
            ThreadPoolExecutor(1) as pool,
        ):
            (spool,) = spool_files(data / "spool")
            other = sqlite3.connect(spool.path, isolation_level=None)
            if stalled:
                other.execute("begin immediate")
            answer = pool.submit(proxy.post, f"{CHAT}?script={framing}")
            if stalled:
                time.sleep(1.0)
                assert not answer.done(), "the end of the answer came before its row was durable"
                other.execute("rollback")
            log_id = answer.result().headers["x-majordomo-log-id"]
            proxy.kill()
            other.close()
        mdm("drain", "--data", str(data), "--once")

        (row,) = lake_rows(data)
        assert row["id"] == log_id
        assert (row["outcome"], row["input_tokens"]) == ("completed", 120)


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
def test_fdatasync_comes_before_the_last_send(tmp_path: Path, framing: str) -> None:
    """SIGKILL does not prove that a row survives the loss of power; this order does."""
    trace = tmp_path / "trace"
    strace = ("strace", "-ff", "-ttt", "-e", "trace=fdatasync,sendto,sendmsg,write,writev")
    with (
        Upstream(answer_by_path) as upstream,
        running_proxy(
            tmp_path / "data",
            openai_base_url=upstream.url,
            prefix=(*strace, "-s", "400", "-o", str(trace)),
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
    (head,) = [i for i, call in enumerate(calls) if _sends_to_caller(call[1], log_id)]
    written = [i for i, call in enumerate(calls) if call[1].startswith("fdatasync(")]
    last_send = max(
        i for i, call in enumerate(calls) if i >= head and _is_end(call[1], framing, head == i)
    )
    sent = [i for i, call in enumerate(calls) if head <= i <= last_send]
    asked = max(i for i, call in enumerate(calls) if i < head and CHAT in call[1])
    durable = [i for i in written if asked < i < last_send]
    assert sent
    assert durable, "no fdatasync between the request and the last byte of its answer"


def _sends_to_caller(call: str, log_id: str) -> bool:
    return log_id in call and re.match(r"(sendto|sendmsg|write|writev)\(", call) is not None


def _is_end(call: str, framing: str, is_head: bool) -> bool:
    mark = '"usage"' if framing == "content-length" else r"0\r\n\r\n"
    return (
        mark.replace('"', r"\"") in call
        and re.match(r"(sendto|write|writev|sendmsg)", call) is not None
    )

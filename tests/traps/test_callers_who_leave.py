"""Callers who leave: the provider bills them all the same, and the row says what it was."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.support.proxy import RunningProxy, running_proxy
from tests.support.upstream import Upstream
from tests.traps.conftest import CHAT, MESSAGES, Caller, row_when_there

LEAVES_AFTER = {
    "the first chunk": b"word 0",
    "the third chunk": b"word 2",
    "the last delta": b"word 4",
}


@pytest.mark.parametrize("when", LEAVES_AFTER)
def test_trap_01_caller_closes_in_the_middle_of_a_stream(proxy: RunningProxy, when: str) -> None:
    """He saw a part; the rest was read without him, so the row has the whole usage."""
    caller = Caller(proxy, f"{CHAT}?script=paced", b'{"stream": true}')
    caller.read_until(LEAVES_AFTER[when])
    caller.leave()
    row = row_when_there(proxy, caller.log_id)

    assert row["outcome"] == "client_disconnected"
    assert (row["input_tokens"], row["output_tokens"]) == (70, 50)
    assert (row["usage_status"], row["cost_status"]) == ("reported", "priced")


def test_trap_01_caller_closes_between_the_last_data_and_the_end(proxy: RunningProxy) -> None:
    """He has all there was: the row is that of a completed request."""
    caller = Caller(proxy, f"{CHAT}?script=paced", b'{"stream": true}')
    caller.read_until(b"[DONE]")
    caller.leave()
    row = row_when_there(proxy, caller.log_id)

    assert (row["outcome"], row["usage_status"]) == ("completed", "reported")
    assert (row["input_tokens"], row["output_tokens"]) == (70, 50)


def test_trap_02_caller_closes_before_the_headers(proxy: RunningProxy) -> None:
    """Nothing was sent to him, yet the provider was called: there is a row."""
    before = {row["id"] for row in proxy.rows()}
    caller = Caller(proxy, f"{CHAT}?script=slow-headers", b"{}", "X-Majordomo-Trap: two")
    time.sleep(0.2)
    caller.leave()
    deadline = time.monotonic() + 15
    while not (new := [row for row in proxy.rows() if row["id"] not in before]):
        assert time.monotonic() < deadline
    (row,) = new

    assert row["raw_metadata"] == {"Trap": "two"}
    assert row["outcome"] == "client_disconnected"
    assert (row["input_tokens"], row["output_tokens"]) == (70, 50)


def test_a_caller_who_leaves_can_end_the_call_too(tmp_path: Path, upstream: Upstream) -> None:
    """With the policy `cancel` the provider is left at once; what was stated is partial."""
    with running_proxy(
        tmp_path / "data", anthropic_base_url=upstream.url, abandoned_policy="cancel"
    ) as proxy:
        caller = Caller(proxy, f"{MESSAGES}?script=paced", b'{"stream": true}')
        caller.read_until(b"message_start")
        caller.leave()
        row = row_when_there(proxy, caller.log_id)

    assert (row["outcome"], row["usage_status"]) == ("client_disconnected", "partial")
    assert (row["input_tokens"], row["output_tokens"]) == (70, None)
    assert (row["total_cost"], row["cost_status"]) == (None, "no_usage")
    assert row["response_time_ms"] < 600

"""Providers that break: a status of 200 is no outcome, and a part is no whole."""

from __future__ import annotations

import httpx
import pytest

from tests.support.proxy import RunningProxy
from tests.traps.conftest import CHAT, MESSAGES, row_when_there


def test_trap_03_provider_resets_in_the_middle_of_an_event(proxy: RunningProxy) -> None:
    """The caller can tell that it is not whole; a seed of the output is no count of it."""
    with (
        httpx.stream(
            "POST",
            f"{proxy.url}{MESSAGES}?script=reset-in-event",
            headers=proxy.headers(),
            json={"stream": True},
        ) as answer,
        pytest.raises(httpx.RemoteProtocolError),
    ):
        answer.read()
    row = row_when_there(proxy, answer.headers["x-majordomo-log-id"])

    assert (row["outcome"], row["usage_status"]) == ("upstream_error", "partial")
    assert (row["input_tokens"], row["output_tokens"]) == (70, None)
    assert row["total_cost"] is None


def test_trap_04_error_inside_a_stream_that_began_with_200(proxy: RunningProxy) -> None:
    answer = proxy.post(f"{CHAT}?script=error-in-stream", json={"stream": True})
    row = row_when_there(proxy, answer.headers["x-majordomo-log-id"])

    assert (row["status_code"], row["outcome"]) == (200, "upstream_error")
    assert row["error_message"].startswith("Over capacity for ")
    assert "planted" not in row["error_message"]
    assert "error_in_stream" in row["flags"]
    assert (row["usage_status"], row["total_cost"]) == ("missing", None)


def test_trap_14_failed_response_keeps_its_usage(proxy: RunningProxy) -> None:
    answer = proxy.post("/v1/responses?script=failed-response", json={"stream": True})
    row = row_when_there(proxy, answer.headers["x-majordomo-log-id"])

    assert (row["outcome"], row["error_message"]) == ("upstream_error", "The model broke")
    assert (row["input_tokens"], row["output_tokens"]) == (70, 5)
    assert (row["usage_status"], row["cost_status"]) == ("reported", "priced")

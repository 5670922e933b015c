"""What the proxy refuses by itself: a clear answer, a counter, no row, nothing sent."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import httpx
import pytest

from tests.support.proxy import RunningProxy, mdm, running_proxy
from tests.support.upstream import Upstream


def counted(proxy: RunningProxy, reason: str) -> float:
    text = httpx.get(f"{proxy.url}/metrics").text
    found = re.search(rf'majordomo_refused_total{{reason="{reason}"}} (\S+)', text)
    return float(found[1]) if found else 0.0


@pytest.mark.parametrize(
    ("path", "headers", "status", "reason", "says"),
    [
        ("/v1/chat/completions", {"X-Majordomo-Key": ""}, 401, "missing_api_key", "missing"),
        ("/v1/chat/completions", {"X-Majordomo-Key": "mdm_sk_no"}, 401, "invalid_api_key", "unk"),
        ("/v1/nothing", {}, 400, "unknown_provider", "known: openai, azure, anthropic"),
        (
            "/v1/chat/completions",
            {"X-Majordomo-Provider": "opnai"},
            400,
            "unknown_provider",
            "'opnai', which is no provider; known: openai",
        ),
        ("/v1/chat/completions", {"X-Latin": b"caf\xe9"}, 400, "bad_header", "'x-latin'"),
    ],
)
def test_a_refusal_says_why_and_is_counted(
    proxy: RunningProxy,
    upstream: Upstream,
    path: str,
    headers: dict[str, str | bytes],
    status: int,
    reason: str,
    says: str,
) -> None:
    before, sent = counted(proxy, reason), len(upstream.received)
    merged = {n: v for n, v in {**proxy.headers(), **headers}.items() if v}
    answer = proxy.post(path, headers=merged)

    assert answer.status_code == status
    assert answer.json()["error"]["type"] == reason
    assert says in answer.json()["error"]["message"]
    assert counted(proxy, reason) == before + 1
    assert len(upstream.received) == sent


@pytest.mark.parametrize("declared", [True, False])
def test_a_body_over_the_limit_is_refused(proxy: RunningProxy, declared: bool) -> None:
    """With Content-Length before a byte is read, without it as soon as it is over."""
    body = b"x" * 3_000_001
    content = body if declared else iter([body[:100_000], body[100_000:]])
    answer = proxy.post(json=None, content=content)

    assert answer.status_code == 413
    assert "3,000,000 bytes" in answer.json()["error"]["message"]


def test_a_revoked_key_is_refused_within_a_second(proxy: RunningProxy) -> None:
    """And a key that was just made works at once."""
    made = mdm("keys", "create", "--name", "short-lived", "--data", str(proxy.data), "--json")
    issued = json.loads(made.stdout)
    headers = {"X-Majordomo-Key": issued["key"]}
    assert proxy.post(headers=headers).status_code == 200

    mdm("keys", "revoke", issued["id"], "--data", str(proxy.data))
    time.sleep(0.5)
    assert proxy.post(headers=headers).status_code == 401


def test_health_and_readiness_need_no_key(proxy: RunningProxy) -> None:
    assert httpx.get(f"{proxy.url}/health").json() == {"status": "ok"}
    assert httpx.get(f"{proxy.url}/readyz").json() == {"status": "ready"}
    assert "majordomo_in_flight_requests" in httpx.get(f"{proxy.url}/metrics").text


def test_refused_requests_leave_no_row(tmp_path: Path, upstream: Upstream) -> None:
    """A body that grew over the limit on its way did reach the provider: it has one."""
    with running_proxy(
        tmp_path / "data", openai_base_url=upstream.url, max_request_bytes="1000000"
    ) as proxy:
        assert proxy.post(headers={"X-Majordomo-Key": "mdm_sk_no"}).status_code == 401
        assert proxy.post("/v1/nothing").status_code == 400
        assert proxy.post(json=None, content=b"x" * 1_000_001).status_code == 413
        grown = {"json": None, "content": iter([b"x" * 300_000] * 4)}
        assert proxy.post("/v1/responses", **grown).status_code == 413
        (row,) = proxy.rows()

    assert (row["outcome"], row["status_code"]) == ("interrupted", 413)
    assert row["error_message"] == "the request body is larger than 1,000,000 bytes"

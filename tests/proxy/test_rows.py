"""Every request that was sent to a provider leaves a row that tells how it ended."""

from __future__ import annotations

import hashlib
import time
from decimal import Decimal
from typing import Any

import httpx
import pytest

from tests.support.proxy import RunningProxy, free_port, lake_rows, running_proxy
from tests.support.scripts import answer_by_path
from tests.support.upstream import Upstream

CHAT = "/v1/chat/completions"


def row_of(proxy: RunningProxy, answer: httpx.Response) -> dict[str, Any]:
    wanted = answer.headers["x-majordomo-log-id"]
    (row,) = [row for row in proxy.rows() if row["id"] == wanted]
    return row


@pytest.mark.parametrize("framing", ["content-length", "chunked", "stream"])
def test_a_completed_request_has_its_tokens_and_cost(proxy: RunningProxy, framing: str) -> None:
    """gpt-4o-mini: 20 fresh at 0.15, 100 cached at 0.075, 30 output at 0.60 a million."""
    row = row_of(proxy, proxy.post(f"{CHAT}?script={framing}"))

    expected = (20 * Decimal("0.15") + 100 * Decimal("0.075") + 30 * Decimal("0.6")) / 10**6
    assert (row["input_tokens"], row["cached_tokens"], row["output_tokens"]) == (120, 100, 30)
    assert row["total_cost"] == expected
    assert row["total_cost"] == row["input_cost"] + row["output_cost"] + row["tool_cost"]
    assert (row["cost_status"], row["usage_status"]) == ("priced", "reported")
    assert (row["provider"], row["model"], row["api_flavour"]) == ("openai", "gpt-4o-mini", "chat")
    assert (row["outcome"], row["status_code"]) == ("completed", 200)
    assert row["response_id"] == "chatcmpl-7"
    assert row["is_streamed"] is (framing == "stream")
    assert row["response_time_ms"] >= row["time_to_first_byte_ms"] >= 0


def test_metadata_is_canonical_and_the_first_value_wins(proxy: RunningProxy) -> None:
    headers = [
        *proxy.headers().items(),
        ("x-majordomo-USER-tier", "gold"),
        ("X-Majordomo-User_Tier", "silver"),
        ("X-Majordomo-Feature", "Größe ☕"),
        ("X-Majordomo-Provider-Alias", "finance"),
        ("x-stainless-retry-count", "2"),
    ]
    row = row_of(proxy, proxy.post(headers=[(n.encode(), v.encode()) for n, v in headers]))

    assert row["raw_metadata"] == {"User-Tier": "gold", "Feature": "Größe ☕"}
    assert (row["indexed_User-Tier"], row["indexed_Feature"]) == ("gold", "Größe ☕")
    assert row["indexed_Team"] is None
    assert row["flags"] == ["metadata_repeated"]
    assert (row["provider_api_key_alias"], row["retry_attempt"]) == ("finance", 2)


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("Authorization", "Bearer sk-planted-secret-1"),
        ("x-api-key", "sk-planted-secret-2"),
        ("x-goog-api-key", "planted-secret-3"),
    ],
)
def test_a_provider_credential_is_kept_as_a_hash_only(
    proxy: RunningProxy, header: str, value: str
) -> None:
    headers = {"X-Majordomo-Key": proxy.key, header: value}
    row = row_of(proxy, proxy.post(headers=headers))

    assert row["provider_api_key_hash"] == hashlib.sha256(value.encode()).hexdigest()
    assert "planted-secret" not in repr(row)


def test_a_credential_in_the_query_is_kept_as_a_hash_only(proxy: RunningProxy) -> None:
    path = (
        "/v1beta/models/gemini-2.5-flash:generateContent?key=planted-secret-4&script=content-length"
    )
    row = row_of(proxy, proxy.post(path, headers={"X-Majordomo-Key": proxy.key}))

    assert row["provider_api_key_hash"] == hashlib.sha256(b"planted-secret-4").hexdigest()
    assert row["requested_model"] == "gemini-2.5-flash"
    assert "planted-secret" not in repr(row)


@pytest.mark.parametrize(
    ("script", "status", "outcome", "says"),
    [
        ("reset", 502, "upstream_error", "closed the connection"),
        ("silent", 504, "timeout", "silent for longer"),
        ("rate-limited", 429, "completed", "Rate limit reached"),
        ("not-json", 200, "completed", None),
    ],
)
def test_a_request_that_failed_has_a_row_that_says_so(
    proxy: RunningProxy, script: str, status: int, outcome: str, says: str | None
) -> None:
    """The caller gets the provider's answer, or 502 or 504 when there was none."""
    answer = proxy.post(f"{CHAT}?script={script}")
    row = row_of(proxy, answer)

    assert answer.status_code == row["status_code"] == status
    assert row["outcome"] == outcome
    assert row["usage_status"] == "missing"
    assert (row["input_tokens"], row["total_cost"]) == (None, None)
    assert row["cost_status"] == "no_usage"
    assert (row["error_message"] is None) if says is None else (says in row["error_message"])
    if script == "not-json":
        assert answer.text == "<h1>sorry</h1>"
        assert "body_not_read" in row["flags"]


@pytest.mark.parametrize(
    ("script", "outcome"),
    [
        ("reset-in-stream", "upstream_error"),
        ("short", "upstream_error"),
        ("silent-in-stream", "timeout"),
    ],
)
def test_an_answer_that_breaks_off_is_cut_for_the_caller_too(
    proxy: RunningProxy, script: str, outcome: str
) -> None:
    """The caller can tell that it is not whole, and the row says why."""
    with (
        httpx.stream(
            "POST",
            f"{proxy.url}{CHAT}?script={script}",
            headers=proxy.headers(),
            json={},
            timeout=20,
        ) as answer,
        pytest.raises(httpx.RemoteProtocolError),
    ):
        answer.read()
    row = row_of(proxy, answer)

    assert (row["outcome"], row["status_code"]) == (outcome, 200)
    assert row["usage_status"] == "missing"
    assert row["total_cost"] is None


def test_a_caller_who_leaves_has_a_row_with_the_usage_of_the_whole_answer(
    proxy: RunningProxy,
) -> None:
    """The answer is read on without him, because the provider bills it anyway."""
    with httpx.stream(
        "POST", f"{proxy.url}{CHAT}?script=slow", headers=proxy.headers(), json={}, timeout=10
    ) as answer:
        next(answer.iter_raw())
    time.sleep(1.5)
    row = row_of(proxy, answer)

    assert row["outcome"] == "client_disconnected"
    assert (row["input_tokens"], row["output_tokens"]) == (7, 5)
    assert row["usage_status"] == "reported"


@pytest.mark.parametrize("request_bytes", [2, 400_000])
def test_an_abandoned_answer_is_not_read_on_for_ever(
    tmp_path_factory: pytest.TempPathFactory, request_bytes: int
) -> None:
    """After the time set it is cut, whether the request was small or streamed through."""
    data = tmp_path_factory.mktemp("abandoned") / "data"
    with (
        Upstream(answer_by_path) as upstream,
        running_proxy(data, openai_base_url=upstream.url, abandoned_read_s="0.2") as proxy,
    ):
        with httpx.stream(
            "POST",
            f"{proxy.url}{CHAT}?script=silent-in-stream",
            headers=proxy.headers(),
            content=b"x" * request_bytes,
            timeout=20,
        ) as answer:
            next(answer.iter_raw())
        time.sleep(1.5)
        row = row_of(proxy, answer)

    assert row["outcome"] == "client_disconnected"
    assert row["response_time_ms"] < 5000
    assert (row["usage_status"], row["total_cost"]) == ("missing", None)


def test_a_refused_connection_is_a_502_with_a_row(tmp_path_factory: pytest.TempPathFactory) -> None:
    data = tmp_path_factory.mktemp("refused") / "data"
    with running_proxy(data, openai_base_url=f"http://127.0.0.1:{free_port()}") as proxy:
        answer = proxy.post()
        row = row_of(proxy, answer)

    assert answer.status_code == row["status_code"] == 502
    assert answer.json()["error"]["type"] == row["outcome"] == "upstream_error"
    assert row["error_message"].startswith("cannot connect to the provider: ")


def test_an_open_stream_is_cut_when_the_proxy_stops_and_has_a_row(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """SIGTERM waits for open answers as long as is set, then cuts them; exit status 0."""
    data = tmp_path_factory.mktemp("stopped") / "data"
    with (
        Upstream(answer_by_path) as upstream,
        running_proxy(data, openai_base_url=upstream.url, stop_timeout_s="1") as proxy,
        httpx.stream(
            "POST",
            f"{proxy.url}{CHAT}?script=silent-in-stream",
            headers=proxy.headers(Feature="chat"),
            json={},
            timeout=20,
        ) as answer,
    ):
        chunks = answer.iter_raw()
        next(chunks)
        status = proxy.stop()
        with pytest.raises(httpx.RemoteProtocolError):
            next(chunks)

    (row,) = lake_rows(data)
    assert status == 0
    assert (row["outcome"], row["status_code"]) == ("interrupted", 200)
    assert row["indexed_Feature"] == "chat"


def test_speech_is_billed_by_the_characters_of_the_request(proxy: RunningProxy) -> None:
    """The answer is audio and says nothing; what the request held is an estimate."""
    spoken = {"model": "tts-1", "voice": "alloy", "input": "Grüß Gott ☕"}
    row = row_of(proxy, proxy.post("/v1/audio/speech?script=not-json", json=spoken))

    assert (row["api_flavour"], row["model"]) == ("speech", "tts-1")
    assert (row["input_characters"], row["input_tokens"]) == (11, None)
    assert (row["usage_status"], row["usage_source"]) == ("estimated", "request")
    assert row["flags"] == []


def test_an_upload_names_its_model(proxy: RunningProxy) -> None:
    """Audio is sent as a form; the answer states how long it was, or its tokens."""
    answer = proxy.post(
        "/v1/audio/transcriptions?script=content-length",
        json=None,
        data={"model": "whisper-1", "response_format": "json"},
        files={"file": ("a.wav", b"RIFF" + bytes(300_000))},
    )
    row = row_of(proxy, answer)

    assert (row["api_flavour"], row["requested_model"]) == ("transcriptions", "whisper-1")
    assert row["request_bytes"] > 300_000


def test_counts_in_the_headers_are_read_where_an_api_puts_them_there(proxy: RunningProxy) -> None:
    answer = proxy.post(
        "/model/meta.llama3-8b-instruct-v1%3A0/invoke?script=counted-in-headers",
        headers={**proxy.headers(), "X-Majordomo-Bedrock-Region": "us-east-1"},
    )
    row = row_of(proxy, answer)

    assert (row["provider"], row["api_flavour"]) == ("bedrock", "invoke")
    assert row["model"] == "meta.llama3-8b-instruct-v1:0"
    assert (row["input_tokens"], row["output_tokens"]) == (31, 9)
    assert (row["usage_status"], row["usage_source"]) == ("reported", "header")


def test_an_api_key_in_a_text_of_the_row_is_masked(proxy: RunningProxy) -> None:
    """Wherever a caller has put it by mistake; in a path it is refused."""
    headers = {
        **proxy.headers(),
        "X-Majordomo-Provider-Alias": f"mine {proxy.key}",
        "X-Majordomo-Note": proxy.key,
    }
    row = row_of(proxy, proxy.post(headers=headers, json={"model": proxy.key}))
    refused = proxy.post(f"/v1/chat/completions/{proxy.key}")

    assert "mdm_sk_" not in repr(row)
    assert row["requested_model"] == row["raw_metadata"]["Note"] == "[API key]"
    assert row["provider_api_key_alias"] == "mine [API key]"
    assert (refused.status_code, refused.json()["error"]["type"]) == (400, "bad_path")

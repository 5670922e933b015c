"""Usage that the caller did not ask for: in the row, and not in the caller's stream."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.support.proxy import RunningProxy, running_proxy
from tests.support.upstream import LAST_CHUNK, Received, Upstream, chunk, head

CHAT = "/v1/chat/completions"
BODY = {"model": "gpt-4o-mini", "stream": True, "messages": [{"role": "user", "content": "hi"}]}
USAGE = {"prompt_tokens": 70, "completion_tokens": 50, "total_tokens": 120}


def events(*, asked: bool) -> list[bytes]:
    """Return what a provider streams, in two spellings of JSON, asked for usage or not."""
    shown: list[dict[str, Any]] = [
        {"id": "c", "model": "gpt-4o-mini", "choices": [{"index": 0, "delta": {"content": said}}]}
        for said in ("Guten ", 'Tag, "usage":null ☕', "")
    ]
    shown[-1]["choices"][0]["finish_reason"] = "stop"
    if asked:
        shown = [{**one, "usage": None} for one in shown]
        shown.append({"id": "c", "model": "gpt-4o-mini", "choices": [], "usage": USAGE})
    compact = [json.dumps(one, separators=(",", ":"), ensure_ascii=False) for one in shown]
    spaced = [json.dumps(one, ensure_ascii=False) for one in shown]
    texts = [compact[0], *spaced[1:], "[DONE]"]
    return [f"data: {text}\n\n".encode() for text in texts]


async def answer(request: Received, writer: asyncio.StreamWriter) -> None:
    """Stream with usage if `stream_options` ask for it, framed as the query says."""
    body = request.body
    if request.header("content-encoding") == "gzip":
        body = gzip.decompress(body)
    asked = bool((json.loads(body).get("stream_options") or {}).get("include_usage"))
    sent = b"".join(events(asked=asked))
    kind = request.target.partition("?")[2]
    headers = ["Content-Type: text/event-stream"]
    if kind == "gzip":
        sent = gzip.compress(sent)
        headers.append("Content-Encoding: gzip")
    if kind == "length":
        writer.write(head("200 OK", *headers, f"Content-Length: {len(sent)}") + sent)
        return
    if kind == "refused":
        error = b'{"error":{"message":"no"},"usage":null}'
        writer.write(head("400 Bad Request", f"Content-Length: {len(error)}") + error)
        return
    writer.write(head("200 OK", *headers, "Transfer-Encoding: chunked"))
    size = 11 if kind == "cut" else 4096
    for at in range(0, len(sent), size):
        writer.write(chunk(sent[at : at + size]))
        await writer.drain()
        await asyncio.sleep(0)
    writer.write(LAST_CHUNK)


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream(answer) as running:
        yield running


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[RunningProxy]:
    data = tmp_path_factory.mktemp("asking") / "data"
    with running_proxy(
        data, openai_base_url=upstream.url, mistral_base_url=upstream.url
    ) as running:
        yield running


def row_of(proxy: RunningProxy, said: httpx.Response) -> dict[str, Any]:
    wanted = said.headers["x-majordomo-log-id"]
    (row,) = [row for row in proxy.rows() if row["id"] == wanted]
    return row


@pytest.mark.parametrize("kind", ["whole", "cut", "length"])
@pytest.mark.parametrize("path", [CHAT, "/v1/completions"])
def test_the_row_has_the_usage_and_the_caller_the_stream_asked_for(
    proxy: RunningProxy, upstream: Upstream, path: str, kind: str
) -> None:
    said = proxy.post(f"{path}?{kind}", json=BODY)
    sent = upstream.received[-1]
    row = row_of(proxy, said)

    assert said.content == b"".join(events(asked=False))
    assert json.loads(sent.body) == {**BODY, "stream_options": {"include_usage": True}}
    assert sent.header("accept-encoding") == "identity"
    assert "content-length" not in said.headers
    assert (row["input_tokens"], row["output_tokens"]) == (70, 50)
    assert (row["usage_status"], row["outcome"], row["flags"]) == ("reported", "completed", [])


def test_a_caller_who_asks_gets_what_the_provider_sends(
    proxy: RunningProxy, upstream: Upstream
) -> None:
    asking = {**BODY, "stream_options": {"include_usage": True}}
    said = proxy.post(f"{CHAT}?length", json=asking)

    assert said.content == b"".join(events(asked=True))
    assert said.headers["content-length"] == str(len(said.content))
    assert upstream.received[-1].header("accept-encoding") != "identity"


def test_other_options_stay(proxy: RunningProxy, upstream: Upstream) -> None:
    """Also where the caller said in so many words that no usage is wanted."""
    options = {"include_usage": False, "include_obfuscation": False}
    said = proxy.post(CHAT, json={**BODY, "stream_options": options})

    assert said.content == b"".join(events(asked=False))
    sent = json.loads(upstream.received[-1].body)["stream_options"]
    assert sent == {"include_usage": True, "include_obfuscation": False}


def test_a_compressed_body_is_asked_too(proxy: RunningProxy, upstream: Upstream) -> None:
    content = gzip.compress(json.dumps(BODY).encode())
    headers = {**proxy.headers(), "Content-Encoding": "gzip", "Content-Type": "application/json"}
    said = proxy.post(CHAT, headers=headers, json=None, content=content)
    sent = upstream.received[-1]

    assert said.content == b"".join(events(asked=False))
    assert sent.header("content-encoding") is None
    assert json.loads(sent.body)["stream_options"] == {"include_usage": True}
    assert row_of(proxy, said)["input_tokens"] == 70


def test_what_cannot_be_taken_out_again_is_flagged(proxy: RunningProxy) -> None:
    """A provider that compresses though it was asked not to."""
    said = proxy.post(f"{CHAT}?gzip", json=BODY)
    row = row_of(proxy, said)

    assert said.content == b"".join(events(asked=True))
    assert row["flags"] == ["usage_chunk_left"]
    assert row["input_tokens"] == 70


def test_a_refusal_passes_as_it_came(proxy: RunningProxy) -> None:
    said = proxy.post(f"{CHAT}?refused", json=BODY)
    assert (said.status_code, said.content) == (400, b'{"error":{"message":"no"},"usage":null}')


@pytest.mark.parametrize(
    ("path", "provider", "body"),
    [
        (CHAT, "mistral", BODY),  # states usage without being asked
        (CHAT, "openai", {**BODY, "stream": False}),
        ("/v1/responses", "openai", BODY),  # always states it
    ],
)
def test_others_are_not_asked(
    proxy: RunningProxy, upstream: Upstream, path: str, provider: str, body: dict[str, Any]
) -> None:
    headers = {**proxy.headers(), "X-Majordomo-Provider": provider}
    proxy.post(path, headers=headers, json=body)
    assert json.loads(upstream.received[-1].body) == body


def test_a_setting_switches_it_off(
    tmp_path_factory: pytest.TempPathFactory, upstream: Upstream
) -> None:
    """What then has no usage is missing: null, never 0."""
    data = tmp_path_factory.mktemp("off") / "data"
    with running_proxy(data, openai_base_url=upstream.url, ask_for_usage="false") as proxy:
        said = proxy.post(CHAT, json=BODY)
        row = row_of(proxy, said)

    assert json.loads(upstream.received[-1].body) == BODY
    assert said.content == b"".join(events(asked=False))
    assert (row["usage_status"], row["input_tokens"], row["total_cost"]) == ("missing", None, None)


def test_a_body_over_the_bound_goes_out_as_it_came(
    tmp_path_factory: pytest.TempPathFactory, upstream: Upstream
) -> None:
    data = tmp_path_factory.mktemp("large") / "data"
    large = {**BODY, "messages": [{"role": "user", "content": "x" * 400_000}]}
    with running_proxy(data, openai_base_url=upstream.url, edited_request_bytes="300000") as proxy:
        said = proxy.post(CHAT, json=large)
        row = row_of(proxy, said)

    assert json.loads(upstream.received[-1].body) == large
    assert (row["usage_status"], row["requested_model"]) == ("missing", "gpt-4o-mini")

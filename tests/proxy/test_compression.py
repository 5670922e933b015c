"""Bodies pass as they were compressed, and rows say what was inside."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import httpx
import pytest

from tests.support.compressed import ENCODINGS
from tests.support.proxy import RunningProxy, running_proxy
from tests.support.upstream import CHAT_EVENTS, LAST_CHUNK, Received, Upstream, chunk, head

ASKING = {"stream": True, "stream_options": {"include_usage": True}}
REQUEST = json.dumps({"model": "gpt-4o", "messages": [], **ASKING}).encode()

ANSWERS = {name: one.compress(b"".join(CHAT_EVENTS)) for name, one in ENCODINGS.items()}


async def compressed_stream(request: Received, writer: asyncio.StreamWriter) -> None:
    """Answer with events, compressed as a whole in the way that is accepted."""
    name = request.header("accept-encoding") or ""
    writer.write(
        head(
            "200 OK",
            "Content-Type: text/event-stream",
            f"Content-Encoding: {name}",
            "Transfer-Encoding: chunked",
        )
    )
    for part in (ANSWERS[name][:50], ANSWERS[name][50:]):
        writer.write(chunk(part))
        await writer.drain()
    writer.write(LAST_CHUNK)


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream(compressed_stream) as running:
        yield running


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[RunningProxy]:
    data = tmp_path_factory.mktemp("proxy") / "data"
    with running_proxy(data, openai_base_url=upstream.url) as running:
        yield running


@pytest.mark.parametrize("name", ["gzip", "deflate", "br", "zstd"])
def test_compressed_bodies_pass_untouched_and_are_counted(
    proxy: RunningProxy, upstream: Upstream, name: str
) -> None:
    """Both bodies arrive as they were sent; the row has the tokens in the answer."""
    body = ENCODINGS[name].compress(REQUEST)
    headers = {**proxy.headers(), "Content-Encoding": name, "Accept-Encoding": name}
    with httpx.stream(
        "POST", f"{proxy.url}/v1/chat/completions", headers=headers, content=body
    ) as answer:
        raw = b"".join(answer.iter_raw())
    (row,) = [row for row in proxy.rows() if row["id"] == answer.headers["x-majordomo-log-id"]]

    assert upstream.received[-1].body == body
    assert raw == ANSWERS[name]
    assert (row["requested_model"], row["model"]) == ("gpt-4o", "gpt-4o-mini")
    assert (row["input_tokens"], row["cached_tokens"], row["output_tokens"]) == (120, 100, 30)
    assert (row["usage_status"], row["is_streamed"], row["flags"]) == ("reported", True, [])
    assert (row["request_bytes"], row["response_bytes"]) == (len(body), len(raw))

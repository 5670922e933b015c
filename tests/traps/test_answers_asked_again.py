"""Answers that are asked for again: what was billed once is one priced row."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import httpx

from tests.support.proxy import running_proxy
from tests.support.upstream import Received, Upstream, head

USAGE = {"input_tokens": 70, "output_tokens": 50, "total_tokens": 120}


async def background(request: Received, writer: asyncio.StreamWriter) -> None:
    """Queue a response, and have it finished when it is asked for."""
    response = {"id": "resp_b", "model": "gpt-5", "background": True}
    if request.method == "POST":
        response |= {"status": "queued", "usage": None}
    else:
        response |= {"status": "completed", "usage": USAGE}
    body = json.dumps(response).encode()
    writer.write(head("200 OK", f"Content-Length: {len(body)}") + body)


def test_trap_14_background_response_polled_five_times(tmp_path: Path) -> None:
    """Six requests, of which one is priced: the first that says what was used."""
    with (
        Upstream(background) as upstream,
        running_proxy(tmp_path / "data", openai_base_url=upstream.url) as proxy,
    ):
        proxy.post("/v1/responses", json={"model": "gpt-5", "background": True})
        for _ in range(5):
            httpx.get(f"{proxy.url}/v1/responses/resp_b", headers=proxy.headers())
        rows = proxy.rows()

    priced = [row for row in rows if row["total_cost"] is not None]
    assert len(rows) == 6
    assert [row["input_tokens"] for row in rows] == [None, 70, None, None, None, None]
    assert [row["id"] for row in priced] == [rows[1]["id"]]
    assert all(row["flags"] == ["usage_repeated"] for row in rows[2:])

"""Calls to the stand-ins within this process, with no socket between."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import httpx

from majordomo_analytics.cli.standins.truth import Call

if TYPE_CHECKING:
    from starlette.applications import Starlette

KEY = {"Authorization": "Bearer sk-made-up"}


def post(app: Starlette, path: str, body: Any, **headers: str) -> httpx.Response:
    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://standins") as client:
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            given = {name.replace("_", "-"): value for name, value in headers.items()}
            return await client.post(path, content=content, headers=given or KEY)

    return asyncio.run(send())


def truth(app: Starlette) -> list[Call]:
    async def get() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://standins") as client:
            return await client.get("/truth")

    return [Call.from_json(call) for call in asyncio.run(get()).json()["calls"]]

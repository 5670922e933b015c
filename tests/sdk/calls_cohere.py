"""Calls of Cohere's SDK; what it bills is what counts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import cohere
import httpx

from tests.sdk.roads import LEFT, QUESTION, SLOWLY, Call, Clause, Road, Usage

MODEL = "command-r7b-12-2024"
TURNS: list[Any] = [cohere.UserChatMessageV2(content=QUESTION)]


@contextmanager
def _client(road: Road) -> Iterator[cohere.ClientV2]:
    with httpx.Client(headers=road.headers) as http:
        yield cohere.ClientV2("made-up", base_url=road.to("cohere"), httpx_client=http)


def _options(extra: dict[str, str]) -> Any:
    return {"additional_headers": extra, "max_retries": 0}


def _usage(usage: Any) -> Usage:
    return Usage(int(usage.billed_units.input_tokens), int(usage.billed_units.output_tokens))


def cohere_chat(road: Road, extra: dict[str, str]) -> Usage:
    with _client(road) as client:
        said = client.chat(model=MODEL, messages=TURNS, request_options=_options(extra))
    return _usage(said.usage)


def cohere_chat_stream(road: Road, extra: dict[str, str]) -> Usage:
    with _client(road) as client:
        *_, last = client.chat_stream(
            model=MODEL, messages=TURNS, max_tokens=120, request_options=_options(extra)
        )
    assert last.type == "message-end"
    assert last.delta is not None
    return _usage(last.delta.usage)


def cohere_chat_parsed(road: Road, extra: dict[str, str]) -> Usage:
    form = cohere.JsonObjectResponseFormatV2(json_schema=Clause.model_json_schema())
    with _client(road) as client:
        said = client.chat(
            model=MODEL, messages=TURNS, response_format=form, request_options=_options(extra)
        )
    assert said.message.content is not None
    (block,) = said.message.content
    assert block.type == "text"
    Clause.model_validate_json(block.text)
    return _usage(said.usage)


def cohere_chat_left(road: Road, extra: dict[str, str]) -> Usage:
    with _client(road) as client:
        stream = iter(
            client.chat_stream(
                model=MODEL,
                messages=TURNS,
                max_tokens=200,
                request_options=_options(extra | SLOWLY),
            )
        )
        next(stream)
        stream.close()  # type: ignore[attr-defined]
    return LEFT


def cohere_embed(road: Road, extra: dict[str, str]) -> Usage:
    with _client(road) as client:
        said = client.embed(
            model="embed-v4.0",
            texts=[QUESTION, "fees"],
            input_type="search_document",
            embedding_types=["float"],
            request_options=_options(extra),
        )
    assert [len(vector) for vector in said.embeddings.float_ or []] == [8, 8]
    assert said.meta is not None
    assert said.meta.billed_units is not None
    return Usage(int(said.meta.billed_units.input_tokens or 0), 0)


def cohere_rerank(road: Road, extra: dict[str, str]) -> Usage:
    with _client(road) as client:
        said = client.rerank(
            model="rerank-v3.5",
            query="fees",
            documents=["a clause"] * 120,
            top_n=3,
            request_options=_options(extra),
        )
    assert len(said.results) == 3
    assert said.meta is not None
    assert said.meta.billed_units is not None
    return Usage(rerank_searches=int(said.meta.billed_units.search_units or 0))


CALLS: tuple[Call, ...] = (
    cohere_chat,
    cohere_chat_stream,
    cohere_chat_parsed,
    cohere_chat_left,
    cohere_embed,
    cohere_rerank,
)

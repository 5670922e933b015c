"""The stand-ins as one Starlette app: every provider's paths, and ``GET /truth``.

A provider whose paths are nobody else's answers at the root; all answer below their name.
"""

from __future__ import annotations

import asyncio
import gzip
import json
from functools import partial
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from majordomo_analytics.cli.standins import (
    anthropic,
    bedrock,
    cohere,
    embeddings,
    gemini,
    images,
    openai,
    responses,
)
from majordomo_analytics.cli.standins.answers import Dialect, Json, Question, answer
from majordomo_analytics.cli.standins.forms import read_form
from majordomo_analytics.cli.standins.hosts import HOSTS
from majordomo_analytics.cli.standins.prices import Tokens
from majordomo_analytics.cli.standins.truth import ERROR_HEADER, PAUSE_HEADER, Call

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from starlette.requests import Request

    Reader = Callable[[Json], Question]

CREDENTIALS = ("authorization", "x-api-key", "x-goog-api-key")


class StandIns:
    """The endpoints, and the truth about every call they answered."""

    def __init__(self, error_share: float) -> None:
        self._error_share = error_share
        self._calls: list[Call] = []

    def answering(self, read: Reader, dialect: Dialect) -> Callable[[Request], Awaitable[Response]]:
        """Return an endpoint that reads questions and answers them in `dialect`."""

        async def endpoint(request: Request) -> Response:
            return await self._respond(request, read, dialect)

        return endpoint

    async def generate(self, request: Request) -> Response:
        """Answer as Gemini's generateContent and streamGenerateContent."""
        model, _, method = request.path_params["call"].partition(":")
        streamed = method == "streamGenerateContent"
        read = partial(gemini.read_generate, model, streamed=streamed)
        as_events = request.query_params.get("alt") == "sse"
        return await self._respond(request, read, gemini.EVENTS if as_events else gemini.ARRAY)

    async def converse(self, request: Request) -> Response:
        """Answer as Bedrock's Converse and ConverseStream."""
        streamed = request.url.path.endswith("-stream")
        read = partial(bedrock.read_converse, request.path_params["model"], streamed=streamed)
        return await self._respond(request, read, bedrock.CONVERSE)

    async def invoke(self, request: Request) -> Response:
        """Answer as Bedrock's InvokeModel and InvokeModelWithResponseStream."""
        streamed = request.url.path.endswith("-stream")
        read = partial(bedrock.read_invoke, request.path_params["model"], streamed=streamed)
        return await self._respond(request, read, bedrock.INVOKE)

    async def truth(self, _: Request) -> Response:
        """Answer with every call so far, in the order they came."""
        return JSONResponse({"calls": [call.to_json() for call in self._calls]})

    async def _respond(self, request: Request, read: Reader, dialect: Dialect) -> Response:
        headers = dict(request.headers)
        try:
            question, readable = read(await _body(request)), True
        except (ValueError, AttributeError, TypeError, KeyError):
            question, readable = read({}), False
        said = answer(question, error_share=self._error_share)
        if not readable:
            error: int | None = 400
        elif not any(name in headers for name in CREDENTIALS):
            error = 401
        else:
            error = int(headers.get(ERROR_HEADER, 0)) or said.error
        used = Tokens() if error else said.tokens
        self._calls.append(Call.of(question, used, error or 200, headers))
        ids = {dialect.id_header: f"req_{said.id}"} if dialect.id_header else {}
        await asyncio.sleep(said.seconds_to_first)
        if error:
            return JSONResponse(dialect.error_body(error), error, headers=ids)
        if question.streamed:
            parts = list(dialect.events(question, said))
            pause = (said.seconds_in_all - said.seconds_to_first) / len(parts)
            pause += int(headers.get(PAUSE_HEADER, 0)) / 1000
            return StreamingResponse(
                _paced(parts, pause), media_type=dialect.media_type, headers=ids
            )
        await asyncio.sleep(said.seconds_in_all - said.seconds_to_first)
        zipped = said.gzipped and "gzip" in headers.get("accept-encoding", "")
        ids |= dialect.count_headers(said)
        return _json(dialect.body(question, said), ids, zipped=zipped)


def make_app(*, error_share: float = 0.0) -> Starlette:
    """Return the app; a share `error_share` of the questions is answered with an error."""
    here = StandIns(error_share)
    return Starlette(routes=[*_routes(here), Route("/truth", here.truth)])


def _routes(here: StandIns) -> Iterator[Route]:
    post = partial(Route, methods=["POST"])
    roots = {"": "openai", "/v1": "openai", "/openai/v1": "groq", "/inference/v1": "fireworks"}
    roots |= {f"/{name}{host.root}": name for name, host in HOSTS.items() if name != "openai"}
    roots["/deepseek"] = "deepseek"  # which takes its paths with and without a version
    for root, provider in roots.items():
        for path, read, dialect in (
            ("/chat/completions", openai.read_chat, openai.CHAT),
            ("/completions", openai.read_completion, openai.COMPLETIONS),
            ("/responses", responses.read_responses, responses.RESPONSES),
            ("/embeddings", embeddings.read_embeddings, embeddings.EMBEDDINGS),
            ("/images/generations", images.read_images, images.IMAGES),
            ("/images/edits", images.read_images, images.IMAGES),
        ):
            yield post(root + path, here.answering(partial(read, provider=provider), dialect))
    roots = {"": "anthropic", "/v1": "anthropic", "/anthropic/v1": "anthropic"}
    roots["/bedrock-mantle/anthropic/v1"] = "bedrock-mantle"
    for root, provider in roots.items():
        read = partial(anthropic.read_messages, provider=provider)
        yield post(f"{root}/messages", here.answering(read, anthropic.MESSAGES))
    for root in ("", "/gemini"):
        yield post(f"{root}/v1beta/models/{{call}}", here.generate)
        yield post(f"{root}/v1/models/{{call}}", here.generate)
    for root in ("", "/cohere"):
        yield post(f"{root}/v2/chat", here.answering(cohere.read_chat, cohere.CHAT))
        yield post(f"{root}/v2/embed", here.answering(cohere.read_embed, cohere.EMBED))
        yield post(f"{root}/v2/rerank", here.answering(cohere.read_rerank, cohere.RERANK))
    for root in ("", "/bedrock"):
        model = f"{root}/model/{{model:path}}"
        yield post(f"{model}/converse", here.converse)
        yield post(f"{model}/converse-stream", here.converse)
        yield post(f"{model}/invoke", here.invoke)
        yield post(f"{model}/invoke-with-response-stream", here.invoke)


async def _body(request: Request) -> Json:
    content_type = request.headers.get("content-type", "")
    if content_type.startswith("multipart/form-data"):
        return read_form(content_type, await request.body())
    body: Json = json.loads(await request.body())
    return body


async def _paced(parts: list[bytes], pause: float) -> AsyncIterator[bytes]:
    """Yield `parts` a little apart, as a model does that writes."""
    for part in parts:
        yield part
        await asyncio.sleep(pause)


def _json(body: Json, headers: dict[str, str], *, zipped: bool) -> Response:
    content = json.dumps(body, ensure_ascii=False).encode()
    if zipped:
        content = gzip.compress(content, compresslevel=1, mtime=0)
        headers = {**headers, "content-encoding": "gzip"}
    return Response(content, headers=headers, media_type="application/json")

"""The stand-ins as one Starlette app: every provider's paths, and ``GET /truth``."""

from __future__ import annotations

import asyncio
import gzip
import json
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from majordomo_analytics.cli.standins import anthropic, gemini, openai
from majordomo_analytics.cli.standins.answers import Answer, Dialect, Json, Question, answer
from majordomo_analytics.cli.standins.prices import Tokens
from majordomo_analytics.cli.standins.truth import Call

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from starlette.requests import Request

CREDENTIALS = ("authorization", "x-api-key", "x-goog-api-key")


class StandIns:
    """The endpoints, and the truth about every call they answered."""

    def __init__(self, error_share: float) -> None:
        self._error_share = error_share
        self._calls: list[Call] = []

    async def chat(self, request: Request) -> Response:
        """Answer as OpenAI's chat completions."""
        return await self._respond(request, openai.read_chat, openai.CHAT)

    async def responses(self, request: Request) -> Response:
        """Answer as OpenAI's responses."""
        return await self._respond(request, openai.read_responses, openai.RESPONSES)

    async def messages(self, request: Request) -> Response:
        """Answer as Anthropic's messages."""
        return await self._respond(request, anthropic.read_messages, anthropic.MESSAGES)

    async def generate(self, request: Request) -> Response:
        """Answer as Gemini's generateContent and streamGenerateContent."""
        model, _, method = request.path_params["call"].partition(":")
        as_events = request.query_params.get("alt") == "sse"

        def read(body: Json) -> Question:
            streamed = method == "streamGenerateContent"
            return gemini.read_generate(model, body, streamed=streamed)

        return await self._respond(request, read, gemini.EVENTS if as_events else gemini.ARRAY)

    async def truth(self, _: Request) -> Response:
        """Answer with every call so far, in the order they came."""
        return JSONResponse({"calls": [call.to_json() for call in self._calls]})

    async def _respond(
        self, request: Request, read: Callable[[Json], Question], dialect: Dialect
    ) -> Response:
        headers = dict(request.headers)
        try:
            question, readable = read(json.loads(await request.body())), True
        except (ValueError, AttributeError, TypeError):
            question, readable = read({}), False
        said = answer(question, error_share=self._error_share)
        if not readable:
            error: int | None = 400
        elif not any(name in headers for name in CREDENTIALS):
            error = 401
        else:
            error = said.error
        used = Tokens() if error else said.tokens
        self._calls.append(Call.of(question, used, error or 200, headers))
        ids = {dialect.id_header: f"req_{said.id}"} if dialect.id_header else {}
        await asyncio.sleep(said.seconds_to_first)
        if error:
            return JSONResponse(dialect.error_body(error), error, headers=ids)
        if question.streamed:
            parts = _paced(list(dialect.events(question, said)), said)
            return StreamingResponse(parts, media_type=dialect.media_type, headers=ids)
        await asyncio.sleep(said.seconds_in_all - said.seconds_to_first)
        zipped = said.gzipped and "gzip" in headers.get("accept-encoding", "")
        return _json(dialect.body(question, said), ids, zipped=zipped)


def make_app(*, error_share: float = 0.0) -> Starlette:
    """Return the app; a share `error_share` of the questions is answered with an error."""
    here = StandIns(error_share)
    post = ["POST"]
    return Starlette(
        routes=[
            Route("/v1/chat/completions", here.chat, methods=post),
            Route("/chat/completions", here.chat, methods=post),
            Route("/v1/responses", here.responses, methods=post),
            Route("/responses", here.responses, methods=post),
            Route("/v1/messages", here.messages, methods=post),
            Route("/v1beta/models/{call}", here.generate, methods=post),
            Route("/v1/models/{call}", here.generate, methods=post),
            Route("/truth", here.truth),
        ]
    )


async def _paced(parts: list[bytes], said: Answer) -> AsyncIterator[bytes]:
    """Yield `parts` a little apart, as a model does that writes."""
    pause = (said.seconds_in_all - said.seconds_to_first) / len(parts)
    for part in parts:
        yield part
        await asyncio.sleep(pause)


def _json(body: Json, headers: dict[str, str], *, zipped: bool) -> Response:
    content = json.dumps(body, ensure_ascii=False).encode()
    if zipped:
        content = gzip.compress(content, compresslevel=1, mtime=0)
        headers = {**headers, "content-encoding": "gzip"}
    return Response(content, headers=headers, media_type="application/json")

"""Reads one response as it comes: `feed` the bytes, then ask what they said."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from majordomo_analytics.capture.agents import InvokeAgent
from majordomo_analytics.capture.anthropic import Messages
from majordomo_analytics.capture.bedrock import Converse
from majordomo_analytics.capture.chat import ChatCompletions
from majordomo_analytics.capture.cohere import CohereChat, Embed, Rerank
from majordomo_analytics.capture.encodings import Decoder
from majordomo_analytics.capture.eventstream import Frames
from majordomo_analytics.capture.gemini import EmbedContent, GenerateContent
from majordomo_analytics.capture.interactions import Interactions
from majordomo_analytics.capture.invoke import Invoke
from majordomo_analytics.capture.media import Images, Speech, Transcriptions
from majordomo_analytics.capture.ollama import Ollama
from majordomo_analytics.capture.openai import Assistants, Embeddings
from majordomo_analytics.capture.responses import BackgroundResponse, Responses
from majordomo_analytics.capture.streams import Events, Form
from majordomo_analytics.records import flags
from majordomo_analytics.records.usage import MISSING, Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from majordomo_analytics.capture.accumulator import Accumulator
    from majordomo_analytics.capture.flavours import Flavour
    from majordomo_analytics.capture.streams import Documents

ACCUMULATORS: dict[Flavour, type[Accumulator]] = {
    "chat": ChatCompletions,
    "completions": ChatCompletions,
    "responses": Responses,
    "background_response": BackgroundResponse,
    "embeddings": Embeddings,
    "images": Images,
    "transcriptions": Transcriptions,
    "speech": Speech,
    "assistants": Assistants,
    "messages": Messages,
    "generate_content": GenerateContent,
    "embed_content": EmbedContent,
    "interactions": Interactions,
    "cohere_chat": CohereChat,
    "embed": Embed,
    "rerank": Rerank,
    "converse": Converse,
    "invoke": Invoke,
    "invoke_agent": InvokeAgent,
    "ollama": Ollama,
}


class Captured(msgspec.Struct, frozen=True):
    """What one response said about itself.

    Attributes
    ----------
    usage
        Token counts, with oddities of their own in `Usage.flags`.
    model, response_id
        As the answer says, None if it does not.
    is_streamed
        Whether it was a stream by its form: events, an array, or several documents.
    error_message
        What the provider says went wrong, whatever the status of the response.
    flags
        What was odd about the body, from `records.flags`.
    """

    usage: Usage = MISSING
    model: str | None = None
    response_id: str | None = None
    is_streamed: bool = False
    error_message: str | None = None
    flags: tuple[str, ...] = ()


NOTHING = Captured()
NO_HEADERS: Mapping[str, str] = {}


class UsageReader:
    """Reads the usage out of one response, in bounded memory; bad bytes never raise.

    Parameters
    ----------
    flavour
        Which API answers; None reads nothing.
    content_encoding
        The header of that name. It is a hint: the first bytes decide.
    headers
        The answer's headers, for the APIs that state counts there.
    adds_reasoning
        Whether this provider's chat completions leave reasoning out of the completion.
    """

    def __init__(
        self,
        flavour: Flavour | None,
        *,
        content_encoding: str | None = None,
        headers: Mapping[str, str] = NO_HEADERS,
        adds_reasoning: bool = False,
    ) -> None:
        self._accumulator: Accumulator | None = None
        if flavour is not None and flavour in ACCUMULATORS:
            accumulator = ACCUMULATORS[flavour](adds_reasoning=adds_reasoning)
            if isinstance(accumulator, Invoke):
                accumulator.take_headers(headers)
            self._accumulator = accumulator
            self._form = Form(
                accumulator.kept, accumulator.offer, may_be_other=accumulator.may_be_no_json
            )
            self._decoder = Decoder(content_encoding, self._form.feed)
        self._has_bytes = False
        # Takes a chunk past what has been found out: whether it is compressed, which form.
        self._direct: Callable[[bytes], object] | None = None

    @property
    def is_final(self) -> bool:
        """Whether the event that ends the answer, or states its usage, was seen."""
        return self._accumulator is not None and self._accumulator.is_final

    @property
    def knows_the_model(self) -> bool:
        """Whether the answer has said which model it is of, and what its id is."""
        accumulator = self._accumulator
        return accumulator is None or (
            accumulator.model is not None and accumulator.response_id is not None
        )

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the body, as they came."""
        if self._direct is not None:
            self._direct(chunk)
        elif self._accumulator is not None and chunk:
            self._has_bytes = True
            self._decoder.feed(chunk)
            if self._decoder.passes_on:
                self._direct = self._form.direct

    def finish(self, *, complete: bool) -> Captured:
        """Return what the response said.

        Parameters
        ----------
        complete
            Whether the provider ended its message properly. A body that was cut keeps what
            came before, with the status ``partial``.
        """
        if self._accumulator is None:
            return NOTHING
        self._decoder.finish()
        form = self._form.finish()
        is_streamed = form is not None and form.is_streamed
        is_whole = complete and self._decoder.is_whole
        if isinstance(form, Frames):
            is_whole &= form.is_whole
        return Captured(
            usage=self._accumulator.usage(is_streamed=is_streamed, is_complete=is_whole),
            model=self._accumulator.model,
            response_id=self._accumulator.response_id,
            is_streamed=is_streamed,
            error_message=self._accumulator.error_message,
            flags=self._flags(self._accumulator, form, complete=complete),
        )

    def _flags(
        self, accumulator: Accumulator, form: Documents | Events | Frames | None, *, complete: bool
    ) -> tuple[str, ...]:
        found = accumulator.flags.copy()
        is_damaged = isinstance(form, Frames) and form.is_damaged
        if self._decoder.is_too_large or (form is not None and form.is_too_large):
            found.append(flags.BODY_TOO_LARGE)
        elif not accumulator.may_be_no_json and (
            is_damaged
            or not self._decoder.is_readable
            or (complete and self._has_bytes and not accumulator.documents)
        ):
            found.append(flags.BODY_NOT_READ)
        # An array of nothing but an error is how Gemini refuses, not a stream that broke.
        if accumulator.error_message is not None and (
            isinstance(form, (Events, Frames)) or accumulator.documents > 1
        ):
            found.append(flags.ERROR_IN_STREAM)
        return tuple(dict.fromkeys(found)) if found else ()

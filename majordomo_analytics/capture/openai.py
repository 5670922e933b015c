"""OpenAI's APIs of text, and the hosts that copy them.

Streams state usage once, or again and again with the last one true; hosts differ in where
they put it. Images and sound are in `capture.media`.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, ClassVar

import msgspec

from majordomo_analytics.capture.openai_usage import KEPT_OF_ANSWER, Answer, OpenAIShape, read_usage
from majordomo_analytics.capture.values import (
    ABSENT,
    Counts,
    decode,
    decode_document,
    is_present,
    members,
)
from majordomo_analytics.records.usage import Iteration, Usage, add_counts

if TYPE_CHECKING:
    from majordomo_analytics.capture.scanner import Kept

FINAL_EVENTS = frozenset({b'"response.completed"', b'"response.incomplete"', b'"response.failed"'})
FINAL_STATUSES = frozenset(
    {b'"completed"', b'"incomplete"', b'"failed"', b'"cancelled"', b'"expired"'}
)


class _Choice(msgspec.Struct):
    finish_reason: msgspec.Raw = ABSENT
    usage: msgspec.Raw = ABSENT
    error: msgspec.Raw = ABSENT


class _AnyChunk(Answer):
    """A body of chat completions, or a chunk of its stream, but for the choices."""

    x_groq: msgspec.Raw = ABSENT
    usage_breakdown: msgspec.Raw = ABSENT
    message: msgspec.Raw = ABSENT


class _Chunk(_AnyChunk):
    choices: tuple[_Choice, ...] = ()


class _OddChunk(_AnyChunk):
    """A chunk whose choices may be anything."""

    choices: msgspec.Raw = ABSENT


class _Response(Answer):
    """A response, be it a body or the one so far inside an event."""

    status: msgspec.Raw = ABSENT
    background: msgspec.Raw = ABSENT
    output: msgspec.Raw = ABSENT
    tool_usage: msgspec.Raw = ABSENT


class _Event(msgspec.Struct):
    """An event of the stream of a response; a body has no type."""

    type: msgspec.Raw = ABSENT
    response: msgspec.Raw = ABSENT
    error: msgspec.Raw = ABSENT
    message: msgspec.Raw = ABSENT


class _Action(msgspec.Struct):
    type: msgspec.Raw = ABSENT


class _Item(msgspec.Struct):
    """One thing that a response did or said."""

    type: msgspec.Raw = ABSENT
    action: _Action | None = None


class _Run(Answer):
    """A run of an assistant, or another object of its stream."""

    object: msgspec.Raw = ABSENT
    status: msgspec.Raw = ABSENT
    last_error: msgspec.Raw = ABSENT
    message: msgspec.Raw = ABSENT


_answer_decoder = msgspec.json.Decoder(Answer)
_chunk_decoder = msgspec.json.Decoder(_Chunk)
_odd_chunk_decoder = msgspec.json.Decoder(_OddChunk)
_choices_decoder = msgspec.json.Decoder(tuple[_Choice, ...])
_event_decoder = msgspec.json.Decoder(_Event)
_response_decoder = msgspec.json.Decoder(_Response)
_items_decoder = msgspec.json.Decoder(list[_Item])
_run_decoder = msgspec.json.Decoder(_Run)


class ChatCompletions(OpenAIShape):
    """``/chat/completions`` and ``/completions``: of a stream the last usage counts."""

    _BREAKDOWN: ClassVar[Kept] = {b"models": {b"model": None, b"usage": None}}
    kept: ClassVar[Kept] = {
        **KEPT_OF_ANSWER,
        b"choices": {b"finish_reason": None, b"usage": None, b"error": None},
        b"x_groq": {b"usage": None, b"error": None, b"usage_breakdown": _BREAKDOWN},
        b"usage_breakdown": _BREAKDOWN,
        b"message": None,
    }

    _has_finished = False
    _breakdown = ABSENT

    def take(self, document: bytes) -> bool:
        """Merge one document."""
        chunk: _Chunk | _OddChunk | None = decode(_chunk_decoder, document)
        if chunk is None:
            chunk = decode_document(_odd_chunk_decoder, document)
        if chunk is None:
            return False
        choices = chunk.choices
        if isinstance(choices, msgspec.Raw):
            choices = decode(_choices_decoder, choices) or ()
        has_usage = self.merge(chunk)
        if choices:
            for choice in choices:
                if is_present(choice.finish_reason):
                    self._has_finished = True
                if choice.error:
                    self.note_error(choice.error)
            if choices[0].usage:
                has_usage |= self.replace_usage(choices[0].usage)
        elif bytes(chunk.message).startswith(b'"'):
            self.note_error(chunk.message)  # some hosts have an error's message at the root
        if chunk.x_groq:
            beside = members(chunk.x_groq)
            self.note_error(beside.get("error", ABSENT))
            self._note_breakdown(beside.get("usage_breakdown", ABSENT))
            if not has_usage:
                has_usage = self.replace_usage(beside.get("usage", ABSENT))
        if has_usage:
            self._note_breakdown(chunk.usage_breakdown)
            # Some hosts state usage in every chunk: it is final once the answer is.
            self.is_final |= self._has_finished or not choices
        return True

    def _note_breakdown(self, breakdown: msgspec.Raw) -> None:
        if is_present(breakdown):
            self._breakdown = breakdown.copy()

    def read(self, counts: Counts, *, is_final: bool) -> Usage:
        """Return the counts of the merged usage object."""
        usage = read_usage(
            counts,
            service_tier=self.text(self._service_tier),
            adds_reasoning=self.adds_reasoning,
        )
        if self._breakdown:
            calls = _calls_by_model(Counts(self._breakdown, counts.flags), usage)
            usage = msgspec.structs.replace(usage, iterations=calls)
        return usage


def _calls_by_model(breakdown: Counts, usage: Usage) -> tuple[Iteration, ...]:
    """Return the model calls that a system of models consists of (Groq's compound ones).

    Streams repeat the whole under the name of each model; such a breakdown is none.
    """
    calls = []
    for entry in breakdown.each("models"):
        part = read_usage(entry.inside("usage"))
        calls.append(
            Iteration(
                model=entry.text("model"),
                input_tokens=part.input_tokens,
                cached_tokens=part.cached_tokens,
                output_tokens=part.output_tokens,
            )
        )
    totals = (
        add_counts(*(call.input_tokens for call in calls)),
        add_counts(*(call.output_tokens for call in calls)),
    )
    return tuple(calls) if totals == (usage.input_tokens, usage.output_tokens) else ()


class Responses(OpenAIShape):
    """``/responses``: a body, or events with the response so far; the last has usage."""

    _RESPONSE: ClassVar[Kept] = {
        **KEPT_OF_ANSWER,
        b"status": None,
        b"background": None,
        b"output": {b"type": None, b"action": {b"type": None}},
        b"tool_usage": {b"web_search": None},
    }
    kept: ClassVar[Kept] = {
        **_RESPONSE,
        b"type": None,
        b"message": None,
        b"response": _RESPONSE,
    }

    _tool_usage = ABSENT

    def __init__(self, *, adds_reasoning: bool = False) -> None:
        super().__init__(adds_reasoning=adds_reasoning)
        self._searches: Counter[bytes] = Counter()

    def take(self, document: bytes) -> bool:
        """Merge one document."""
        event = decode_document(_event_decoder, document)
        if event is None:
            return False
        kind = bytes(event.type)
        if kind == b'"error"':
            self.note_error(event.error if is_present(event.error) else event.message)
        elif not kind or is_present(event.response):
            response = decode_document(_response_decoder, bytes(event.response) or document)
            if response is None:
                return False
            self.merge_response(response)
            self.is_final |= kind in FINAL_EVENTS
        return True

    def merge_response(self, response: _Response) -> None:
        """Merge the response so far."""
        if self.merge(response):
            items = decode(_items_decoder, response.output) or ()
            self._searches = Counter(bytes(item.type) for item in items if _is_search(item))
        if is_present(response.tool_usage):
            self._tool_usage = response.tool_usage.copy()
        if bytes(response.status) == b'"failed"':
            self.note_error(response.status)  # unless it has said why

    def read(self, counts: Counts, *, is_final: bool) -> Usage:
        """Return the counts of the merged usage object, and of the tools that are billed.

        Searches of the web and of files are billed one by one, opening a page is not, and
        code is billed by the time its container lives, which no answer says.
        """
        usage = super().read(counts, is_final=is_final)
        if counts.has("server_side_tool_usage_details"):
            return usage
        stated = Counts(self._tool_usage, counts.flags).inside("web_search").count("num_requests")
        if stated is None:
            stated = self._searches[b'"web_search_call"'] or usage.web_searches
        return msgspec.structs.replace(
            usage,
            web_searches=stated,
            storage_searches=self._searches[b'"file_search_call"'] or None,
        )


def _is_search(item: _Item) -> bool:
    return item.action is None or bytes(item.action.type) in (b"", b'"search"')


class BackgroundResponse(Responses):
    """``GET /responses/ID``: a response that was started before and has ended since.

    Any other response said what it used when it was made, and is not counted again.
    """

    def merge_response(self, response: _Response) -> None:
        """Merge the response, unless its own request has told of it."""
        is_background = bytes(response.background) == b"true"
        if not is_background or bytes(response.status) not in FINAL_STATUSES:
            response.usage = ABSENT
        if not is_background and response.status:
            response.error = response.status = ABSENT
        super().merge_response(response)


class Embeddings(OpenAIShape):
    """``/embeddings``: a prompt, sometimes only as the total, and never any output."""

    kept: ClassVar[Kept] = KEPT_OF_ANSWER

    def take(self, document: bytes) -> bool:
        """Merge one document."""
        answer = decode_document(_answer_decoder, document)
        if answer is None:
            return False
        self.merge(answer)
        return True

    def read(self, counts: Counts, *, is_final: bool) -> Usage:
        """Return the counts of the usage object; that there is no output is known."""
        usage = super().read(counts, is_final=is_final)
        input_tokens = usage.input_tokens
        if input_tokens is None and not counts.has("prompt_tokens"):
            input_tokens = counts.count("total_tokens")
        output_tokens = usage.output_tokens
        if input_tokens is not None and not counts.has("completion_tokens"):
            output_tokens = 0
        return msgspec.structs.replace(
            usage, input_tokens=input_tokens, output_tokens=output_tokens
        )


class Assistants(OpenAIShape):
    """``/threads/…/runs``: the run has the usage of its steps, which is not added."""

    kept: ClassVar[Kept] = {
        **KEPT_OF_ANSWER,
        b"object": None,
        b"status": None,
        b"last_error": None,
        b"message": None,
    }

    def take(self, document: bytes) -> bool:
        """Merge one document, if it is a run."""
        run = decode_document(_run_decoder, document)
        if run is None:
            return False
        if bytes(run.object) == b'"thread.run"':
            has_usage = self.merge(run)
            self.note_error(run.last_error)
            self.is_final |= has_usage and bytes(run.status) in FINAL_STATUSES
        elif not run.object:
            self.note_error(run.error if is_present(run.error) else run.message)
        return True

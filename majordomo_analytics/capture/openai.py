"""OpenAI's shape of usage: chat completions and responses, and the hosts that copy them.

The prompt includes what was cached, the completion includes reasoning. Streams state usage
once, or again and again with the last one true; hosts differ in where they put it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import msgspec

from majordomo_analytics.capture.accumulator import Accumulator
from majordomo_analytics.capture.values import (
    ABSENT,
    Counts,
    decode,
    decode_document,
    is_present,
    members,
)
from majordomo_analytics.records import flags
from majordomo_analytics.records.usage import Usage

if TYPE_CHECKING:
    from majordomo_analytics.capture.scanner import Kept

FINAL_EVENTS = frozenset({b'"response.completed"', b'"response.incomplete"', b'"response.failed"'})


class _Answer(msgspec.Struct):
    """What every body has, and the `response` inside an event."""

    id: msgspec.Raw = ABSENT
    model: msgspec.Raw = ABSENT
    usage: msgspec.Raw = ABSENT
    error: msgspec.Raw = ABSENT
    service_tier: msgspec.Raw = ABSENT
    x_groq: msgspec.Raw = ABSENT
    tool_usage: msgspec.Raw = ABSENT


class _Event(_Answer):
    """A body of the responses API, or an event of its stream."""

    type: msgspec.Raw = ABSENT
    message: msgspec.Raw = ABSENT
    response: msgspec.Raw = ABSENT


class _Choice(msgspec.Struct):
    finish_reason: msgspec.Raw = ABSENT
    usage: msgspec.Raw = ABSENT
    error: msgspec.Raw = ABSENT


class _Chunk(_Answer):
    """A body of chat completions, or a chunk of its stream."""

    choices: list[_Choice] = []


class _OddChunk(_Answer):
    """A chunk whose choices may be anything."""

    choices: msgspec.Raw = ABSENT


_answer_decoder = msgspec.json.Decoder(_Answer)
_chunk_decoder = msgspec.json.Decoder(_Chunk)
_odd_chunk_decoder = msgspec.json.Decoder(_OddChunk)
_event_decoder = msgspec.json.Decoder(_Event)
_choices_decoder = msgspec.json.Decoder(list[_Choice])


class _OpenAI(Accumulator):
    _service_tier = ABSENT
    _tool_usage = ABSENT

    def _merge(self, answer: _Answer) -> bool:
        """Merge what both APIs have; return whether there was usage."""
        if self.model is None:
            self.model = self.text(answer.model)
        if self.response_id is None:
            self.response_id = self.text(answer.id)
        tier = answer.service_tier
        if tier != self._service_tier and is_present(tier):
            self._service_tier = tier.copy()
        if answer.error:
            self.note_error(answer.error)
        return is_present(answer.usage) and self.replace_usage(answer.usage)

    def read(self, counts: Counts, *, is_final: bool) -> Usage:
        """Return the counts of the merged usage object."""
        prompt = counts.inside(
            "prompt_tokens_details",
            "input_tokens_details",
            "prompt_token_details",
            "input_token_details",
        )
        completion = counts.inside(
            "completion_tokens_details",
            "output_tokens_details",
            "completion_token_details",
            "output_token_details",
        )
        cached = prompt.count("cached_tokens")
        if cached is None:
            cached = counts.count("cached_tokens", "num_cached_tokens", "prompt_cache_hit_tokens")
        searches = counts.inside("server_tool_use_details", "server_tool_use")
        web_searches = searches.count("web_search_requests")
        if web_searches is None and self._tool_usage:
            tools = Counts(self._tool_usage, counts.flags)
            web_searches = tools.inside("web_search").count("num_requests")
        input_tokens = counts.count("prompt_tokens", "input_tokens")
        output_tokens = counts.count("completion_tokens", "output_tokens")
        total = counts.count("total_tokens")
        if None not in (total, input_tokens, output_tokens) and total != (
            (input_tokens or 0) + (output_tokens or 0)
        ):
            counts.flags.append(flags.USAGE_TOTAL_MISMATCH)
        return Usage(
            input_tokens=input_tokens,
            cached_tokens=cached,
            cache_creation_tokens=prompt.count("cache_write_tokens"),
            input_audio_tokens=prompt.count("audio_tokens"),
            input_image_tokens=prompt.count("image_tokens"),
            input_video_tokens=prompt.count("video_tokens"),
            output_tokens=output_tokens,
            reasoning_tokens=completion.count("reasoning_tokens"),
            output_audio_tokens=completion.count("audio_tokens"),
            output_image_tokens=completion.count("image_tokens"),
            web_searches=web_searches,
            stated_cost=counts.money("cost"),
            service_tier=self.text(self._service_tier),
        )


class ChatCompletions(_OpenAI):
    """``/chat/completions``: a body, or chunks of which the last that has usage counts."""

    kept: ClassVar[Kept] = {
        b"id": None,
        b"model": None,
        b"usage": None,
        b"error": None,
        b"service_tier": None,
        b"choices": {b"finish_reason": None, b"usage": None, b"error": None},
        b"x_groq": {b"usage": None, b"error": None},
    }

    _has_finished = False

    def take(self, document: bytes) -> bool:
        """Merge one document."""
        chunk: _Chunk | _OddChunk | None = decode(_chunk_decoder, document)
        if chunk is None:
            chunk = decode_document(_odd_chunk_decoder, document)
        if chunk is None:
            return False
        choices = chunk.choices
        if isinstance(choices, msgspec.Raw):
            choices = decode(_choices_decoder, choices) or []
        has_usage = self._merge(chunk)
        if choices:
            for choice in choices:
                if is_present(choice.finish_reason):
                    self._has_finished = True
                if choice.error:
                    self.note_error(choice.error)
            if choices[0].usage:
                has_usage |= self.replace_usage(choices[0].usage)
        if chunk.x_groq:
            beside = members(chunk.x_groq)
            self.note_error(beside.get("error", ABSENT))
            if not has_usage:
                has_usage = self.replace_usage(beside.get("usage", ABSENT))
        # Some hosts state usage in every chunk: it is final once the answer has finished.
        if has_usage and (self._has_finished or not choices):
            self.is_final = True
        return True


class Responses(_OpenAI):
    """``/responses``: a body, or events with the response so far; the last has usage."""

    _RESPONSE: ClassVar[Kept] = {
        b"id": None,
        b"model": None,
        b"usage": None,
        b"error": None,
        b"service_tier": None,
        b"tool_usage": None,
    }
    kept: ClassVar[Kept] = {
        **_RESPONSE,
        b"type": None,
        b"message": None,
        b"response": _RESPONSE,
    }

    def take(self, document: bytes) -> bool:
        """Merge one document."""
        event = decode_document(_event_decoder, document)
        if event is None:
            return False
        if not event.type:
            self._merge_response(event)
            return True
        kind = bytes(event.type)
        if kind == b'"error"':
            self.note_error(event.error if is_present(event.error) else event.message)
        elif is_present(event.response):
            response = decode_document(_answer_decoder, bytes(event.response))
            if response is None:
                return False
            self._merge_response(response)
            self.is_final |= kind in FINAL_EVENTS
        return True

    def _merge_response(self, response: _Answer) -> None:
        self._merge(response)
        if is_present(response.tool_usage):
            self._tool_usage = response.tool_usage.copy()

"""OpenAI's responses API: the answer so far in many events, and its usage in the last."""

from __future__ import annotations

from collections import Counter
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar

import msgspec

from majordomo_analytics.capture.openai_usage import (
    FINAL_STATUSES,
    KEPT_OF_ANSWER,
    Answer,
    OpenAIShape,
)
from majordomo_analytics.capture.values import ABSENT, Counts, decode, decode_document, is_present

if TYPE_CHECKING:
    from collections.abc import Mapping

    from majordomo_analytics.capture.scanner import Kept
    from majordomo_analytics.records.usage import Usage

FINAL_EVENTS = frozenset({b'"response.completed"', b'"response.incomplete"', b'"response.failed"'})


class _Response(Answer):
    """A response, be it a body or the one so far inside an event."""

    status: msgspec.Raw = ABSENT
    background: msgspec.Raw = ABSENT
    output: msgspec.Raw = ABSENT
    tool_usage: msgspec.Raw = ABSENT


class _Event(msgspec.Struct):
    """An event of the stream of a response."""

    type: msgspec.Raw = ABSENT
    response: msgspec.Raw = ABSENT
    error: msgspec.Raw = ABSENT
    message: msgspec.Raw = ABSENT


class _Body(_Response):
    """A response, unless it turns out to be an event whose type does not come first."""

    type: msgspec.Raw = ABSENT
    response: msgspec.Raw = ABSENT
    message: msgspec.Raw = ABSENT


class _Action(msgspec.Struct):
    type: msgspec.Raw = ABSENT


class _Item(msgspec.Struct):
    """One thing that a response did or said."""

    type: msgspec.Raw = ABSENT
    action: _Action | None = None


_event_decoder = msgspec.json.Decoder(_Event)
_body_decoder = msgspec.json.Decoder(_Body)
_response_decoder = msgspec.json.Decoder(_Response)
_items_decoder = msgspec.json.Decoder(list[_Item])


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
    _searches: Mapping[bytes, int] = MappingProxyType({})

    def take(self, document: bytes) -> bool:
        """Merge one document."""
        event: _Event | _Body | None
        if document.startswith(b'{"type":'):
            event = decode_document(_event_decoder, document)
        else:
            event = decode_document(_body_decoder, document)
        if event is None:
            return False
        kind = bytes(event.type)
        if not kind and isinstance(event, _Body):
            self.merge_response(event)
        elif kind == b'"error"':
            self.note_error(event.error if is_present(event.error) else event.message)
        elif is_present(event.response):
            response = decode_document(_response_decoder, bytes(event.response))
            if response is None:
                return False
            self.merge_response(response)
            self.is_final |= kind in FINAL_EVENTS
        return True

    def merge_response(self, response: _Response) -> None:
        """Merge the response so far."""
        if self.merge(response) and b"_search_call" in bytes(response.output):
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
        stated = None
        if self._tool_usage:
            tools = Counts(self._tool_usage, counts.flags)
            stated = tools.inside("web_search").count("num_requests")
        if stated is None:
            stated = self._searches.get(b'"web_search_call"', usage.web_searches)
        in_files = self._searches.get(b'"file_search_call"')
        if stated is None and in_files is None:
            return usage
        return msgspec.structs.replace(usage, web_searches=stated, storage_searches=in_files)


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

"""Reads one request body as it comes: which model is asked for, and whether it streams.

A body is JSON, or a multipart form where files are sent.
"""

from __future__ import annotations

import msgspec

from majordomo_analytics.capture.encodings import Decoder
from majordomo_analytics.capture.multipart import FormFields, form_boundary
from majordomo_analytics.capture.streams import Form
from majordomo_analytics.capture.values import (
    ABSENT,
    MAX_TEXT_CHARACTERS,
    decode_document,
    members,
    text_or_none,
)
from majordomo_analytics.records.metadata import clean_text


class RequestFacts(msgspec.Struct, frozen=True):
    """What a request body says.

    Attributes
    ----------
    model
        The model asked for, None if the body names none.
    stream
        Its member `stream`, None if it has none.
    include_usage
        Whether it asks for usage at the end of a stream (`stream_options.include_usage`).
    input_characters
        Length of its member `input`, which is what speech is billed by. None if that is
        no text, or if the body is larger than `streams.MAX_HELD_BYTES`, which is more than
        is spoken at once.
    """

    model: str | None = None
    stream: bool | None = None
    include_usage: bool = False
    input_characters: int | None = None


NO_FACTS = RequestFacts()


class _Body(msgspec.Struct):
    model: msgspec.Raw = ABSENT
    stream: msgspec.Raw = ABSENT
    stream_options: msgspec.Raw = ABSENT
    input: msgspec.Raw = ABSENT


_body_decoder = msgspec.json.Decoder(_Body)
_text_decoder = msgspec.json.Decoder(str)
# Of a body too large to hold `input` is not copied: it may be most of it.
_KEPT = {b"model": None, b"stream": None, b"stream_options": {b"include_usage": None}}
_FIELDS = ("model", "stream")
_TRUE = msgspec.Raw(b"true")
_BOOLEANS = {b"true": True, b"false": False}


class RequestReader:
    """Reads the facts of one request body, in bounded memory; bad bytes never raise.

    Parameters
    ----------
    content_encoding
        The header of that name. It is a hint: the first bytes decide.
    content_type
        The header of that name: what divides the parts of a form stands there only.
    """

    def __init__(
        self, *, content_encoding: str | None = None, content_type: str | None = None
    ) -> None:
        self._facts = NO_FACTS
        self._is_finished = False
        self._form = Form(_KEPT, self._take)
        boundary = form_boundary(content_type)
        self._fields = None if boundary is None else FormFields(boundary, _FIELDS)
        self._decoder = Decoder(content_encoding, (self._fields or self._form).feed)

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the body, as they came."""
        self._decoder.feed(chunk)

    def finish(self) -> RequestFacts:
        """Return what the body said; nothing is known of JSON that is cut."""
        if self._is_finished:
            return self._facts
        self._is_finished = True
        self._decoder.finish()
        self._form.finish()
        if self._fields is not None:
            self._facts = _facts_of(self._fields.finish())
        return self._facts

    def _take(self, document: bytes) -> bool:
        body = decode_document(_body_decoder, document)
        if body is None:
            return False
        model = text_or_none(body.model)
        options = members(body.stream_options) if body.stream_options else {}
        self._facts = RequestFacts(
            model=clean_text(model) if model else None,
            stream=_BOOLEANS.get(bytes(body.stream)),
            include_usage=options.get("include_usage") == _TRUE,
            input_characters=_characters(bytes(body.input)) if body.input else None,
        )
        return True


def _facts_of(fields: dict[str, str]) -> RequestFacts:
    """Return what the fields of a form say."""
    model = clean_text(fields.get("model", "")[:MAX_TEXT_CHARACTERS])
    stream = fields.get("stream", "").lower().encode()
    return RequestFacts(model=model or None, stream=_BOOLEANS.get(stream))


def _characters(value: bytes) -> int | None:
    """Return the length of a member that is text."""
    text = decode_document(_text_decoder, value) if value.startswith(b'"') else None
    return None if text is None else len(text)

"""Reads one request body as it comes: which model is asked for, and whether it streams."""

from __future__ import annotations

import msgspec

from majordomo_analytics.capture.encodings import Decoder
from majordomo_analytics.capture.streams import Form
from majordomo_analytics.capture.values import ABSENT, decode_document, members, text_or_none
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
    """

    model: str | None = None
    stream: bool | None = None
    include_usage: bool = False


NO_FACTS = RequestFacts()


class _Body(msgspec.Struct):
    model: msgspec.Raw = ABSENT
    stream: msgspec.Raw = ABSENT
    stream_options: msgspec.Raw = ABSENT


_body_decoder = msgspec.json.Decoder(_Body)
_KEPT = {b"model": None, b"stream": None, b"stream_options": {b"include_usage": None}}
_TRUE = msgspec.Raw(b"true")
_BOOLEANS = {b"true": True, b"false": False}


class RequestReader:
    """Reads the facts of one request body, in bounded memory; bad bytes never raise.

    Parameters
    ----------
    content_encoding
        The header of that name. It is a hint: the first bytes decide.
    """

    def __init__(
        self, *, content_encoding: str | None = None, content_type: str | None = None
    ) -> None:
        self._facts = NO_FACTS
        self._form = Form(_KEPT, self._take)
        self._decoder = Decoder(content_encoding, self._form.feed)

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the body, as they came."""
        self._decoder.feed(chunk)

    def finish(self) -> RequestFacts:
        """Return what the body said; nothing is known of one that is cut or no JSON."""
        self._decoder.finish()
        self._form.finish()
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
        )
        return True


def with_model(body: bytes, model: str) -> bytes | None:
    """Return a JSON request body with another model; None if it is no object.

    >>> with_model(b'{"model": "fast", "n": 1.0}', "gpt-4o-mini")
    b'{"model":"gpt-4o-mini","n":1.0}'
    """
    if not body.lstrip().startswith(b"{") or not (found := members(body)):
        return None
    return msgspec.json.encode(found | {"model": model})

"""Asks for usage in the body of a streamed completion that does not ask for it.

OpenAI's streams, and those of many hosts that copy them, state usage only on request. What
comes of the request is taken out of the answer again: see `taking`.
"""

from __future__ import annotations

import re

import msgspec

from majordomo_analytics.capture.places import are_all, members_in
from majordomo_analytics.capture.values import ABSENT, decode_document

_ASKED = b'"include_usage":true'
_REFUSED_BESIDE = re.compile(rb"\"data_?[sS]ources\"")
"""Azure's chat over one's own data takes no options of the stream."""

_TRUE = msgspec.Raw(b"true")


class _Body(msgspec.Struct):
    stream: msgspec.Raw = ABSENT


_body_decoder = msgspec.json.Decoder(_Body)


def asking_for_usage(body: bytes) -> bytes | None:
    """Return a request body with ``stream_options.include_usage`` set, as it was otherwise.

    Every byte but those of the option stays: numbers, escapes, order, spaces.

    Parameters
    ----------
    body
        The whole body, not compressed.

    Returns
    -------
    bytes | None
        None if there is nothing to ask, or no way to: the body is no JSON object, does not
        stream, asks already, names something twice, or has options that are none. Whether
        those are an error is for the provider to say.

    Examples
    --------
    >>> asking_for_usage(b'{"model": "gpt-5", "stream": true}')
    b'{"model": "gpt-5", "stream": true,"stream_options":{"include_usage":true}}'
    >>> asking_for_usage(b'{"model": "gpt-5"}')
    """
    read = decode_document(_body_decoder, body)
    if read is None or read.stream != _TRUE:
        return None
    if _REFUSED_BESIDE.search(body) is not None:
        return None
    members = members_in(body)
    if not are_all(body, members):
        return None
    names = [member.name for member in members]
    if names.count(b"stream") != 1 or names.count(b"stream_options") > 1:
        return None
    if b"stream_options" not in names:
        end = members[-1].end
        return body[:end] + b',"stream_options":{' + _ASKED + b"}" + body[end:]
    place = members[names.index(b"stream_options")]
    options = _asking(body[place.value_start : place.end])
    return None if options is None else body[: place.value_start] + options + body[place.end :]


def _asking(options: bytes) -> bytes | None:
    if options == b"null":
        return b"{" + _ASKED + b"}"
    if not options.startswith(b"{"):
        return None
    members = members_in(options)
    asked = [member for member in members if member.name == b"include_usage"]
    if not members:
        return b"{" + _ASKED + options[1:]
    if not asked:
        end = members[-1].end
        return options[:end] + b"," + _ASKED + options[end:]
    start, end = asked[0].value_start, asked[0].end
    if len(asked) > 1 or options[start:end] not in {b"false", b"null"}:
        return None
    return options[:start] + b"true" + options[end:]

"""What of a request's and a response's headers goes on, and what stays here."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from majordomo_analytics.records import metadata
from majordomo_analytics.records.metadata import PREFIX
from majordomo_analytics.records.providers import CREDENTIAL_HEADERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

Headers = list[tuple[bytes, bytes]]

HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""RFC 9110, section 7.6.1, and the unofficial Proxy-Connection: for one hop only."""

OURS_TO_SET = frozenset({b"host", b"content-length", b"expect"})
"""Describe the message between the proxy and the provider, so the proxy writes them."""

CREDENTIALS = frozenset(name.encode("ascii") for name in CREDENTIAL_HEADERS)

API_KEY_MARK = metadata.API_KEY_MARK.encode("ascii")
"""No value with this in it goes to a provider, in whichever header it came."""

_SCHEME = re.compile(rb"(?i)^bearer +")
_ATTEMPT_AMONG = re.compile(rb"(?:\battempt=|\bgccl-attempt-count/)(\d{1,4})\b")


class HeaderError(Exception):
    """Raised when a request header cannot be relayed as it came."""


@dataclass(slots=True)
class RequestHeaders:
    """The headers of a request, sorted by what they are for.

    Attributes
    ----------
    forward
        What goes to the provider, in the order and number it came.
    majordomo
        Every `X-Majordomo-*` header; none of them leaves the proxy.
    api_key, provider, alias, region
        The control headers among them; the first one counts. An API key that came as a
        provider's credential counts if there is no other.
    credential
        The provider credential, to be hashed.
    content_length, content_encoding, content_type
        Of the request body.
    retry_attempt
        How often the client's SDK had tried before, as those of OpenAI, Anthropic, Amazon
        and Google say.
    host
        What the caller calls the proxy.
    """

    forward: list[tuple[str, str]]
    majordomo: Headers
    api_key: bytes | None = None
    provider: bytes | None = None
    alias: bytes | None = None
    region: bytes | None = None
    credential: bytes | None = None
    content_length: int | None = None
    content_encoding: str | None = None
    content_type: str | None = None
    retry_attempt: int | None = None
    host: bytes | None = None

    def set(self, name: str, value: str) -> None:
        """Let a header that goes on be this one, and only this one."""
        lower = name.lower()
        self.forward = [pair for pair in self.forward if pair[0].lower() != lower]
        self.forward.append((name, value))

    def drop_credentials(self) -> None:
        """Let no credential of the caller's go on."""
        self.forward = [pair for pair in self.forward if pair[0].lower() not in CREDENTIAL_HEADERS]

    def replace_body(self, body: bytes) -> bytes:
        """Describe `body` instead of the one that came, and return it."""
        self.content_encoding = None
        self.content_length = len(body)
        self.forward = [pair for pair in self.forward if pair[0].lower() != "content-encoding"]
        return body


def sort_request_headers(headers: Sequence[tuple[bytes, bytes]]) -> RequestHeaders:
    """Sort the headers of an ASGI scope, whose names are in lower case.

    Raises
    ------
    HeaderError
        If a value that should go on is not UTF-8: the HTTP client sends text, and what
        went out would not be what came in. Or if the body is coded for this hop in a way
        that is not undone here, or Host is there twice.
    """
    sorted_headers = RequestHeaders([], [])
    forward = sorted_headers.forward
    named_by_connection = _named_by_connection(headers)
    misplaced: bytes | None = None
    for name, value in headers:
        if name.startswith(PREFIX):
            _take_majordomo(sorted_headers, name, value)
            continue
        if API_KEY_MARK in value or (name == b"authorization" and _is_basic_with_key(value)):
            if name in CREDENTIALS and misplaced is None:
                misplaced = _SCHEME.sub(b"", value.strip())
            continue
        if name in CREDENTIALS:
            sorted_headers.credential = sorted_headers.credential or value
        elif (take := _TAKEN.get(name)) is not None:
            take(sorted_headers, value)
        if name in HOP_BY_HOP or name in OURS_TO_SET or name in named_by_connection:
            continue
        try:
            forward.append((name.decode("latin-1"), value.decode("utf-8")))
        except UnicodeDecodeError:
            message = f"the header {name.decode('latin-1')!r} is not UTF-8"
            raise HeaderError(message) from None
    sorted_headers.api_key = sorted_headers.api_key or misplaced
    return sorted_headers


def _is_basic_with_key(value: bytes) -> bool:
    scheme, _, coded = value.partition(b" ")
    if scheme.lower() != b"basic":
        return False
    try:
        return API_KEY_MARK in base64.b64decode(coded)
    except ValueError:
        return False


def _take_length(sorted_headers: RequestHeaders, value: bytes) -> None:
    sorted_headers.content_length = int(value) if value.isdigit() else None


def _take_transfer(_: RequestHeaders, value: bytes) -> None:
    # The server undoes the chunks only, and what goes on does not name what is left.
    if value.lower() != b"chunked":
        message = "the Transfer-Encoding may only be 'chunked'"
        raise HeaderError(message)


def _take_host(sorted_headers: RequestHeaders, value: bytes) -> None:
    if sorted_headers.host is not None:
        message = "the header 'host' is there twice"
        raise HeaderError(message)
    sorted_headers.host = value


def _take_encoding(sorted_headers: RequestHeaders, value: bytes) -> None:
    sorted_headers.content_encoding = value.decode("latin-1")


def _take_type(sorted_headers: RequestHeaders, value: bytes) -> None:
    sorted_headers.content_type = value.decode("latin-1")


def _take_retries(sorted_headers: RequestHeaders, value: bytes) -> None:
    if value.isdigit() and len(value) < 5:
        sorted_headers.retry_attempt = int(value)


def _take_attempt(sorted_headers: RequestHeaders, value: bytes) -> None:
    attempt = _ATTEMPT_AMONG.search(value)
    if attempt is not None and int(attempt[1]) > 0:  # these count the first try as 1
        sorted_headers.retry_attempt = int(attempt[1]) - 1


_TAKEN: dict[bytes, Callable[[RequestHeaders, bytes], None]] = {
    b"content-length": _take_length,
    b"transfer-encoding": _take_transfer,
    b"host": _take_host,
    b"content-encoding": _take_encoding,
    b"content-type": _take_type,
    b"x-stainless-retry-count": _take_retries,
    b"amz-sdk-request": _take_attempt,
    b"x-goog-api-client": _take_attempt,
}


def _take_majordomo(sorted_headers: RequestHeaders, name: bytes, value: bytes) -> None:
    sorted_headers.majordomo.append((name, value))
    if name == b"x-majordomo-key":
        sorted_headers.api_key = sorted_headers.api_key or value
    elif name == b"x-majordomo-provider":
        sorted_headers.provider = sorted_headers.provider or value
    elif name == b"x-majordomo-provider-alias":
        sorted_headers.alias = sorted_headers.alias or value
    elif name == b"x-majordomo-bedrock-region":
        sorted_headers.region = sorted_headers.region or value


def _named_by_connection(headers: Iterable[tuple[bytes, bytes]]) -> frozenset[bytes]:
    named = [
        part.strip().lower()
        for name, value in headers
        if name == b"connection"
        for part in value.split(b",")
    ]
    return frozenset(named)


def relay_response_headers(
    raw_headers: Iterable[tuple[bytes, bytes]], *, without_length: bool = False
) -> Headers:
    """Return the response headers that go to the caller, as they came.

    A status without a body may name the length of the body it stands for, which the server
    would take for one it has to send: then the length is left out.
    """
    raw_headers = tuple(raw_headers)
    dropped = HOP_BY_HOP | _named_by_connection((n.lower(), v) for n, v in raw_headers)
    if without_length:
        dropped |= {b"content-length"}
    return [(name, value) for name, value in raw_headers if name.lower() not in dropped]


def credential_in_query(query_string: bytes) -> bytes | None:
    """Return the provider credential in `key=`, if there is one."""
    credential = None
    if b"key=" in query_string or b"%" in query_string:
        for part in query_string.split(b"&"):
            if _is_credential(part):
                credential = part.partition(b"=")[2]
    return credential


def _is_credential(part: bytes) -> bool:
    name, is_given, _ = part.partition(b"=")
    if b"%" in name:  # whoever is asked decodes it
        name = unquote_to_bytes(name)
    return bool(is_given) and name == b"key"


def credential_hash(credential: bytes | None) -> str | None:
    """Return the SHA-256 of a provider credential, hex."""
    return None if credential is None else hashlib.sha256(credential).hexdigest()


def query_without_credentials(query_string: bytes, *, also_key: bool) -> bytes:
    """Return the query without any part that holds an API key of ours.

    Parameters
    ----------
    also_key
        Whether the provider's own credential, ``key=``, goes as well.
    """
    if API_KEY_MARK not in unquote_to_bytes(query_string) and not also_key:
        return query_string
    return b"&".join(
        part
        for part in query_string.split(b"&")
        if API_KEY_MARK not in unquote_to_bytes(part) and not (also_key and _is_credential(part))
    )

"""Which of a provider's APIs a call is for, as its method and path say."""

from __future__ import annotations

import re
from typing import Literal
from urllib.parse import unquote

from majordomo_analytics.records.metadata import clean_text

Flavour = Literal["chat", "responses", "messages", "generate_content"]
"""An API whose answers say what they used."""

# Only a POST creates something. Reading a response again, or counting its tokens, repeats
# usage that was billed before, or none at all.
_PATHS: tuple[tuple[re.Pattern[str], Flavour], ...] = (
    (re.compile(r"/chat/completions$"), "chat"),
    (re.compile(r"/responses(?:/compact)?$"), "responses"),
    (re.compile(r"^(?!.*/threads/).*/messages$"), "messages"),  # threads: OpenAI assistants
    (re.compile(r":(?:stream)?[gG]enerateContent$"), "generate_content"),
)

_NOT_READ: frozenset[tuple[str, Flavour]] = frozenset({("gemini", "chat"), ("xai", "chat")})
"""These leave reasoning out of the completion: read as OpenAI's they would be too low."""

_MODEL = re.compile(r"/(?:models|tunedModels)/([^/:]+):")


def flavour_of(provider: str, method: str, path: str) -> Flavour | None:
    """Return the flavour of a call, or None if it is not one whose usage is known.

    >>> flavour_of("openai", "POST", "/v1/chat/completions")
    'chat'
    >>> flavour_of("openai", "GET", "/v1/responses/resp_1")
    """
    if method.upper() != "POST":
        return None
    plain = _plain(path)
    for pattern, flavour in _PATHS:
        if pattern.search(plain):
            return None if (provider, flavour) in _NOT_READ else flavour
    return None


def model_in_path(path: str) -> str | None:
    """Return the model that a path names, as Gemini's do.

    >>> model_in_path("/v1beta/models/gemini-2.5-flash:generateContent")
    'gemini-2.5-flash'
    """
    match = _MODEL.search(_plain(path))
    return clean_text(match[1]) or None if match else None


def _plain(path: str) -> str:
    plain = "/" + path.partition("?")[0].strip("/")
    return unquote(plain) if "%" in plain else plain

"""Which of a provider's APIs a call is for, as its method and path say."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal
from urllib.parse import unquote

from majordomo_analytics.records.metadata import clean_text

if TYPE_CHECKING:
    from majordomo_analytics.records.providers import Dialect

Flavour = Literal[
    "chat",
    "completions",
    "responses",
    "background_response",
    "embeddings",
    "images",
    "transcriptions",
    "speech",
    "assistants",
    "messages",
    "count_tokens",
    "generate_content",
    "embed_content",
    "interactions",
    "cohere_chat",
    "embed",
    "rerank",
    "converse",
    "invoke",
    "invoke_agent",
    "ollama",
]
"""An API whose answers say what they used, or whose calls are known to be free."""


def _paths(*table: tuple[str, Flavour]) -> tuple[tuple[re.Pattern[str], Flavour], ...]:
    return tuple((re.compile(pattern), flavour) for pattern, flavour in table)


# Only what creates something is billed. Counting tokens is free.
_CREATED_BY_POST = _paths(
    (r"/chat/completions$", "chat"),
    (r"/completions$", "completions"),
    (r"/responses(?:/compact)?$", "responses"),
    (r"/embeddings$", "embeddings"),
    (r"/images/(?:generations|edits|variations)$", "images"),
    (r"/audio/(?:transcriptions|translations)$", "transcriptions"),
    (r"/audio/speech$", "speech"),
    (r"/threads(?:/[^/]+)?/runs$|/runs/[^/]+/submit_tool_outputs$", "assistants"),
    (r"/messages/count_tokens$|:countTokens$|/model/.+/count-tokens$", "count_tokens"),
    (r"^(?!.*/threads/).*/messages$", "messages"),
    (r"/publishers/anthropic/models/[^/]+:(?:streamR|r)awPredict$", "messages"),
    (r":(?:streamG|g)enerateContent$", "generate_content"),
    (r":(?:batchE|e)mbedContents?$", "embed_content"),
    (r"/interactions$", "interactions"),
    (r"/model/.+/converse(?:-stream)?$", "converse"),
    (r"/model/.+/invoke(?:-with-response-stream)?$", "invoke"),
    (r"/agents/[^/]+(?:/agentAliases/.+/text)?$", "invoke_agent"),
    (r"/rerank$", "rerank"),
    (r"/api/(?:chat|generate|embed)$", "ollama"),
)
# These were started by an earlier call that could not say what they would use.
_FINISHED_WHEN_READ = _paths(
    (r"/responses/[^/]+$", "background_response"),
    (r"/threads/[^/]+/runs/[^/]+$", "assistants"),
)
_BY_DIALECT: dict[Dialect, tuple[tuple[re.Pattern[str], Flavour], ...]] = {
    "openai": _paths((r"/v1/chat$", "chat")),
    "cohere": _paths((r"/v[12]/(?:chat|generate)$", "cohere_chat"), (r"/v[12]/embed$", "embed")),
}

_MODEL = re.compile(
    r"/(?:models|tunedModels)/([^/:]+):|/model/(.+)/(?:converse|invoke|count-tokens)[a-z-]*$"
)


def flavour_of(dialect: Dialect, method: str, path: str) -> Flavour | None:
    """Return the flavour of a call, or None if it is not one whose usage is known.

    >>> flavour_of("openai", "POST", "/v1/chat/completions")
    'chat'
    >>> flavour_of("openai", "GET", "/v1/responses/resp_1")
    'background_response'
    >>> flavour_of("openai", "GET", "/v1/responses")
    """
    method = method.upper()
    if method not in {"POST", "GET"}:
        return None
    plain = _plain(path)
    tables = [_FINISHED_WHEN_READ]
    if method == "POST":
        tables = [_BY_DIALECT.get(dialect, ()), _CREATED_BY_POST]
    for table in tables:
        for pattern, flavour in table:
            if pattern.search(plain):
                return flavour
    return None


def model_in_path(path: str) -> str | None:
    """Return the model that a path names, as Gemini's and Bedrock's do.

    >>> model_in_path("/v1beta/models/gemini-2.5-flash:generateContent")
    'gemini-2.5-flash'
    >>> model_in_path("/model/us.anthropic.claude-haiku-4-5-v1%3A0/converse")
    'us.anthropic.claude-haiku-4-5-v1:0'
    """
    match = _MODEL.search(_plain(path))
    return clean_text(match[1] or match[2]) or None if match else None


def _plain(path: str) -> str:
    plain = "/" + path.partition("?")[0].strip("/")
    return unquote(plain) if "%" in plain else plain

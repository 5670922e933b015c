"""Providers: one table of names and addresses, and which of them a request is for.

A name only ever maps to a configured address: nothing in a request names a host.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Provider:
    """A provider the proxy can call.

    Attributes
    ----------
    name
        Its name in headers, settings and rows.
    base_url
        Where it lives when nothing else is configured.
    wants_v1
        Whether its paths begin with `/v1`, which SDKs leave out when their base address is
        the proxy's root.
    """

    name: str
    base_url: str
    wants_v1: bool = False


_OPENAI_PATH = re.compile(
    r"/(chat/completions|completions|embeddings|responses)(/|$)|/(images|audio)/"
)

PROVIDERS: dict[str, Provider] = {
    provider.name: provider
    for provider in (
        Provider("openai", "https://api.openai.com", wants_v1=True),
        Provider("anthropic", "https://api.anthropic.com"),
        Provider("gemini", "https://generativelanguage.googleapis.com"),
    )
}

_GEMINI_PATH = re.compile("generateContent|streamGenerateContent|/v1beta/models")


def infer_provider(path: str) -> str | None:
    """Return the provider whose API has this path, or None if it fits none."""
    if _OPENAI_PATH.match(path.removeprefix("/v1")):
        return "openai"
    if path == "/v1/messages" or path.startswith("/v1/messages/"):
        return "anthropic"
    if _GEMINI_PATH.search(path):
        return "gemini"
    return None


def upstream_path(provider: Provider, base_url_path: str, path: str) -> str:
    """Return the path to ask the provider for, percent-encoding untouched.

    Adds the `/v1` that an SDK left out, and does not repeat one that the configured base
    address ends with already.
    """
    if provider.wants_v1 and _OPENAI_PATH.match(path):
        path = f"/v1{path}"
    if base_url_path.endswith("/v1") and path.startswith("/v1/"):
        path = path.removeprefix("/v1")
    return path

"""Providers: one table of names and addresses, and which of them a request is for.

A name only ever maps to a configured address: nothing in a request names a host.
"""

from __future__ import annotations

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
    versioned_paths
        Paths that SDKs send without the `/v1` the provider wants, when their base address
        is the proxy's root.
    """

    name: str
    base_url: str
    versioned_paths: tuple[str, ...] = ()


OPENAI_PATHS = (
    "/chat/completions",
    "/completions",
    "/embeddings",
    "/responses",
    "/images/",
    "/audio/",
)

PROVIDERS: dict[str, Provider] = {
    provider.name: provider
    for provider in (
        Provider("openai", "https://api.openai.com", OPENAI_PATHS),
        Provider("anthropic", "https://api.anthropic.com"),
        Provider("gemini", "https://generativelanguage.googleapis.com"),
    )
}

_GEMINI_MARKS = ("generateContent", "streamGenerateContent", "/v1beta/models")


def infer_provider(path: str) -> str | None:
    """Return the provider whose API has this path, or None if it fits none."""
    bare = path.removeprefix("/v1")
    if _is_openai(bare):
        return "openai"
    if path == "/v1/messages" or path.startswith("/v1/messages/"):
        return "anthropic"
    if any(mark in path for mark in _GEMINI_MARKS):
        return "gemini"
    return None


def _is_openai(bare: str) -> bool:
    return any(
        bare.startswith(known) if known.endswith("/") else _is_or_below(bare, known)
        for known in OPENAI_PATHS
    )


def _is_or_below(path: str, known: str) -> bool:
    return path == known or path.startswith(f"{known}/")


def upstream_path(provider: Provider, base_url_path: str, path: str) -> str:
    """Return the path to ask the provider for, percent-encoding untouched.

    Adds the `/v1` that an SDK left out, and does not repeat one that the configured base
    address ends with already.
    """
    if provider.versioned_paths and _is_openai(path):
        path = f"/v1{path}"
    if base_url_path.endswith("/v1") and path.startswith("/v1/"):
        path = path.removeprefix("/v1")
    return path

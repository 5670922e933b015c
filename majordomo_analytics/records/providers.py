"""Providers: one table of who can be called, from which everything else about them follows.

Where they live, whose API they speak, which paths SDKs cut short, whose price list counts,
and what their streams leave out. A name only ever maps to the address in its row, or to
the one in the settings: nothing in a request names a host.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Dialect = Literal["openai", "anthropic", "gemini", "cohere", "bedrock"]
"""Whose API a host speaks; a host of the user's own is one of these, too."""

REGION = "{region}"
"""Stands in an address for the region that the request names."""


@dataclass(frozen=True, slots=True)
class Provider:
    """One provider that the proxy can call.

    Attributes
    ----------
    name
        Its name in headers, settings and rows.
    base_url
        Where it lives when nothing else is configured; empty where every customer has an
        address of his own. May hold `REGION`.
    dialect
        Whose API it speaks.
    api_root
        What stands before the paths of OpenAI's API there (``/chat/completions``), which
        SDKs leave out when their base address is the proxy's root; empty if nothing does.
    messages_root
        The same for Anthropic's (``/messages``).
    credential
        The header that carries its credential; as a bearer token if it is Authorization.
    price_list
        Its price list's name in genai-prices; empty if that is its own name.
    default_region
        The region of a request that names none; empty if it has to.
    asks_for_usage
        Whether its streams state usage only on request, and it takes that request.
    adds_reasoning
        Whether its chat completions leave reasoning out of the completion's tokens.
    """

    name: str
    base_url: str
    dialect: Dialect = "openai"
    api_root: str = "/v1"
    messages_root: str = "/v1"
    credential: str = "Authorization"
    price_list: str = ""
    default_region: str = ""
    asks_for_usage: bool = False
    adds_reasoning: bool = False


PROVIDERS: dict[str, Provider] = {
    provider.name: provider
    for provider in (
        Provider("openai", "https://api.openai.com", asks_for_usage=True),
        Provider("azure", "", api_root="/openai/v1", credential="api-key", asks_for_usage=True),
        Provider(
            "anthropic",
            "https://api.anthropic.com",
            dialect="anthropic",
            credential="x-api-key",
            asks_for_usage=True,
        ),
        Provider(
            "gemini",
            "https://generativelanguage.googleapis.com",
            dialect="gemini",
            api_root="/v1beta/openai",
            credential="x-goog-api-key",
            price_list="google",
            asks_for_usage=True,
            adds_reasoning=True,
        ),
        Provider(
            "gemini-openai",
            "https://generativelanguage.googleapis.com",
            api_root="/v1beta/openai",
            price_list="google",
            asks_for_usage=True,
            adds_reasoning=True,
        ),
        Provider(
            "vertex",
            "https://{region}-aiplatform.googleapis.com",
            dialect="gemini",
            price_list="google",
            default_region="global",
            adds_reasoning=True,
        ),
        Provider(
            "deepseek", "https://api.deepseek.com", api_root="", messages_root="/anthropic/v1"
        ),
        Provider("mistral", "https://api.mistral.ai"),
        Provider(
            "cohere", "https://api.cohere.com", dialect="cohere", api_root="/compatibility/v1"
        ),
        Provider("groq", "https://api.groq.com", api_root="/openai/v1"),
        Provider("together", "https://api.together.xyz"),
        Provider("fireworks", "https://api.fireworks.ai", api_root="/inference/v1"),
        Provider("baseten", "https://inference.baseten.co", asks_for_usage=True),
        Provider(
            "openrouter", "https://openrouter.ai", api_root="/api/v1", messages_root="/api/v1"
        ),
        Provider("xai", "https://api.x.ai", price_list="x-ai", adds_reasoning=True),
        Provider(
            "moonshot",
            "https://api.moonshot.ai",
            messages_root="/anthropic/v1",
            price_list="moonshotai",
        ),
        Provider(
            "nebius",
            "https://api.studio.nebius.com",
            price_list="huggingface_nebius",
            asks_for_usage=True,
        ),
        Provider(
            "deepinfra", "https://api.deepinfra.com", api_root="/v1/openai", asks_for_usage=True
        ),
        Provider("novita", "https://api.novita.ai", api_root="/openai/v1"),
        Provider("cerebras", "https://api.cerebras.ai"),
        Provider("huggingface", "https://router.huggingface.co"),
        Provider(
            "bedrock",
            "https://bedrock-runtime.{region}.amazonaws.com",
            dialect="bedrock",
            api_root="/openai/v1",
            price_list="aws",
        ),
        Provider(
            "bedrock-mantle",
            "https://bedrock-mantle.{region}.api.aws",
            dialect="anthropic",
            messages_root="/anthropic/v1",
            credential="x-api-key",
            price_list="aws",
        ),
    )
}

CREDENTIAL_HEADERS = frozenset(provider.credential.lower() for provider in PROVIDERS.values())
"""Where providers take their credential, in lower case; of each only a hash is kept."""

ROUTED = "majordomo"
"""The pseudo-provider: a routing table in the settings says who is called for it."""

_OPENAI_PATH = re.compile(
    r"/(?:chat/completions|completions|embeddings|responses|moderations|batches|files|threads)"
    r"(?:/|$)|/(?:images|audio)/"
)
_BESIDE_OPENAI = re.compile(
    r"/(?:models|rerank|vector_stores|fine_tuning|assistants|uploads|conversations)(?:/[^:]*)?$"
)
"""Paths that hosts with OpenAI's API have too, but that do not tell whose they are."""

_COHERE_PATH = re.compile(r"/v2/(?:chat|embed|rerank)(?:/|$)")
_BEDROCK_PATH = re.compile(r"/model/[^/]+/(?:converse|invoke)")
_GEMINI_PATH = re.compile(r"[gG]enerateContent|/v1beta/(?:models|interactions)|:(?:batchE|e)mbedC")
_VERSION_AT_END = re.compile(r"/v\d\w*$")


def infer_provider(path: str) -> str | None:
    """Return the provider whose API has this path, or None if it fits none.

    >>> infer_provider("/v1/chat/completions"), infer_provider("/v2/chat")
    ('openai', 'cohere')
    """
    if _OPENAI_PATH.match(path.removeprefix("/v1")):
        return "openai"
    if path == "/v1/messages" or path.startswith("/v1/messages/"):
        return "anthropic"
    if _GEMINI_PATH.search(path):
        return "gemini"
    if _COHERE_PATH.match(path):
        return "cohere"
    return "bedrock" if _BEDROCK_PATH.match(path) else None


def upstream_path(provider: Provider, base_url_path: str, path: str) -> str:
    """Return the path to append to a base address, percent-encoding untouched.

    A path of OpenAI's or Anthropic's API gets the root that it has at this provider,
    whether the SDK sent it bare or with ``/v1``. A configured base address that ends in a
    version, as those of SDKs do, has that root already.

    >>> upstream_path(PROVIDERS["groq"], "", "/chat/completions")
    '/openai/v1/chat/completions'
    """
    for root, bare in _roots(provider, path):
        if _VERSION_AT_END.search(base_url_path):
            return bare
        return root[_overlap(base_url_path, root) :] + bare
    return path[_overlap(base_url_path, path) :]


def _overlap(base_url_path: str, path: str) -> int:
    """Return how much of the beginning of a path the end of a base address has already."""
    for end in range(len(path), 1, -1):
        is_whole = end == len(path) or path[end] == "/"
        if is_whole and base_url_path.endswith(path[:end]):
            return end
    return 0


def regional(base_url: str, region: str) -> str:
    """Return an address with its region filled in; Google's global one has none.

    >>> regional("https://{region}-aiplatform.googleapis.com", "global")
    'https://aiplatform.googleapis.com'
    """
    if region == "global":
        base_url = base_url.replace(f"{REGION}-", "")
    return base_url.replace(REGION, region)


def _roots(provider: Provider, path: str) -> list[tuple[str, str]]:
    bare = path.removeprefix("/v1")
    is_own = provider.dialect == "cohere" and path != bare  # of Cohere's own API
    if _OPENAI_PATH.match(bare) and not is_own:
        return [(provider.api_root, bare)]
    if provider.dialect == "openai" and _BESIDE_OPENAI.match(bare):
        return [(provider.api_root, bare)]
    if bare == "/messages" or bare.startswith("/messages/"):
        return [(provider.messages_root, bare)]
    return []

"""Under which name, in which price list, the price of a model is to be looked for.

The list follows from the provider and, for a router of other hosts, from the path or the
name; the names are those of the answer and of the request, as the list spells them.
"""

from __future__ import annotations

import re
from typing import TypeAlias

from majordomo_analytics.records.providers import PROVIDERS

Candidate: TypeAlias = tuple[str, str]
"""A price list, and a model's name in lower case."""

MAX_NAME_CHARACTERS = 256
"""Longer names are of no model; looking through a list for one takes time."""

ROUTER = "huggingface"
"""A router: each host behind it has a list of its own, ``huggingface_HOST``."""

_ARN = re.compile(r"arn:[^:]*:[^:]*:[^:]*:[^:]*:([^/]+)/(.+)")
_NAMED_IN_ARN = frozenset({"foundation-model", "inference-profile"})
_GEOGRAPHY = re.compile(r"(?:[a-z]{2}|us-gov|apac)\.")
_PUBLISHED = re.compile(r"(?:.*/)?publishers/([^/]+)/models/(.+)")
_DATED = re.compile(r"[-@](?:20\d\d-\d\d-\d\d|20\d{6})$")
_ONLY_ROUTING = re.compile(r":(?:nitro|floor|exacto|online)$")
_FINE_TUNED = re.compile(r"^ft:|:ft-|\.ft-")


def price_list_of(provider: str) -> str:
    """Return the name of a provider's price list, by default its own name."""
    known = PROVIDERS.get(provider)
    return known.price_list or provider if known else provider


def is_fine_tuned(name: str) -> bool:
    """Return whether a name says that a model was tuned: it has a price of its own.

    >>> is_fine_tuned("ft:gpt-4o-mini-2024-07-18:shop::abc"), is_fine_tuned("gpt-4o-mini")
    (True, False)
    """
    return bool(_FINE_TUNED.search(name))


def routed_host(path: str) -> str:
    """Return the host that a router's path names, empty if it names none.

    >>> routed_host("/together/v1/chat/completions"), routed_host("/v1/chat/completions")
    ('together', '')
    """
    host = path.lstrip("/").partition("/")[0].lower()
    return "" if host == "v1" else host[:MAX_NAME_CHARACTERS]


def names_of(provider: str, model: str | None, requested_model: str | None) -> tuple[str, ...]:
    """Return the names of a model in lower case, the one to trust most first.

    An answer names the model that ran. On Bedrock only the request says through which
    profile it ran, which decides the price; a free variant is named by the request alone.
    """
    answered, asked = _plain(model), _plain(requested_model)
    asked_first = provider.startswith("bedrock") or asked.endswith(":free")
    names = (asked, answered) if asked_first else (answered, asked)
    return tuple(dict.fromkeys(filter(None, names)))


def spellings(
    provider: str, model: str | None, requested_model: str | None, host: str = ""
) -> tuple[Candidate, ...]:
    """Return where a model stands by the names it has, best first.

    >>> spellings("gemini", "models/gemini-2.5-pro", None)
    (('google', 'gemini-2.5-pro'),)
    >>> spellings("huggingface", None, "Qwen/Qwen3-32B:together")
    (('huggingface_together', 'qwen/qwen3-32b'),)
    """
    price_list = price_list_of(provider)
    names = names_of(provider, model, requested_model)
    if price_list == "azure" and model:
        # What a customer called his deployment says nothing about what runs in it.
        names = names[:1]
    found: list[Candidate] = []
    for name in names:
        if price_list == "aws":
            found += ((price_list, spelled) for spelled in _bedrock_names(name))
        elif price_list == "google":
            found += ((price_list, spelled) for spelled in _google_names(name))
        elif price_list == ROUTER:
            plain, _, suffix = name.partition(":")
            if host or suffix:
                found.append((f"{ROUTER}_{host or suffix}", plain))
        elif price_list == "openrouter":
            found.append((price_list, _ONLY_ROUTING.sub("", name)))
        else:
            found.append((price_list, name))
    return tuple(dict.fromkeys(found))


def candidates(
    provider: str, model: str | None, requested_model: str | None, host: str = ""
) -> tuple[Candidate, ...]:
    """Return where to look for a model's price, best first.

    A dated release costs what its model does, unless the list has it for itself.

    >>> candidates("openai", "gpt-9-2027-01-01", "gpt-9-latest")
    (('openai', 'gpt-9-2027-01-01'), ('openai', 'gpt-9-latest'), ('openai', 'gpt-9'))
    """
    found = spellings(provider, model, requested_model, host)
    undated = ((place, _DATED.sub("", name)) for place, name in found if not is_fine_tuned(name))
    return tuple(dict.fromkeys((*found, *undated)))


def _plain(name: str | None) -> str:
    if name is None or len(name) > MAX_NAME_CHARACTERS:
        return ""
    return name.strip().lower().removeprefix("models/")


def _google_names(name: str) -> list[str]:
    """Return a name of Vertex without its publisher; of tuned models nothing is known."""
    published = _PUBLISHED.fullmatch(name)
    publisher, plain = published.groups() if published else ("google", name)
    for prefix in ("google/", "anthropic/"):
        plain = plain.removeprefix(prefix)
    if publisher not in {"google", "anthropic"} or "/" in plain:
        return []
    return [plain, plain.partition("@")[0]]


def _bedrock_names(name: str) -> list[str]:
    """Return the model ids of a Bedrock name; profiles of a customer's own name none.

    A bare id is a model in the region that was called. That and the profiles of a
    geography have one price; the global profile, where there is one, has a lower one.
    """
    arn = _ARN.fullmatch(name)
    if arn is not None:
        kind, name = arn.groups()
        if kind not in _NAMED_IN_ARN:
            return []
    if "/" in name:
        return []
    if name.startswith("global."):
        return [name]
    return [name, _GEOGRAPHY.sub("", name, count=1)]

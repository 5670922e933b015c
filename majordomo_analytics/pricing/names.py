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

LONGER_NAMES = {"aws": ("arn:*",), "google": ("projects/*", "publishers/*")}
"""Of a price list, patterns of the names that a model's own stands inside of, if at all."""

_ARN = re.compile(r"arn:[^:]*:[^:]*:[^:]*:[^:]*:([^/]+)/(.+)")
_NAMED_IN_ARN = frozenset({"foundation-model", "inference-profile"})
_GEOGRAPHY = re.compile(r"(?:[a-z]{2}|us-gov|apac)\.")
_PUBLISHED = re.compile(r"(?:.*/)?publishers/([^/]+)/models/(.+)")
_DATED = re.compile(r"[-@](?:20\d\d-\d\d-\d\d|20\d{6})$")
# Dates as providers write them, and numbers of releases: -0613, -001, -03-2025, @20250929.
_RELEASE = re.compile(r"[-@](?:20\d\d-\d\d-\d\d|\d\d-\d\d(?:\d\d)?|\d{8}|\d{6}|\d{3,4})$")
_ONLY_ROUTING = re.compile(r":(?:nitro|floor|exacto|online)$")
_SEARCHING = re.compile(r":online\b|-search-(?:preview|api)\b|sonar-pro-search\b")
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


def always_searches(name: str) -> bool:
    """Return whether a name says that each request is a search, which has a fee of its own.

    >>> [always_searches(name) for name in ("gpt-4o:online", "gpt-5-search-api", "o3")]
    [True, True, False]
    """
    return bool(_SEARCHING.search(name))


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
    profile it ran, which decides the price; a free variant is named by the request alone,
    and what the answer names without the suffix is the dear one.
    """
    answered, asked = _plain(model), _plain(requested_model)
    if asked.endswith(":free"):
        return (asked,)
    names = (asked, answered) if provider.startswith("bedrock") else (answered, asked)
    return tuple(dict.fromkeys(filter(None, names)))


def spellings(
    provider: str, model: str | None, requested_model: str | None, host: str = ""
) -> tuple[Candidate, ...]:
    """Return where a model stands by all the names it has, best first.

    >>> spellings("gemini", "models/gemini-2.5-pro", None)
    (('google', 'gemini-2.5-pro'),)
    >>> spellings("huggingface", None, "Qwen/Qwen3-32B:together")
    (('huggingface_together', 'qwen/qwen3-32b'),)
    """
    return _spelled(provider, names_of(provider, model, requested_model), host)


def _spelled(provider: str, names: tuple[str, ...], host: str) -> tuple[Candidate, ...]:
    price_list = price_list_of(provider)
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

    A dated release costs what its model does, unless the list has it for itself. The model
    asked for tells nothing about the price of another one that answered.

    >>> candidates("openai", "gpt-9-2027-01-01", "gpt-9-latest")
    (('openai', 'gpt-9-2027-01-01'), ('openai', 'gpt-9-latest'), ('openai', 'gpt-9'))
    >>> candidates("openai", "gpt-9", "gpt-8")
    (('openai', 'gpt-9'),)
    """
    answered, asked = _plain(model), _plain(requested_model)
    names = names_of(provider, model, requested_model)
    # Behind a router the answer has the host's own name for the model that was asked for.
    asked_counts = provider.startswith("bedrock") or provider == ROUTER
    if answered and answered in names and not asked_counts:
        # What a customer called his deployment says nothing about what runs in it.
        is_deployment = price_list_of(provider) == "azure"
        if is_deployment or not is_release_of(answered, asked):
            names = (answered,)
    found = _spelled(provider, names, host)
    return tuple(dict.fromkeys((*found, *_undated(found))))


def book_names(
    provider: str, model: str | None, requested_model: str | None, host: str = ""
) -> tuple[str, ...]:
    """Return by which names a price book can mean a model, the one to trust most first.

    A model without a usable name has the empty one, which only ``*`` matches.

    >>> book_names("openai", "gpt-9-2027-01-01", "ours")
    ('gpt-9-2027-01-01', 'ours', 'gpt-9')
    """
    spelled = spellings(provider, model, requested_model, host)
    names = names_of(provider, model, requested_model)
    ways = (*names, *(name for _, name in (*spelled, *_undated(spelled))))
    return tuple(dict.fromkeys(ways)) or ("",)


def is_release_of(answered: str, asked: str) -> bool:
    """Return whether one of two names is the other, or that of a release of it.

    >>> is_release_of("gpt-4o-2024-08-06", "openai/gpt-4o")
    True
    >>> is_release_of("claude-3-5-haiku-20241022", "claude-3-5-haiku-latest")
    True
    >>> is_release_of("gpt-4o-mini", "gpt-4o"), is_release_of("grok-5", "grok-latest")
    (False, False)
    """
    if is_fine_tuned(answered) or is_fine_tuned(asked):
        return answered == asked
    model, wanted = (name.partition(":")[0].rpartition("/")[2] for name in (answered, asked))
    wanted = wanted.removesuffix("-latest")
    return wanted in {model, _RELEASE.sub("", model)} or model == _RELEASE.sub("", wanted)


def _undated(found: tuple[Candidate, ...]) -> tuple[Candidate, ...]:
    return tuple((place, _DATED.sub("", name)) for place, name in found if not is_fine_tuned(name))


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

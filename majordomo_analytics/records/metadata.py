"""Metadata keys: from `X-Majordomo-*` header to canonical name, with bounds.

`x-majordomo-user-tier` is stored as `User-Tier`. Look-ups ignore case and take ``_`` for
``-``. A request never fails because of its metadata: what is over a bound is cut or left
out, and the row is flagged.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from majordomo_analytics.records import flags

if TYPE_CHECKING:
    from collections.abc import Iterable

PREFIX = b"x-majordomo-"

RESERVED: dict[bytes, str] = {
    b"x-majordomo-key": "the caller's API key; checked, hashed, never stored or forwarded",
    b"x-majordomo-provider": "the provider to call, instead of what the path says",
    b"x-majordomo-provider-alias": "a name of the caller's own for the provider credential",
    b"x-majordomo-bedrock-region": "the AWS region to call, for providers that have one in each",
}
"""The control headers, which the proxy acts on; every other one is metadata."""

API_KEY_MARK = "mdm_sk_"
"""What every API key of ours begins with; no value is stored with one in it."""

_API_KEY = re.compile(API_KEY_MARK + r"[\w-]*")

MAX_NAME_CHARACTERS = 128
MAX_VALUE_CHARACTERS = 4096
MAX_KEYS_PER_REQUEST = 64
MAX_NAMES_PER_API_KEY = 1000

PROMOTED_FROM_THE_START = ("Feature", "Team", "User-Tier", "Experiment", "Environment")


@dataclass(frozen=True, slots=True)
class RequestMetadata:
    """The metadata of one request, and what was odd about it.

    Attributes
    ----------
    values
        Canonical metadata key to value.
    flags
        Oddities from `records.flags`, in order, each once.
    """

    values: dict[str, str]
    flags: tuple[str, ...] = ()


NO_METADATA = RequestMetadata({})


@lru_cache(maxsize=4096)
def canonical_name(name: str) -> str:
    """Return the stored form of a metadata key: each hyphenated part capitalised.

    >>> canonical_name("user_tier"), canonical_name("USER-ID")
    ('User-Tier', 'User-Id')
    """
    return "-".join(part.capitalize() for part in name.replace("_", "-").split("-"))


def lookup_name(name: str) -> str:
    """Return the form under which spellings of one metadata key are equal.

    >>> lookup_name("User_Tier") == lookup_name("user-tier")
    True
    """
    return name.casefold().replace("_", "-")


def clean_text(text: str) -> str:
    """Return `text` without NUL and lone surrogates, which no database takes."""
    if "\x00" not in text and text.isascii():
        return text
    return text.replace("\x00", "").encode("utf-8", "ignore").decode("utf-8")


def without_api_keys(text: str) -> str:
    """Return `text` with every API key of ours in it masked.

    >>> without_api_keys("Bearer mdm_sk_AbC-1, please")
    'Bearer [API key], please'
    """
    return _API_KEY.sub("[API key]", text) if API_KEY_MARK in text else text


def read_metadata(headers: Iterable[tuple[bytes, bytes]]) -> RequestMetadata:
    """Return the metadata among request headers whose names are in lower case."""
    values: dict[str, str] = {}
    found: list[str] = []
    for raw_name, raw_value in headers:
        if not raw_name.startswith(PREFIX) or raw_name in RESERVED:
            continue
        # Cut before it is made canonical: names that were seen are kept in a cache.
        sent_name = raw_name[len(PREFIX) :]
        if len(sent_name) > MAX_NAME_CHARACTERS:
            sent_name = sent_name[:MAX_NAME_CHARACTERS]
            found.append(flags.METADATA_CUT)
        name = _stored_name(sent_name)
        if not name:
            continue
        if name in values:
            found.append(flags.METADATA_REPEATED)
            continue
        if len(values) >= MAX_KEYS_PER_REQUEST:
            found.append(flags.METADATA_DROPPED)
            continue
        values[name] = _read_value(raw_value, found)
    if not values and not found:
        return NO_METADATA
    return RequestMetadata(values, tuple(dict.fromkeys(found)))


@lru_cache(maxsize=4096)
def _stored_name(sent_name: bytes) -> str:
    return canonical_name(clean_text(sent_name.decode("latin-1")))[:MAX_NAME_CHARACTERS]


def _read_value(raw_value: bytes, found: list[str]) -> str:
    try:
        value = raw_value.decode("utf-8")
    except UnicodeDecodeError:
        value = raw_value.decode("latin-1")
        found.append(flags.METADATA_NOT_UTF8)
    if (cleaned := clean_text(value)) != value:
        value = cleaned
        found.append(flags.TEXT_CLEANED)
    if API_KEY_MARK in value:
        value = without_api_keys(value)
        found.append(flags.TEXT_CLEANED)
    if len(value) > MAX_VALUE_CHARACTERS:
        value = value[:MAX_VALUE_CHARACTERS]
        found.append(flags.METADATA_CUT)
    return value


class KeyNameQuota:
    """Bounds how many distinct metadata names one API key may bring into being.

    Held per worker and in memory, so that a caller who invents names costs a bounded
    amount of memory and of lake columns.
    """

    def __init__(self, most: int = MAX_NAMES_PER_API_KEY) -> None:
        self._most = most
        self._names: dict[str, set[str]] = {}

    def admit(self, api_key_id: str, metadata: RequestMetadata) -> RequestMetadata:
        """Return `metadata` without names over the bound for this API key."""
        known = self._names.setdefault(api_key_id, set())
        if metadata.values.keys() <= known:
            return metadata
        kept: dict[str, str] = {}
        for name, value in metadata.values.items():
            if name in known or len(known) < self._most:
                known.add(name)
                kept[name] = value
        if len(kept) == len(metadata.values):
            return metadata
        marks = dict.fromkeys((*metadata.flags, flags.METADATA_DROPPED))
        return RequestMetadata(kept, tuple(marks))

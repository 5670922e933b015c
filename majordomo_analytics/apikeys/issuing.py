"""What an API key is, wherever it is stored: its text, its hash, its life.

A key has one id for life and, after a rotation, more than one text: the newest, and those
before it until they expire.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from majordomo_analytics.errors import ApiKeyError, SettingsError
from majordomo_analytics.records.metadata import API_KEY_MARK

if TYPE_CHECKING:
    from collections.abc import Sequence

KEY_PREFIX = API_KEY_MARK
RANDOM_BYTES = 32
KEY_CHARACTERS = len(KEY_PREFIX) + 43
"""The length of every key: 32 bytes are 43 signs of Base64."""

MAX_NAME_CHARACTERS = 255
MAX_OVERLAP = timedelta(days=366)
_OVERLAP = re.compile(r"(\d{1,9})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A new API key, or a new text of one; the only time its plain text is seen.

    Attributes
    ----------
    id, name
        How it is listed, rotated and revoked.
    key
        The plain key; kept out of the repr.
    """

    id: str
    name: str
    key: str

    def __repr__(self) -> str:
        return f"IssuedKey(id={self.id!r}, name={self.name!r}, key='{KEY_PREFIX}…')"


@dataclass(frozen=True, slots=True)
class Secret:
    """The hash of one text of an API key.

    Attributes
    ----------
    key_hash
        SHA-256 of the text.
    created_at
        When the text was made.
    expires_at
        When it stops working, because a later one took its place; None if none did.
    """

    key_hash: bytes = field(repr=False)
    created_at: datetime
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class StoredKey:
    """An API key as it is stored.

    Attributes
    ----------
    id, name, created_at
        What it is.
    revoked_at
        When it was revoked; for good.
    secrets
        The hashes of its texts, those that expired too.
    """

    id: str
    name: str
    created_at: datetime
    revoked_at: datetime | None
    secrets: tuple[Secret, ...]


@dataclass(frozen=True, slots=True)
class HeldKey:
    """An API key in a copy, and what the place that is followed knows of it.

    Attributes
    ----------
    key
        As it is in the copy.
    unsent
        How many changes were made in the copy that the place was not told yet.
    is_known
        Whether the place has had the key: if it is missing there now, it was deleted.
    known_hashes
        Which of its texts the place has had.
    """

    key: StoredKey
    unsent: int
    is_known: bool
    known_hashes: frozenset[bytes] = field(repr=False)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An API key as it is listed: never its plain text, nor its hash.

    Attributes
    ----------
    id, name, created_at
        What it is.
    rotated_at
        When it was last given a new text; None if it has its first.
    overlap_ends_at
        Until when an earlier text works too; None if none does.
    revoked_at
        When it was revoked.
    """

    id: str
    name: str
    created_at: datetime
    rotated_at: datetime | None
    overlap_ends_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class KeyUse:
    """What was done with an API key.

    Attributes
    ----------
    request_count
        Requests that were written down with its id.
    last_used_at
        When the last of them was made.
    """

    request_count: int
    last_used_at: datetime


class KeyStore(Protocol):
    """A place that API keys live in.

    A method raises `ApiKeyError` if no active key has the id it is given, and what the
    place itself fails with: `ApiKeyStoreError` or `PostgresError`.
    """

    def create(self, name: str) -> IssuedKey:
        """Issue a key under a name and return it, with its plain text."""
        ...

    def rotate(self, key_id: str, overlap: timedelta) -> IssuedKey:
        """Give a key a new text; the earlier ones work for `overlap` yet, at most."""
        ...

    def revoke(self, key_id: str) -> None:
        """Revoke a key, for good, with all its texts."""
        ...

    def all_keys(self) -> list[ApiKey]:
        """Return all keys, oldest first, revoked ones too."""
        ...


def hash_key(key: bytes) -> bytes:
    """Return the SHA-256 digest under which a key is stored."""
    return hashlib.sha256(key).digest()


def new_key(name: str) -> IssuedKey:
    """Return a key that nobody had before; nothing is stored yet.

    Raises
    ------
    SettingsError
        If the name is empty, too long, or would not show as it is.
    """
    name = name.strip()
    if not name or len(name) > MAX_NAME_CHARACTERS:
        message = (
            f"an API key needs a name of 1 to {MAX_NAME_CHARACTERS} characters, got {len(name)}"
        )
        raise SettingsError(message)
    if not name.isprintable():
        message = f"the name {name!r} of an API key has characters that cannot be shown"
        raise SettingsError(message)
    return IssuedKey(str(uuid.uuid4()), name, new_text())


def new_text() -> str:
    """Return a new plain key."""
    return KEY_PREFIX + secrets.token_urlsafe(RANDOM_BYTES)


def read_overlap(text: str) -> timedelta:
    """Return how long the earlier texts of a key work on.

    Raises
    ------
    SettingsError
        If it is no number with a unit, or longer than a year.

    >>> read_overlap("36h")
    datetime.timedelta(days=1, seconds=43200)
    """
    found = _OVERLAP.fullmatch(text.strip().lower())
    overlap = timedelta(**{_UNITS[found[2]]: int(found[1])}) if found else None
    if overlap is None or overlap > MAX_OVERLAP:
        message = (
            f"an overlap is a whole number and s, m, h or d, such as 24h or 0s, and at most "
            f"{MAX_OVERLAP.days}d; got {text!r}"
        )
        raise SettingsError(message)
    return overlap


def listed(keys: Sequence[StoredKey], now: datetime | None = None) -> list[ApiKey]:
    """Return keys as they are listed, oldest first."""
    now = now or datetime.now(UTC)
    return [_listed(key, now) for key in sorted(keys, key=lambda key: (key.created_at, key.id))]


def _listed(key: StoredKey, now: datetime) -> ApiKey:
    later = [
        secret.expires_at
        for secret in key.secrets
        if secret.expires_at is not None and secret.expires_at > now
    ]
    made = [secret.created_at for secret in key.secrets]
    return ApiKey(
        key.id,
        key.name,
        key.created_at,
        rotated_at=max(made) if len(made) > 1 else None,
        overlap_ends_at=max(later) if later and not key.revoked_at else None,
        revoked_at=key.revoked_at,
    )


def no_active_key(key_id: str) -> ApiKeyError:
    """Return the error for an id that no active key has."""
    return ApiKeyError(f"no active API key has the id {key_id!r}; `mdm keys list` shows them")

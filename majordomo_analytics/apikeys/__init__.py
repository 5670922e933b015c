"""API keys: issue, list, rotate, revoke and look up the callers' `mdm_sk_…` credentials.

A key is 32 random bytes; only its SHA-256 is stored. Workers read keys from one SQLite file
of the data directory and from nothing else, so that a database elsewhere can be down
without a caller being refused. Where a Postgres is named, keys live there, and that file is
a copy (`copying`).
"""

from majordomo_analytics.apikeys.cache import ApiKeyCache
from majordomo_analytics.apikeys.issuing import IssuedKey
from majordomo_analytics.apikeys.store import ApiKeyStore

__all__ = ["ApiKeyCache", "ApiKeyStore", "IssuedKey"]

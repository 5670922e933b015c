"""The address of a Postgres: read without connecting, and never shown with its password."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from majordomo_analytics.errors import SettingsError

MAX_SCHEMA_BYTES = 63
"""Postgres cuts longer names without a word."""


def read_address(dsn: str, schema: str) -> dict[str, Any]:
    """Return the parts of an address that libpq can read.

    Raises
    ------
    SettingsError
        If it cannot, or the name of the schema is none. The address is not repeated: what
        is wrong with it may have made a part of the password look like something else.
    """
    try:
        parts = dict(conninfo_to_dict(dsn))
    except psycopg.Error:
        parts = {}
    if not parts or "@" in str(parts.get("host", "")):
        message = (
            "the address of Postgres cannot be read; it is "
            "postgresql://USER:PASSWORD@HOST:PORT/DATABASE, with %40 for an @ in the password"
        )
        raise SettingsError(message)
    if not schema or "\x00" in schema or len(schema.encode()) > MAX_SCHEMA_BYTES:
        message = (
            f"a schema of Postgres has a name of 1 to {MAX_SCHEMA_BYTES} bytes, not {schema!r}"
        )
        raise SettingsError(message)
    return parts

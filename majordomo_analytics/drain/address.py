"""The address of a Postgres: read without connecting, and never shown with its password."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import pq
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from majordomo_analytics.errors import SettingsError

MAX_SCHEMA_BYTES = 63
"""Postgres cuts longer names without a word."""

MAX_PORT = 65_535
NUMBERS = (
    "connect_timeout",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_count",
    "tcp_user_timeout",
)
PLACE = ("service", "host", "hostaddr", "port", "dbname")
"""What says which database is meant; nothing of it is secret."""


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
    if not parts or _is_misread(parts):
        message = (
            "the address of Postgres cannot be read; it is "
            "postgresql://USER:PASSWORD@HOST:PORT/DATABASE, with %40 for an @ and %2F for a / "
            "in the password"
        )
        raise SettingsError(message)
    for name in NUMBERS:
        if name in parts and not _is_number(str(parts[name])):
            message = f"{name} in the address of Postgres has to be a whole number"
            raise SettingsError(message)
    if not schema or "\x00" in schema or len(schema.encode()) > MAX_SCHEMA_BYTES:
        message = (
            f"a schema of Postgres has a name of 1 to {MAX_SCHEMA_BYTES} bytes, not {schema!r}"
        )
        raise SettingsError(message)
    return parts


def place_of(parts: dict[str, Any], schema: str) -> str:
    """Return which tables an address leads to, whoever goes there."""
    usual = {option.keyword.decode(): option.val for option in pq.Conninfo.get_defaults()}
    place = {
        name: str(parts.get(name) or (usual.get(name) or b"").decode(errors="replace"))
        for name in PLACE
    }
    if not place["dbname"] and not place["service"]:  # libpq then takes the user's name
        place["dbname"] = str(parts.get("user") or (usual.get("user") or b"").decode())
    database = make_conninfo(**{name: value for name, value in place.items() if value})
    return f"{database} schema={schema}"


def _is_misread(parts: dict[str, Any]) -> bool:
    """Whether a password with a sign that had to be escaped fell into other parts."""
    ports = [port for port in str(parts.get("port", "")).split(",") if port]
    return (
        "@" in str(parts.get("host", ""))
        or "@" in str(parts.get("dbname", ""))
        or not all(_is_number(port) and 0 < int(port) <= MAX_PORT for port in ports)
    )


def _is_number(text: str) -> bool:
    digits = text.strip().removeprefix("-")
    return digits.isascii() and digits.isdecimal()

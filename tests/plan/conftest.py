"""A server for what only a server can show."""

from __future__ import annotations

from tests.support.postgres import postgres_server

__all__ = ["postgres_server"]

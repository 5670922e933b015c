"""Fixtures of the engines' tests."""

from __future__ import annotations

from tests.support.postgres import postgres, postgres_server
from tests.support.spark import spark

__all__ = ["postgres", "postgres_server", "spark"]

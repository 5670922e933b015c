"""Fixtures of the tests of agreement."""

from __future__ import annotations

import pytest

from tests.agreement.sources import Servers
from tests.support.postgres import postgres_server
from tests.support.spark import spark

__all__ = ["postgres_server", "spark"]


@pytest.fixture(scope="session")
def servers(postgres_server: str, spark: str) -> Servers:
    """Return the servers that every ledger is asked on."""
    return Servers(postgres_server, spark)

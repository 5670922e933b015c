"""What the tests of API keys share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from majordomo_analytics.apikeys import ApiKeyStore
from majordomo_analytics.drain.keystore import PostgresKeyStore
from tests.support.postgres import postgres, postgres_server

__all__ = ["postgres", "postgres_server"]


@pytest.fixture
def store(tmp_path: Path) -> ApiKeyStore:
    return ApiKeyStore(tmp_path / "keys.sqlite")


@pytest.fixture
def there(postgres: str) -> Iterator[PostgresKeyStore]:
    with closing(PostgresKeyStore(postgres)) as opened:
        yield opened

"""What the tests of imports share."""

from __future__ import annotations

from pathlib import Path

import pytest

from majordomo_analytics.datadir import DataDirectory
from tests.support.postgres import postgres, postgres_server

__all__ = ["data", "postgres", "postgres_server"]


@pytest.fixture
def data(tmp_path: Path) -> DataDirectory:
    return DataDirectory.create(tmp_path / "data")

"""A sample of a middling size, made once, and the shipped one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from majordomo_analytics.ledger.ledger import Ledger
from majordomo_analytics.ledger.opening import open as open_ledger
from majordomo_analytics.sampling.directory import make_sample
from majordomo_analytics.sampling.making import Recipe

ROWS = 150_000
SEED = 7


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data directory with a sample of another seed than the shipped one's."""
    made = tmp_path_factory.mktemp("sample") / "made"
    make_sample(made, Recipe(ROWS, SEED))
    return made


@pytest.fixture(scope="session")
def ledger(folder: Path) -> Ledger:
    return open_ledger(folder)


@pytest.fixture(scope="session")
def truth(folder: Path) -> Any:
    from majordomo_analytics.sampling.directory import read_truth

    return read_truth(folder)

"""Colours are those of a new session in every test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import majordomo_analytics as ma
from majordomo_analytics.plots.colours import forget_colours
from tests.support.requests import write_lake


@pytest.fixture(autouse=True)
def _new_session() -> Iterator[None]:
    forget_colours()
    yield
    ma.plots.use_theme(None)


@pytest.fixture
def ledger(tmp_path: Path) -> ma.Ledger:
    return ma.open(write_lake(tmp_path / "lake"))

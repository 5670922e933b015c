"""Fixtures of the engines' tests."""

from __future__ import annotations

from tests.support.spark import spark as spark  # a fixture

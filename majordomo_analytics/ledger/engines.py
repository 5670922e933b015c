"""The engines by name, each loaded by the first question that is for it."""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeAlias

from majordomo_analytics.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from majordomo_analytics.engines.base import Engine
    from majordomo_analytics.engines.pinned import Pinned

Maker: TypeAlias = "Callable[[Any], Engine]"

NAMES = ("duckdb", "polars", "postgres", "spark")
SPARK_VARIABLE = "SPARK_REMOTE"
"""PySpark's own name for where its server is."""


def file_engines(spark: str | None = None) -> Mapping[str, Maker]:
    """Return what makes each engine that reads files and frames, the default one first.

    Parameters
    ----------
    spark
        The address of a Spark Connect server, None for that of the environment.
    """
    engines: dict[str, Maker] = {"duckdb": _duckdb, "polars": _polars}
    if find_spec("duckdb") is None:
        del engines["duckdb"]
    return {**engines, "spark": lambda pinned: _spark(pinned, spark)}


def _duckdb(pinned: Pinned) -> Engine:
    from majordomo_analytics.engines.duckdb import DuckDBEngine

    return DuckDBEngine(pinned)


def _polars(pinned: Pinned) -> Engine:
    from majordomo_analytics.engines.polars.engine import PolarsEngine

    return PolarsEngine(pinned)


def _spark(pinned: Pinned, address: str | None) -> Engine:
    from majordomo_analytics.engines.spark.engine import SparkEngine

    address = address or os.environ.get(SPARK_VARIABLE)
    if not address:
        message = (
            "engine 'spark' needs the address of a Spark Connect server: "
            f"ma.open(…, spark='sc://HOST:15002'), or {SPARK_VARIABLE} in the environment"
        )
        raise SettingsError(message)
    return SparkEngine(pinned, address)

"""Where SQL dialects differ, beyond what sqlglot knows: a table, one row for each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlglot import exp

from majordomo_analytics.engines.sql.expressions import column, text

if TYPE_CHECKING:
    from collections.abc import Callable

    from majordomo_analytics.plan.fields import Kind


@dataclass(frozen=True, slots=True)
class Dialect:
    """Where SQL dialects differ, beyond what sqlglot knows.

    Attributes
    ----------
    name
        The dialect's name in sqlglot.
    metadata_value
        Value of one stored spelling of a metadata key, from the column `raw_metadata`.
    quantile
        Quantile of an expression at a level, with linear interpolation.
    by_code_point
        Text as it is to be ordered by code point.
    addend
        Value of a kind as it is to be added up, where the engine's own sum would wrap.
    orders_by_selected
        Whether rows are ordered by an aggregate only if it is selected too.
    """

    name: str
    metadata_value: Callable[[str], exp.Expr]
    quantile: Callable[[exp.Expr, float], exp.Expr]
    by_code_point: Callable[[exp.Expr], exp.Expr] = lambda text: text
    addend: Callable[[exp.Expr, Kind], exp.Expr] = lambda value, kind: value
    orders_by_selected: bool = False


DUCKDB = Dialect(
    "duckdb",
    metadata_value=lambda key: exp.Bracket(this=column("raw_metadata"), expressions=[text(key)]),
    quantile=lambda of, level: exp.Anonymous(
        this="QUANTILE_CONT", expressions=[of, exp.Literal.number(level)]
    ),
)


SPARK = Dialect(
    "spark",
    metadata_value=lambda key: exp.Bracket(this=column("raw_metadata"), expressions=[text(key)]),
    quantile=lambda of, level: exp.Anonymous(
        this="PERCENTILE", expressions=[of, exp.Literal.number(level)]
    ),
    # Sail's sum of 64-bit integers wraps; that of decimals has ten digits to spare.
    addend=lambda value, kind: exp.cast(value, "decimal(20, 0)") if kind == "integer" else value,
    orders_by_selected=True,  # Sail looks for a column of that name else
)

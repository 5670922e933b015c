"""Quantiles to the digits that every engine agrees on.

Engines interpolate in another order, and differ in the last bit of a float. A quantile is
therefore what its engine says, to twelve digits: more than there are in a time or a cost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from majordomo_analytics.plan.measures import Aggregate

if TYPE_CHECKING:
    from majordomo_analytics.plan.measures import Measure

DIGITS = 12
"""Significant digits of a quantile."""

_SURE = 15
"""Digits that a float always has. A number is brought to them first: of a tie, one engine
may be a bit below and another above."""
_RANGE = (1e-250, 1e250)  # beyond, the powers of ten leave what a float can be


def hangs_on_quantile(measure: Measure) -> bool:
    """Return whether a measure is a quantile, or a quantile is a part of its ratio."""
    of = measure.of
    parts = (of,) if isinstance(of, Aggregate) else (of.numerator, of.denominator)
    return any(part.how == "quantile" for part in parts)


def rounded_quantile(value: pl.Expr) -> pl.Expr:
    """Return floats rounded to `DIGITS` significant digits, halves away from zero.

    Examples
    --------
    >>> import polars as pl
    >>> found = pl.DataFrame({"p95": [1234.9499999999998, 0.1 + 0.2, 2.0, None]})
    >>> found.select(rounded_quantile(pl.col("p95")))["p95"].to_list()
    [1234.95, 0.3, 2.0, None]
    """
    size = value.abs()
    places = _SURE - 1 - size.log10().floor()
    power = pl.lit(10.0).pow(places.abs())
    sure = pl.when(places >= 0).then(size * power).otherwise(size / power)
    step = 10 ** (_SURE - DIGITS)
    whole = (sure.round().cast(pl.Int64, strict=False) + step // 2) // step
    # Read as a decimal number, it is the nearest float there is.
    shift = (_SURE - DIGITS - places).cast(pl.Int64, strict=False)
    made = pl.format("{}e{}", whole, shift).cast(pl.Float64, strict=False) * value.sign()
    return pl.when(size.is_between(*_RANGE)).then(made).otherwise(value)

"""A quantile has twelve digits, whichever engine's last bit it came with."""

from __future__ import annotations

import math
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Context, Decimal

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from majordomo_analytics.engines.quantiles import rounded_quantile

numbers = st.floats(min_value=1e-20, max_value=1e20) | st.decimals(
    min_value="1e-10", max_value="9e9", places=12
).map(float)


def rounded(*values: float | None) -> list[float | None]:
    frame = pl.DataFrame({"q": values}, schema={"q": pl.Float64})
    return frame.select(rounded_quantile(pl.col("q")))["q"].to_list()


@given(numbers, st.sampled_from([1, -1]))
def test_it_is_the_float_next_to_twelve_digits(size: float, sign: int) -> None:
    """As decimals round it: to the fifteen digits a float is sure of, then to twelve."""
    sure = Context(prec=15, rounding=ROUND_HALF_EVEN).plus(Decimal(size))
    expected = sign * float(Context(prec=12, rounding=ROUND_HALF_UP).plus(sure))

    assert rounded(sign * size) == [expected]
    assert rounded(expected) == [expected]


@given(st.integers(1, 10**11))
def test_of_a_tie_the_last_bit_does_not_decide(steps: int) -> None:
    """Half a step of the twelfth digit, and the floats just below and above it."""
    tie = (10**11 + steps + 0.5) / 10**11

    assert len({*rounded(math.nextafter(tie, 0), tie, math.nextafter(tie, 10))}) == 1


def test_what_has_no_digits_stays() -> None:
    """Zero, null, and what is beyond all numbers."""
    assert rounded(0.0, None, math.inf, -math.inf) == [0.0, None, math.inf, -math.inf]

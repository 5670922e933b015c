"""Money is rounded half-even to ten places, and its total is the sum of what is shown."""

from __future__ import annotations

from decimal import Decimal, localcontext
from fractions import Fraction
from math import lcm

import pytest
from hypothesis import given
from hypothesis import strategies as st

from majordomo_analytics.records.money import PLACES, PRECISION, Cost, round_money

amounts = st.decimals(min_value=0, max_value=1_000_000, allow_nan=False, allow_infinity=False)


def half_even(amount: Decimal) -> Fraction:
    """Return `amount` rounded by whole-number arithmetic: Python's round is half-even."""
    return Fraction(round(Fraction(amount) * 10**PLACES), 10**PLACES)


def priced(*parts: Decimal) -> Cost:
    """Return the cost of exact parts, over a denominator that all of them have."""
    denominator = lcm(*(part.as_integer_ratio()[1] for part in parts))
    of_input, of_output, of_tools = (int(Fraction(part) * denominator) for part in parts)
    return Cost.priced(of_input, of_output, of_tools, denominator=denominator, price_version="test")


@given(amount=amounts)
def test_rounding_is_half_even_to_ten_places(amount: Decimal) -> None:
    rounded = round_money(amount)

    assert Fraction(rounded) == half_even(amount)
    assert rounded.as_tuple().exponent == -PLACES


@pytest.mark.parametrize(
    ("amount", "rounded"),
    [
        ("0.00000000005", "0.0000000000"),
        ("0.00000000015", "0.0000000002"),
        ("0.00000000025", "0.0000000002"),
        ("0.000000000250000000001", "0.0000000003"),
    ],
)
def test_a_tie_goes_to_the_even_neighbour(amount: str, rounded: str) -> None:
    assert str(round_money(Decimal(amount))) == str(Decimal(rounded))


@given(parts=st.tuples(amounts, amounts, amounts))
def test_the_total_is_the_exact_sum_of_the_rounded_parts(
    parts: tuple[Decimal, Decimal, Decimal],
) -> None:
    cost = priced(*parts)

    assert cost.status == "priced"
    assert cost.total_cost is not None
    assert Fraction(cost.total_cost) == sum(half_even(part) for part in parts)
    shown = (cost.input_cost, cost.output_cost, cost.tool_cost)
    assert shown == tuple(round_money(part) for part in parts)


def test_the_precision_a_caller_has_set_does_not_touch_money() -> None:
    """A notebook that sets the decimal context to six digits gets the same cents."""
    with localcontext() as context:
        context.prec = 6
        cost = priced(Decimal("1234.5678901234"), Decimal("1"), Decimal("0.00000000004"))

    assert cost.input_cost == Decimal("1234.5678901234")
    assert cost.total_cost == Decimal("1235.5678901234")


@pytest.mark.parametrize("amount", ["1e10", "9999999999.99999999996", "1e40"])
def test_a_cost_that_no_column_holds_is_an_error_and_not_a_lost_row(amount: str) -> None:
    """Made-up token counts of a provider reach such sums; the row keeps its tokens."""
    cost = priced(Decimal(amount), Decimal(0), Decimal(0))

    assert cost == Cost("error")


def test_the_largest_cost_that_fits_is_kept() -> None:
    largest = Decimal(10 ** (PRECISION - PLACES)) - Decimal(1).scaleb(-PLACES)
    cost = priced(largest, Decimal(0), Decimal(0))

    assert cost.total_cost == largest

"""Money: US dollars as `Decimal` with ten places; it never passes through a float."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Literal

import msgspec

PLACES = 10
PRECISION = 20
SUM_PRECISION = 38
_STEP = Decimal(1).scaleb(-PLACES)
_STEPS_PER_DOLLAR: int = 10**PLACES
_NOTHING = Decimal(0).scaleb(-PLACES)
_LIMIT = 10**PRECISION  # in such steps
# Our own context: what a notebook sets for itself must not touch money.
_EXACT = Context(prec=100, rounding=ROUND_HALF_EVEN)

CostStatus = Literal["priced", "unpriced", "no_usage", "stated", "error"]
"""How a row came by its cost.

`priced`: from token counts and a price; `stated`: no price of ours, the provider or an
imported log named its own; `unpriced`: no price is known for the model; `no_usage`: there
are no token counts to price; `error`: the price could not be worked out. The last
three have null costs, never 0.
"""


def round_money(amount: Decimal) -> Decimal:
    """Return `amount` rounded half-even to ten places."""
    return amount.quantize(_STEP, context=_EXACT)


class Cost(msgspec.Struct, frozen=True):
    """What one request cost in US dollars, or why that is not known.

    The parts are rounded first and added then, so ``total_cost`` is their exact sum.

    Attributes
    ----------
    status
        How the cost was reached.
    input_cost, output_cost, tool_cost
        Prompt (cache reads and writes included), answer, and fees that are not tokens.
    price_version
        What the price was taken from, so that it can be worked out again.
    flags
        What was odd about the price, from `records.flags`.
    """

    status: CostStatus
    input_cost: Decimal | None = None
    output_cost: Decimal | None = None
    tool_cost: Decimal | None = None
    price_version: str | None = None
    total_cost: Decimal | None = None
    flags: tuple[str, ...] = ()

    @classmethod
    def priced(
        cls,
        input_cost: int,
        output_cost: int,
        tool_cost: int,
        *,
        denominator: int,
        price_version: str,
        flags: tuple[str, ...] = (),
    ) -> Cost:
        """Return a cost from its exact parts, each rounded half-even, and their sum.

        The parts are whole numbers of the same fraction of a dollar: no price and no
        division has to be rounded before. A sum that no money column holds, as made-up
        token counts can reach, is an `error`.

        >>> Cost.priced(1, 2, 0, denominator=3, price_version="").total_cost
        Decimal('1.0000000000')
        """
        steps, rest = divmod(_STEPS_PER_DOLLAR, denominator)
        if rest:
            of_input = _steps(input_cost, denominator)
            of_output = _steps(output_cost, denominator)
            of_tools = _steps(tool_cost, denominator)
        else:  # nothing to round: so it is with nearly every price
            of_input = input_cost * steps
            of_output = output_cost * steps
            of_tools = tool_cost * steps
        total = of_input + of_output + of_tools
        if total >= _LIMIT:
            return cls("error")
        return cls(
            "priced",
            _money_of(of_input),
            _money_of(of_output),
            _money_of(of_tools),
            price_version,
            _money_of(total),
            flags,
        )


def _steps(numerator: int, denominator: int) -> int:
    """Return how many ten-billionths of a dollar a fraction is, rounded half-even."""
    whole, rest = divmod(numerator * _STEPS_PER_DOLLAR, denominator)
    twice = 2 * rest
    if twice > denominator or (twice == denominator and whole % 2):
        whole += 1
    return whole


def _money_of(steps: int) -> Decimal:
    return _EXACT.multiply(steps, _STEP) if steps else _NOTHING

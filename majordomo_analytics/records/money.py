"""Money: US dollars as `Decimal` with ten places; it never passes through a float."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Literal

PLACES = 10
PRECISION = 20
SUM_PRECISION = 38
_STEP = Decimal(1).scaleb(-PLACES)
_LIMIT = Decimal(10) ** (PRECISION - PLACES)
# Our own context: what a notebook sets for itself must not touch money. Wide enough for
# whatever price times count can be, as what does not fit a column is turned away by value.
_EXACT = Context(prec=100, rounding=ROUND_HALF_EVEN)

CostStatus = Literal["priced", "unpriced", "no_usage", "stated", "error"]
"""How a row came by its cost.

`priced`: from token counts and a price; `stated`: no price of ours, the provider named its
own; `unpriced`: no price is known for the model; `no_usage`: there are no token counts to
price; `error`: the price could not be worked out. The last three have null costs, never 0.
"""


def round_money(amount: Decimal) -> Decimal:
    """Return `amount` rounded half-even to ten places."""
    return amount.quantize(_STEP, context=_EXACT)


@dataclass(frozen=True, slots=True)
class Cost:
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
    """

    status: CostStatus
    input_cost: Decimal | None = None
    output_cost: Decimal | None = None
    tool_cost: Decimal | None = None
    price_version: str | None = None
    total_cost: Decimal | None = None

    @classmethod
    def priced(
        cls, *, input_cost: Decimal, output_cost: Decimal, tool_cost: Decimal, price_version: str
    ) -> Cost:
        """Return a cost from its parts, each rounded, and their sum.

        A sum that no money column holds, as made-up token counts can reach, is an `error`.
        """
        parts = [round_money(part) for part in (input_cost, output_cost, tool_cost)]
        total = Decimal(0)
        for part in parts:
            total = _EXACT.add(total, part)
        if max(total, *parts) >= _LIMIT:
            return cls("error")
        return cls(
            status="priced",
            input_cost=parts[0],
            output_cost=parts[1],
            tool_cost=parts[2],
            total_cost=total,
            price_version=price_version,
        )

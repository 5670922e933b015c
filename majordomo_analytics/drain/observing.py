"""What a drain tells whoever counts what it does."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from majordomo_analytics.drain.lag import Lag
    from majordomo_analytics.drain.passes import Pass

KINDS = {"input": "input_tokens", "output": "output_tokens"}
PARTS = {
    "cached": "cached_tokens",
    "cache_creation": "cache_creation_tokens",
    "reasoning": "reasoning_tokens",
}
"""What tokens are called when they are counted, and the column that holds them."""

_COLUMNS = ("provider", "model", "cost_status", "total_cost", *KINDS.values(), *PARTS.values())


@dataclass(slots=True)
class Spent:
    """What some requests of one model used and cost; what is unknown counts as nothing.

    Attributes
    ----------
    requests
        How many they are.
    tokens
        The wholes, by the names in `KINDS`.
    parts
        What part of those is something, by the names in `PARTS`.
    cost
        US dollars.
    """

    requests: int = 0
    tokens: Counter[str] = field(default_factory=Counter)
    parts: Counter[str] = field(default_factory=Counter)
    cost: Decimal = Decimal(0)


def spent_in(rows: pa.Table) -> Mapping[tuple[str, str | None, str], Spent]:
    """Return what rows of the lake used and cost, by provider, model and cost status."""
    found: dict[tuple[str, str | None, str], Spent] = defaultdict(Spent)
    for row in rows.select(_COLUMNS).to_pylist():
        spent = found[row["provider"], row["model"], row["cost_status"]]
        spent.requests += 1
        spent.cost += row["total_cost"] or 0
        for tally, columns in ((spent.tokens, KINDS), (spent.parts, PARTS)):
            for name, column in columns.items():
                tally[name] += row[column] or 0
    return found


class Observer(Protocol):
    """Is told what a drain does, from any of its threads; it must not raise."""

    def on_appended(self, rows: pa.Table) -> None:
        """Take note of rows that have just reached the lake and were new there."""
        ...

    def on_pass(self, sink: str, done: Pass) -> None:
        """Take note of what one pass over the spools did for one sink."""
        ...

    def on_lag(self, lag: Lag) -> None:
        """Take note of what is still on its way."""
        ...

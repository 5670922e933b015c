"""How far a result can be trusted: what is known of the cost of its requests.

Every request is in exactly one class, so that the classes add up to all requests.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from majordomo_analytics.plan.filters import All, Filter, Not, OneOf
from majordomo_analytics.plan.measures import Aggregate, Measure

if TYPE_CHECKING:
    from collections.abc import Mapping

_HAS_COST = Not(OneOf("total_cost", (None,)))
_IS_STATED = OneOf("cost_status", ("stated",))
_IS_VAGUE = OneOf("usage_status", ("estimated", "partial"))


def _count(name: str, where: Filter | None = None) -> Measure:
    counted = Aggregate("count") if where is None else Aggregate("count", where=where)
    return Measure(f"coverage: {name}", "requests", name, counted)


COVERAGE = (
    _count("requests"),
    _count("unknown", OneOf("total_cost", (None,))),
    _count("stated", All((_HAS_COST, _IS_STATED))),
    _count("estimated", All((_HAS_COST, Not(_IS_STATED), _IS_VAGUE))),
)
"""Counted with the grand total, from the same requests."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """How many requests of a result have a cost, and how that is known.

    Attributes
    ----------
    requests
        All of them; the other four add up to it.
    priced
        Usage as the provider reported it, at a price of the price list.
    stated
        No price of ours; the cost is the one that the provider or another gateway named.
    estimated
        Priced, but from usage that is estimated or a part of it.
    unknown
        No cost, so in no sum of money.

    Examples
    --------
    >>> print(Coverage(requests=200, priced=180, stated=0, estimated=10, unknown=10))
    cost of 95.0 % of 200 requests is known: 90.0 % priced, 5.0 % estimated; 5.0 % unknown
    """

    requests: int
    priced: int
    stated: int
    estimated: int
    unknown: int

    def __str__(self) -> str:
        if not self.requests:
            return "no requests"
        classes = ("priced", "stated", "estimated")
        parts = [f"{self._share(name)} {name}" for name in classes if getattr(self, name)]
        known = (self.requests - self.unknown) / self.requests
        said = f"cost of {known:.1%} of {self.requests:,} requests is known".replace("%", " %")
        said += f": {', '.join(parts)}" if parts else ""
        return f"{said}; {self._share('unknown')} unknown" if self.unknown else said

    def _share(self, name: str) -> str:
        return f"{getattr(self, name) / self.requests * 100:.1f} %"


def read_coverage(total: Mapping[str, object]) -> Coverage:
    """Return the coverage that a grand total with `COVERAGE` tells."""
    requests, unknown, stated, estimated = (
        int(str(total[measure.name] or 0)) for measure in COVERAGE
    )
    priced = requests - unknown - stated - estimated
    return Coverage(requests, priced, stated, estimated, unknown)

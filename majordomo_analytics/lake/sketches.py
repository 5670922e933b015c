"""How many values a metadata key has and which are the most frequent, in bounded room.

The one home of datasketches. Sketches of parts merge to the sketch of the whole, whatever
the parts: a value that is in several of them counts once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from datasketches import (
    frequent_items_error_type,
    frequent_strings_sketch,
    hll_sketch,
    hll_union,
    tgt_hll_type,
)

if TYPE_CHECKING:
    from datetime import datetime

LG_REGISTERS = 14
"""Of HyperLogLog: 2**14 registers give a standard error of 0.8 % in 8 kB at most."""

LG_COUNTERS = 10
"""Of frequent values: up to 768 values are counted exactly."""

DISTINCT_ERROR = 0.025
"""How far an estimate of distinct values is off at most, in 997 of 1,000 cases."""

FREQUENT_ERROR = 3.5 / 2**LG_COUNTERS
"""By how much of a key's requests the count of a frequent value may be too high."""

# The sketch passes over a text that is empty, which as a value is one like any other.
_MARK = "="


class DistinctValues:
    """A mergeable estimate of how many different values there are: HyperLogLog."""

    def __init__(self) -> None:
        self._union = hll_union(LG_REGISTERS)
        self._own = hll_sketch(LG_REGISTERS, tgt_hll_type.HLL_8)
        self._has_own = False

    def add(self, value: str) -> None:
        """Take one value in."""
        self._own.update(_MARK + value)
        self._has_own = True

    def merge(self, state: bytes) -> None:
        """Take in what another one has seen."""
        self._union.update(hll_sketch.deserialize(state))

    def estimate(self) -> int:
        """Return how many different values were seen: exact up to some thousand."""
        estimate: float = self._merged().get_estimate()
        return round(estimate)

    def to_bytes(self) -> bytes:
        """Return its state, for `merge`."""
        return bytes(self._merged().get_result(tgt_hll_type.HLL_4).serialize_compact())

    def _merged(self) -> Any:
        if self._has_own:
            self._union.update(self._own)
            self._own.reset()
            self._has_own = False
        return self._union


class FrequentValues:
    """A mergeable count of the most frequent values: Misra and Gries, in 768 counters."""

    def __init__(self) -> None:
        self._sketch = frequent_strings_sketch(LG_COUNTERS)

    def add(self, value: str, requests: int) -> None:
        """Count some requests with a value."""
        self._sketch.update(value, requests)

    def merge(self, state: bytes) -> None:
        """Count what another one has."""
        self._sketch.merge(frequent_strings_sketch.deserialize(state))

    def top(self, most: int) -> list[tuple[str, int]]:
        """Return the most frequent values with their requests, the most frequent first.

        Only values that are sure to be among the frequent ones: where no value stands out
        of very many, none.
        """
        kind = frequent_items_error_type.NO_FALSE_POSITIVES
        found = [(row[0], row[1]) for row in self._sketch.get_frequent_items(kind)]
        return sorted(found, key=lambda row: (-row[1], row[0]))[:most]

    def to_bytes(self) -> bytes:
        """Return its state, for `merge`."""
        return bytes(self._sketch.serialize())


@dataclass(slots=True)
class KeyTally:
    """What is known of one metadata key among some requests.

    Attributes
    ----------
    requests
        How many requests have it; exact.
    first_seen, last_seen
        The oldest and the newest of them.
    distinct, frequent
        Its values.
    """

    requests: int
    first_seen: datetime
    last_seen: datetime
    distinct: DistinctValues = field(default_factory=DistinctValues)
    frequent: FrequentValues = field(default_factory=FrequentValues)

    def count(self, requests: int, first_seen: datetime, last_seen: datetime) -> None:
        """Count more requests that have it."""
        self.requests += requests
        self.first_seen = min(self.first_seen, first_seen)
        self.last_seen = max(self.last_seen, last_seen)

"""A plan: the rates of one model, made ready for multiplying, in whole numbers.

Every price is a fraction with the plan's one denominator, so that a cost is a sum of
products of integers: exact, and quick enough for every row.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from math import lcm
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from majordomo_analytics.pricing.units import (
    COUNT_OF,
    EACH_REQUEST,
    FEES,
    MEASURES,
    MISSED,
    check_together,
    hiding,
    is_part,
    registry,
    tiers_of,
    unit_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from fractions import Fraction

    from majordomo_analytics.pricing.units import Rates
    from majordomo_analytics.records.usage import Usage

Verdict = Literal["priceable", "no_usage", "unpriced"]

INPUT, OUTPUT, TOOLS = range(3)
_SIDES = {"input": INPUT, "output": OUTPUT}
# The places of these come first in every plan, whatever it has prices for.
_ALWAYS = ("input_tokens", "output_tokens", *MEASURES, *FEES)
_MEASURE_PLACES = slice(2, 2 + len(MEASURES))
_NEVER, ONCE = -1, -2

Counts = tuple[int | None, ...]


class Line(NamedTuple):
    """One billed unit of a plan, at one length of the prompt.

    Attributes
    ----------
    place
        Where its count stands among the plan's counts, or that none of ours says it.
    parts
        Which of the lines before are billed instead of it.
    hiding
        Places of counts that, all over zero, forbid to take a missing count for zero.
    side
        Which part of the cost it goes to.
    rate
        Its price, as a numerator for the plan's denominator.
    """

    place: int
    parts: tuple[int, ...]
    hiding: tuple[tuple[int, ...], ...]
    side: int
    rate: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What a model's units cost at one time and in one context.

    Attributes
    ----------
    denominator
        What a sum of counts times `rates` is divided by to give US dollars.
    starts
        Numbers of input tokens over which the next of `lines` count.
    lines
        For each length of the prompt what is billed, parts before their wholes.
    read
        Takes the plan's counts out of a `Usage`.
    needs_input, needs_output
        Whether tokens of the prompt and of the answer have a price.
    measures
        Places of counts that are billed instead of tokens.
    unpriced_fees
        Places of counts that are billed beside tokens, but have no price here.
    misses_output
        Whether some kind of output has a price but no count of ours.
    least_audio_ms
        What shorter audio is billed as.
    """

    denominator: int
    starts: tuple[int, ...]
    lines: tuple[tuple[Line, ...], ...]
    read: Callable[[Any], Counts]
    needs_input: bool
    needs_output: bool
    measures: tuple[int, ...]
    unpriced_fees: tuple[int, ...]
    misses_output: bool
    least_audio_ms: int

    @property
    def bills_each_request(self) -> bool:
        """Whether a request has a price, whatever it uses."""
        return any(line.place == ONCE for line in self.lines[0])

    def verdict(self, counts: Counts) -> Verdict:
        """Return whether `counts` say all that a price is needed for."""
        input_tokens, output_tokens = counts[0], counts[1]
        if self.needs_input or self.needs_output:
            if (input_tokens and not self.needs_input) or (output_tokens and not self.needs_output):
                return "unpriced"
            if not (
                (self.needs_input and input_tokens is None)
                or (self.needs_output and output_tokens is None)
            ):
                return "priceable"
            has_no_tokens = input_tokens is None and output_tokens is None
            measured = has_no_tokens and any(counts[place] is not None for place in self.measures)
            return "priceable" if measured else "no_usage"
        lines = self.lines[0]
        if not lines:
            return "priceable" if any(count is not None for count in counts) else "no_usage"
        is_billed_otherwise = self.bills_each_request or any(
            counts[place] is not None for place in self.measures
        )
        # A book may name a fee alone; the tokens beside it are not free for that.
        if (input_tokens or output_tokens) and not is_billed_otherwise:
            return "unpriced"
        if any(
            counts[line.place] is not None if line.place >= 0 else line.place == ONCE
            for line in lines
        ):
            return "priceable" if any(count is not None for count in counts) else "no_usage"
        known = (input_tokens, output_tokens, *counts[_MEASURE_PLACES])
        return "unpriced" if any(count is not None for count in known) else "no_usage"

    def amounts(self, counts: Counts, *, each_request: int = 1) -> tuple[int, int, int]:
        """Return prompt, answer and tools in US dollars times `denominator`.

        Raises
        ------
        ValueError
            If the counts contradict each other.
        """
        if self.least_audio_ms:
            counts = self._with_least_audio(counts)
        lines = self.lines[bisect_left(self.starts, counts[0] or 0) if self.starts else 0]
        sums = [0, 0, 0]
        billed: list[int] = []
        for place, parts, hiding_places, side, rate in lines:
            count = counts[place] if place >= 0 else each_request if place == ONCE else 0
            if count is None:
                for places in hiding_places:
                    if all(counts[hidden] for hidden in places):
                        message = "a part is given without its whole"
                        raise ValueError(message)
                count = 0
            if not count and not parts:
                billed.append(0)
                continue
            for part in parts:
                count -= billed[part]
            if count < 0:
                message = "parts are more than their whole"
                raise ValueError(message)
            billed.append(count)
            sums[side] += count * rate
        return sums[0], sums[1], sums[2]

    def leaves_out(self, counts: Counts) -> bool:
        """Return whether something was or may have been used that the amounts lack."""
        if self.misses_output and counts[1]:
            return True
        for place in self.unpriced_fees:  # noqa: SIM110 - a generator takes three times as long
            if counts[place]:
                return True
        return False

    def _with_least_audio(self, counts: Counts) -> Counts:
        place = _ALWAYS.index("input_audio_ms")
        audio_ms = counts[place]
        if not audio_ms or audio_ms >= self.least_audio_ms:
            return counts
        return (*counts[:place], self.least_audio_ms, *counts[place + 1 :])


def make_plan(rates: Rates, *, share: Fraction | int = 1, least_audio_ms: int = 0) -> Plan:
    """Return the plan of `rates`, of which only `share` is paid.

    Raises
    ------
    ValueError
        If the rates leave open what some tokens cost.
    """
    check_together(rates)
    keys = sorted(rates, key=lambda key: (-len(unit_of(key).dimensions), unit_of(key).usage_key))
    priced = [unit_of(key).usage_key for key in keys]
    hidden = {usage_key: hiding(usage_key) for usage_key in priced}
    own = [COUNT_OF[usage_key] for usage_key in priced if usage_key in COUNT_OF]
    others = [count for entries in hidden.values() for entry in entries for count in entry]
    names = tuple(dict.fromkeys((*_ALWAYS, *own, *others)))
    tiers = [tiers_of(key, rates[key]) for key in keys]
    starts = sorted({start for tier in tiers for start in tier.starts})
    prices = [[tier.over(first) * share for tier in tiers] for first in (-1, *starts)]
    denominator = lcm(*(price.denominator for row in prices for price in row))
    heads = [
        (
            _place(usage_key, names),
            tuple(n for n in range(place) if is_part(priced[n], usage_key)),
            tuple(tuple(map(names.index, entry)) for entry in hidden[usage_key]),
            _SIDES.get(unit_of(key).dimensions.get("direction", ""), TOOLS),
        )
        for place, (key, usage_key) in enumerate(zip(keys, priced, strict=True))
    ]
    return Plan(
        denominator=denominator,
        starts=tuple(starts),
        lines=tuple(
            tuple(
                Line(*head, int(price * denominator))
                for head, price in zip(heads, row, strict=True)
            )
            for row in prices
        ),
        read=attrgetter(*names),
        needs_input="input_tokens" in priced,
        needs_output="output_tokens" in priced,
        measures=tuple(names.index(count) for count in MEASURES if count in own),
        unpriced_fees=tuple(names.index(count) for count in MISSED if keys and count not in own),
        misses_output=any(_is_missed_output(key, hidden[key]) for key in priced),
        least_audio_ms=least_audio_ms,
    )


def _is_missed_output(usage_key: str, hiding_counts: tuple[tuple[str, ...], ...]) -> bool:
    """Return whether a unit is output of which no count of ours says anything."""
    is_output = registry().units[usage_key].dimensions.get("direction") == "output"
    return is_output and usage_key not in COUNT_OF and not hiding_counts


def _place(usage_key: str, names: tuple[str, ...]) -> int:
    if usage_key == EACH_REQUEST:
        return ONCE
    return names.index(COUNT_OF[usage_key]) if usage_key in COUNT_OF else _NEVER


def counted(usage: Usage) -> bool:
    """Return whether `usage` says anything that could have a price."""
    return any(count is not None for count in _everything(usage))


_everything = attrgetter(*dict.fromkeys(COUNT_OF.values()))

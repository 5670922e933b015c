"""What many requests cost at once: the pricer's own plans, in whole numbers and arrays.

`Pricer.price` is what the drain asks for one row, and takes microseconds. Here the same
card and the same plan are taken, and their sums are worked out for all rows of a model
together, exactly.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from math import gcd
from typing import TYPE_CHECKING, cast

import numpy as np

from majordomo_analytics.pricing.plans import ONCE
from majordomo_analytics.records.money import PLACES

if TYPE_CHECKING:
    from majordomo_analytics.pricing.cards import Card
    from majordomo_analytics.pricing.plans import Counts as PlanCounts
    from majordomo_analytics.pricing.plans import Line, Plan
    from majordomo_analytics.sampling.chance import Flags, Ints

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_DAY_US = 86_400_000_000
_STEPS_PER_DOLLAR = 10**PLACES
_MOST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Counts:
    """The counts of many requests; what is missing here is unknown in all of them.

    The names are those of `Usage`, so that a plan reads them as it reads one.
    """

    input_tokens: Ints
    output_tokens: Ints | None = None
    cached_tokens: Ints | None = None
    cache_creation_tokens: Ints | None = None
    cache_creation_5m_tokens: Ints | None = None
    cache_creation_1h_tokens: Ints | None = None
    tool_prompt_tokens: None = None
    input_audio_tokens: None = None
    input_image_tokens: None = None
    input_video_tokens: None = None
    cached_audio_tokens: None = None
    cached_image_tokens: None = None
    cached_video_tokens: None = None
    reasoning_tokens: Ints | None = None
    output_audio_tokens: None = None
    output_image_tokens: None = None
    web_searches: None = None
    social_searches: None = None
    storage_searches: None = None
    code_executions: None = None
    rerank_searches: None = None
    input_audio_ms: None = None
    input_characters: None = None

    def of(self, rows: Ints) -> Counts:
        """Return the counts of some of the requests."""
        held = ((field.name, getattr(self, field.name)) for field in fields(self))
        return Counts(**{name: value[rows] for name, value in held if value is not None})


@dataclass(frozen=True, slots=True)
class Costs:
    """What many requests cost, in ten-billionths of a dollar.

    Attributes
    ----------
    input, output, tools
        The parts, each rounded half-even.
    priced
        Which of them have a price; the others have zeros here that mean nothing.
    flagged
        Which requests have what flags, from `records.flags`.
    """

    input: Ints
    output: Ints
    tools: Ints
    priced: Flags
    flagged: tuple[tuple[Ints, tuple[str, ...]], ...] = ()

    @property
    def total(self) -> Ints:
        """The sum of the parts."""
        return self.input + self.output + self.tools


def costs_of(card: Card, counts: Counts, at_us: Ints) -> Costs:
    """Return what requests cost by the prices of their instants.

    Parameters
    ----------
    card
        What their model costs.
    counts
        What they used; the counts do not contradict each other.
    at_us
        When they were made, in microseconds since 1970.

    Raises
    ------
    OverflowError
        If a sum could leave 64 bits.
    """
    size = len(at_us)
    parts = [np.zeros(size, np.int64) for _ in range(3)]
    priced = np.zeros(size, np.bool_)
    flagged = []
    for rows, instant in _periods(card, at_us):
        entry = card.at(instant)
        if entry is None:
            continue
        used = counts.of(rows)
        plan = entry.plan
        counted = cast("tuple[Ints | None, ...]", plan.read(used))
        most = _most_of(counted)
        if plan.verdict(most) != "priceable":
            continue
        is_short = plan.leaves_out(most) or entry.lacks_fee
        if odd := entry.flags_if_short if is_short else entry.flags:
            flagged.append((rows, odd))
        for part, amount in zip(parts, _amounts(plan, counted, len(rows)), strict=True):
            part[rows] = _rounded(amount, plan.denominator)
        priced[rows] = True
    of_input, of_output, of_tools = parts
    return Costs(of_input, of_output, of_tools, priced, tuple(flagged))


def _periods(card: Card, at_us: Ints) -> list[tuple[Ints, datetime]]:
    """Return which requests are in one period of prices, and an instant in it."""
    changes = np.array([(instant - _EPOCH) // _MICROSECOND for instant in card.instants], np.int64)
    of_day = np.array(
        [
            ((at.hour * 60 + at.minute) * 60 + at.second) * 1_000_000 + at.microsecond
            for at in card.times
        ],
        np.int64,
    )
    period = np.searchsorted(changes, at_us, "right") * (len(of_day) + 1)
    period += np.searchsorted(of_day, at_us % _DAY_US, "right")
    found = []
    for each in np.unique(period):
        rows = np.flatnonzero(period == each)
        found.append((rows, _EPOCH + int(at_us[rows[0]]) * _MICROSECOND))
    return found


def _most_of(counted: tuple[Ints | None, ...]) -> PlanCounts:
    """Return one request's counts that say all that any of them says."""
    return tuple(None if each is None else int(each.max()) for each in counted)


def _amounts(plan: Plan, known: tuple[Ints | None, ...], size: int) -> tuple[Ints, Ints, Ints]:
    """Do what `Plan.amounts` does, for many requests of the same kind."""
    sums = [np.zeros(size, np.int64) for _ in range(3)]
    length = np.zeros(size, np.int64) if known[0] is None else known[0]
    tier = np.searchsorted(np.array(plan.starts, np.int64), length, "left")
    for each in np.unique(tier):
        rows = np.flatnonzero(tier == each)
        of_rows = tuple(None if count is None else count[rows] for count in known)
        for side, amount in _of_lines(plan.lines[int(each)], of_rows, len(rows)):
            sums[side][rows] += amount
    return sums[0], sums[1], sums[2]


def _of_lines(
    lines: tuple[Line, ...], known: tuple[Ints | None, ...], size: int
) -> list[tuple[int, Ints]]:
    found = []
    billed: list[Ints] = []
    for place, parts, _, side, rate in lines:
        count = known[place] if place >= 0 else np.full(size, int(place == ONCE), np.int64)
        rest = np.zeros(size, np.int64) if count is None else count.copy()
        for part in parts:
            rest -= billed[part]
        if size and int(rest.min()) < 0:
            message = "parts are more than their whole"
            raise ValueError(message)
        if size and int(rest.max()) * abs(rate) * len(lines) > _MOST:
            message = f"{int(rest.max())} at a rate of {rate} is more than 64 bits hold"
            raise OverflowError(message)
        billed.append(rest)
        found.append((side, rest * rate))
    return found


def _rounded(amount: Ints, denominator: int) -> Ints:
    """Return fractions of a dollar in ten-billionths, rounded half-even."""
    common = gcd(_STEPS_PER_DOLLAR, denominator)
    factor, divisor = _STEPS_PER_DOLLAR // common, denominator // common
    if amount.size and int(amount.max()) * factor > _MOST // 2:
        message = f"{int(amount.max())} / {denominator} of a dollar is more than 64 bits hold"
        raise OverflowError(message)
    if divisor == 1:
        exact: Ints = amount * factor
        return exact
    whole, rest = np.divmod(amount * factor, divisor)
    twice = 2 * rest
    up = (twice > divisor) | ((twice == divisor) & (whole % 2 == 1))
    rounded: Ints = whole + up
    return rounded

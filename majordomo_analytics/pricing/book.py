"""A price book: prices of one's own, which go before the public ones.

`bookfile` reads one from a file. Of the entries that fit a request the most particular one
counts: what names the request's service tier before what names none, an exact model before
a pattern, a longer pattern before a shorter one, what means the name in the answer before
what means another, a provider before any provider.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING

from majordomo_analytics.pricing.context import can_meet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from majordomo_analytics.pricing.context import Context
    from majordomo_analytics.pricing.names import Candidate
    from majordomo_analytics.pricing.units import Rates

ANY = "*"
_BEFORE_ALL = datetime.min.replace(tzinfo=UTC)
_AFTER_ALL = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Pattern:
    """Which names of models an entry is for: ``*`` is any text, ``?`` any character.

    Attributes
    ----------
    text
        As written, in lower case.
    """

    text: str

    @property
    def is_exact(self) -> bool:
        """Whether it is a name and no pattern."""
        return ANY not in self.text and "?" not in self.text

    @property
    def rank(self) -> tuple[bool, int]:
        """How particular it is; the greater counts."""
        # Of two exact names the longer says no more about what answered.
        return self.is_exact, 0 if self.is_exact else len(self.text.replace(ANY, ""))

    def matches(self, name: str) -> bool:
        """Return whether a name in lower case is meant."""
        if self.is_exact:
            return name == self.text
        return _regex(self.text).fullmatch(name) is not None

    def meets(self, other: Pattern) -> bool:
        """Return whether some name is meant by both.

        >>> [Pattern("gpt-4*").meets(Pattern(other)) for other in ("*-mini", "o3*")]
        [True, False]
        """
        if self.is_exact and other.is_exact:
            return self.text == other.text
        return _meet(self.text, other.text)


@dataclass(frozen=True, slots=True)
class Entry:
    """One price of a book.

    Attributes
    ----------
    line
        Where it stands in the file.
    provider
        Our name of a provider, or ``*``.
    model
        The models it is for.
    valid_from, valid_until
        When it counts, half-open, UTC; None for always.
    context
        The service tier or the like that it is for; empty if it names none.
    rates
        Prices of its own by price key; empty if it changes a public price.
    like
        Where the public price of another model is to be looked for, if that is what counts.
    share
        How much of the public price is paid.
    """

    line: int
    provider: str
    model: Pattern
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    context: Context = ()
    rates: Rates = field(default_factory=dict)
    like: tuple[Candidate, ...] = ()
    share: Fraction = Fraction(1)

    def is_valid(self, at: datetime) -> bool:
        """Return whether it counts at an instant."""
        return (self.valid_from is None or at >= self.valid_from) and (
            self.valid_until is None or at < self.valid_until
        )

    def contradicts(self, other: Entry) -> bool:
        """Return whether neither of two entries goes before the other for some request."""
        return (
            self.provider == other.provider
            and len(self.context) == len(other.context)
            and can_meet(self.context, other.context)
            and self.model.rank == other.model.rank
            and self.model.meets(other.model)
            and (
                self.valid_until is None
                or other.valid_from is None
                or other.valid_from < self.valid_until
            )
            and (
                other.valid_until is None
                or self.valid_from is None
                or self.valid_from < other.valid_until
            )
        )

    def settles(self, one: Entry, other: Entry) -> bool:
        """Return whether it goes before both of two entries wherever they contradict."""
        both = {*one.context, *other.context}
        starts = [start for start in (one.valid_from, other.valid_from) if start is not None]
        ends = [end for end in (one.valid_until, other.valid_until) if end is not None]
        return (
            self.provider == one.provider
            and self.model.text in {one.model.text, other.model.text}
            and len(self.context) > len(one.context)
            and set(self.context) == both
            and (self.valid_from is None or self.valid_from <= max(starts, default=_BEFORE_ALL))
            and (self.valid_until is None or self.valid_until >= min(ends, default=_AFTER_ALL))
        )


@dataclass(frozen=True, slots=True)
class PriceBook:
    """Prices of one's own.

    Attributes
    ----------
    entries
        In the order of the file.
    version
        Which book it is: the beginning of the file's SHA-256.
    """

    entries: tuple[Entry, ...]
    version: str

    def fitting(self, provider: str, names: Sequence[str], context: Context) -> tuple[Entry, ...]:
        """Return the entries for a model, at whatever time, the first to count first."""
        found = []
        for entry in self.entries:
            places = [place for place, name in enumerate(names) if entry.model.matches(name)]
            if places and entry.provider in {ANY, provider} and set(entry.context) <= set(context):
                is_exact, length = entry.model.rank
                rank = (len(entry.context), is_exact, length, -places[0], entry.provider != ANY)
                found.append((rank, entry))
        # Sorting is stable: what still ties stands in the order of the file.
        found.sort(key=lambda pair: pair[0], reverse=True)
        return tuple(entry for _, entry in found)


@lru_cache(maxsize=4096)
def _regex(text: str) -> re.Pattern[str]:
    wild = {ANY: ".*", "?": "."}
    return re.compile("".join(wild.get(c) or re.escape(c) for c in text), re.DOTALL)


def _meet(one: str, other: str) -> bool:
    """Return whether two patterns have a name in common, by the lengths used of each."""
    reached = {(0, 0)}
    todo = [(0, 0)]
    while todo:
        left, right = todo.pop()
        if (left, right) == (len(one), len(other)):
            return True
        a, b = one[left : left + 1], other[right : right + 1]
        steps = []
        if a == ANY:
            steps += [(left + 1, right), (left, right + 1)] if b else [(left + 1, right)]
        if b == ANY:
            steps += [(left, right + 1), (left + 1, right)] if a else [(left, right + 1)]
        if a and b and ANY not in {a, b} and (a == b or "?" in {a, b}):
            steps.append((left + 1, right + 1))
        for step in steps:
            if step not in reached:
                reached.add(step)
                todo.append(step)
    return False

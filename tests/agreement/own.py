"""Random dimensions and measures of a user's own, as data that the oracle reads too."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from typing import Any

from hypothesis import strategies as st

import majordomo_analytics as ma
from majordomo_analytics.plan.dimensions import Derived
from majordomo_analytics.plan.filters import EVERYTHING, Filter
from tests.agreement.ledgers import Row
from tests.agreement.patterns import Pattern, patterns

TEXTS = ("provider", "model", "outcome", "request_path")
UNITS = ("hour of day", "weekday", "day of month", "month of year")
CALENDAR_PARTS = {unit.replace(" ", "_"): unit for unit in UNITS}
COUNTED = ("requests", "users", "total_cost", "total_tokens", "errors", "output_tokens")
"""Measures that are no ratio: what others are divided by."""
WHOLE = ("input_tokens", "output_tokens", "cached_tokens", "response_time_ms", "retry_attempt")
MONEY = ("total_cost", "input_cost", "output_cost")
LEVELS = (0.5, 0.95, 0, 1, 0.25, 1 / 3, 0.9, 0.999)


@dataclass(frozen=True)
class OwnDimension:
    """A dimension of a user's own, as the arguments of `ma.dimension`."""

    name: str
    of: str
    way: str
    how: Any
    default: str | None = None
    labels: tuple[str, ...] | None = None
    part: int = 0

    @property
    def interval_labels(self) -> tuple[str, ...]:
        """What a result calls the intervals."""
        if self.labels is not None:
            return self.labels
        ends = [str(int(one)) if one == int(one) else format(one, "f") for one in self.how]
        middle = [f"{low} to < {high}" for low, high in pairwise(ends)]
        return (f"< {ends[0]}", *middle, f"≥ {ends[-1]}")

    def made(self) -> Derived:
        how: Any = self.how
        if self.way == "mapping":
            how = dict(how)
        if self.way == "patterns":
            how = {pattern.written: label for pattern, label in how}
        given: dict[str, Any] = {self.way: how}
        if self.way in ("mapping", "patterns"):
            given["default"] = self.default
        if self.way == "edges":
            given["labels"] = self.labels
        if self.way == "split":
            given["part"] = self.part
        return ma.dimension(self.name, self.of, **given)


@dataclass(frozen=True)
class OwnMeasure:
    """A measure of a user's own, as the arguments of `ma.measure`."""

    name: str
    how: str
    of: tuple[str, ...]
    where: Filter = EVERYTHING
    level: float = 0.5
    per: str | None = None
    scale: int = 1

    def made(self) -> ma.Measure:
        given: dict[str, Any] = {"where": self.where, "per": self.per, "scale": self.scale}
        if self.how == "of":
            return ma.measure(self.name, self.of[0], **given)
        if self.how == "quantile":
            given["level"] = self.level
        given[self.how] = list(self.of) if self.how == "sum" else self.of[0]
        return ma.measure(self.name, **given)


@st.composite
def own_dimensions(draw: st.DrawFn, rows: list[Row], keys: list[str]) -> tuple[OwnDimension, ...]:
    """Draw up to two dimensions; the second may be made of the first."""
    first = draw(st.none() | _dimension("own", rows, keys, None))
    if first is None:
        return ()
    second = draw(st.none() | _dimension("Own Too", rows, keys, first))
    return (first,) if second is None else (first, second)


@st.composite
def own_measures(
    draw: st.DrawFn, name: str, wheres: st.SearchStrategy[Filter], distinct: list[str]
) -> OwnMeasure:
    """Draw a measure of any kind, perhaps of some requests only, or per another one."""
    how = draw(st.sampled_from(["of", "sum", "mean", "quantile", "distinct"]))
    number = st.sampled_from([*WHOLE, *MONEY])
    level = 0.5
    of: tuple[str, ...]
    match how:
        case "of":
            of = (draw(st.sampled_from([*COUNTED, "p95_response_time_ms"])),)
        case "sum":
            columns = st.lists(st.sampled_from(WHOLE), min_size=1, max_size=3, unique=True)
            of = tuple(draw(columns | st.just(["input_cost", "output_cost"])))
        case "distinct":
            of = (draw(st.sampled_from(distinct)),)
        case _:
            of = (draw(number),)
            level = draw(st.sampled_from(LEVELS)) if how == "quantile" else level
    per = draw(st.none() | st.sampled_from(COUNTED)) if how != "mean" else None
    return OwnMeasure(
        name,
        how,
        of,
        draw(st.just(EVERYTHING) | wheres),
        level,
        per,
        1 if per is None else draw(st.sampled_from([1, 1000])),
    )


def texts_of(rows: list[Row], name: str) -> list[str]:
    """Return the values of a text column or a metadata key, each once."""
    found = {_text_of(row, name) for row in rows}
    return sorted(value for value in found if value is not None)


@st.composite
def _dimension(
    draw: st.DrawFn, name: str, rows: list[Row], keys: list[str], first: OwnDimension | None
) -> OwnDimension:
    of = draw(st.sampled_from([*keys, *TEXTS]))
    texts = texts_of(rows, of) or ["a-b", "c"]
    if first is not None and first.way not in ("edges", "calendar") and draw(st.booleans()):
        of, texts = first.name, ["a", "b-a", *texts]
    label = st.sampled_from(["a", "b-a", "Z", "é", "it's", "", "(untagged)"])
    default = draw(st.none() | label)
    match draw(st.sampled_from(["mapping", "patterns", "edges", "split", "calendar"])):
        case "mapping":
            some = st.lists(st.sampled_from(texts), max_size=4, unique=True)
            chosen = draw(st.just(texts) | some)  # all of them may be many: a table is joined
            labels = draw(st.lists(label, min_size=1, max_size=3))
            table = tuple((text, labels[n % len(labels)]) for n, text in enumerate(chosen))
            return OwnDimension(name, of, "mapping", table, default)
        case "patterns":
            some_rules = st.lists(st.tuples(patterns(texts), label), min_size=1, max_size=3)
            rules: dict[str, tuple[Pattern, str]] = {}
            for pattern, becomes in draw(some_rules):
                rules.setdefault(pattern.written, (pattern, becomes))
            return OwnDimension(name, of, "patterns", tuple(rules.values()), default)
        case "edges":
            return draw(_intervals(name, rows))
        case "split":
            separator = draw(st.sampled_from(["-", "/", "a", "--", ".", "%", "'", "er", "\n"]))
            part = draw(st.sampled_from([0, 1, 2, -1, -2]))
            return OwnDimension(name, of, "split", separator, part=part)
        case _:
            unit = draw(st.sampled_from(UNITS))
            return OwnDimension(name, "requested_at", "calendar", unit)


@st.composite
def _intervals(draw: st.DrawFn, name: str, rows: list[Row]) -> OwnDimension:
    of = draw(st.sampled_from([*WHOLE, *MONEY, "status_code"]))
    known = sorted({row[of] for row in rows} - {None}) or [1]
    shift = st.sampled_from([Decimal(0), Decimal(0), Decimal("0.5"), Decimal("1e-11")])
    edge = st.builds(lambda value, by: value + by if by else value, st.sampled_from(known), shift)
    edges = sorted(draw(st.lists(edge, min_size=1, max_size=4, unique=True)))
    named = tuple("zyxwv"[: len(edges) + 1])  # not in the order of the alphabet
    return OwnDimension(
        name, of, "edges", tuple(edges), labels=draw(st.sampled_from([None, named]))
    )


def _text_of(row: Row, name: str) -> str | None:
    if name in row:
        value: str | None = row[name]
        return value
    tags: dict[str, str] = dict(row["raw_metadata"])
    return tags.get(name, tags.get(name.lower()))

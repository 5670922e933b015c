"""From a plan to a lazy frame of few columns, and from that to groups and measures."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import polars as pl

from majordomo_analytics.engines.polars.aggregates import finish, measured, part
from majordomo_analytics.engines.polars.buckets import bucket
from majordomo_analytics.engines.polars.conditions import condition
from majordomo_analytics.engines.polars.expressions import Values
from majordomo_analytics.plan.measures import Aggregate
from majordomo_analytics.plan.plan import OTHER, UNTAGGED

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from majordomo_analytics.engines.polars.aggregates import Part
    from majordomo_analytics.plan.measures import Measure
    from majordomo_analytics.plan.plan import Plan

BUCKET = "bucket"
BEYOND = "beyond"
_KEPT = "kept"


@dataclass(frozen=True, slots=True)
class Answering:
    """Answers one plan over lazy requests.

    Attributes
    ----------
    plan
        What is asked.
    requests
        What may be among it, in the types of our own columns.
    """

    plan: Plan
    requests: pl.LazyFrame
    _values: Values = field(init=False)

    def __post_init__(self) -> None:
        stored = self.requests.collect_schema()
        object.__setattr__(self, "_values", Values(self.plan, stored))

    def limited(self) -> pl.LazyFrame:
        """Return the plan's requests: its time range and its filters hold."""
        plan, at, instant = self.plan, pl.col("requested_at"), pl.Datetime("us", "UTC")
        conditions = []
        if plan.time_range.start is not None:
            conditions.append(at >= pl.lit(plan.time_range.start, dtype=instant))
        if plan.time_range.end is not None:
            conditions.append(at < pl.lit(plan.time_range.end, dtype=instant))
        holds = condition(plan.filters, self._values.named)
        if holds is not None:
            conditions.append(holds)
        return self.requests.filter(*conditions) if conditions else self.requests

    def answer(self) -> pl.DataFrame:
        """Return bucket, dimensions, whether beyond the limit, and measures by group."""
        plan = self.plan
        dimensions = self._dimensions()
        parts = self._parts(plan.measures)
        keys = {BUCKET: bucket(plan)} if plan.grain is not None else {}
        picked = self._picked({**keys, **dimensions}, parts)
        groups = [*keys, *dimensions]
        if dimensions and (plan.limit is not None or plan.kept is not None):
            picked, groups = self._cut(picked, groups, list(dimensions))
        found = _grouped(picked, groups, parts.values())
        measures = [
            measured(measure, parts).alias(f"measure {n}")
            for n, measure in enumerate(plan.measures)
        ]
        return finish(found, parts).select(*groups, *measures)

    def _dimensions(self) -> dict[str, pl.Expr]:
        """Return each dimension by a name of ours; text ones say what is untagged."""
        found = {}
        for n, dimension in enumerate(self.plan.dimensions):
            value, _ = self._values.of(dimension)
            found[f"by {n}"] = value.fill_null(UNTAGGED) if dimension.kind == "text" else value
        return found

    def _parts(self, measures: Iterable[Measure]) -> dict[Aggregate, Part]:
        wanted: dict[Aggregate, None] = {}
        for measure in measures:
            of = measure.of
            one = (of,) if isinstance(of, Aggregate) else (of.numerator, of.denominator)
            wanted |= dict.fromkeys(one)
        return {
            aggregate: part(f"part {n}", aggregate, self._values)
            for n, aggregate in enumerate(wanted)
        }

    def _picked(self, keys: dict[str, pl.Expr], parts: dict[Aggregate, Part]) -> pl.LazyFrame:
        inputs = dict(keys)
        for one in parts.values():
            inputs |= one.picked
        if not inputs:  # a frame without columns would have no rows either
            inputs = {_KEPT: pl.col("requested_at")}
        return self.limited().select(value.alias(name) for name, value in inputs.items())

    def _cut(
        self, picked: pl.LazyFrame, groups: list[str], dimensions: list[str]
    ) -> tuple[pl.LazyFrame, list[str]]:
        """Keep the combinations that come first, and make one of the rest or drop it."""
        plan = self.plan
        kept = self._ranked(dimensions) if plan.kept is None else self._given(dimensions)
        if not plan.other:
            return picked.join(kept, on=dimensions, how="semi", nulls_equal=True), groups
        marked = kept.with_columns(pl.lit(value=True).alias(_KEPT))
        joined = picked.join(marked, on=dimensions, how="left", nulls_equal=True)
        rest = pl.col(_KEPT).is_null()
        shown = [
            pl.when(rest)
            .then(pl.lit(OTHER if dimension.kind == "text" else None))
            .otherwise(pl.col(name))
            .alias(name)
            for name, dimension in zip(dimensions, plan.dimensions, strict=True)
        ]
        if any(dimension.kind != "text" for dimension in plan.dimensions):
            shown.append(rest.alias(BEYOND))
            groups = [*groups, BEYOND]
        return joined.with_columns(shown), groups

    def _ranked(self, dimensions: Sequence[str]) -> pl.LazyFrame:
        """Return the first combinations of dimension values over the whole range.

        They are found before anything is grouped by time: memory is that of the
        combinations, not of the requests.
        """
        plan = self.plan
        measures = {measure.name: measure for measure in plan.measures}
        columns = dict(zip((d.name for d in plan.dimensions), dimensions, strict=True))
        falling = {ordering.name: ordering.descending for ordering in plan.order}
        order = [
            name
            for name in dict.fromkeys((*falling, *columns))
            if name in measures or name in columns  # not time: it is over the whole range
        ]
        parts = self._parts(measures[name] for name in order if name in measures)
        picked = self._picked(self._dimensions(), parts)
        found = finish(_grouped(picked, dimensions, parts.values()), parts)
        by = [
            measured(measures[name], parts) if name in measures else pl.col(columns[name])
            for name in order
        ]
        descending = [falling.get(name, False) for name in order]
        first = found.sort(by, descending=descending, nulls_last=True).head(plan.limit or 0)
        return first.lazy().select(dimensions)

    def _given(self, dimensions: Sequence[str]) -> pl.LazyFrame:
        """Return the combinations that the plan names itself."""
        schema = self.requests.select(
            value.alias(name) for name, value in self._dimensions().items()
        ).collect_schema()
        return pl.LazyFrame(self.plan.kept or (), schema=schema, orient="row").select(dimensions)


def _grouped(picked: pl.LazyFrame, groups: Sequence[str], parts: Iterable[Part]) -> pl.DataFrame:
    grouped = [made for one in parts for made in one.grouped]
    if not groups:
        return picked.select(grouped).collect(engine="streaming")
    return picked.group_by(groups).agg(grouped).collect(engine="streaming")

"""An earlier period beside the one asked about: its value, the change, and its share.

Rows are matched by their dimensions and, over time, by the place of their bucket: the third
day with the third day, January with January. What only the earlier period has a bucket for
(its 31st, beside a month of 30 days) is in rows without one: no cost is left out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import polars as pl

from majordomo_analytics.engines.base import measure_type, sorted_rows
from majordomo_analytics.errors import QueryError
from majordomo_analytics.ledger.gaps import is_zero_of_nothing
from majordomo_analytics.plan.plan import OTHER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from majordomo_analytics.engines.base import Engine, Number, Selected
    from majordomo_analytics.plan.buckets import Bucket
    from majordomo_analytics.plan.measures import Measure
    from majordomo_analytics.plan.plan import Ordering, Plan

BEFORE, CHANGE, SHARE = "_before", "_change", "_change_share"
_PLACE, _HERE, _THERE = "\0place", "\0here", "\0there"  # no column of a result is called so


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two periods.

    Attributes
    ----------
    rows
        Its rows, gaps filled.
    buckets
        Its time buckets in order, none without a time grain.
    total
        Its totals.
    """

    rows: pl.DataFrame
    buckets: Sequence[Bucket]
    total: dict[str, Number]


def compared_columns(measures: Sequence[Measure]) -> tuple[str, ...]:
    """Return the columns that a comparison adds, in order."""
    return tuple(measure.name + end for measure in measures for end in (BEFORE, CHANGE, SHARE))


def compared_units(measures: Sequence[Measure]) -> dict[str, str]:
    """Return the unit of each column that a comparison adds."""
    units = {BEFORE: None, CHANGE: None, SHARE: "share"}
    return {m.name + end: unit or m.unit for m in measures for end, unit in units.items()}


def check_names(plan: Plan) -> None:
    """Raise `QueryError` where an added column would be called like one that is there."""
    if taken := [name for name in compared_columns(plan.measures) if name in plan.columns]:
        message = f"two columns of the result would be called {taken[0]!r}"
        raise QueryError(message)


def combinations(selected: Selected, plan: Plan) -> tuple[tuple[object, ...], ...]:
    """Return the combinations of values that a limit kept, as the engine has them."""
    frame = selected.frame
    first = 0 if plan.grain is None else 1
    names = frame.columns[first : first + len(plan.dimensions)]
    if frame.width > len(plan.columns):
        frame = frame.filter(~pl.col(frame.columns[first + len(names)]))
    kept = frame.select(names).unique(maintain_order=True).rows()
    return tuple(row for row in kept if not plan.other or any(value != OTHER for value in row))


def most_changed(
    engine: Engine, plan: Plan, before: Plan, order: Sequence[Ordering]
) -> tuple[tuple[object, ...], ...]:
    """Return the combinations to keep when they are ranked by what changed.

    An engine ranks by the measures of one period; by those of two, every combination of the
    whole range has to be read once.
    """
    keys = [f"\0{i}" for i in range(len(plan.dimensions))]
    frames = []
    for period in (plan, before):
        every = replace(period, grain=None, order=(), limit=None)
        frame = engine.select(every).frame
        names = [*keys, *(measure.name for measure in plan.measures)]
        frame = frame.rename(dict(zip(frame.columns, names, strict=True)))
        types = [pl.col(m.name).cast(measure_type(m, plan)) for m in plan.measures]
        frames.append(frame.with_columns(types))
    rows = _joined(*_alike(frames[0], frames[1], keys), keys, plan.measures)
    key_of = {d.name: key for d, key in zip(plan.dimensions, keys, strict=True)}
    falling = {key_of.get(one.name, one.name): one.descending for one in order}
    falling |= dict.fromkeys((key for key in keys if key not in falling), False)
    falling.pop(plan.grain or "", None)
    rows = rows.sort(list(falling), descending=list(falling.values()), nulls_last=True)
    return tuple(rows.head(plan.limit or 0).select(keys).rows())


def side_by_side(
    here: Side, before: Side, plan: Plan, order: Sequence[Ordering]
) -> tuple[pl.DataFrame, dict[str, Number]]:
    """Return rows and totals of a period with those of an earlier one beside them.

    Parameters
    ----------
    here, before
        The period asked about, and the earlier one.
    plan
        What was asked.
    order
        The order of the rows, in which added columns may be named.

    Returns
    -------
    rows
        The plan's columns, and after each measure its ``…_before``, its ``…_change`` (both
        of its dtype) and its ``…_change_share`` (``Float64``, null when that was 0 or
        unknown).
    total
        The same of the totals.
    """
    names = [dimension.name for dimension in plan.dimensions]
    keys = [*names, *([_PLACE] if plan.grain else [])]
    rows = _joined(*_alike(_placed(here, plan), _placed(before, plan), names), keys, plan.measures)
    if plan.grain:
        rows = rows.with_columns(_bucket_at(here, plan.grain))
    labels = plan.columns[: -len(plan.measures)]
    shown = [name for m in plan.measures for name in (m.name, *compared_columns([m]))]
    schema = {measure.name: measure_type(measure, plan) for measure in plan.measures}
    one, other = (pl.DataFrame([side.total], schema=schema) for side in (here, before))
    total = _joined(one, other, [], plan.measures)
    rows = sorted_rows(rows.select([*labels, *shown]), plan, order)
    return rows, total.select(shown).row(0, named=True)


def _joined(
    one: pl.DataFrame, other: pl.DataFrame, keys: Sequence[str], measures: Sequence[Measure]
) -> pl.DataFrame:
    """Return both periods in one row for each key, and what changed.

    A period that has no row for a key had no requests there: 0 where that is the measure of
    nothing, else unknown. A change is unknown where either value is.
    """
    other = other.select(*keys, *(pl.col(m.name).alias(m.name + BEFORE) for m in measures))
    if keys:
        one, other = one.with_columns(_mark(_HERE)), other.with_columns(_mark(_THERE))
        rows = one.join(other, on=keys, how="full", coalesce=True, nulls_equal=True)
        rows = rows.with_columns(
            pl.when(side)
            .then(pl.col(name))
            .otherwise(pl.lit(0).cast(rows.schema[name]))
            .alias(name)
            for measure in measures
            if is_zero_of_nothing(measure)
            for name, side in ((measure.name, _HERE), (measure.name + BEFORE, _THERE))
        )
    else:
        rows = pl.concat([one, other], how="horizontal")
    changes = []
    for measure in measures:
        now, before = pl.col(measure.name), pl.col(measure.name + BEFORE)
        change = (now - before).cast(rows.schema[measure.name])
        share = pl.when(before != 0).then(change.cast(pl.Float64) / before.cast(pl.Float64))
        changes += [change.alias(measure.name + CHANGE), share.alias(measure.name + SHARE)]
    return rows.with_columns(changes)


def _mark(name: str) -> pl.Expr:
    return pl.lit(value=True).alias(name)


def _placed(side: Side, plan: Plan) -> pl.DataFrame:
    """Return the rows with the place of their bucket, counted from 0, and without it."""
    if plan.grain is None:
        return side.rows
    places = pl.DataFrame(
        {plan.grain: side.buckets, _PLACE: range(len(side.buckets))},
        schema={plan.grain: side.rows.schema[plan.grain], _PLACE: pl.Int64},
    )
    return side.rows.join(places, on=plan.grain, how="left").drop(plan.grain)


def _bucket_at(side: Side, grain: str) -> pl.Expr:
    """Return the bucket at each place, null beyond the last one."""
    kind = side.rows.schema[grain]
    buckets = pl.Series(side.buckets, dtype=kind)
    places = pl.Series(range(len(side.buckets)), dtype=pl.Int64)
    return (
        pl.col(_PLACE).replace_strict(places, buckets, default=None, return_dtype=kind).alias(grain)
    )


def _alike(
    one: pl.DataFrame, other: pl.DataFrame, names: Sequence[str]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return both frames with text where either has ``(untagged)`` or ``(other)``."""
    text = [name for name in names if one.schema[name] != other.schema[name]]
    casts = [pl.col(name).cast(pl.String) for name in text]
    return one.with_columns(casts), other.with_columns(casts)

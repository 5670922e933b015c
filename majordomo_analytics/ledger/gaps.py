"""Time buckets in which nothing happened: rows that say so, instead of no rows.

What nothing adds up to is known: 0 requests, 0 tokens, $0. A ratio or a quantile of nothing
is not, and stays null.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import polars as pl

from majordomo_analytics.engines.base import SUM_OF_MONEY, measure_type, sorted_rows
from majordomo_analytics.errors import QueryError
from majordomo_analytics.plan.buckets import buckets_between
from majordomo_analytics.plan.measures import Aggregate
from majordomo_analytics.times import TimeRange

if TYPE_CHECKING:
    from collections.abc import Sequence

    from majordomo_analytics.engines.base import Answer, Number
    from majordomo_analytics.plan.buckets import Bucket
    from majordomo_analytics.plan.measures import Measure
    from majordomo_analytics.plan.plan import Plan

MOST_ROWS = 2_000_000


def buckets_of(rows: pl.DataFrame, plan: Plan, held: TimeRange, now: datetime) -> list[Bucket]:
    """Return the buckets that a result over time has, with its gaps.

    They reach over the time range that was asked about, as far as it has passed; on a side
    that is open, to the first or last bucket with a request.

    Parameters
    ----------
    rows
        The rows, of which a bucket after `now` is kept too.
    plan
        What was asked.
    held
        A range that holds all requests of the source.
    now
        The present instant.
    """
    if plan.grain is None:
        return []
    asked = plan.time_range
    found = [instant_of(bucket) for bucket in buckets_in(rows, plan)]
    if held.start is None or held.end is None:
        held = TimeRange(now, now)
    start = held.start if asked.start is None else asked.start
    end = held.end if asked.end is None else min(asked.end, max(now, held.end))  # type: ignore[type-var]
    buckets = buckets_between(plan, TimeRange(start, end))
    if asked.start is None:
        buckets = [bucket for bucket in buckets if found and instant_of(bucket) >= found[0]]
    if asked.end is None:
        buckets = [bucket for bucket in buckets if found and instant_of(bucket) <= found[-1]]
    return buckets


def buckets_in(rows: pl.DataFrame, plan: Plan) -> list[Bucket]:
    """Return the buckets that rows are in, in order."""
    if plan.grain is None:
        return []
    found: list[Bucket] = rows.get_column(plan.grain).drop_nulls().unique().sort().to_list()
    return found


def instant_of(bucket: Any) -> Any:
    """Return a bucket as it is to be compared.

    Python compares two times of one zone by the clock on the wall, which shows one hour
    twice when clocks go back.
    """
    return bucket.astimezone(UTC) if isinstance(bucket, datetime) else bucket


def of_nothing(answer: Answer, plan: Plan) -> dict[str, Number]:
    """Return the total; of no requests at all what nothing adds up to, as rows have it."""
    if answer.coverage.requests:
        return answer.total
    return {
        measure.name: (Decimal(0) if of_money(measure, plan) else 0)
        if answer.total[measure.name] is None and is_zero_of_nothing(measure)
        else answer.total[measure.name]
        for measure in plan.measures
    }


def of_money(measure: Measure, plan: Plan) -> bool:
    """Return whether a measure is an amount."""
    return measure_type(measure, plan) == SUM_OF_MONEY


def fill_gaps(rows: pl.DataFrame, plan: Plan, buckets: Sequence[Bucket]) -> pl.DataFrame:
    """Return `rows` with one for each bucket and each combination of dimension values.

    Raises
    ------
    QueryError
        If they would be more than `MOST_ROWS`.
    """
    if plan.grain is None or not buckets:
        return rows
    names = [dimension.name for dimension in plan.dimensions]
    groups = rows.select(names).unique() if names else None
    if names and groups is not None and groups.height * len(buckets) > MOST_ROWS:
        message = (
            f"{groups.height:,} combinations of {' and '.join(names)} in {len(buckets):,} buckets "
            f"of a {plan.grain} are more than {MOST_ROWS:,} rows; say limit=…, ask for a longer "
            "time_grain, or leave gaps with fill_gaps=False"
        )
        raise QueryError(message)
    wanted = pl.DataFrame({plan.grain: buckets}, schema={plan.grain: rows.schema[plan.grain]})
    if groups is not None:
        wanted = wanted.join(groups, how="cross")
    keys = [plan.grain, *names]
    missing = wanted.join(rows, on=keys, how="anti", nulls_equal=True)
    if not missing.height:
        return rows
    nothing = missing.with_columns(
        pl.lit(0 if is_zero_of_nothing(measure) else None)
        .cast(rows.schema[measure.name])
        .alias(measure.name)
        for measure in plan.measures
    )
    return sorted_rows(pl.concat([rows, nothing.select(rows.columns)]), plan)


def is_zero_of_nothing(measure: Measure) -> bool:
    """Return whether a measure of no requests is 0, and not unknown."""
    return isinstance(measure.of, Aggregate) and measure.of.how in ("count", "sum", "distinct")

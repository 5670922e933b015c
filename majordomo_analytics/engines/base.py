"""What an engine promises, and the shape every engine gives its rows in the end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

import polars as pl

from majordomo_analytics.engines.quantiles import hangs_on_quantile, rounded_quantile
from majordomo_analytics.plan.coverage import COVERAGE, read_coverage
from majordomo_analytics.plan.dimensions import Bucketed
from majordomo_analytics.plan.measures import Aggregate
from majordomo_analytics.plan.plan import OTHER, UNTAGGED
from majordomo_analytics.records.money import PLACES, SUM_PRECISION

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager
    from decimal import Decimal

    from majordomo_analytics.plan.coverage import Coverage
    from majordomo_analytics.plan.dimensions import Dimension
    from majordomo_analytics.plan.fields import Catalogue, Kind
    from majordomo_analytics.plan.measures import Measure
    from majordomo_analytics.plan.plan import Ordering, Plan
    from majordomo_analytics.times import TimeRange

Number: TypeAlias = "Decimal | int | float | None"

SUM_OF_MONEY = pl.Decimal(SUM_PRECISION, PLACES)
_ORDERED = "\0"  # before a name: a column that only the rows are ordered by
_TYPES: dict[Kind, pl.DataType] = {"integer": pl.Int64(), "money": SUM_OF_MONEY}


@dataclass(frozen=True, slots=True)
class Selected:
    """What an engine read for one plan, before it has the plan's shape.

    Attributes
    ----------
    frame
        The time bucket (a UTC timestamp or a date), the dimensions (text ones with their
        labels), a column ``is_other`` when a dimension that is no text may be beyond the
        limit, and the measures; in this order, under any names, the rows in any order.
    sql
        A statement that gives these rows, or what writes it when somebody wants to see it;
        None when they come from no SQL.
    """

    frame: pl.DataFrame
    sql: str | Callable[[], str] | None


@dataclass(frozen=True, slots=True)
class Answer:
    """What an engine found.

    Attributes
    ----------
    rows
        The rows as the plan describes them, in its order.
    total
        Each measure over all the requests the plan speaks of.
    coverage
        How many of these requests have a cost.
    selected
        What was read for the rows.
    """

    rows: pl.DataFrame
    total: dict[str, Number]
    coverage: Coverage
    selected: Selected


class Engine(Protocol):
    """Reads plans over one pinned state of a source."""

    name: str

    def catalogue(self) -> Catalogue:
        """Return the names that the source knows."""
        ...

    def span(self) -> TimeRange:
        """Return a range that holds all requests; open where there are none."""
        ...

    def check(self, plan: Plan) -> None:
        """Raise `UnsupportedByEngineError`, before anything runs, for what it cannot do."""
        ...

    def session(self) -> AbstractContextManager[None]:
        """Hold one state of the source: whatever is read inside agrees."""
        ...

    def select(self, plan: Plan) -> Selected:
        """Return what answers one plan; inside a session."""
        ...

    def select_with_total(self, plan: Plan) -> tuple[Selected, pl.DataFrame]:
        """Return what answers a plan and its grand total; inside a session."""
        ...

    def requests(self, plan: Plan) -> pl.LazyFrame:
        """Return the plan's requests in no order, as `shown_frame`; nothing is read yet."""
        ...

    def metadata_keys(self, plan: Plan) -> pl.DataFrame:
        """Return the metadata keys among the plan's requests, most used first."""
        ...

    def sql(self, plan: Plan, statement: str) -> pl.DataFrame:
        """Return what a user's own statement gives.

        It is over `requests`, which are those of the plan as they are shown, or over
        `llm_requests`, which are all of the source.
        """
        ...


def read(engine: Engine, plan: Plan) -> Answer:
    """Return rows and totals of a plan; inside a session, so that they agree."""
    selected, whole = engine.select_with_total(plan)
    found = shape_total(whole, plan.grand_total())
    total = {measure.name: found[measure.name] for measure in plan.measures}
    return Answer(shape_rows(selected.frame, plan), total, read_coverage(found), selected)


def select_twice(engine: Engine, plan: Plan) -> tuple[Selected, pl.DataFrame]:
    """Return what answers a plan and its grand total, each by a reading of its own."""
    return engine.select(plan), engine.select(plan.grand_total()).frame


def split_total(found: pl.DataFrame, plan: Plan) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the rows and the grand total of what `compile_with_total` describes."""
    *names, of_all = found.columns
    measures = len(plan.grand_total().measures)
    is_total = pl.col(of_all) == 1
    total = found.filter(is_total).select(names[-measures:])
    return found.filter(~is_total).select(names[: len(names) - len(COVERAGE)]), total


def measure_type(measure: Measure, plan: Plan) -> pl.DataType:
    """Return the dtype of a measure's column."""
    if not isinstance(measure.of, Aggregate) or measure.of.how == "quantile":
        return pl.Float64()
    if measure.of.how != "sum":
        return pl.Int64()
    return _TYPES.get(plan.fields[measure.of.of[0]].kind, pl.Float64())


def shape_rows(found: pl.DataFrame, plan: Plan) -> pl.DataFrame:
    """Return an engine's columns with the plan's names, dtypes, labels and order.

    `found` has the columns that `compile_plan` describes, whatever their names.
    """
    names = list(plan.columns)
    flag = None
    if found.width > len(names):
        flag = ""  # which no column of a result is called
        names.insert(len(names) - len(plan.measures), flag)
    found = found.rename(dict(zip(found.columns, names, strict=True)))
    columns = [_labelled(found, dimension, flag) for dimension in plan.dimensions]
    if plan.grain in ("minute", "hour"):
        bucket = pl.col(plan.grain).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
        columns.append(bucket.dt.convert_time_zone(plan.zone.key))
    elif plan.grain is not None:
        columns.append(pl.col(plan.grain).cast(pl.Date))
    columns += [_measured(measure, plan) for measure in plan.measures]
    return sorted_rows(found.with_columns(columns).select(plan.columns), plan)


def sorted_rows(
    rows: pl.DataFrame, plan: Plan, ordered: Sequence[Ordering] | None = None
) -> pl.DataFrame:
    """Return rows in an order, the plan's own if none is given.

    Nulls are last, the other columns decide in the end, and intervals are ordered by their
    number, not by what they are called.
    """
    if rows.height < 2:
        return rows
    ordered = plan.order if ordered is None else ordered
    order = {ordering.name: ordering.descending for ordering in ordered}
    order |= dict.fromkeys((name for name in plan.columns if name not in order), False)
    numbers = {
        dimension.name: pl.col(dimension.name)
        .replace_strict(
            list(dimension.labels),
            list(range(len(dimension.labels))),
            default=None,
            return_dtype=pl.Int64,
        )
        .alias(_ORDERED + dimension.name)
        for dimension in plan.dimensions
        if isinstance(dimension, Bucketed)
    }
    by = {
        key: falls
        for name, falls in order.items()
        for key in ((_ORDERED + name, name) if name in numbers else (name,))
    }
    rows = rows.with_columns(numbers.values())
    rows = rows.sort(list(by), descending=list(by.values()), nulls_last=True)
    return rows.drop([_ORDERED + name for name in numbers])


def shape_total(found: pl.DataFrame, plan: Plan) -> dict[str, Number]:
    """Return the one row of a plan without dimensions as measure to exact value."""
    return shape_rows(found, plan).row(0, named=True)


def _measured(measure: Measure, plan: Plan) -> pl.Expr:
    """Return a measure in its dtype; a quantile to the digits that all engines agree on."""
    number = pl.col(measure.name).cast(measure_type(measure, plan))
    return rounded_quantile(number) if hangs_on_quantile(measure) else number


def _labelled(found: pl.DataFrame, dimension: Dimension, flag: str | None) -> pl.Expr:
    """Return a dimension; text where it holds ``(other)``, ``(untagged)`` or intervals."""
    name = dimension.name
    shown = pl.col(name)
    if isinstance(dimension, Bucketed):
        numbers = range(len(dimension.labels))
        shown = shown.cast(pl.Int64).replace_strict(
            list(numbers), list(dimension.labels), default=None, return_dtype=pl.String
        )
    elif dimension.kind == "integer":
        shown = shown.cast(pl.Int64)
    if not found.get_column(name).null_count():
        return shown
    label = pl.lit(UNTAGGED)
    if flag is not None:
        label = pl.when(pl.col(flag)).then(pl.lit(OTHER)).otherwise(label)
    return shown.cast(pl.String).fill_null(label)

"""From a question as it was asked to a plan in which every name and instant is settled."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeAlias

from majordomo_analytics.errors import QueryError, UnknownNameError
from majordomo_analytics.plan.coverage import COVERAGE
from majordomo_analytics.plan.dimensions import Bucketed, Derived
from majordomo_analytics.plan.fields import OTHER as OTHER
from majordomo_analytics.plan.fields import UNTAGGED as UNTAGGED
from majordomo_analytics.plan.fields import MetadataName, Name
from majordomo_analytics.plan.filters import EVERYTHING, Filter, names_in
from majordomo_analytics.plan.measures import (
    DEFAULT_MEASURES,
    Aggregate,
    Measure,
    MeasureLike,
    Ratio,
    read_measure,
)
from majordomo_analytics.plan.values import bind
from majordomo_analytics.plan.vocabulary import Vocabulary
from majordomo_analytics.times import (
    ISO_CALENDAR,
    Calendar,
    Offset,
    TimeGrain,
    TimeRange,
    TimeRangeLike,
    offsets_between,
    read_grain,
    read_time_range,
    read_zone,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from majordomo_analytics.plan.dimensions import Dimension
    from majordomo_analytics.plan.fields import Catalogue, Kind
    from majordomo_analytics.plan.measures import How

DimensionLike: TypeAlias = Name | Derived
OneOrMany: TypeAlias = "DimensionLike | Sequence[DimensionLike] | None"


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A question as it was asked; `make_plan` settles what it means for a source.

    The attributes are the parameters of `Ledger.query`, and `own`: the dimensions and
    measures that `Ledger.define` made known.
    """

    measures: tuple[MeasureLike, ...] = DEFAULT_MEASURES
    dimensions: tuple[DimensionLike, ...] = ()
    filters: Filter = EVERYTHING
    time_range: TimeRangeLike = None
    time_grain: str | None = None
    timezone: str = "UTC"
    order_by: tuple[str, ...] = ()
    limit: int | None = None
    other: bool = True
    compare: TimeRangeLike = None
    fill_gaps: bool = True
    calendar: Calendar = ISO_CALENDAR
    own: tuple[Derived | Measure, ...] = ()


@dataclass(frozen=True, slots=True)
class Ordering:
    """One column of a result to order by, its nulls last."""

    name: str
    descending: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A question in which every name, value and instant is settled.

    Attributes
    ----------
    measures, dimensions, filters
        What is added up, by what, of which requests.
    fields
        What each name in the filters and in the measures means.
    time_range, grain, zone
        Which instants, in which buckets of which zone.
    offsets
        The zone's offsets over the data, oldest first; empty where neither a grain nor a
        part of the calendar needs them.
    order
        The order of the rows, before the dimensions decide.
    limit, other
        How many combinations of dimension values are kept, and whether the rest is shown.
    kept
        The combinations to keep, as the engine's columns hold them, instead of the first
        `limit` of a ranking: those of another period that this one is compared with.
    calendar
        Where weeks, months and years begin.
    """

    measures: tuple[Measure, ...]
    dimensions: tuple[Dimension, ...]
    filters: Filter
    fields: Mapping[Name, Dimension] = field(hash=False)
    time_range: TimeRange
    grain: TimeGrain | None
    zone: ZoneInfo
    offsets: tuple[Offset, ...]
    order: tuple[Ordering, ...]
    limit: int | None
    other: bool
    kept: tuple[tuple[object, ...], ...] | None = None
    calendar: Calendar = ISO_CALENDAR

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the result's columns, in order."""
        time = () if self.grain is None else (self.grain,)
        return (
            *time,
            *(dimension.name for dimension in self.dimensions),
            *(measure.name for measure in self.measures),
        )

    @property
    def leaves_out(self) -> bool:
        """Whether there may be requests that no row of the answer speaks of."""
        is_cut = self.limit is not None or self.kept is not None
        return is_cut and bool(self.dimensions) and not self.other

    def grand_total(self) -> Plan:
        """Return the plan of the same measures and `COVERAGE` over the same requests."""
        return replace(
            self,
            measures=(*self.measures, *COVERAGE),
            dimensions=(),
            grain=None,
            order=(),
            limit=None,
            kept=None,
        )


def make_plan(
    query: Query,
    catalogue: Catalogue,
    *,
    span: Callable[[], TimeRange],
    now: datetime,
) -> Plan:
    """Return the plan of `query` for a source.

    Parameters
    ----------
    query
        The question.
    catalogue
        The names that the source knows.
    span
        Returns a range that holds all its requests; called only for time buckets.
    now
        The instant that relative time ranges are counted from.

    Raises
    ------
    UnknownNameError
        If a measure or dimension does not exist.
    QueryError
        If the question has no answer as it was asked.
    """
    zone = read_zone(query.timezone)
    time_range = read_time_range(query.time_range, timezone=zone, now=now, calendar=query.calendar)
    grain = None if query.time_grain is None else read_grain(query.time_grain)
    names = Vocabulary(catalogue)
    names.define(one for one in (*query.own, *query.dimensions) if isinstance(one, Derived))
    own = {one.name: one for one in query.own if isinstance(one, Measure)}
    dimensions = tuple(names.dimension(given) for given in query.dimensions)
    for name in names_in(query.filters):
        names.named(name)
    measures = tuple(_bound(read_measure(given, own), names, zone) for given in query.measures)
    for counted in COVERAGE:
        _bound(counted, names, zone)
    local = grain is not None or names.uses_calendar()
    plan = Plan(
        measures=measures,
        dimensions=dimensions,
        filters=bind(query.filters, names.fields.__getitem__, zone),
        fields=names.fields,
        time_range=time_range,
        grain=grain,
        zone=zone,
        offsets=_offsets(zone, time_range, span()) if local else (),
        order=(),
        limit=_limit(query.limit),
        other=query.other,
        calendar=query.calendar,
    )
    if not plan.measures:
        message = "a question needs at least one measure, such as 'total_cost'"
        raise QueryError(message)
    if twice := sorted({name for name in plan.columns if plan.columns.count(name) > 1}):
        message = f"two columns of the result would be called {twice[0]!r}"
        raise QueryError(message)
    return replace(plan, order=_order(query.order_by, plan, names))


def several(given: object) -> tuple[object, ...]:
    """Return one name or measure, or several of them, as a tuple.

    Raises
    ------
    QueryError
        If it is neither.
    """
    if isinstance(given, (str, Measure)):
        return (given,)
    if isinstance(given, Iterable):
        return tuple(given)
    message = f"{given!r} is no name, and no list of names"
    raise QueryError(message)


def as_tuple(names: OneOrMany) -> tuple[DimensionLike, ...]:
    """Return one dimension, several or none as a tuple.

    >>> as_tuple("Team"), as_tuple(["Team", "model"]), as_tuple(None)
    (('Team',), ('Team', 'model'), ())
    """
    if names is None:
        return ()
    return (names,) if isinstance(names, (str, MetadataName, Derived)) else tuple(names)


def _bound(measure: Measure, names: Vocabulary, zone: ZoneInfo) -> Measure:
    """Return the measure with the values in its filters as the kinds of their fields."""

    def bound(aggregate: Aggregate) -> Aggregate:
        made_of = [names.measured(name) for name in aggregate.of]
        for one in made_of:
            _check(measure, aggregate, one)
        if len(kinds := sorted({one.kind for one in made_of})) > 1:
            message = f"measure {measure.name!r} cannot add {' and '.join(kinds)} values"
            raise QueryError(message)
        for name in names_in(aggregate.where):
            names.measured(name)
        return replace(aggregate, where=bind(aggregate.where, names.fields.__getitem__, zone))

    of = measure.of
    if isinstance(of, Aggregate):
        return replace(measure, of=bound(of))
    return replace(measure, of=Ratio(bound(of.numerator), bound(of.denominator), of.per))


def _check(measure: Measure, aggregate: Aggregate, of: Dimension) -> None:
    """Refuse a measure of what it cannot be made of."""
    fits = of.kind in _MEASURED[aggregate.how] and not (
        isinstance(of, Bucketed) and aggregate.how != "distinct"
    )
    if not fits:
        hint = "; metadata values are text" if aggregate.how != "distinct" else ""
        message = (
            f"measure {measure.name!r} cannot be a {aggregate.how} of {of.name!r}, "
            f"which holds {of.kind} values{hint if of.kind == 'text' else ''}"
        )
        raise QueryError(message)


def _limit(limit: int | None) -> int | None:
    if limit is not None and (type(limit) is not int or limit < 1):
        message = f"limit {limit!r} is no whole number from 1"
        raise QueryError(message)
    return limit


def _offsets(zone: ZoneInfo, asked: TimeRange, held: TimeRange) -> tuple[Offset, ...]:
    starts = [start for start in (asked.start, held.start) if start is not None]
    ends = [end for end in (asked.end, held.end) if end is not None]
    if held.start is None or held.end is None or max(starts) >= min(ends):
        return ()
    return offsets_between(zone, max(starts), min(ends))


def _order(order_by: Sequence[str], plan: Plan, vocabulary: Vocabulary) -> tuple[Ordering, ...]:
    """Return the order asked for, else by time and then by the first measure, falling."""
    if not order_by:
        first = Ordering(plan.measures[0].name, descending=True)
        return (first,) if plan.grain is None else (Ordering(plan.grain, descending=False), first)
    order = []
    for given in order_by:
        if not isinstance(given, str):
            message = f"order_by takes names of columns such as '-total_cost', not {given!r}"
            raise QueryError(message)
        name = given.removeprefix("-")
        if name not in plan.columns:
            name = _dimension_in(plan, name, vocabulary)
        order.append(Ordering(name, descending=given.startswith("-")))
    return tuple(order)


def _dimension_in(plan: Plan, name: str, vocabulary: Vocabulary) -> str:
    try:
        found = vocabulary.dimension(name)
    except QueryError:
        found = None
    if found not in plan.dimensions or found is None:
        raise UnknownNameError(kind="column of the result", name=name, known=plan.columns)
    return found.name


_NUMBERS: tuple[Kind, ...] = ("integer", "money", "float")
_MEASURED: dict[How, tuple[Kind, ...]] = {
    "count": (),
    "sum": _NUMBERS,
    "quantile": _NUMBERS,
    "distinct": ("text", "integer", "money", "date", "boolean", "instant"),
}

"""The measures: what each adds up, as data that an engine can compile.

Ratios are worked out after aggregation, from two aggregates of the same rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, TypeAlias

from majordomo_analytics.errors import QueryError, UnknownNameError
from majordomo_analytics.plan.fields import MetadataName, Name
from majordomo_analytics.plan.filters import (
    EVERYTHING,
    Compared,
    Filter,
    FilterLike,
    Not,
    OneOf,
    Some,
    both,
    read_filters,
)
from majordomo_analytics.records.columns import BY_NAME

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

How = Literal["count", "sum", "quantile", "distinct"]


@dataclass(frozen=True, slots=True)
class Aggregate:
    """One number from many rows.

    Attributes
    ----------
    how
        ``count`` of rows; ``sum`` of known values, null when none is known; ``quantile``
        with linear interpolation; number of ``distinct`` known values.
    of
        The columns; several are added row by row, what is not known left out. For
        ``distinct`` also a metadata key or a dimension of one's own.
    where
        Only rows for which this holds.
    level
        Which quantile, between 0 and 1.
    """

    how: How
    of: tuple[Name, ...] = ()
    where: Filter = EVERYTHING
    level: float | None = None


@dataclass(frozen=True, slots=True)
class Ratio:
    """``per * numerator / denominator``, null when the denominator is 0 or null."""

    numerator: Aggregate
    denominator: Aggregate
    per: int = 1


@dataclass(frozen=True, slots=True)
class Measure:
    """A named number that a question can ask for.

    Attributes
    ----------
    name
        Its name, which is the column's name in a result.
    unit
        What it counts: ``USD``, ``tokens``, ``requests``, ``ms``, ``share``, ….
    meaning
        One sentence for whoever reads the number.
    of
        How it is worked out.
    """

    name: str
    unit: str
    meaning: str
    of: Aggregate | Ratio

    @property
    def additive(self) -> bool:
        """Whether the numbers of groups add up to that of all rows."""
        return isinstance(self.of, Aggregate) and self.of.how in ("count", "sum")


MeasureLike: TypeAlias = "str | Measure"

_REQUESTS = Aggregate("count")
_COST = Aggregate("sum", ("total_cost",))
_TOKENS = Aggregate("sum", ("input_tokens", "output_tokens"))
_TIME_IS_KNOWN = Not(OneOf("response_time_ms", (None,)))
_FAILED = Some((Compared("status_code", ">=", 400), Not(OneOf("outcome", ("completed", None)))))
_ERRORS = Aggregate("count", where=_FAILED)
_CACHE_IS_KNOWN = Not(Some((OneOf("cached_tokens", (None,)), OneOf("input_tokens", (None,)))))


def _sum(column: str, unit: str, meaning: str) -> Measure:
    return Measure(column, unit, meaning, Aggregate("sum", (column,)))


def _quantile(percent: int) -> Measure:
    return Measure(
        f"p{percent}_response_time_ms",
        "ms",
        f"{percent} % of the requests took at most this long; linear interpolation",
        Aggregate("quantile", ("response_time_ms",), level=percent / 100),
    )


MEASURES: dict[str, Measure] = {
    measure.name: measure
    for measure in (
        Measure("requests", "requests", "how many requests", _REQUESTS),
        Measure("total_cost", "USD", "input, output and tool cost of priced requests", _COST),
        _sum("input_cost", "USD", "cost of prompts, cache reads and writes included"),
        _sum("output_cost", "USD", "cost of answers, reasoning included"),
        _sum("tool_cost", "USD", "fees that are not tokens, such as searches"),
        _sum("input_tokens", "tokens", "prompts, cache reads and writes included"),
        _sum("output_tokens", "tokens", "answers, reasoning included"),
        _sum("cached_tokens", "tokens", "part of input_tokens read from a cache"),
        _sum("cache_creation_tokens", "tokens", "part of input_tokens written to a cache"),
        _sum("reasoning_tokens", "tokens", "part of output_tokens spent on reasoning"),
        Measure("total_tokens", "tokens", "input_tokens and output_tokens", _TOKENS),
        Measure("errors", "requests", "status 400 or above, or not completed", _ERRORS),
        Measure("error_rate", "share", "errors over all requests", Ratio(_ERRORS, _REQUESTS)),
        Measure(
            "cache_hit_rate",
            "share",
            "cached_tokens over input_tokens, of requests that report both",
            Ratio(
                Aggregate("sum", ("cached_tokens",), _CACHE_IS_KNOWN),
                Aggregate("sum", ("input_tokens",), _CACHE_IS_KNOWN),
            ),
        ),
        Measure("cost_per_request", "USD", "total_cost over all requests", Ratio(_COST, _REQUESTS)),
        Measure(
            "cost_per_1k_tokens",
            "USD",
            "total_cost over a thousand total_tokens",
            Ratio(_COST, _TOKENS, per=1000),
        ),
        Measure(
            "avg_response_time_ms",
            "ms",
            "mean wall clock to the last byte, of requests that have one",
            Ratio(
                Aggregate("sum", ("response_time_ms",)),
                Aggregate("count", where=_TIME_IS_KNOWN),
            ),
        ),
        _quantile(50),
        _quantile(95),
        _quantile(99),
        Measure(
            "unpriced_requests",
            "requests",
            "requests whose total_cost is not known, and is in no sum",
            Aggregate("count", where=OneOf("total_cost", (None,))),
        ),
        Measure("users", "users", "distinct User-Id values", Aggregate("distinct", ("User-Id",))),
    )
}
DEFAULT_MEASURES = ("total_cost", "requests")


def read_measure(given: MeasureLike, own: Mapping[str, Measure] = MappingProxyType({})) -> Measure:
    """Return a measure by name, also one of a user's own; a measure is itself.

    Raises
    ------
    UnknownNameError
        If no measure has that name.
    """
    if isinstance(given, Measure):
        return given
    if isinstance(given, str):
        if given in MEASURES:
            return MEASURES[given]
        if given in own:
            return own[given]
    raise UnknownNameError(kind="measure", name=str(given), known=(*MEASURES, *own))


def measure(
    name: str,
    of: MeasureLike | None = None,
    *,
    sum: Name | Sequence[Name] | None = None,
    mean: Name | None = None,
    quantile: Name | None = None,
    level: float = 0.5,
    distinct: Name | None = None,
    where: FilterLike = None,
    per: MeasureLike | None = None,
    scale: int = 1,
    unit: str | None = None,
    meaning: str = "",
) -> Measure:
    """Make a measure of your own, of a known one or of a column; exactly one of these.

    Parameters
    ----------
    name
        What to call it; the column's name in a result.
    of
        A measure, or the name of one.
    sum
        Adds a column up; several are added row by row, what is not known left out.
        ``Decimal(38, 10)`` of an amount, ``Int64`` of a whole number.
    mean
        The mean of a column over the requests where it is known; ``Float64``.
    quantile, level
        The value of a column that this share of the known ones stays below, with linear
        interpolation; 0.5 is the median, 0 the least and 1 the greatest. ``Float64``.
    distinct
        How many different values a column, metadata key or dimension of your own has.
    where
        Count only requests for which these filters hold, as in `Ledger.query`.
    per
        A measure to divide by, after aggregation; the result is then ``Float64``.
    scale
        With `per`: what to multiply the ratio with, such as 1000.
    unit
        What the number counts, by default what the column or measure does: ``USD``,
        ``tokens``, ``ms``, ``share``, ….
    meaning
        One sentence for whoever reads the number.

    Raises
    ------
    UnknownNameError
        If there is no such measure.
    QueryError
        If it is not said what it is made of, or a ratio would be divided, or divided by.

    Examples
    --------
    >>> import majordomo_analytics as ma
    >>> ma.measure("paid_cost", "total_cost", where={"User-Tier": ["pro", "team"]}).unit
    'USD'
    >>> ma.measure("cost_per_user", "total_cost", per="users").unit
    'USD per users'
    >>> ma.measure("searches", sum=["web_searches", "social_searches"]).unit
    'searches'
    >>> ma.measure("models", distinct="model").additive
    False
    """
    if not isinstance(name, str) or not name.strip() or name in MEASURES:
        message = f"a measure of your own cannot be called {name!r}"
        raise QueryError(message)
    made = [
        _made_of(name, how, column, level)
        for how, column in (
            ("sum", sum),
            ("mean", mean),
            ("quantile", quantile),
            ("distinct", distinct),
        )
        if column is not None
    ]
    made += [] if of is None else [read_measure(of)]
    if len(made) != 1:
        ways = "a measure, 'sum', 'mean', 'quantile' or 'distinct'"
        message = f"measure {name!r}: give one of {ways}, not {len(made)} of them"
        raise QueryError(message)
    base = made[0]
    limited = _limit(base.of, read_filters(where))
    said = meaning or base.meaning
    if per is None:
        if scale != 1:
            message = f"measure {name!r}: 'scale' goes with 'per'"
            raise QueryError(message)
        return Measure(name, base.unit if unit is None else unit, said, limited)
    divisor = read_measure(per)
    if not isinstance(limited, Aggregate) or not isinstance(divisor.of, Aggregate):
        ratio = base if isinstance(limited, Ratio) else divisor
        message = f"{ratio.name!r} is a ratio already and can be no part of {name!r}"
        raise QueryError(message)
    if type(scale) is not int or scale < 1:
        message = f"measure {name!r}: scale {scale!r} is no whole number from 1"
        raise QueryError(message)
    whole = f"{base.unit} per {divisor.unit}" if unit is None else unit
    return Measure(name, whole, said, Ratio(limited, divisor.of, scale))


def _made_of(name: str, how: str, given: Name | Sequence[Name], level: float) -> Measure:
    """Return the measure of a column or, for a sum, of several."""
    columns = (given,) if isinstance(given, (str, MetadataName)) else tuple(given)
    if not columns or not all(isinstance(one, (str, MetadataName)) for one in columns):
        message = f"measure {name!r}: {given!r} is no column, and no list of columns"
        raise QueryError(message)
    first = columns[0]
    unit = BY_NAME[first].unit if isinstance(first, str) and first in BY_NAME else ""
    said = f"{how} of {' + '.join(map(str, columns))}"
    if how == "sum":
        return Measure(name, unit, said, Aggregate("sum", columns))
    if len(columns) > 1:
        message = f"measure {name!r}: {how} is of one column, not {len(columns)}"
        raise QueryError(message)
    if how == "mean":
        known = Aggregate("count", where=Not(OneOf(first, (None,))))
        return Measure(name, unit, said, Ratio(Aggregate("sum", columns), known))
    if how == "distinct":
        return Measure(name, "values", said, Aggregate("distinct", columns))
    if isinstance(level, bool) or not isinstance(level, (int, float)) or not 0 <= level <= 1:
        message = f"measure {name!r}: level {level!r} is no share from 0 to 1"
        raise QueryError(message)
    return Measure(name, unit, f"{said} at {level}", Aggregate("quantile", columns, level=level))


def _limit(of: Aggregate | Ratio, where: Filter) -> Aggregate | Ratio:
    if where == EVERYTHING:
        return of
    if isinstance(of, Ratio):
        numerator, denominator = _limit(of.numerator, where), _limit(of.denominator, where)
        if isinstance(numerator, Aggregate) and isinstance(denominator, Aggregate):
            return Ratio(numerator, denominator, of.per)
    elif of.where == EVERYTHING:
        return Aggregate(of.how, of.of, where, of.level)
    else:
        return Aggregate(of.how, of.of, both(of.where, where), of.level)
    return of

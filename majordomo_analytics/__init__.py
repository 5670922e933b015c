"""Answers what LLM calls cost, for whom, and why that rose.

    import majordomo_analytics as ma

    ledger = ma.open("majordomo-data")
    ledger.query(dimensions=["Feature", "model"], time_range="last 30 days")

Nothing heavy is loaded until a name is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from majordomo_analytics import plots
    from majordomo_analytics.errors import (
        DataDirectoryError,
        FilterError,
        LakeBusyError,
        LakeError,
        LakeNotFoundError,
        LakeVersionError,
        MajordomoError,
        MissingExtraError,
        NewerLayoutError,
        PostgresUnreachableError,
        QueryError,
        ReadOnlyError,
        ResultOverflowError,
        SourceError,
        SparkUnreachableError,
        TimeRangeError,
        UnknownNameError,
        UnsupportedByEngineError,
    )
    from majordomo_analytics.ledger.ledger import Ledger
    from majordomo_analytics.ledger.opening import open
    from majordomo_analytics.ledger.result import QueryResult
    from majordomo_analytics.ledger.sample import sample
    from majordomo_analytics.plan.fields import metadata
    from majordomo_analytics.plan.filters import where
    from majordomo_analytics.plan.measures import MEASURES, Measure, measure
    from majordomo_analytics.plan.own import dimension
    from majordomo_analytics.times import Calendar, TimeRange

__version__ = "0.1.0"

_HOMES = {
    "errors": (
        "DataDirectoryError",
        "FilterError",
        "LakeBusyError",
        "LakeError",
        "LakeNotFoundError",
        "LakeVersionError",
        "MajordomoError",
        "MissingExtraError",
        "NewerLayoutError",
        "PostgresUnreachableError",
        "QueryError",
        "ReadOnlyError",
        "ResultOverflowError",
        "SourceError",
        "SparkUnreachableError",
        "TimeRangeError",
        "UnknownNameError",
        "UnsupportedByEngineError",
    ),
    "ledger.ledger": ("Ledger",),
    "ledger.opening": ("open",),
    "ledger.result": ("QueryResult",),
    "ledger.sample": ("sample",),
    "plan.fields": ("metadata",),
    "plan.filters": ("where",),
    "plan.measures": ("MEASURES", "Measure", "measure"),
    "plan.own": ("dimension",),
    "plots": ("plots",),
    "times": ("Calendar", "TimeRange"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "MEASURES",
    "Calendar",
    "DataDirectoryError",
    "FilterError",
    "LakeBusyError",
    "LakeError",
    "LakeNotFoundError",
    "LakeVersionError",
    "Ledger",
    "MajordomoError",
    "Measure",
    "MissingExtraError",
    "NewerLayoutError",
    "PostgresUnreachableError",
    "QueryError",
    "QueryResult",
    "ReadOnlyError",
    "ResultOverflowError",
    "SourceError",
    "SparkUnreachableError",
    "TimeRange",
    "TimeRangeError",
    "UnknownNameError",
    "UnsupportedByEngineError",
    "dimension",
    "measure",
    "metadata",
    "open",
    "plots",
    "sample",
    "where",
]


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    home = import_module(f"{__name__}.{_HOME_OF[name]}")
    value: object = home if name == "plots" else getattr(home, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

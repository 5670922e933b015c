"""Dimensions of a user's own: made from a column or a metadata key, in every engine alike.

Each is data with a name and what it is made `of`; engines compile them. A value that is
missing stays missing, and is ``(untagged)`` in a result.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from decimal import Decimal

    from majordomo_analytics.plan.fields import Field, Kind, Name

CalendarUnit = Literal["hour of day", "weekday", "day of month", "month of year"]


@dataclass(frozen=True, slots=True)
class Mapped:
    """Text looked up in a table: user to plan, model to family.

    Attributes
    ----------
    name
        Its name, which is the column's name in a result.
    of
        The text column or metadata key that is looked up.
    keys, values
        The table: the value for each key; every key once.
    default
        The value of what is known but not in the table; None leaves it missing.
    """

    name: str
    of: Name
    keys: tuple[str, ...]
    values: tuple[str, ...]
    default: str | None = None

    kind: Kind = "text"


@dataclass(frozen=True, slots=True)
class Ruled:
    """Text by the first pattern that is found in another text.

    Attributes
    ----------
    name, of
        As in `Mapped`.
    rules
        Pairs of a pattern, in the form that `patterns.read_pattern` gives, and a label.
    default
        The label of what no pattern is found in; None leaves it missing.
    """

    name: str
    of: Name
    rules: tuple[tuple[str, str], ...]
    default: str | None = None

    kind: Kind = "text"


@dataclass(frozen=True, slots=True)
class Bucketed:
    """Which interval between edges a number lies in.

    Engines give the number of the interval, 0 for what is below the first edge and
    ``len(edges)`` for what is at or above the last; results show its label, and are
    ordered by its number.

    Attributes
    ----------
    name, of
        As in `Mapped`; a number or an amount.
    edges
        Ascending; each belongs to the interval above it.
    labels
        One for each interval, one more than there are edges.
    """

    name: str
    of: Name
    edges: tuple[int | Decimal, ...]
    labels: tuple[str, ...]

    kind: Kind = "integer"


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a text that is split at a separator; missing if there are fewer.

    Attributes
    ----------
    name, of
        As in `Mapped`.
    separator
        Not empty; taken literally.
    index
        From 0; negative counts from the end.
    """

    name: str
    of: Name
    separator: str
    index: int

    kind: Kind = "text"


@dataclass(frozen=True, slots=True)
class CalendarPart:
    """Hour of day (0 to 23), ISO weekday (1 to 7), day (1 to 31) or month (1 to 12).

    Of `requested_at` in the plan's zone: the hour is that of the clock on the wall;
    weekday, day and month are those of the local date that time grains give too.

    Attributes
    ----------
    name, of
        As in `Mapped`; `requested_at`.
    unit
        Which part.
    """

    name: str
    of: Name
    unit: CalendarUnit

    kind: Kind = "integer"


Derived: TypeAlias = Mapped | Ruled | Bucketed | Part | CalendarPart
Dimension: TypeAlias = "Field | Derived"

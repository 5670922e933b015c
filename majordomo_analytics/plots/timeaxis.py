"""Buckets of time on an axis: which are complete, where rows of them break off."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    import plotly.graph_objects as go

    from majordomo_analytics.plots.table import Table

_TICKS = {
    "month": ("%b\n%Y", "%B %Y", "M1"),
    "quarter": ("Q%q\n%Y", "Q%q %Y", "M3"),
    "year": ("%Y", "%Y", "M12"),
    "week": (None, "week of %-d %b %Y", None),
    "day": (None, "%a %-d %b %Y", None),
    "hour": (None, "%a %-d %b %Y, %H:%M", None),
    "minute": (None, "%a %-d %b %Y, %H:%M", None),
}
_MOST_TICKS = 18
_MOST_NAMED = 11


def instant(bucket: object) -> Any:
    """Return a bucket as it is to be compared: two hours are called 02:00 on one day."""
    return bucket.astimezone(UTC) if isinstance(bucket, datetime) and bucket.tzinfo else bucket


def axis_values(buckets: Sequence[object]) -> list[object]:
    """Return buckets by the clock on the wall, which Plotly draws as it is."""
    return [b.replace(tzinfo=None) if isinstance(b, datetime) else b for b in buckets]


def incomplete(table: Table, buckets: Sequence[object]) -> list[bool]:
    """Return which buckets are not complete."""
    cut = set(map(instant, table.shape.incomplete))
    return [instant(bucket) in cut for bucket in buckets]


def stands_alone(values: Sequence[object]) -> bool:
    """Return whether a known number stands alone, where no line would show it."""
    known = [False, *(value is not None for value in values), False]
    return any(
        here and not (left or right)
        for left, here, right in zip(known, known[1:], known[2:], strict=False)
    )


def is_beside(marks: Sequence[bool], place: int) -> bool:
    """Return whether the place before or after is marked."""
    return any(marks[i] for i in (place - 1, place + 1) if 0 <= i < len(marks))


def with_neighbours(values: Sequence[object], open_: Sequence[bool]) -> list[object]:
    """Return the values at marked places and beside them, None elsewhere."""
    return [v if o or is_beside(open_, i) else None for i, (v, o) in enumerate(
        zip(values, open_, strict=True))]  # fmt: skip


def runs(marks: Sequence[bool]) -> list[list[int]]:
    """Return the places that are marked, each unbroken row of them by itself."""
    found: list[list[int]] = []
    for place, mark in enumerate(marks):
        if not mark:
            continue
        if found and found[-1][-1] == place - 1:
            found[-1].append(place)
        else:
            found.append([place])
    return found


def time_axis(figure: go.Figure, table: Table, buckets: Sequence[object]) -> None:
    """Set the axis of time: whole months under each other, and how hover says a bucket."""
    ticks, hover, step = _TICKS.get(table.shape.length or "", (None, None, None))
    figure.update_xaxes(type="date", showgrid=False, hoverformat=hover, ticks="outside",
                        tickcolor="rgba(128,128,128,0.4)")  # fmt: skip
    if step is not None and buckets and len(buckets) <= _MOST_TICKS:
        figure.update_xaxes(tickformat=ticks, dtick=step, tick0=axis_values(buckets)[0])
    elif buckets and len(buckets) <= _MOST_NAMED and isinstance(buckets[0], date):
        figure.update_xaxes(tickmode="array", tickvals=axis_values(buckets), tickformat="%-d %b")
    if isinstance(buckets[0] if buckets else None, datetime):
        figure.update_xaxes(tickmode="auto", tickformat=None)

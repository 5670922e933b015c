"""Turn what a statement gave as Arrow into a frame, or say which column cannot be."""

from __future__ import annotations

import polars as pl
import pyarrow as pa

from majordomo_analytics.errors import QueryError


def frame_of(found: pa.Table) -> pl.DataFrame:
    """Return the rows of an Arrow table as a frame.

    Raises
    ------
    QueryError
        If a column has a type that Polars does not know. Within a list or a struct it
        would end the thread that reads it, so that it is looked for first.

    Examples
    --------
    >>> import pyarrow as pa
    >>> frame_of(pa.table({"model": ["gpt-5"]})).to_dict(as_series=False)
    {'model': ['gpt-5']}
    """
    for field in found.schema:
        if (unknown := _unknown_in(field.type)) is not None:
            message = (
                f"the column {field.name!r} holds values of the type {unknown}, which no frame "
                "can; CAST it to a type that one can, as to VARCHAR"
            )
            raise QueryError(message)
    frame = pl.from_arrow(found)
    return frame if isinstance(frame, pl.DataFrame) else frame.to_frame()


def _unknown_in(stored: pa.DataType) -> str | None:
    """Return what of a type Polars does not know, by the name that SQL has for it."""
    if pa.types.is_interval(stored):
        return "INTERVAL"
    if pa.types.is_union(stored):
        return "UNION"
    inside = (_unknown_in(stored.field(number).type) for number in range(stored.num_fields))
    return next((unknown for unknown in inside if unknown), None)

"""From the table of columns to the schemas of Arrow and Delta; not for the proxy worker."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from majordomo_analytics.records.columns import COLUMNS, PROMOTED_PREFIX, promoted_column
from majordomo_analytics.records.money import PLACES, PRECISION

if TYPE_CHECKING:
    from collections.abc import Iterable

    from majordomo_analytics.records.columns import Column, ColumnType

ARROW_TYPES: dict[ColumnType, pa.DataType] = {
    "text": pa.string(),
    "integer": pa.int64(),
    "money": pa.decimal128(PRECISION, PLACES),
    "instant": pa.timestamp("us", tz="UTC"),
    "date": pa.date32(),
    "boolean": pa.bool_(),
    "text_list": pa.list_(pa.field("element", pa.string())),
    "text_map": pa.map_(pa.string(), pa.string()),
}


def arrow_field(column: Column) -> pa.Field:
    """Return the Arrow field of one column."""
    return pa.field(column.name, ARROW_TYPES[column.type], nullable=not column.required)


def arrow_schema(promoted: Iterable[str] = ()) -> pa.Schema:
    """Return the schema of the lake: our columns, then one text column per promoted key.

    Delta accepts it as it is; the Delta schema is made from this one.
    """
    fields = [arrow_field(column) for column in COLUMNS]
    fields += [pa.field(promoted_column(key), pa.string()) for key in promoted]
    return pa.schema(fields)


def promoted_keys(schema: pa.Schema) -> tuple[str, ...]:
    """Return the promoted metadata keys of a lake schema, in column order."""
    return tuple(
        name.removeprefix(PROMOTED_PREFIX)
        for name in schema.names
        if name.startswith(PROMOTED_PREFIX)
    )

"""The column of a metadata key, filled from the metadata of each row.

A file that has the column of a key has it right for each of its rows. Readers rely on
that: they take the metadata itself only where a file has no such column.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from majordomo_analytics.records.columns import PROMOTED_PREFIX
from majordomo_analytics.records.metadata import canonical_name, lookup_name

if TYPE_CHECKING:
    from collections.abc import Iterable

METADATA_COLUMN = "raw_metadata"


def spellings_of(key: str, stored: Iterable[str]) -> list[str]:
    """Return which stored names are spellings of a metadata key, the first to count first.

    Examples
    --------
    >>> spellings_of("Plan", ["plan", "PLAN", "Team", "Plan"])
    ['Plan', 'PLAN', 'plan']
    """
    wanted = lookup_name(key)
    found = {name for name in stored if lookup_name(name) == wanted}
    return sorted(found, key=lambda name: (name != canonical_name(name), name))


def values_of(metadata: pa.ChunkedArray, key: str) -> pa.ChunkedArray:
    """Return the value of a metadata key in each row, in whatever spelling it is there.

    Parameters
    ----------
    metadata
        The column `raw_metadata`: a map of text to text for each row.
    key
        The metadata key. Where a row has several spellings of it with a value, that of the
        canonical one counts, then the first by code point.

    Returns
    -------
    pyarrow.ChunkedArray
        Text, null where the row does not have the key.
    """
    chunks = [_values_in(chunk, key) for chunk in metadata.chunks]
    return pa.chunked_array(chunks, pa.string())


def filled(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return `rows` with those columns of metadata keys that `schema` has and they lack."""
    lacking = [
        field
        for field in schema
        if field.name.startswith(PROMOTED_PREFIX) and field.name not in rows.schema.names
    ]
    if METADATA_COLUMN not in rows.schema.names:
        return rows
    for field in lacking:
        key = field.name.removeprefix(PROMOTED_PREFIX)
        rows = rows.append_column(field, values_of(rows.column(METADATA_COLUMN), key))
    return rows


def _values_in(chunk: pa.MapArray, key: str) -> pa.Array:
    # The keys of all rows lie in one array, whatever part of it the chunk is.
    stored = pc.unique(chunk.keys).to_pylist()
    found = [
        pc.map_lookup(chunk, pa.scalar(name, chunk.type.key_type), "first")
        for name in spellings_of(key, stored)
    ]
    if not found:
        return pa.nulls(len(chunk), pa.string())
    return pc.cast(pc.coalesce(*found), pa.string())

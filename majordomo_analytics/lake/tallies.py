"""What one file of the lake holds of each metadata key, as bytes that can be kept.

A file never changes, so its tally never does; tallies of all files of a version, merged,
are what the version holds.
"""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - msgspec reads the annotation at run time
from typing import TYPE_CHECKING

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from majordomo_analytics.errors import LakeError
from majordomo_analytics.lake.sketches import KeyTally
from majordomo_analytics.records.metadata import canonical_name

if TYPE_CHECKING:
    from majordomo_analytics.lake.table import LakeFile

ROWS_AT_A_TIME = 65_536
COLUMNS = ["requested_at", "raw_metadata"]


class KeyState(msgspec.Struct, frozen=True, array_like=True):
    """A `KeyTally` that can be kept."""

    requests: int
    first_seen: datetime
    last_seen: datetime
    distinct: bytes
    frequent: bytes


class FileTally(msgspec.Struct, frozen=True, array_like=True):
    """What one file holds.

    Attributes
    ----------
    requests
        How many rows it has.
    keys
        By canonical name, each metadata key that some of them have.
    """

    requests: int
    keys: dict[str, KeyState]


def tally_file(file: LakeFile) -> FileTally:
    """Read the metadata of one file.

    Raises
    ------
    LakeError
        If it cannot be read.
    """
    requests = 0
    keys: dict[str, KeyTally] = {}
    try:
        with pq.ParquetFile(file.uri) as parquet:
            columns = [name for name in COLUMNS if name in parquet.schema_arrow.names]
            for batch in parquet.iter_batches(ROWS_AT_A_TIME, columns=columns):
                requests += batch.num_rows
                if columns == COLUMNS:
                    _count(entries_of(batch), keys)
    except (OSError, pa.ArrowException) as error:
        message = f"the file {file.uri!r} of the lake cannot be read: {error}"
        raise LakeError(message) from error
    return FileTally(requests, {name: _state(tally) for name, tally in keys.items()})


def entries_of(batch: pa.RecordBatch) -> pa.Table:
    """Return one row (row, name, value, at) for each metadata key of each request.

    Names are canonical. Should a request have one in two spellings, the canonical one
    counts.
    """
    held = batch.column("raw_metadata")
    listed = pa.ListArray.from_arrays(held.offsets, held.keys)
    row = pc.list_parent_indices(listed)
    names = pc.list_flatten(listed).dictionary_encode()
    values = pc.list_flatten(pa.ListArray.from_arrays(held.offsets, held.items))
    spelled = names.dictionary.to_pylist()
    canonical = [canonical_name(name) for name in spelled]
    entries = pa.table(
        {
            "row": row,
            "name": pa.array(canonical, pa.string()).take(names.indices),
            "value": values,
            "at": batch.column("requested_at").take(row),
            "spelling": names.cast(pa.string()),
        }
    ).filter(pc.is_valid(values))
    if len(set(canonical)) < len(canonical):
        # Capitals come first.
        entries = entries.sort_by([("row", "ascending"), ("spelling", "ascending")])
        once = entries.group_by(["row", "name"], use_threads=False)
        entries = once.aggregate([("value", "first"), ("at", "first")])
        entries = entries.rename_columns({"value_first": "value", "at_first": "at"})
    return entries.select(["row", "name", "value", "at"])


def _count(entries: pa.Table, keys: dict[str, KeyTally]) -> None:
    of_keys = entries.group_by("name").aggregate([([], "count_all"), ("at", "min"), ("at", "max")])
    for row in of_keys.to_pylist():
        first, last = row["at_min"], row["at_max"]
        tally = keys.setdefault(row["name"], KeyTally(0, first, last))
        tally.count(row["count_all"], first, last)
    of_values = entries.group_by(["name", "value"]).aggregate([([], "count_all")])
    columns = (of_values.column(name).to_pylist() for name in ("name", "value", "count_all"))
    for name, value, requests in zip(*columns, strict=True):
        tally = keys[name]
        tally.distinct.add(value)
        tally.frequent.add(value, requests)


def _state(tally: KeyTally) -> KeyState:
    return KeyState(
        tally.requests,
        tally.first_seen,
        tally.last_seen,
        tally.distinct.to_bytes(),
        tally.frequent.to_bytes(),
    )

"""Which of a provider's responses have their usage in the lake already."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from majordomo_analytics.lake.table import take_snapshot

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import date
    from pathlib import Path

COLUMNS = ["id", "response_id", "usage_status"]
MOST_FILES = 5000
"""How many files are looked through: it bounds the time that a batch takes in a lake that
was never compacted."""


def responses_with_usage(
    uri: str | Path, response_ids: Collection[str], *, but: Collection[str], first: date, last: date
) -> set[str]:
    """Return which responses have their usage in a row of the lake.

    Parameters
    ----------
    uri
        Where the lake lies.
    response_ids
        The ids that providers gave their responses.
    but
        Ids of rows that do not count.
    first, last
        The UTC days that are looked at, the newest first.
    """
    wanted = pa.array(response_ids, pa.string())
    found: set[str] = set()
    for file in reversed(take_snapshot(uri).files_between(first, last)[-MOST_FILES:]):
        if len(found) == len(wanted):
            break
        with pq.ParquetFile(file.uri) as parquet:
            if not set(COLUMNS) <= set(parquet.schema_arrow.names):
                continue  # an earlier version wrote it
            for rows in parquet.iter_batches(columns=COLUMNS):
                asked = rows.filter(pc.is_in(rows.column("response_id"), value_set=wanted))
                found |= {
                    row["response_id"]
                    for row in asked.to_pylist()
                    if row["usage_status"] != "missing" and row["id"] not in but
                }
    return found

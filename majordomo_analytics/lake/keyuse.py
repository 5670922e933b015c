"""What was done with each API key, as far as the lake has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from majordomo_analytics.errors import LakeError, LakeNotFoundError
from majordomo_analytics.lake.table import take_snapshot

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

API_KEY_COLUMN = "majordomo_api_key_id"
INSTANT_COLUMN = "requested_at"


def uses_of_api_keys(
    uri: str | Path, *, on_rows: Callable[[int], None] = lambda _: None
) -> dict[str, tuple[int, Any]]:
    """Return, by id, how many requests each API key made and when the last of them was.

    Two columns of every file are read. Requests that wait in the spool are not counted.
    Without a lake, no key was used yet.

    Parameters
    ----------
    uri
        Where the lake is.
    on_rows
        Called after each file with how many rows it has, for a progress bar.

    Raises
    ------
    LakeError
        If it cannot be read.
    """
    try:
        files = take_snapshot(uri).files
    except LakeNotFoundError:
        return {}
    uses: dict[str, tuple[int, Any]] = {}
    for file in files:
        try:
            rows = pq.read_table(file.uri, columns=[API_KEY_COLUMN, INSTANT_COLUMN])
        except (OSError, pa.ArrowException) as error:
            message = f"the file {file.uri!r} of the lake cannot be read: {error}"
            raise LakeError(message) from error
        of_keys = rows.group_by(API_KEY_COLUMN).aggregate(
            [(INSTANT_COLUMN, "count"), (INSTANT_COLUMN, "max")]
        )
        for row in of_keys.to_pylist():
            key_id, last = row[API_KEY_COLUMN], row[f"{INSTANT_COLUMN}_max"]
            if key_id is None:
                continue
            count, latest = uses.get(key_id, (0, last))
            uses[key_id] = (count + row[f"{INSTANT_COLUMN}_count"], max(latest, last))
        on_rows(rows.num_rows)
    return uses

"""What the lake says of itself in its table's properties: layout, promoted keys, upkeep."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pyarrow as pa

from majordomo_analytics.records.columns import PROMOTED_PREFIX, promoted_column
from majordomo_analytics.records.schemas import promoted_keys

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

VERSION_PROPERTY = "majordomo.layoutVersion"
PROMOTED_PROPERTY = "majordomo.promotedKeys"
"""The promoted keys as a JSON list. Delta cannot drop a column, so that the columns alone
would not say which keys were demoted; a lake without the property never had one."""

STATISTICS_PROPERTY = "delta.dataSkippingStatsColumns"
STATISTICS_COLUMNS = (
    "requested_at",
    "provider",
    "model",
    "status_code",
    "majordomo_api_key_id",
    "total_cost",
)
LOG_PROPERTIES = {
    # To open the lake is to read its log since the last checkpoint. With Delta's hundred
    # commits between two that takes the drain 83 ms of CPU a batch instead of 38, and its
    # memory goes up and down by 9 MiB instead of 5.
    "delta.checkpointInterval": "20",
    # Each commit leaves a file in the log's folder, and each look at the log lists them
    # all: 100 ms with 50,000 of them. After a busy week there are more.
    "delta.logRetentionDuration": "interval 7 days",
}
NEW_LAKE = LOG_PROPERTIES


def promoted_in(configuration: Mapping[str, str], schema: pa.Schema) -> tuple[str, ...]:
    """Return the promoted keys of a table with these properties and columns."""
    keys = promoted_keys(schema)
    listed = configuration.get(PROMOTED_PROPERTY)
    if listed is None:
        return keys
    promoted = set(json.loads(listed))
    return tuple(key for key in keys if key in promoted)


def promoted_property(keys: Iterable[str]) -> dict[str, str]:
    """Return the property that says which keys are promoted."""
    return {PROMOTED_PROPERTY: json.dumps(list(keys), ensure_ascii=False)}


def statistics_columns(keys: Iterable[str]) -> tuple[str, ...]:
    """Return the columns whose least and greatest value of each file stand in the log."""
    return (*STATISTICS_COLUMNS, *map(promoted_column, keys))


def statistics_property(keys: Iterable[str]) -> dict[str, str]:
    """Return the property that names `statistics_columns`, to be read by any writer."""
    columns = (
        f"`{name.replace('`', '``')}`" if name.startswith(PROMOTED_PREFIX) else name
        for name in statistics_columns(keys)
    )
    return {STATISTICS_PROPERTY: ",".join(columns)}


def without_demoted(schema: pa.Schema, promoted: Iterable[str]) -> pa.Schema:
    """Return `schema` without the columns of keys that are not promoted any more."""
    kept = set(map(promoted_column, promoted))
    return pa.schema(
        [f for f in schema if f.name in kept or not f.name.startswith(PROMOTED_PREFIX)],
        metadata=schema.metadata,
    )

"""From the record in the spool to the row in the lake: price, flags, promoted keys."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa

from majordomo_analytics.lake.filling import filled
from majordomo_analytics.pricing.pricer import pricer_in_use, stated_cost
from majordomo_analytics.records.columns import PROMOTED_PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterable

    from majordomo_analytics.records.request import RequestRecord

_NOT_COLUMNS = ("version", "usage", "metadata")
_RENAMED = {"status": "usage_status", "source": "usage_source", "raw": "usage_raw"}


def row_of(record: RequestRecord, *, created_at: datetime) -> dict[str, Any]:
    """Return the values of every column of one request, promoted keys aside."""
    usage = record.usage
    cost = pricer_in_use().price(
        usage,
        provider=record.provider,
        model=record.model,
        requested_model=record.requested_model,
        requested_at=record.requested_at,
        request_path=record.request_path,
    )
    row = msgspec.structs.asdict(record)
    for name in _NOT_COLUMNS:
        del row[name]
    for name, value in msgspec.structs.asdict(usage).items():
        if name != "iterations":
            row[_RENAMED.get(name, name)] = value
    row.update(
        requested_date=record.requested_at.astimezone(UTC).date(),
        input_cost=cost.input_cost,
        output_cost=cost.output_cost,
        tool_cost=cost.tool_cost,
        total_cost=cost.total_cost,
        cost_status=cost.status,
        price_version=cost.price_version,
        stated_cost=stated_cost(usage),
        raw_metadata=list(record.metadata.items()),
        flags=list(dict.fromkeys((*record.flags, *usage.flags, *cost.flags))),
        created_at=created_at,
    )
    return row


def table_of(
    records: Iterable[RequestRecord], schema: pa.Schema, *, created_at: datetime
) -> pa.Table:
    """Return the rows of `records` under the lake's `schema`, columns of keys filled."""
    rows = [row_of(record, created_at=created_at) for record in records]
    stored = [field for field in schema if not field.name.startswith(PROMOTED_PREFIX)]
    table = pa.Table.from_pylist(rows, schema=pa.schema(stored))
    return filled(table, schema).select(schema.names)

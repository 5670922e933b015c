"""Rows for the tests of the lake, made without the code that makes them in earnest."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa

from majordomo_analytics.records.metadata import PROMOTED_FROM_THE_START
from majordomo_analytics.records.schemas import arrow_schema

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
REQUIRED: dict[str, Any] = {
    "requested_at": NOON,
    "requested_date": NOON.date(),
    "provider": "openai",
    "request_method": "POST",
    "request_path": "/v1/chat/completions",
    "outcome": "completed",
    "usage_status": "reported",
    "cost_status": "priced",
    "raw_metadata": [("Feature", "search")],
    "flags": [],
    "created_at": NOON,
    "total_cost": Decimal("0.0000000001"),
}


def rows(*ids: str, day: date | None = None) -> pa.Table:
    """Return rows with these ids, on the first of November unless `day` says else."""
    known = REQUIRED | ({"requested_date": day} if day else {})
    return pa.Table.from_pylist(
        [{"id": request_id, **known} for request_id in ids],
        schema=arrow_schema(PROMOTED_FROM_THE_START),
    )

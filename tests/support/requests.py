"""Requests for tests of the read road: rows of plain dicts, and lakes made of them."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from majordomo_analytics.lake.table import append_once, create_lake
from majordomo_analytics.records.columns import promoted_column
from majordomo_analytics.records.metadata import PROMOTED_FROM_THE_START
from majordomo_analytics.records.schemas import arrow_schema

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def request(number: int, at: str, cost: str | None, **metadata: str) -> dict[str, Any]:
    """Return the lake row of a request; metadata keys have ``_`` for ``-``."""
    requested_at = datetime.fromisoformat(at).replace(tzinfo=UTC)
    keys = {name.replace("_", "-"): value for name, value in metadata.items()}
    return {
        "id": f"00000000-0000-7000-8000-{number:012}",
        "requested_at": requested_at,
        "requested_date": requested_at.date(),
        "response_time_ms": 100 * number,
        "provider": "openai",
        "model": "gpt-5" if number % 2 else None,
        "request_method": "POST",
        "request_path": "/v1/chat/completions",
        "status_code": 200 if number % 3 else 429,
        "outcome": "completed",
        "input_tokens": 10 * number,
        "output_tokens": number,
        "usage_status": "reported",
        "total_cost": None if cost is None else Decimal(cost),
        "cost_status": "unpriced" if cost is None else "priced",
        "raw_metadata": list(keys.items()),
        "flags": [],
        "created_at": requested_at,
        **{promoted_column(key): keys.get(key) for key in PROMOTED_FROM_THE_START},
    }


REQUESTS = [
    request(1, "2026-10-01T09:00", "0.0125", Feature="chat", Team="legal", Plan="pro"),
    request(2, "2026-10-01T23:30", "1.50", Feature="search", Team="sales"),
    request(3, "2026-10-02T10:00", "0.25", Feature="chat"),
    request(4, "2026-10-03T11:00", None, Feature="chat", Team="legal", Plan="free"),
    request(5, "2026-10-31T23:59", "12.00", Feature="bulk", Team="it's", User_Id="u1"),
]


def write_lake(path: Path, rows: Sequence[dict[str, Any]] = REQUESTS) -> Path:
    """Make a lake of these rows, one file for each day."""
    create_lake(path)
    if rows:
        table = pa.Table.from_pylist(list(rows), schema=arrow_schema(PROMOTED_FROM_THE_START))
        append_once(path, table, application="tests", first=1, last=len(rows))
    return path

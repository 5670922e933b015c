"""Rows for the tests of the lake, made without the code that makes them in earnest."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeAlias

import pyarrow as pa

from majordomo_analytics.records.metadata import PROMOTED_FROM_THE_START
from majordomo_analytics.records.schemas import arrow_schema

if TYPE_CHECKING:
    from collections.abc import Sequence

Request: TypeAlias = "tuple[str, datetime, Sequence[tuple[str, str | None]] | None, str]"
"""Id, instant, metadata and cost."""

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


def tagged(*requests: Request) -> pa.Table:
    """Return rows of (id, instant, metadata, cost), without columns of promoted keys."""
    made = [
        REQUIRED
        | {
            "id": request_id,
            "requested_at": at,
            "requested_date": at.date(),
            "raw_metadata": metadata,
            "total_cost": Decimal(cost),
        }
        for request_id, at, metadata, cost in requests
    ]
    return pa.Table.from_pylist(made, schema=arrow_schema())


def some_requests(
    days: int, batches: int, each: int, *, seed: int = 1, first: datetime = NOON
) -> list[list[Request]]:
    """Return batches of requests over days that are over, some spelled as others spell."""
    chance = random.Random(seed)
    made: list[list[Request]] = []
    for day in range(days):
        for batch in range(batches):
            rows_of_batch: list[Request] = []
            for number in range(each):
                at = first + timedelta(days=day, minutes=batch * 7, seconds=number)
                metadata: list[tuple[str, str | None]] = [("Feature", chance.choice("abc"))]
                spelling = chance.choice(["Plan", "plan", "PLAN", None])
                if spelling:
                    metadata.append((spelling, chance.choice(["free", "pro", "größe"])))
                cost = str(Decimal(chance.randrange(10**9)) / 10**9)
                rows_of_batch.append((f"{day:02}-{batch:02}-{number:03}", at, metadata, cost))
            made.append(rows_of_batch)
    return made


def cost_by(
    key: str,
    batches: Sequence[Sequence[Request]],
) -> dict[str, Decimal]:
    """Return the cost by a metadata key, by hand; without one it is (untagged)."""
    costs: dict[str, Decimal] = {}
    for batch in batches:
        for _, _, metadata, cost in batch:
            found = [v for name, v in metadata or [] if name.lower() == key.lower() and v]
            value = found[0] if found else "(untagged)"
            costs[value] = costs.get(value, Decimal(0)) + Decimal(cost)
    return costs

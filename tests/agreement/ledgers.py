"""Ledgers of made-up requests, each odd in its own way; the same ones in every run."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any
from uuid import UUID

from majordomo_analytics.records.columns import promoted_column
from majordomo_analytics.records.metadata import PROMOTED_FROM_THE_START

Row = dict[str, Any]
Texts = Sequence[str | None]

UNICODE = (
    "legal", "Ärger", "ärger", "日本語", "é", "e\u0301", "z", "Z", "\U0001f600", "\uffee",
)  # fmt: skip
MARKUP = ("it's", '"quoted"', "100%", "a_b", "back\\slash", "two\nlines", "tab\there", "a.*b", " ")
LABELS = ("(untagged)", "(other)", "", "null", "None", "true", "0")
TEAMS: Texts = ("legal", "sales", "ops", "research", None)
PLANS: Texts = ("free", "pro", None, None)
ANY_TIME = (datetime(2026, 9, 20, tzinfo=UTC), datetime(2026, 11, 10, tzinfo=UTC))


@dataclass(frozen=True)
class Shape:
    """What a ledger is like; every value is drawn from here."""

    rows: int = 60
    between: tuple[datetime, datetime] = ANY_TIME
    teams: Texts = TEAMS
    plans: Texts = PLANS
    users: int = 7
    key: str = "Cost-Center"
    lower_case: float = 0.0
    costs: Callable[[random.Random], Decimal | None] = field(
        default=lambda rng: rng.choice([None, Decimal(rng.randrange(10**9)).scaleb(-10)])
    )
    tokens: int = 5000
    unknown: float = 0.2
    step: timedelta | None = None


def at(text: str) -> datetime:
    """Return an instant in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def _huge(rng: random.Random) -> Decimal | None:
    return None if rng.random() < 0.2 else Decimal(10**20 - 1 - rng.randrange(3)).scaleb(-10)


def _alike(rng: random.Random) -> Decimal | None:
    return rng.choice([None, Decimal("0.1"), Decimal("0.2")])


SHAPES: dict[str, Shape] = {
    "empty": Shape(rows=0),
    "one request": Shape(rows=1, unknown=0.0, costs=lambda rng: Decimal("0.25")),
    "one request, of which little is known": Shape(rows=1, unknown=1.0, costs=lambda rng: None),
    "ordinary": Shape(rows=150),
    "nothing is priced": Shape(costs=lambda rng: None),
    "nothing is tagged": Shape(teams=(None,), plans=(None,), users=0),
    "everything is alike": Shape(rows=80, costs=_alike, teams=("a", "b", "c"), tokens=2),
    "text of every script": Shape(teams=(*UNICODE, None), plans=UNICODE, key="Größe"),
    "text like code": Shape(teams=(*MARKUP, None), plans=MARKUP, key="K\"';--"),
    "values like labels": Shape(teams=(*LABELS, None), plans=LABELS),
    "keys in lower case": Shape(lower_case=1.0),
    "keys in two spellings": Shape(lower_case=0.5, rows=100),
    "costs as large as the row allows": Shape(costs=_huge, rows=100),
    "counts as large as they are summed": Shape(tokens=2**58, rows=100),
    "many users": Shape(users=300, rows=300, teams=("a", None)),
    "Berlin in spring": Shape(between=(at("2026-03-27"), at("2026-03-31")), rows=100),
    "Berlin in autumn": Shape(between=(at("2026-10-23"), at("2026-10-27")), rows=100),
    "a quarter hour apart, Lord Howe": Shape(
        between=(at("2026-04-04"), at("2026-04-06")), step=timedelta(minutes=15), rows=190
    ),
    "a quarter hour apart, Havana": Shape(
        between=(at("2026-10-31"), at("2026-11-02")), step=timedelta(minutes=15), rows=190
    ),
    "a quarter hour apart, Santiago": Shape(
        between=(at("2026-04-04"), at("2026-04-06")), step=timedelta(minutes=15), rows=190
    ),
    "clocks go back over midnight, St. John's": Shape(
        between=(at("2010-11-06"), at("2010-11-08")), step=timedelta(minutes=15), rows=190
    ),
    "the turn of a year": Shape(between=(at("2025-12-28"), at("2026-01-06")), rows=100),
    "long ago and much later": Shape(between=(at("1969-12-01"), at("2037-01-01")), rows=80),
}


@cache
def make_rows(name: str) -> list[Row]:
    """Return the rows of a ledger, the same in every run."""
    shape = SHAPES[name]
    rng = random.Random(name)
    return [_row(shape, rng, number) for number in range(shape.rows)]


def _row(shape: Shape, rng: random.Random, number: int) -> Row:
    start, end = shape.between
    if shape.step is not None:
        requested_at = start + number * shape.step
    else:
        microseconds = int((end - start) / timedelta(microseconds=1))
        requested_at = start + timedelta(microseconds=rng.randrange(microseconds))
        if rng.random() < 0.3:
            requested_at = requested_at.replace(minute=0, second=0, microsecond=0)

    def known(value: Any) -> Any:
        return None if rng.random() < shape.unknown else value

    total = shape.costs(rng)
    spent_on_input = None if total is None else Decimal(rng.randrange(2)) * total
    took = rng.randrange(20_000)
    metadata = {
        "Feature": known(rng.choice(["chat", "search"])),
        "Team": rng.choice(shape.teams),
        "User-Tier": known(rng.choice(["free", "pro"])),
        "Plan": rng.choice(shape.plans),
        "User-Id": known(f"user-{rng.randrange(shape.users)}") if shape.users else None,
        shape.key: known(rng.choice(["1", "2", "ab"])),
    }
    tags = {key: value for key, value in metadata.items() if value is not None}
    stored = {
        key.lower() if rng.random() < shape.lower_case else key: value
        for key, value in tags.items()
    }
    return {
        "id": str(UUID(int=rng.getrandbits(128), version=4)),
        "requested_at": requested_at,
        "responded_at": known(requested_at + timedelta(milliseconds=took)),
        "requested_date": requested_at.date(),
        "response_time_ms": known(took),
        "provider": rng.choice(["openai", "anthropic", "gemini"]),
        "model": known(rng.choice(["gpt-5", "gpt-5-mini", "claude-4", "gemini-3"])),
        "request_method": "POST",
        "request_path": rng.choice(["/v1/chat/completions", "/v1/messages"]),
        "status_code": known(rng.choice([200, 200, 200, 404, 429, 500])),
        "outcome": rng.choice(["completed", "completed", "upstream_error", "timeout"]),
        "is_streamed": known(rng.random() < 0.5),
        "retry_attempt": known(rng.randrange(3)),
        "input_tokens": known(rng.randrange(shape.tokens)),
        "cached_tokens": known(rng.randrange(shape.tokens)),
        "output_tokens": known(rng.randrange(shape.tokens)),
        "reasoning_tokens": known(0),
        "usage_status": rng.choice(["reported", "partial", "missing"]),
        "input_cost": spent_on_input,
        "output_cost": None if total is None else total - (spent_on_input or 0),
        "tool_cost": None if total is None else Decimal(0),
        "total_cost": total,
        "cost_status": "unpriced" if total is None else "priced",
        "raw_metadata": list(stored.items()),
        "flags": rng.choice([[], ["usage_estimated"]]),
        "created_at": requested_at + timedelta(seconds=1),
        **{promoted_column(key): metadata.get(key) for key in PROMOTED_FROM_THE_START},
    }

"""What the report says: the sentences, and the questions behind its figures and tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from majordomo_analytics.errors import UnknownNameError
from majordomo_analytics.plan.plan import UNTAGGED

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from datetime import date
    from decimal import Decimal

    from majordomo_analytics.ledger.ledger import Ledger
    from majordomo_analytics.ledger.result import QueryResult
    from majordomo_analytics.times import TimeGrain

WHOLE = ("total_cost", "requests", "errors", "error_rate", "cache_hit_rate")
SPEND = ("total_cost", "requests", "cost_per_request", "total_tokens", "cache_hit_rate")
SPEED = ("p95_response_time_ms", "p50_response_time_ms", "requests", "error_rate")
ARMS = ("cost_per_request", "requests", "total_cost", "p50_response_time_ms", "error_rate")
ASKED_FOR = ("Feature", "Team", "Experiment")
GRAINS: tuple[TimeGrain, ...] = ("month", "week", "day", "hour", "minute")
BUCKETS_FOR_A_LINE = 12
FEWEST_BUCKETS = 3
MOST_ROWS = 12
MOST_LINES = 7


@dataclass(frozen=True, slots=True)
class Section:
    """One part of the page: a figure, a table, or both.

    Attributes
    ----------
    heading
        What it is about.
    says
        One sentence below the heading.
    drawn, listed
        The results to draw and to list, None for neither.
    wide
        Whether it takes the whole width.
    """

    heading: str
    says: str
    drawn: QueryResult | None = None
    listed: QueryResult | None = None
    wide: bool = False


@dataclass(frozen=True, slots=True)
class Contents:
    """Everything the page says.

    Attributes
    ----------
    headline
        The one sentence in large letters.
    findings
        The sentences below it.
    sections
        The parts, in reading order.
    """

    headline: str
    findings: tuple[str, ...]
    sections: tuple[Section, ...]


def contents(ledger: Ledger) -> Contents:
    """Ask `ledger` what the report tells."""
    total: dict[str, Any] = ledger.query(WHOLE).total
    if not total["requests"]:
        return Contents("No requests yet.", ("Send some through the proxy, and drain.",), ())
    keys = {name for name in ASKED_FOR if _is_known(ledger, name)}
    days = ledger.query("requests", time_grain="day").to_polars()["day"].to_list()
    headline = f"{_requests(total['requests'])} cost {_money(total['total_cost'])} {_when(days)}"
    lines = list(_over_time(ledger, keys))
    findings = [*_leaders(ledger, keys, total), *_rates(ledger, keys, total)]
    if not lines:
        findings.append("All of them came within two minutes, too short for a line over time.")
    return Contents(headline, tuple(findings), (*lines, *_sections(ledger, keys)))


def _is_known(ledger: Ledger, dimension: str) -> bool:
    """Return whether any request has a value of `dimension`."""
    try:
        total: dict[str, Any] = ledger.query("requests", filters={dimension: ("!=", None)}).total
    except UnknownNameError:
        return False
    return bool(total["requests"])


def _leaders(ledger: Ledger, keys: Collection[str], total: dict[str, Any]) -> Iterator[str]:
    """Yield what took the largest share of the spend."""
    spend = total["total_cost"]
    if not spend:
        return
    for dimension in ("Feature", "model"):
        if dimension == "Feature" and dimension not in keys:
            continue
        rows = ledger.query(dimensions=dimension).to_polars().to_dicts()
        named = [row for row in rows if row[dimension] != UNTAGGED and row["total_cost"]]
        if named:
            first = named[0]
            cost, count = first["total_cost"], first["requests"]
            yield (
                f"The {dimension} {first[dimension]} took {cost / spend:.1%} of the spend, "
                f"{_money(cost)}, with {count / total['requests']:.1%} of the requests."
            )


def _rates(ledger: Ledger, keys: Collection[str], total: dict[str, Any]) -> Iterator[str]:
    """Yield what else is true of all requests."""
    if total["cache_hit_rate"] is not None:
        yield f"{total['cache_hit_rate']:.1%} of the prompt tokens were read from a cache."
    untagged: dict[str, Any] = {"requests": 0}
    if "Feature" in keys:
        untagged = ledger.query(filters={"Feature": None}).total
    if untagged["requests"]:
        yield (
            f"{_requests(untagged['requests'])} came without a Feature and cost "
            f"{_money(untagged['total_cost'])}."
        )
    if total["errors"]:
        yield f"{_requests(total['errors'])} failed, {total['error_rate']:.1%} of all."
    answered = {"status_code": ("<", 400), "outcome": "completed"}
    unpriced: dict[str, Any] = ledger.query("unpriced_requests", filters=answered).total
    if unpriced["unpriced_requests"]:
        yield (
            f"{_requests(unpriced['unpriced_requests'])} succeeded without a known cost; no sum "
            "of money here holds them."
        )


def _sections(ledger: Ledger, keys: Collection[str]) -> Iterator[Section]:
    if "Feature" in keys:
        by_feature = ledger.query(SPEND, "Feature", limit=MOST_ROWS)
        yield Section(
            "Spend by Feature", "US dollars; what the calls were for.", by_feature, by_feature
        )
    by_model = ledger.query(SPEND, "model", limit=MOST_ROWS)
    yield Section("Spend by model", "US dollars; who answered.", by_model, by_model)
    if {"Team", "Feature"} <= set(keys):
        drawn = ledger.query("total_cost", ["Team", "Feature"], limit=MOST_ROWS)
        yield Section(
            "Spend by Team and Feature",
            "US dollars; whose calls they were.",
            drawn,
            ledger.query(SPEND, "Team", limit=MOST_ROWS),
        )
    by_speed = ledger.query(SPEED, "model", limit=MOST_ROWS)
    yield Section(
        "Slow answers by model",
        "95th percentile of the time to the last byte, in milliseconds.",
        by_speed,
        by_speed,
    )
    if "Experiment" in keys:
        dimensions = ["Feature", "Experiment"] if "Feature" in keys else ["Experiment"]
        arms = ledger.query(
            ARMS, dimensions, {"Experiment": ("!=", None)}, order_by=dimensions, limit=MOST_ROWS
        )
        yield Section("Experiments", "What a request costs in each arm.", None, arms, wide=True)


def _over_time(ledger: Ledger, keys: Collection[str]) -> Iterator[Section]:
    """Yield figures over time, in the longest buckets that are enough for a line."""
    for grain in GRAINS:
        requests = ledger.query("requests", time_grain=grain)
        if len(requests) >= (FEWEST_BUCKETS if grain == "minute" else BUCKETS_FOR_A_LINE):
            by = ["Feature"] if "Feature" in keys else []
            spend = ledger.query("total_cost", by, time_grain=grain, limit=MOST_LINES)
            yield Section("Spend over time", f"US dollars in each {grain}.", spend, wide=True)
            yield Section("Requests over time", f"In each {grain}.", requests, wide=True)
            return


def _requests(count: int) -> str:
    return f"{count:,} {'request' if count == 1 else 'requests'}"


def _money(cost: Decimal | None) -> str:
    if cost is None:
        return "an unknown amount"
    return f"${cost:,.2f}" if cost >= 1 else f"${float(cost):.3g}"


def _when(days: Sequence[date]) -> str:
    first, last = days[0], days[-1]
    return f"on {_day(first)}." if first == last else f"from {_day(first)} to {_day(last)}."


def _day(day: date) -> str:
    """Return a day whose parts stay on one line."""
    return f"{day.day}\N{NO-BREAK SPACE}{day:%B}\N{NO-BREAK SPACE}{day:%Y}"

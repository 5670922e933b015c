"""Buckets without a request are rows that say so, and change no sum."""

from __future__ import annotations

from datetime import UTC, date, datetime

import polars as pl
import pytest

import majordomo_analytics as ma

ROWS = {
    "requested_at": ["2026-10-02T09:00Z", "2026-10-05T09:00Z", "2026-10-05T10:00Z"],
    "total_cost": ["1.00", "2.00", None],
    "Team": ["legal", "sales", None],
}


@pytest.fixture
def ledger() -> ma.Ledger:
    return ma.open(pl.DataFrame(ROWS))


def test_a_day_without_requests_cost_nothing(ledger: ma.Ledger) -> None:
    """Nothing is known to cost nothing; its mean and its rate are not known."""
    asked = ["total_cost", "requests", "users", "cost_per_request", "p95_response_time_ms"]

    rows = ledger.query(asked, time_grain="day").to_polars()

    assert rows["day"].to_list() == [date(2026, 10, day) for day in (2, 3, 4, 5)]
    assert rows.row(1) == (date(2026, 10, 3), 0, 0, 0, None, None)


def test_the_range_that_was_asked_for_is_filled(ledger: ma.Ledger) -> None:
    """Seven days are seven rows; an open range ends with the day of the last request."""
    week = ledger.query("requests", time_grain="day", time_range=("2026-10-01", "2026-10-08"))
    since = ledger.query("requests", time_grain="day", time_range=("2026-10-01", None))

    assert [row["requests"] for row in week] == [0, 1, 0, 0, 2, 0, 0]
    assert [row["requests"] for row in since] == [0, 1, 0, 0, 2]


def test_what_has_not_happened_is_no_gap(ledger: ma.Ledger) -> None:
    """A year has no zeros in its months to come, and says that it is not over."""
    result = ledger.query("requests", time_grain="month", time_range="this year")

    last = result.to_polars()["month"].to_list()[-1]
    today = datetime.now(UTC).date()
    assert last == today.replace(day=1)
    assert last in result.incomplete
    assert f"{last} …" in repr(result)
    assert "… not complete" in repr(result)


def test_every_combination_gets_every_bucket(ledger: ma.Ledger) -> None:
    """So that lines of a figure begin and end together."""
    result = ledger.query("requests", "Team", time_grain="day")

    assert len(result) == 3 * 4
    assert result.to_polars()["requests"].sum() == result.total["requests"] == 3


def test_gaps_can_be_left(ledger: ma.Ledger) -> None:
    """Rows are then those with requests only."""
    assert len(ledger.query("requests", "Team", time_grain="day", fill_gaps=False)) == 3


def test_hours_of_a_day_with_25() -> None:
    """The hour that comes twice is twice there."""
    rows = {"requested_at": ["2026-10-25T12:00Z"]}

    result = ma.open(pl.DataFrame(rows)).query(
        "requests", time_grain="hour", time_range="2026-10-25", timezone="Europe/Berlin"
    )

    hours = result.to_polars()["hour"]
    assert len(hours) == 25
    assert hours.dt.hour().to_list()[:5] == [0, 1, 2, 2, 3]


def test_coverage_counts_every_request_once() -> None:
    """Priced, stated, estimated and unknown add up to all."""
    rows = {
        "requested_at": ["2026-10-05T09:00Z"] * 6,
        "total_cost": ["1", "1", "1", None, "1", "1"],
        "cost_status": ["priced", "stated", "priced", "unpriced", "priced", "stated"],
        "usage_status": ["reported", "reported", "estimated", "partial", "partial", "estimated"],
    }

    coverage = ma.open(pl.DataFrame(rows)).query().coverage

    assert (coverage.requests, coverage.priced, coverage.stated) == (6, 1, 2)
    assert (coverage.estimated, coverage.unknown) == (2, 1)
    assert "83.3 %" in str(coverage)


def test_minutes_of_years_can_be_asked_without_the_gaps() -> None:
    rows = {"requested_at": ["2025-06-01T10:00Z", "2026-10-05T10:00Z"]}

    result = ma.open(pl.DataFrame(rows)).query("requests", time_grain="minute", fill_gaps=False)

    assert len(result) == 2


def test_the_hour_that_comes_twice_is_told_apart() -> None:
    """Ten to one and ten past one in UTC are ten to three and ten past two in Berlin."""
    rows = {"requested_at": ["2026-10-25T00:50Z", "2026-10-25T01:10Z"]}
    ledger = ma.open(pl.DataFrame(rows))

    minutes = ledger.query("requests", time_grain="minute", timezone="Europe/Berlin")
    hours = ledger.query(
        "requests", time_grain="hour", timezone="Europe/Berlin",
        time_range=("2026-10-25T00:10Z", "2026-10-25T02:00Z"),
    )  # fmt: skip

    assert len(minutes) == 21
    assert repr(hours).count(" …") == 1

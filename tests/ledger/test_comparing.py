"""Two periods side by side: every row matched, nothing left out, all of it exact."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import majordomo_analytics as ma

MONEY = st.none() | st.decimals(0, 10**6, places=10, allow_nan=False)


def row(at: str, cost: str | None, team: str | None, status: int | None = 200) -> dict[str, Any]:
    return {
        "requested_at": datetime.fromisoformat(at).replace(tzinfo=UTC),
        "total_cost": None if cost is None else Decimal(cost),
        "Team": team,
        "status_code": status,
    }


ROWS = [
    row("2026-09-03T10:00", "1.00", "legal"),
    row("2026-09-30T10:00", "2.00", "sales"),
    row("2026-10-03T10:00", "4.00", "legal"),
    row("2026-10-04T10:00", "8.00", "legal"),
    row("2026-10-31T10:00", "16.00", "ops"),
    row("2026-10-31T11:00", None, None),
]
SCHEMA: dict[str, pl.DataType] = {
    "requested_at": pl.Datetime("us", "UTC"),
    "total_cost": pl.Decimal(38, 10),
    "Team": pl.String(),
    "status_code": pl.Int64(),
}


def opened(rows: list[dict[str, Any]] = ROWS) -> ma.Ledger:
    return ma.open(pl.DataFrame(rows, schema=SCHEMA))


def shown(result: ma.QueryResult, *names: str) -> list[tuple[Any, ...]]:
    return [tuple(row[name] for name in names) for row in result]


def test_a_value_that_is_new_was_nothing_and_one_that_is_gone_is_nothing() -> None:
    """Sales had cost and has none; ops has and had none; what is unpriced stays unknown."""
    result = opened().query(dimensions="Team", time_range="2026-10", compare="previous period")

    assert shown(result, "Team", "total_cost", "total_cost_before", "total_cost_change") == [
        ("ops", Decimal(16), 0, Decimal(16)),
        ("legal", Decimal(12), Decimal(1), Decimal(11)),
        ("sales", 0, Decimal(2), Decimal(-2)),
        ("(untagged)", None, 0, None),
    ]
    assert result.to_polars()["total_cost_change_share"].to_list() == [None, 11.0, -1.0, None]
    assert result.total["total_cost_before"] == 3
    assert result.total["total_cost_change"] == 25
    assert result.total["requests_change"] == 2
    assert result.total["requests_change_share"] == 1.0


def test_days_are_matched_by_their_place() -> None:
    """The third stands beside the third, and October's 31st beside no day of September."""
    result = opened().query("total_cost", time_range="2026-10", time_grain="day",
                            compare="previous period")  # fmt: skip
    rows = {r[0]: r[1:] for r in shown(result, "day", "total_cost", "total_cost_before")}

    assert len(rows) == 31
    assert rows[date(2026, 10, 3)] == (4, 1)
    assert rows[date(2026, 10, 30)] == (0, 2)
    assert rows[date(2026, 10, 31)] == (16, 0)


def test_what_only_the_earlier_period_has_is_not_lost() -> None:
    """Beside September, October's 31st has no bucket; its cost is in a row all the same."""
    result = opened().query("total_cost", time_range="2026-09", time_grain="day",
                            compare="2026-10")  # fmt: skip

    assert shown(result, "day", "total_cost_before")[-1] == (None, Decimal(16))
    assert result.to_polars()["total_cost_before"].sum() == result.total["total_cost_before"]


def test_the_rest_is_the_rest_of_both_periods() -> None:
    """With a limit the earlier period keeps the values of this one."""
    result = opened().query("total_cost", "Team", time_range="2026-10", limit=1,
                            compare="previous period")  # fmt: skip

    assert shown(result, "Team", "total_cost", "total_cost_before") == [
        ("ops", 16, 0),
        ("(other)", 12, 3),
    ]


def test_the_values_that_changed_most_can_be_asked_for() -> None:
    """Ranked by the change, and the rest is in one row."""
    result = opened().query("total_cost", "Team", time_range="2026-10", limit=1,
                            order_by="total_cost_change", compare="previous period")  # fmt: skip

    assert shown(result, "Team", "total_cost_change") == [("sales", -2), ("(other)", 27)]


def test_numbers_with_holes_are_matched_too() -> None:
    """A dimension may be text in one period, for what is untagged, and not in the other."""
    rows = [
        row("2026-09-03T10:00", "1", None, 200),
        row("2026-10-03T10:00", "2", None, 200),
        row("2026-10-04T10:00", "4", None, None),
    ]

    result = opened(rows).query("total_cost", "status_code", time_range="2026-10",
                                compare="previous period")  # fmt: skip

    assert shown(result, "status_code", "total_cost", "total_cost_before") == [
        ("(untagged)", 4, 0),
        ("200", 2, 1),
    ]


def test_a_column_cannot_be_called_like_one_of_the_comparison() -> None:
    """Two columns of one name would hide a number."""
    own = ma.measure("total_cost_before", "total_cost")

    with pytest.raises(ma.QueryError, match="total_cost_before"):
        opened().query(["total_cost", own], time_range="2026-10", compare="previous period")


def test_it_says_which_period_it_is() -> None:
    """Whoever reads the table sees both ranges."""
    said = repr(opened().query(dimensions="Team", time_range="2026-10", compare="2026-09"))

    assert "before: 2026-09-01 to before 2026-10-01, UTC" in said


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.builds(
            lambda day, cost, team, status: {
                "requested_at": datetime(2026, 9, 1, tzinfo=UTC) + timedelta(days=day, hours=5),
                "total_cost": cost,
                "Team": team,
                "status_code": status,
            },
            st.integers(0, 60),
            MONEY,
            st.sampled_from([None, "a", "b", "c", "(other)", "ü"]),
            st.sampled_from([None, 200, 429, 500]),
        ),
        max_size=40,
    ),
    st.sampled_from([None, "day", "week"]),
    st.lists(st.sampled_from(["Team", "status_code"]), unique=True),
    st.sampled_from([None, 1, 2]),
    st.sampled_from(["-total_cost", "-total_cost_change", "total_cost_before"]),
)
def test_both_periods_add_up(
    rows: list[dict[str, Any]],
    grain: str | None,
    by: list[str],
    limit: int | None,
    order: str,
) -> None:
    """Rows sum to the totals, and the totals are those of each period asked alone."""
    ledger = opened(rows)

    result = ledger.query(["total_cost", "requests"], by, time_range="2026-10", compare="2026-09",
                          time_grain=grain, limit=limit, order_by=order)  # type: ignore[arg-type]  # fmt: skip

    table = result.to_polars()
    months = defaultdict(list)
    for one in rows:
        months[one["requested_at"].month].append(one["total_cost"])
    for name, month in (("total_cost", 10), ("total_cost_before", 9)):
        known = [cost for cost in months[month] if cost is not None]
        nothing = None if months[month] else 0  # of no requests it is known
        assert result.total[name] == (sum(known, Decimal(0)) if known else nothing)
        assert (table[name].sum() or 0) == (result.total[name] or 0)
    assert table["requests"].sum() == result.total["requests"] == len(months[10])
    assert table["requests_before"].sum() == result.total["requests_before"] == len(months[9])


def test_a_loss_is_a_negative_amount_and_stands_beside_its_measure() -> None:
    """The sign is in front of the dollar; the columns of one measure stand together."""
    result = opened().query(dimensions="Team", time_range="2026-10", compare="previous period")

    assert result.to_polars().columns[1:5] == [
        "total_cost", "total_cost_before", "total_cost_change", "total_cost_change_share",
    ]  # fmt: skip
    assert "-$2.00" in repr(result)


def at(when: str, model: str = "a", cost: str = "1") -> dict[str, Any]:
    return {"requested_at": datetime.fromisoformat(when), "model": model, "total_cost": cost}


def test_what_changed_most_is_ranked_in_the_zone_that_is_asked_for() -> None:
    """Half past ten at night in UTC is the next day's first hour in Berlin."""
    rows = [at("2026-10-05T22:30Z", cost="5")] * 3 + [
        at("2026-10-05T10:00Z"),
        at("2026-09-05T10:00Z"),
    ]

    result = ma.open(pl.DataFrame(rows)).query(
        "total_cost", "hour_of_day", time_range="2026-10", compare="2026-09",
        timezone="Europe/Berlin", limit=1, order_by="-total_cost_change",
    )  # fmt: skip

    assert shown(result, "hour_of_day", "total_cost_change") == [("0", 15), ("(other)", 0)]


def test_a_change_that_decides_second_decides_who_is_kept() -> None:
    rows = [at("2026-10-05T10:00Z", m, c) for m, c in zip("abc", "559", strict=True)]
    rows += [at("2026-09-05T10:00Z", m, c) for m, c in zip("abc", "551", strict=True)]

    result = ma.open(pl.DataFrame(rows)).query(
        dimensions="model", time_range="2026-10", compare="2026-09", limit=1,
        order_by=["-requests", "-total_cost_change"], other=False,
    )  # fmt: skip

    assert shown(result, "model") == [("c",)]


def test_a_period_of_ones_own_follows_the_calendar() -> None:
    rows = [at("2025-02-10T00:00Z"), at("2025-05-10T00:00Z", cost="10"), at("2026-05-10T00:00Z")]
    calendar = ma.Calendar(year_starts_in=4)

    result = ma.open(pl.DataFrame(rows)).query(
        "total_cost", time_range="2026-Q1", compare="2025-Q1", calendar=calendar
    )

    assert result.total["total_cost_before"] == 10


@pytest.mark.parametrize("engine", ["duckdb", "polars"])
def test_numbers_stay_numbers_beside_those_that_were_kept(engine: str) -> None:
    """And are ordered as numbers."""
    rows = [at(day) | {"status_code": n} for n in (99, 1000, 200)
            for day in ("2026-10-05T10:00Z", "2026-09-05T10:00Z")]  # fmt: skip

    result = ma.open(pl.DataFrame(rows)).query(
        "requests", "status_code", time_range="2026-10", compare="2026-09", limit=10,
        order_by="status_code", engine=engine,
    )  # fmt: skip

    assert result.to_polars()["status_code"].to_list() == [99, 200, 1000]


def test_of_no_requests_the_total_is_what_the_rows_add_up_to() -> None:
    """Nothing happened this month: it cost nothing, which is less than before."""
    result = ma.open(pl.DataFrame([at("2026-09-05T10:00Z", cost="11")])).query(
        dimensions="model", time_range="2026-10", compare="2026-09"
    )

    assert result.total["total_cost"] == 0
    assert result.total["total_cost_change"] == -11
    assert result.to_polars()["total_cost_change"].sum() == -11


def test_no_label_of_ones_own_is_called_as_the_rest_is() -> None:
    with pytest.raises(ma.QueryError, match="something else"):
        ma.dimension("family", "model", patterns={"^gpt": "GPT"}, default="(other)")

"""Values are converted exactly, or refused by name with the rule."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from majordomo_analytics.errors import BadValueError
from majordomo_analytics.imports.values import (
    read_boolean,
    read_count,
    read_instant,
    read_metadata_map,
    read_money,
    read_text,
    read_uuid,
)
from majordomo_analytics.records.metadata import MAX_VALUE_CHARACTERS

STEP = Decimal("1e-10")
EXACT = Context(prec=60, rounding=ROUND_HALF_EVEN)
costs = st.decimals(0, 10**10 - 1, allow_nan=False, allow_infinity=False, places=14)


@given(costs)
def test_money_in_text_is_exact_to_ten_places(cost: Decimal) -> None:
    wanted = cost.quantize(STEP, context=EXACT)

    assert read_money("total_cost", str(cost)) == wanted
    assert read_money("total_cost", f" {cost:e} ") == wanted


@given(st.floats(0, 9e9, allow_nan=False))
def test_a_float_is_the_decimal_that_shows_it(cost: float) -> None:
    assert read_money("total_cost", cost) == Decimal(repr(cost)).quantize(STEP, context=EXACT)


@pytest.mark.parametrize(
    "cost",
    ["1e400", "-0.01", "NaN1", "Infinity", float("inf"), "1,5", "$5", "10000000000", True, [1]],
)
def test_what_is_no_cost_is_refused(cost: Any) -> None:
    with pytest.raises(BadValueError, match=r"^total_cost "):
        read_money("total_cost", cost)


@given(st.integers(0, 2**63 - 1))
def test_a_count_is_read_in_every_form_that_is_exact(count: int) -> None:
    forms = (count, str(count), f"{count}.0", Decimal(count))

    assert {read_count("input_tokens", form) for form in forms} == {count}


@pytest.mark.parametrize("count", [-1, "-5", "1.5", 2**63, "1e99", "ten", True, "0x10"])
def test_what_is_no_count_is_refused(count: Any) -> None:
    with pytest.raises(BadValueError, match=r"^input_tokens .+ is no "):
        read_count("input_tokens", count)


@pytest.mark.parametrize("nothing", [None, "", " ", "null", "NULL", "NaN", float("nan"), r"\N"])
def test_nothing_is_null_and_never_zero(nothing: Any) -> None:
    assert read_count("input_tokens", nothing) is None
    assert read_money("total_cost", nothing) is None
    assert read_instant("requested_at", nothing) is None
    assert read_boolean("is_streamed", nothing) is None


offsets = st.integers(-14 * 60, 14 * 60).map(lambda m: timezone(timedelta(minutes=m)))
instants = st.datetimes(datetime(1971, 1, 1), datetime(2099, 12, 30), timezones=offsets)  # noqa: DTZ001


@given(instants)
def test_an_instant_is_the_same_in_every_form(instant: datetime) -> None:
    micros = (instant - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    forms = (
        instant,
        instant.isoformat(),
        instant.isoformat(" "),
        instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        f"{micros // 10**6}.{micros % 10**6:06}",
        Decimal(micros).scaleb(-6),
    )

    assert {read_instant("requested_at", form) for form in forms} == {instant}


@pytest.mark.parametrize("epoch", [1_790_000_000 * 10**n for n in (0, 3, 6, 9)])
def test_an_epoch_is_read_in_the_unit_that_its_size_says(epoch: int) -> None:
    at = datetime(2026, 9, 21, 14, 13, 20, tzinfo=UTC)

    assert read_instant("requested_at", epoch) == read_instant("requested_at", str(epoch)) == at


@pytest.mark.parametrize("per_second", [1, 10**3, 10**6, 10**9])
def test_an_epoch_ends_with_the_year_2099(per_second: int) -> None:
    """In each unit; what is beyond is not read in the next one either."""
    end = datetime(2100, 1, 1, tzinfo=UTC)
    number = int(end.timestamp()) * per_second

    last = read_instant("requested_at", number - 1)
    assert last is not None
    assert timedelta() < end - last <= timedelta(seconds=1)
    for beyond in (number, 5 * number):
        with pytest.raises(BadValueError, match=r"is no time.+before 2100"):
            read_instant("requested_at", beyond)


@pytest.mark.parametrize("digits", [20_261_005_090_000, "20261005090000", -1])
def test_the_digits_of_a_date_and_a_time_are_no_epoch(digits: int | str) -> None:
    """As milliseconds they would be a day of the year 2612."""
    with pytest.raises(BadValueError, match="is no time"):
        read_instant("requested_at", digits)


@pytest.mark.parametrize("milliseconds", [1_712_053_011_123, 1_712_010_112_000])
def test_digits_that_could_be_a_date_with_a_time_are_the_number_they_are(
    milliseconds: int,
) -> None:
    """Python reads 1712053011123 as a day of the year 1712."""
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)
    forms = (milliseconds, str(milliseconds), Decimal(milliseconds), float(milliseconds))

    assert {read_instant("requested_at", form) for form in forms} == {at}


@given(st.integers(2 * 10**8, 4 * 10**9), st.sampled_from([0, 3, 6, 9]))
def test_a_number_is_the_same_instant_as_text(seconds: int, places: int) -> None:
    number = seconds * 10**places
    as_text = Decimal(number)

    assert (
        read_instant("requested_at", str(number))
        == read_instant("requested_at", f"{number}.0")
        == read_instant("requested_at", as_text)
    )


def test_eight_digits_are_a_date_as_text_and_seconds_as_a_number() -> None:
    assert read_instant("requested_at", "20261005") == datetime(2026, 10, 5, tzinfo=UTC)
    assert read_instant("requested_at", 20_261_005) == datetime(1970, 8, 23, 12, 3, 25, tzinfo=UTC)


def test_a_time_without_an_offset_is_one_of_the_zone() -> None:
    berlin = ZoneInfo("Europe/Berlin")

    read = read_instant("requested_at", "2026-10-25 01:30:00", berlin)

    assert read == datetime(2026, 10, 24, 23, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    "time",
    ["2026-02-30", "05/10/2026", "infinity", "yesterday", "-5", 1e300, True, "2026-10-05T25"],
)
def test_what_is_no_time_is_refused(time: Any) -> None:
    with pytest.raises(BadValueError, match=r"^requested_at .+ is no time"):
        read_instant("requested_at", time)


@given(st.text())
def test_a_text_has_nothing_that_a_database_does_not_take(text: str) -> None:
    found: list[str] = []

    read = read_text(text, found)

    assert read is not None
    assert "\x00" not in read
    assert read.encode("utf-8").decode("utf-8") == read
    assert (read == text) == (found == [])


def test_metadata_is_canonical_bounded_and_flagged() -> None:
    found: list[str] = []
    given = {"user_tier": 7, "USER-TIER": "x", "feature": "a" * 5000, "n": None, "l": [1, "ü"]}

    read = read_metadata_map("raw_metadata", given, found)

    assert read == {"User-Tier": "7", "Feature": "a" * MAX_VALUE_CHARACTERS, "L": '[1, "ü"]'}
    assert found == ["metadata_repeated", "metadata_cut"]


def test_a_refusal_shows_no_more_of_a_value_than_is_needed() -> None:
    with pytest.raises(BadValueError, match=re.escape(f"{'9' * 80}…")):
        read_uuid("majordomo_api_key_id", "9" * 10_000)

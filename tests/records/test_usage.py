"""Token counts: what is a count, what is unknown, and which part lies in which whole."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from majordomo_analytics.records.usage import (
    MAX_COUNT,
    MISSING,
    WHOLE_OF,
    Usage,
    add_counts,
    count_or_none,
    parts_over_whole,
)


@pytest.mark.parametrize("count", [0, 1, MAX_COUNT])
def test_a_whole_number_from_zero_up_is_a_count(count: int) -> None:
    assert count_or_none(count) == count


@pytest.mark.parametrize("value", [-1, MAX_COUNT + 1, True, False, 1.0, "1", None, [], {}])
def test_anything_else_is_unknown(value: object) -> None:
    """Never 0: a provider that sends nonsense has told us nothing."""
    assert count_or_none(value) is None


@given(st.lists(st.none() | st.integers(0, MAX_COUNT)))
def test_a_sum_is_of_the_known_counts_and_unknown_when_there_are_none(
    values: list[int | None],
) -> None:
    total, known = 0, False
    for value in values:
        if value is not None:
            total, known = total + value, True

    assert add_counts(*values) == (total if known and total <= MAX_COUNT else None)


def test_wholes_have_no_cycle_and_end_in_input_or_output() -> None:
    for part in WHOLE_OF:
        seen = [part]
        while seen[-1] in WHOLE_OF:
            seen.append(WHOLE_OF[seen[-1]])
            assert len(seen) < 5
        assert seen[-1] in {"input_tokens", "output_tokens"}


def test_a_part_larger_than_its_whole_is_named() -> None:
    usage = Usage(input_tokens=10, cached_tokens=11, output_tokens=5, reasoning_tokens=5)

    assert parts_over_whole(usage) == ("cached_tokens",)


def test_nothing_is_said_about_a_part_whose_whole_is_unknown() -> None:
    assert parts_over_whole(Usage(cached_tokens=11)) == ()


def test_missing_usage_has_no_number_at_all() -> None:
    assert MISSING.status == "missing"
    assert all(getattr(MISSING, name) is None for name in (*WHOLE_OF, "input_tokens"))

"""Chance is the same on every machine, and its tables say what they promise."""

from __future__ import annotations

import hashlib

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from majordomo_analytics.sampling.chance import (
    MAX_SEED,
    Chance,
    between,
    mixed,
    ranks,
    shares,
    sizes,
)

SEEDS = st.integers(0, MAX_SEED)


def test_a_stream_is_the_one_that_was_pinned() -> None:
    """Philox's raw words, counted from the key (20260601, 3) on."""
    words = Chance(20260601, 3).words(4096)

    assert hashlib.sha256(words.astype("<u8").tobytes()).hexdigest() == (
        "ef6564b2ffce2ceb9cc62ff4002f801eee43ee0976bfb9a683c72720260e05c3"
    )


@given(seed=SEEDS, part=st.integers(0, 2**63), size=st.integers(0, 50))
def test_equal_seeds_give_equal_streams_and_parts_differ(seed: int, part: int, size: int) -> None:
    first, again, other = (Chance(seed, place).words(size) for place in (part, part, part + 1))

    assert first.tolist() == again.tolist()
    assert size < 2 or first.tolist() != other.tolist()


@given(seed=SEEDS, limit=st.integers(1, 2**32 - 1))
def test_drawn_numbers_are_below_their_limit(seed: int, limit: int) -> None:
    drawn = Chance(seed, 0).below(limit, 200)

    assert drawn.min() >= 0
    assert drawn.max() < limit


@given(weights=st.lists(st.integers(0, 50), min_size=1, max_size=12).filter(any))
def test_each_choice_has_its_share_of_the_table(weights: list[int]) -> None:
    counts = np.bincount(shares(weights), minlength=len(weights))

    for count, weight in zip(counts, weights, strict=True):
        assert abs(count - 4096 * weight / sum(weights)) <= 1


@given(median=st.integers(1000, 50_000), spread=st.floats(0.1, 1.0), seed=SEEDS)
def test_half_of_the_sizes_are_below_the_median(median: int, spread: float, seed: int) -> None:
    table = sizes(median, spread).reshape(1, -1)
    drawn = between(table, np.zeros(4000, np.int64), Chance(seed, 1).words(4000))

    assert 0.4 < (drawn < median).mean() < 0.6
    assert table.min() <= drawn.min()
    assert drawn.max() <= table.max()


@given(count=st.integers(1, 10**6))
def test_ranks_rise_from_the_first_to_the_last(count: int) -> None:
    row = ranks(count)

    assert row[0] == 0
    assert row[-1] == count
    assert (np.diff(row) >= 0).all()


def test_mixing_gives_each_number_another_word() -> None:
    words = mixed(np.arange(100_000), 5)

    assert len(np.unique(words)) == 100_000
    assert 0.49 < (words >> np.uint64(63)).astype(np.float64).mean() < 0.51

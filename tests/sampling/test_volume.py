"""Requests are spread over the window as the story says, and exactly as many as asked."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from majordomo_analytics.sampling import story
from majordomo_analytics.sampling.volume import IN_LOOP, Cells, cells, day_number, instant_of


@settings(max_examples=15)
@given(rows=st.integers(1, 10**9), seed=st.integers(0, 2**63 - 1), days=st.integers(1, 120))
def test_there_are_exactly_as_many_as_asked_for(rows: int, seed: int, days: int) -> None:
    made = cells(rows, seed=seed, days=days)

    assert sum(int(count) for count in made.counts) == made.rows == rows
    assert made.counts.min() >= 0
    assert made.hours.max() < days * 24


@settings(max_examples=15)
@given(rows=st.integers(1, 10**6), most=st.integers(1, 200_000))
def test_chunks_are_whole_hours_that_hold_everything_once(rows: int, most: int) -> None:
    whole = cells(rows, seed=1, days=20)
    parts = list(whole.chunks(most))

    assert sum(part.rows for part in parts) == rows
    assert all(part.rows for part in parts)
    ends = [(int(part.hours[0]), int(part.hours[-1])) for part in parts]
    assert all(end < begin for (_, end), (begin, _) in pairwise(ends))
    for part in parts:
        if part.rows > most:
            assert len(np.unique(part.hours)) == 1


@pytest.fixture(scope="module")
def many() -> Cells:
    return cells(20_000_000, seed=3, days=120)


def requests_in(many: Cells, feature: str, hours: set[int], *, weekend: bool) -> float:
    """Return a feature's mean requests in such local hours of such days."""
    place = [each.name for each in story.FEATURES].index(feature)
    chosen = []
    for hour, which, count in zip(many.hours, many.features, many.counts, strict=True):
        local = instant_of(int(hour) + story.UTC_OFFSET_HOURS)
        if which == place and local.hour in hours and (local.weekday() >= 5) == weekend:
            chosen.append(int(count))
    return sum(chosen) / len(chosen)


def test_the_office_sleeps_at_night_and_at_the_weekend(many: Cells) -> None:
    day = requests_in(many, "code-assist", {10, 11, 14}, weekend=False)
    night = requests_in(many, "code-assist", {1, 2, 3}, weekend=False)
    weekend = requests_in(many, "code-assist", {10, 11, 14}, weekend=True)

    assert night < day / 50
    assert day / 12 < weekend < day / 6


def test_some_features_are_called_round_the_clock(many: Cells) -> None:
    day = requests_in(many, "ticket-triage", {10, 11, 14}, weekend=False)
    night = requests_in(many, "ticket-triage", {2, 3}, weekend=False)

    assert day / 3 < night < day


def test_traffic_grows_by_what_the_story_says(many: Cells) -> None:
    """Of a feature that is always there, over whole weeks at both ends."""
    place = [each.name for each in story.FEATURES].index("ticket-triage")
    of_days = np.bincount(many.hours // 24, many.counts * (many.features == place), 120)
    first, last = of_days[:14].sum(), of_days[105:119].sum()

    # Middle to middle are 105 of the 119 days that the growth is over.
    assert last / first == pytest.approx(1 + 0.45 * 105 / 119, rel=0.06)


def test_nothing_is_launched_before_its_day(many: Cells) -> None:
    place = [each.name for each in story.FEATURES].index(story.LAUNCH.feature)
    of_days = np.bincount(many.hours // 24, many.counts * (many.features == place), 120)
    launch = day_number(story.LAUNCH.day)

    assert of_days[:launch].sum() == 0
    assert of_days[launch] > 0
    assert of_days[launch + 21 : launch + 26].mean() > 5 * of_days[launch : launch + 3].mean()


def test_the_loop_runs_in_its_hours_alone_and_has_its_share(many: Cells) -> None:
    looping = many.features == IN_LOOP
    hours = many.hours[looping & (many.counts > 0)]

    assert instant_of(int(hours.min())) == datetime(2026, 8, 27, 1, tzinfo=UTC)
    assert instant_of(int(hours.max()) + 1) == datetime(2026, 8, 27, 6, tzinfo=UTC)
    assert many.counts[looping].sum() / many.rows == pytest.approx(story.LOOP.share, rel=1e-6)

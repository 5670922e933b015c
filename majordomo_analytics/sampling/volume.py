"""How many requests each feature makes in each hour: exactly as many as are asked for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

import numpy as np

from majordomo_analytics.sampling import story
from majordomo_analytics.sampling.chance import Chance

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

    from majordomo_analytics.sampling.chance import Ints

HOURS_PER_DAY = 24
VOLUME_PART = 2**62
"""The part of chance that says how much is called; the others number the chunks."""

IN_LOOP = len(story.FEATURES)
"""Stands in a cell for the runaway loop, which is no feature of its own."""

_HUNDREDTHS = 100


@dataclass(frozen=True, slots=True)
class Cells:
    """Counts of requests, in the order of time.

    Attributes
    ----------
    hours
        Hours since the window began.
    features
        Places in `story.FEATURES`, or `IN_LOOP`.
    counts
        How many requests.
    """

    hours: Ints
    features: Ints
    counts: Ints

    @property
    def rows(self) -> int:
        """How many requests they are together."""
        return int(self.counts.sum())

    def chunks(self, most_rows: int) -> Iterator[Cells]:
        """Yield them in parts of whole hours, of about `most_rows` requests at most."""
        ends = np.flatnonzero(np.diff(self.hours, append=-1)) + 1  # of each hour
        upto = np.cumsum(self.counts)[ends - 1]
        begin, done = 0, 0
        for place, end in enumerate(ends):
            is_last = place + 1 == len(ends)
            if is_last or upto[place + 1] - done > most_rows:
                if upto[place] > done:
                    yield Cells(
                        self.hours[begin:end], self.features[begin:end], self.counts[begin:end]
                    )
                begin, done = int(end), int(upto[place])


def cells(rows: int, *, seed: int, days: int) -> Cells:
    """Return the counts of a sample; they add up to `rows`.

    Weights are whole numbers, so that they are the same on every machine.
    """
    hours: list[int] = []
    features: list[int] = []
    weights: list[int] = []
    noise = Chance(seed, VOLUME_PART)
    of_days = noise.below(2 * story.DAY_NOISE_PERCENT + 1, days) - story.DAY_NOISE_PERCENT
    count = days * HOURS_PER_DAY * (len(story.FEATURES) + 1)
    of_cells = noise.below(2 * story.HOUR_NOISE_PERCENT + 1, count) - story.HOUR_NOISE_PERCENT
    for hour in range(days * HOURS_PER_DAY):
        local = instant_of(hour + story.UTC_OFFSET_HOURS)
        for place, feature in enumerate(story.FEATURES):
            weight = _weight(feature, hour // HOURS_PER_DAY, local)
            weight *= _HUNDREDTHS + int(of_days[hour // HOURS_PER_DAY])
            weight *= _HUNDREDTHS + int(of_cells[len(weights)])
            hours.append(hour)
            features.append(place)
            weights.append(weight)
        hours.append(hour)
        features.append(IN_LOOP)
        weights.append(0)
    looping = [place for place, hour in enumerate(hours)
               if features[place] == IN_LOOP and _in_loop(hour)]  # fmt: skip
    whole = sum(weights)
    for place in looping:
        weights[place] = round(whole * story.LOOP.share / (1 - story.LOOP.share)) // len(looping)
    upto = list(accumulate(weights, initial=0))
    shares = [end * rows // upto[-1] for end in upto]
    counts = np.array([end - begin for begin, end in pairwise(shares)], np.int64)
    return Cells(np.array(hours, np.int64), np.array(features, np.int64), counts)


def instant_of(hour: int) -> datetime:
    """Return when an hour of the window begins."""
    return datetime.combine(story.FIRST_DAY, time(), UTC) + timedelta(hours=hour)


def day_number(day: date) -> int:
    """Return how many days after the window's first a day is."""
    return (day - story.FIRST_DAY).days


def _weight(feature: story.Feature, day: int, local: datetime) -> int:
    weight = feature.weight * story.HOURS[feature.pattern][local.hour]
    # What a feature calls in a day is its weight, whichever the hours.
    weight = weight * 1_000_000 // sum(story.HOURS[feature.pattern])
    is_weekend = local.weekday() >= 5
    weight *= story.WEEKEND_PERCENT[feature.pattern] if is_weekend else _HUNDREDTHS
    weight *= _HUNDREDTHS * (story.MOST_DAYS - 1) + story.GROWTH_PERCENT * day
    if feature.name == story.LAUNCH.feature:
        since = day - day_number(story.LAUNCH.day) + 1
        weight = weight * min(max(since, 0), story.LAUNCH.ramp_days) // story.LAUNCH.ramp_days
    return weight


def _in_loop(hour: int) -> bool:
    return story.LOOP.start <= instant_of(hour) < story.LOOP.end

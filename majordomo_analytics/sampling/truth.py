"""The truth about a sample: what was added up while its rows were made.

Counts and money are whole numbers here and come from the arrays that the rows are made of;
no file is read and no engine asked, so that both can be compared with it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from majordomo_analytics.records.money import PLACES
from majordomo_analytics.sampling import story
from majordomo_analytics.sampling.models import MODELS
from majordomo_analytics.sampling.traffic import ENVIRONMENTS, TEAMS
from majordomo_analytics.sampling.volume import day_number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from decimal import Decimal

    from majordomo_analytics.sampling.chance import Ints
    from majordomo_analytics.sampling.people import People
    from majordomo_analytics.sampling.traffic import Calls
    from majordomo_analytics.sampling.usage import Used

MEASURES = (
    "requests", "errors", "unpriced_requests", "input_tokens", "cached_tokens", "output_tokens",
    "input_cost", "output_cost", "total_cost",
)  # fmt: skip
"""What is known of every group; the names are those of the query API."""

_MONEY = frozenset({"input_cost", "output_cost", "total_cost"})


@dataclass(slots=True)
class Sums:
    """Sums by group of one dimension.

    Attributes
    ----------
    names
        The groups.
    numbers
        For each of `MEASURES` and each group, a whole number.
    """

    names: Sequence[str]
    numbers: list[list[int]] = field(init=False)

    def __post_init__(self) -> None:
        self.numbers = [[0] * len(self.names) for _ in MEASURES]

    def add(self, groups: Ints, values: Sequence[Ints]) -> None:
        """Add up the values of rows by their group; rows below zero are in none."""
        if (groups < 0).any():
            rows = np.flatnonzero(groups >= 0)
            groups, values = groups[rows], [value[rows] for value in values]
        for held, value in zip(self.numbers, values, strict=True):
            added = np.zeros(len(self.names), np.int64)
            np.add.at(added, groups, value)
            held[:] = [one + int(other) for one, other in zip(held, added, strict=True)]

    def of(self, place: int) -> dict[str, Any]:
        """Return the sums of a group as JSON has them: money as text."""
        return {
            name: money(numbers[place]) if name in _MONEY else numbers[place]
            for name, numbers in zip(MEASURES, self.numbers, strict=True)
        }

    def as_json(self) -> dict[str, Any]:
        """Return the sums of every group that has requests."""
        return {
            name: self.of(place)
            for place, name in enumerate(self.names)
            if self.numbers[0][place]
        }


class Tally:
    """Adds up the requests of a sample, chunk by chunk.

    Parameters
    ----------
    people
        Its users.
    """

    def __init__(self, people: People) -> None:
        features = [feature.name or story.UNTAGGED for feature in story.FEATURES]
        providers = sorted({model.provider for model in MODELS})
        arms = [f"{e.name}/{arm}" for e in story.EXPERIMENTS for arm in (e.control, e.treatment)]
        days = [str(story.FIRST_DAY + timedelta(days=n)) for n in range(people.days)]
        provider = np.array([providers.index(model.provider) for model in MODELS])
        self._people = people
        self._seen = np.zeros(people.count, np.bool_)
        self._dimensions: dict[str, tuple[Sums, Callable[[Calls], Ints]]] = {
            "Feature": (Sums(features), lambda calls: calls.feature),
            "Team": (Sums(_named(TEAMS)), lambda calls: calls.team),
            "User-Tier": (Sums([*story.TIERS, story.UNTAGGED]), self._tier),
            "Environment": (Sums(_named(ENVIRONMENTS)), lambda calls: calls.environment),
            "provider": (Sums(providers), lambda calls: provider[calls.model]),
            "model": (Sums([model.name for model in MODELS]), lambda calls: calls.model),
            "day": (Sums(days), lambda calls: calls.day),
            "Experiment/Arm": (Sums(arms), lambda calls: calls.arm - 1),
        }
        self._total = Sums(["all"])
        self._loop = Sums(["usual", "loop"])

    def add(self, calls: Calls, used: Used) -> None:
        """Take the requests of a chunk into account."""
        failed = np.array([e.status_code >= 400 or e.outcome != "completed" for e in story.ENDINGS])
        one = np.ones(len(calls), np.int64)
        values = (
            one, failed[calls.ending].astype(np.int64), (~used.priced).astype(np.int64),
            used.input_tokens, used.cached_tokens, used.output_tokens,
            used.input_cost, used.output_cost, used.total_cost,
        )  # fmt: skip
        for sums, group in self._dimensions.values():
            sums.add(group(calls), values)
        self._total.add(one - 1, values)
        self._loop.add(calls.looping.astype(np.int64), values)
        self._seen[calls.user[calls.user >= 0]] = True

    def as_json(self) -> dict[str, Any]:
        """Return the sums by every dimension, and what happened."""
        looped = self._loop.of(1)
        users = int(self._seen.sum()) + (looped["requests"] > 0)
        return {
            "total": {**self._total.of(0), "users": users},
            "by": {name: sums.as_json() for name, (sums, _) in self._dimensions.items()},
            "story": self._story(looped),
        }

    def _story(self, looped: dict[str, Any]) -> dict[str, Any]:
        last = story.FIRST_DAY + timedelta(days=self._people.days - 1)
        by_arm = self._dimensions["Experiment/Arm"][0].as_json()
        return {
            "launch": _told(story.LAUNCH, story.LAUNCH.day <= last),
            "cut_over": _told(story.CUT_OVER, story.CUT_OVER.day <= last),
            "late_key": _told(story.LATE_KEY, story.LATE_KEY.day <= last),
            "incident": _told(story.INCIDENT, story.INCIDENT.start.date() <= last),
            "anomaly": {
                **_told(story.LOOP, story.LOOP.start.date() <= last),
                **{name: looped[name] for name in ("requests", "errors", "total_cost")},
            },
            "experiments": [
                {
                    **_told(experiment, experiment.first_day <= last),
                    "arms": {
                        arm: by_arm.get(f"{experiment.name}/{arm}")
                        for arm in (experiment.control, experiment.treatment)
                    },
                }
                for experiment in story.EXPERIMENTS
            ],
        }

    def _tier(self, calls: Calls) -> Ints:
        tier = np.where(
            calls.user >= 0, self._people.tiers[np.maximum(calls.user, 0)], len(story.TIERS)
        )
        tier[calls.looping] = len(story.TIERS) - 2
        return tier


def money(steps: int) -> str:
    """Return ten-billionths of a dollar as decimal text.

    >>> money(12_500_000_003)
    '1.2500000003'
    """
    whole, rest = divmod(steps, 10**PLACES)
    return f"{whole}.{rest:0{PLACES}d}"


def written(truth: dict[str, Any]) -> str:
    """Return a truth as the text of its file."""
    return json.dumps(truth, indent=2, ensure_ascii=False) + "\n"


def price_change(
    instants: Iterable[datetime], rates: Callable[[datetime], tuple[Decimal, Decimal]], days: int
) -> dict[str, Any] | None:
    """Return the first change of a model's price in the window, None if there is none.

    Parameters
    ----------
    instants
        When its price changes.
    rates
        What a million tokens of prompt and of answer cost at an instant.
    days
        How long the window is.
    """
    for instant in sorted(instants):
        if 0 < day_number(instant.date()) < days:
            sides = (instant - timedelta(microseconds=1), instant)
            before, after = (dict(zip(("input", "output"), rates(at), strict=True)) for at in sides)
            return {
                "model": story.PRICE_CHANGE_MODEL,
                "day": str(instant.date()),
                "usd_per_million_tokens_before": {k: str(v) for k, v in before.items()},
                "usd_per_million_tokens_after": {k: str(v) for k, v in after.items()},
            }
    return None


def _named(names: Iterable[str | None]) -> list[str]:
    return [name or story.UNTAGGED for name in names]


def _told(entry: Any, happened: bool) -> dict[str, Any]:
    """Return an entry of the story as JSON has it."""
    told: dict[str, Any] = json.loads(json.dumps(asdict(entry), default=_plain))
    return {**told, "happened": happened}


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    message = f"a {type(value).__name__} has no place in the truth"
    raise TypeError(message)

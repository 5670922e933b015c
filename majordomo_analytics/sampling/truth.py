"""The truth about a sample: what was added up while its rows were made.

Counts and money are whole numbers here and come from the arrays that the rows are made of;
no file is read and no engine asked, so that both can be compared with it.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from majordomo_analytics.records.money import PLACES
from majordomo_analytics.sampling import story
from majordomo_analytics.sampling.models import MODELS
from majordomo_analytics.sampling.traffic import ENVIRONMENTS, TEAMS
from majordomo_analytics.sampling.volume import day_number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from decimal import Decimal

    from majordomo_analytics.sampling.chance import Flags, Ints
    from majordomo_analytics.sampling.people import People
    from majordomo_analytics.sampling.traffic import Calls
    from majordomo_analytics.sampling.usage import Used

Values: TypeAlias = "tuple[Ints, Flags]"
"""A value for each row, and whether it is known."""

MEASURES = (
    "requests", "errors", "unpriced_requests", "input_tokens", "cached_tokens", "output_tokens",
    "input_cost", "output_cost", "total_cost",
)  # fmt: skip
"""What is known of every group; the names are those of the query API."""

_ALWAYS_KNOWN = frozenset(MEASURES[:3])
_MONEY = frozenset({"input_cost", "output_cost", "total_cost"})


class Sums:
    """Sums by group of one dimension.

    Parameters
    ----------
    names
        The groups.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._sums = np.zeros((len(MEASURES), len(names)), object)
        self._known = np.zeros((len(MEASURES), len(names)), object)

    def add(self, groups: Ints, values: Mapping[str, Values]) -> None:
        """Add up the values of rows by their group; rows below zero are in none."""
        for place, name in enumerate(MEASURES):
            value, known = values[name]
            rows = np.flatnonzero(known & (groups >= 0))
            added = np.zeros(len(self._names), np.int64)
            np.add.at(added, groups[rows], value[rows])
            self._sums[place] += added
            self._known[place] += np.bincount(groups[rows], minlength=len(self._names))

    def of(self, group: int) -> dict[str, Any]:
        """Return the sums of a group as JSON has them: money as text, null if unknown."""
        said: dict[str, Any] = {}
        for place, name in enumerate(MEASURES):
            number = int(self._sums[place, group])
            known = name in _ALWAYS_KNOWN or self._known[place, group] > 0
            said[name] = None if not known else money(number) if name in _MONEY else number
        return said

    def as_json(self) -> dict[str, Any]:
        """Return the sums of every group that has requests."""
        return {
            name: self.of(group) for group, name in enumerate(self._names) if self._sums[0, group]
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
        every = one > 0
        values: dict[str, Values] = {
            "requests": (one, every),
            "errors": (failed[calls.ending].astype(np.int64), every),
            "unpriced_requests": ((~used.priced).astype(np.int64), every),
            "input_tokens": (used.input_tokens, used.has_usage),
            "cached_tokens": (used.cached_tokens, used.says_cached(calls)),
            "output_tokens": (used.output_tokens, used.says_output(calls)),
            "input_cost": (used.input_cost, used.priced),
            "output_cost": (used.output_cost, used.priced),
            "total_cost": (used.total_cost, used.priced),
        }
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
            said = [[f"{rate.normalize():f}" for rate in rates(at)] for at in sides]
            before, after = (dict(zip(("input", "output"), each, strict=True)) for each in said)
            return {
                "model": story.PRICE_CHANGE_MODEL,
                "day": str(instant.date()),
                "usd_per_million_tokens_before": before,
                "usd_per_million_tokens_after": after,
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

"""One chunk of traffic as arrays of numbers: who called what, when, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import UTC, datetime, time, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from majordomo_analytics.sampling import story
from majordomo_analytics.sampling.chance import Chance, mixed, shares
from majordomo_analytics.sampling.models import MODELS, PLACE_OF
from majordomo_analytics.sampling.volume import HOURS_PER_DAY, IN_LOOP, day_number

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from majordomo_analytics.sampling.chance import Flags, Ints
    from majordomo_analytics.sampling.people import People
    from majordomo_analytics.sampling.volume import Cells

HOUR_US = 3_600_000_000
NOBODY = -1
LOOPING = -2
"""In the place of a user: the one whose loop ran away."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
BEGIN_US = (datetime.combine(story.FIRST_DAY, time(), UTC) - _EPOCH) // timedelta(microseconds=1)
_LOOP_FEATURE = next(
    place for place, feature in enumerate(story.FEATURES) if feature.name == story.LOOP.feature
)
_BACKOFF_US = 900_000
_PAUSE_US = 20_000_000
_CALLS_PER_SESSION = 6
_ARM_SALT, _SESSION_SALT = 21, 22

TEAMS: tuple[str | None, ...] = (
    None,
    *sorted({team for feature in story.FEATURES for team, _ in feature.teams if team}),
)
ENVIRONMENTS: tuple[str | None, ...] = (None, *(str(name) for name, _ in story.ENVIRONMENTS))
PRODUCTION = ENVIRONMENTS.index("production")
STEPS = tuple(dict.fromkeys(step for feature in story.FEATURES for step in feature.steps))


@dataclass(frozen=True, slots=True)
class Calls:
    """Requests as numbers, in the order of time; most are places in a table.

    Attributes
    ----------
    at_us
        When, in microseconds since 1970.
    day
        Which day of the window, in UTC.
    feature, model, ending, team, environment
        Places in the tables of those.
    user
        The user's rank, `NOBODY` or `LOOPING`.
    arm
        1 for control and 2 for treatment of experiment 0, 3 and 4 for experiment 1; 0 for
        none.
    step
        A place in `STEPS`, -1 for none.
    session
        What a session's requests share; 0 for none.
    attempt
        How often the client's SDK had tried before.
    streamed, looping
        Whether they wanted a stream, and whether they belong to the runaway loop.
    """

    at_us: Ints
    day: Ints
    feature: Ints
    model: Ints
    ending: Ints
    team: Ints
    environment: Ints
    user: Ints
    arm: Ints
    step: Ints
    session: Ints
    attempt: Ints
    streamed: Flags
    looping: Flags

    def __len__(self) -> int:
        return len(self.at_us)

    def ordered(self, order: Ints) -> Calls:
        """Return them in another order."""
        return Calls(*(getattr(self, field.name)[order] for field in fields(self)))


def calls_of(cells: Cells, chance: Chance, people: People) -> Calls:
    """Draw the requests of some cells."""
    tables = _tables()
    size = cells.rows
    hour = np.repeat(cells.hours, cells.counts)
    cell_feature = np.repeat(cells.features, cells.counts)
    looping = cell_feature == IN_LOOP
    feature = np.where(looping, _LOOP_FEATURE, cell_feature)
    day = hour // HOURS_PER_DAY
    at_us = BEGIN_US + hour * HOUR_US + chance.below(HOUR_US, size)
    after = (feature == tables.cut_over[0]) & (day >= tables.cut_over[1])
    model = chance.chosen(tables.models, feature + after * len(story.FEATURES))
    provider = tables.providers[model]
    bad = (provider == tables.incident[0]) & (hour >= tables.incident[1])
    ending = chance.chosen(tables.endings, (bad & (hour < tables.incident[2])).astype(np.int64))
    streamed = chance.chosen(tables.streamed, feature) == 1
    ending = np.where((ending == story.LEFT) & ~streamed, story.COMPLETED, ending)
    drawn = chance.sized(people.ranks, np.zeros(size, np.int64))
    user = np.where(tables.has_users[feature], people.there(drawn, day), NOBODY)
    user[looping] = LOOPING
    environment = chance.chosen(tables.environments, feature)
    environment[looping] = PRODUCTION
    team = chance.chosen(tables.teams, feature)
    step = np.where(looping, STEPS.index(story.LOOP.step), -1)
    made = {
        "at_us": at_us, "day": day, "feature": feature, "model": model, "ending": ending,
        "team": team, "environment": environment, "user": user, "step": step,
        "streamed": streamed, "looping": looping,
    }  # fmt: skip
    made["session"] = _with_sessions(made, cells, chance)
    made["attempt"] = _with_retries(made)
    # What was drawn for another hour has become a retry of this one.
    made["day"] = (made["at_us"] - BEGIN_US) // (HOUR_US * HOURS_PER_DAY)
    made["arm"] = _arms(made)
    calls = Calls(**made)
    return calls.ordered(np.argsort(calls.at_us, kind="stable"))


def _with_retries(made: dict[str, Any]) -> Ints:
    """Turn the call after one that is tried again into that trial; return the attempts."""
    is_retried = np.array([ending.is_retried for ending in story.ENDINGS])
    feature, looping = made["feature"], made["looping"]
    attempt = np.zeros(len(feature), np.int64)
    may = (feature[1:] == feature[:-1]) & (looping[1:] == looping[:-1])
    # Only callers with users have an SDK that says how often it tried.
    may &= made["user"][1:] != NOBODY
    failed = np.flatnonzero(is_retried[made["ending"][:-1]] & may)
    # Of failures in a row the next is the trial after, until the client gives up.
    begins = np.flatnonzero(np.diff(failed, prepend=-2) > 1)
    place = np.arange(len(failed)) - np.repeat(begins, np.diff(begins, append=len(failed)))
    trials = (place + 1) % (story.MOST_RETRIES + 1)
    attempt[failed + 1] = trials
    for trial in range(1, story.MOST_RETRIES + 1):
        first = failed[trials == trial]
        again = first + 1
        for name in ("model", "team", "environment", "user", "step", "session", "streamed"):
            made[name][again] = made[name][first]
        backoff = np.full(len(first), _BACKOFF_US * trial)
        made["at_us"][again] = _within_hour(made["at_us"][first], backoff)
        left = (made["ending"][again] == story.LEFT) & ~made["streamed"][again]
        made["ending"][again[left]] = story.COMPLETED
    return attempt


def _arms(made: dict[str, Any]) -> Ints:
    arm = np.zeros(len(made["day"]), np.int64)
    for place, experiment in enumerate(story.EXPERIMENTS):
        names = [feature.name for feature in story.FEATURES]
        rows = np.flatnonzero(
            (made["feature"] == names.index(experiment.feature))
            & (made["day"] >= day_number(experiment.first_day))
            & (made["day"] < day_number(experiment.end_day))
            & (made["environment"] == PRODUCTION)
            & (made["user"] >= 0)
        )
        half = (mixed(made["user"][rows], _ARM_SALT + place) >> np.uint64(63)).astype(np.int64)
        arm[rows] = 1 + 2 * place + half
    return arm


def _with_sessions(made: dict[str, Any], cells: Cells, chance: Chance) -> Ints:
    """Turn neighbours of a feature with steps into sessions; return what each is known by.

    The calls of a session are one user's, some seconds apart, and go through the steps.
    """
    tables = _tables()
    feature = made["feature"]
    session = np.zeros(len(feature), np.int64)
    begins = np.cumsum(cells.counts) - cells.counts
    place = (np.arange(len(feature)) - np.repeat(begins, cells.counts)) % _CALLS_PER_SESSION
    rows = np.flatnonzero(tables.has_steps[feature] & ~made["looping"])
    first = rows - place[rows]
    for name in ("model", "team", "environment", "user"):
        made[name][rows] = made[name][first]
    began = made["at_us"][first]
    pause = place[rows] * _PAUSE_US + chance.below(_PAUSE_US // 2, len(rows))
    made["at_us"][rows] = np.where(place[rows] == 0, began, _within_hour(began, pause))
    made["step"][rows] = tables.steps[feature[rows], place[rows]]
    session[rows] = (mixed(began, _SESSION_SALT) >> np.uint64(16)).astype(np.int64) + 1
    return session


def _within_hour(at_us: Ints, later_us: Ints) -> Ints:
    """Return instants some time later, but of the same hour, with which chunks end."""
    last = at_us - at_us % HOUR_US + HOUR_US - 1
    moved: Ints = np.minimum(at_us + later_us, last)
    return moved


@dataclass(frozen=True, slots=True)
class _Tables:
    models: np.ndarray
    endings: np.ndarray
    streamed: np.ndarray
    environments: np.ndarray
    teams: np.ndarray
    steps: np.ndarray
    has_users: Flags
    has_steps: Flags
    providers: np.ndarray
    cut_over: tuple[int, int]
    incident: tuple[int, int, int]


@cache
def _tables() -> _Tables:
    """Return the story as tables that are looked up by place."""
    names = [feature.name for feature in story.FEATURES]
    providers = sorted({model.provider for model in MODELS})
    both = [
        *(feature.models for feature in story.FEATURES),
        *(feature.models_after or feature.models for feature in story.FEATURES),
    ]
    spread = [
        story.UNTAGGED_ENVIRONMENTS if feature.name is None else story.ENVIRONMENTS
        for feature in story.FEATURES
    ]
    usual = [
        [ending.usual for ending in story.ENDINGS],
        [ending.in_incident for ending in story.ENDINGS],
    ]
    start, end = (_hour(instant) for instant in (story.INCIDENT.start, story.INCIDENT.end))
    return _Tables(
        models=np.stack([_choices(each, list(PLACE_OF)) for each in both]),
        endings=np.stack([shares(weights) for weights in usual]),
        streamed=np.stack([shares([1 - f.streamed, f.streamed]) for f in story.FEATURES]),
        environments=np.stack([_choices(each, ENVIRONMENTS) for each in spread]),
        teams=np.stack([_choices(feature.teams, TEAMS) for feature in story.FEATURES]),
        steps=np.stack([_steps_of(feature.steps) for feature in story.FEATURES]),
        has_users=np.array([feature.users for feature in story.FEATURES]),
        has_steps=np.array([bool(feature.steps) for feature in story.FEATURES]),
        providers=np.array([providers.index(model.provider) for model in MODELS]),
        cut_over=(names.index(story.CUT_OVER.feature), day_number(story.CUT_OVER.day)),
        incident=(providers.index(story.INCIDENT.provider), start, end),
    )


def _choices(weights: Any, names: Any) -> np.ndarray:
    """Return a row of places in `names`, each as often as its weight says."""
    places = np.array([list(names).index(name) for name, _ in weights], np.int16)
    row: np.ndarray = places[shares([weight for _, weight in weights])]
    return row


def _steps_of(steps: Sequence[str]) -> Ints:
    """Return the steps of a session in their turn, as places in `STEPS`."""
    turn = [STEPS.index(step) for step in steps] or [-1]
    return np.array([turn[n % len(turn)] for n in range(_CALLS_PER_SESSION)])


def _hour(instant: datetime) -> int:
    return day_number(_day(instant)) * HOURS_PER_DAY + instant.hour


def _day(instant: datetime) -> date:
    return instant.astimezone(UTC).date()

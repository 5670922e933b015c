"""The story: a made-up company, what its product does with models, and what happened.

Northwind Desk sells help-desk software from Berlin. Each entry below is a fact that a
question about the sample can find again; `truth.py` writes them beside the rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Literal

from majordomo_analytics.sampling.models import FINE_TUNED

if TYPE_CHECKING:
    from collections.abc import Sequence

FIRST_DAY = date(2026, 6, 1)
MOST_DAYS = 120
"""The window ends with 28 September 2026: it lies in the past, and in one summer time."""

TIMEZONE = "Europe/Berlin"
UTC_OFFSET_HOURS = 2
"""Of that zone, on every day of the window."""

Pattern = Literal["office", "evening", "always", "night"]

HOURS: dict[Pattern, Sequence[int]] = {
    "office": [1, 1, 0, 0, 0, 1, 3, 10, 40, 75, 92, 98, 64, 78, 96, 94, 82, 58, 26, 12, 8, 5, 3, 2],
    "evening": [9, 6, 4, 3, 3, 5, 10, 22, 44, 66, 78, 82, 76, 74, 78, 80, 84, 92, 98, 90, 72, 50,
                30, 16],
    "always": [42, 40, 38, 38, 40, 44, 50, 58, 66, 72, 76, 78, 76, 76, 78, 78, 76, 72, 68, 62, 58,
               54, 50, 46],
    "night": [0, 30, 98, 100, 96, 40, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
}  # fmt: skip
"""How much is called in each hour of the company's own day."""

WEEKEND_PERCENT: dict[Pattern, int] = {"office": 12, "evening": 58, "always": 84, "night": 100}
GROWTH_PERCENT = 45
"""How much more is called on the last day of the window than on the first."""

DAY_NOISE_PERCENT = 8
HOUR_NOISE_PERCENT = 15


@dataclass(frozen=True, slots=True)
class Feature:
    """One feature of the product, and how it calls models.

    Attributes
    ----------
    name
        The metadata key `Feature`; None for calls that say nothing of it.
    weight
        How often it calls, against the others, once it is launched.
    pattern
        At which hours.
    teams
        Who owns it, and their shares; None for calls that do not say.
    models
        Which models, and their shares.
    models_after
        The same from its cut-over on.
    input_tokens, output_tokens
        The usual prompt and answer.
    spread
        How far sizes differ, as the standard deviation of their logarithm.
    streamed
        Share of the calls that want a stream.
    cached, cache_hits
        Percent of the prompt that stays the same, and of calls that find it in the cache.
    cache_hour
        Whether Anthropic is to keep it for an hour, not for five minutes.
    users
        Whether it is called for a user, whose `User-Id` and `User-Tier` it says.
    steps
        The values of `Step`; those who have steps have sessions.
    request_ids
        Whether its callers send a `Request-Id` of their own.
    """

    name: str | None
    weight: int
    pattern: Pattern
    teams: Sequence[tuple[str | None, int]]
    models: Sequence[tuple[str, int]]
    input_tokens: int
    output_tokens: int
    spread: float = 0.5
    streamed: float = 0.0
    cached: int = 0
    cache_hits: int = 0
    cache_hour: bool = False
    models_after: Sequence[tuple[str, int]] = ()
    users: bool = True
    steps: Sequence[str] = ()
    request_ids: bool = False


FEATURES: tuple[Feature, ...] = (
    Feature(
        "support-chat", 240, "evening", [("support", 1)],
        [("gpt-4.1-mini", 6), ("claude-haiku-4-5", 4)],
        1_900, 260, spread=0.35, streamed=0.9, cached=55, cache_hits=70,
    ),
    Feature(
        "search-answers", 190, "always", [("search", 1)],
        [("gemini-2.5-flash", 11), ("gemini-2.5-flash-lite", 9)],
        2_600, 240, streamed=0.6, cached=40, cache_hits=35,
    ),
    Feature(
        "ticket-triage", 160, "always", [("support", 1)], [("gpt-5.6-luna", 1)],
        1_500, 180, cached=60, cache_hits=80, users=False,
    ),
    Feature(
        "code-assist", 95, "office", [("platform", 7), ("mobile", 3)],
        [("claude-sonnet-4-6", 1)],
        7_500, 620, spread=0.7, streamed=0.95, cached=75, cache_hits=82,
        steps=["plan", "edit", "review"],
    ),
    Feature(
        "summaries", 85, "office", [("sales", 5), ("support", 4), ("legal", 1)],
        [("claude-sonnet-4-6", 1)], 3_400, 330, streamed=0.15,
        models_after=[("mistral-large-2512", 1)],
    ),
    Feature(
        "translate", 60, "always", [("growth", 17), (None, 3)], [("mistral-small-2603", 1)],
        750, 700, spread=0.8, request_ids=True,
    ),
    Feature(
        "meeting-notes", 60, "office", [("sales", 1)], [("gemini-3.5-flash", 1)],
        14_000, 900, spread=0.6, cached=20, cache_hits=30,
    ),
    Feature(
        "product-embeddings", 50, "night", [("search", 1)], [("text-embedding-3-small", 1)],
        6_000, 1, spread=0.3, users=False,
    ),
    Feature(
        "invoice-extraction", 40, "night", [("finance", 1)],
        [("claude-haiku-4-5", 3), ("gemini-2.5-flash", 1)],
        4_200, 420, spread=0.4, cached=45, cache_hits=90, users=False,
    ),
    Feature(
        "lead-scoring", 26, "office", [("growth", 1)], [(FINE_TUNED, 1)],
        600, 40, spread=0.3, request_ids=True,
    ),
    Feature(
        "contract-review", 20, "office", [("legal", 1)], [("claude-opus-4-8", 1)],
        22_000, 1_300, spread=0.6, streamed=0.3, cached=50, cache_hits=60, cache_hour=True,
    ),
    Feature(
        "report-builder", 20, "office", [("analytics", 1)], [("gpt-5.6-terra", 1)],
        5_200, 560, spread=0.6, streamed=0.5, cached=50, cache_hits=60,
        steps=["query", "draft", "chart"],
    ),
    Feature(
        None, 38, "office", [(None, 1)],
        [("gpt-4.1-mini", 5), ("claude-sonnet-4-6", 3), ("gemini-2.5-flash", 2)],
        1_300, 380, spread=0.9, streamed=0.4, users=False,
    ),
)  # fmt: skip
UNTAGGED = "(untagged)"

ENVIRONMENTS: Sequence[tuple[str | None, int]] = (
    ("production", 88), ("staging", 8), ("development", 4)
)  # fmt: skip
UNTAGGED_ENVIRONMENTS: Sequence[tuple[str | None, int]] = ((None, 7), ("development", 3))
TIERS = ("free", "pro", "business", "enterprise")


@dataclass(frozen=True, slots=True)
class Launch:
    """A feature that was not there before a day, and takes a while to be used.

    Attributes
    ----------
    feature
        Which.
    day
        Its first, in UTC.
    ramp_days
        After how many days it is used as much as its weight says.
    """

    feature: str
    day: date
    ramp_days: int


@dataclass(frozen=True, slots=True)
class CutOver:
    """A feature that calls another model from one instant on.

    Attributes
    ----------
    feature
        Which.
    day
        The first day with the other model, in UTC.
    before, after
        The models.
    """

    feature: str
    day: date
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class LateKey:
    """A metadata key that nobody sent before a day.

    Attributes
    ----------
    name
        The key.
    day
        Its first, in UTC.
    features
        Who sends it.
    values
        First day and value, rising.
    """

    name: str
    day: date
    features: Sequence[str]
    values: Sequence[tuple[date, str]]


@dataclass(frozen=True, slots=True)
class Experiment:
    """An experiment whose effect is known, because it was made.

    The arms are drawn by user, half and half. All tokens of the treatment are the
    control's times `factor_percent`, so that its cost for each request is too.

    Attributes
    ----------
    name
        The metadata key `Experiment`.
    feature
        Where it ran; for users, in production.
    first_day, end_day
        Its first day, and the first after it, in UTC.
    control, treatment
        The values of the key `Arm`.
    factor_percent
        What the treatment's cost is of the control's; 100 for no effect.
    """

    name: str
    feature: str
    first_day: date
    end_day: date
    control: str
    treatment: str
    factor_percent: int


@dataclass(frozen=True, slots=True)
class Loop:
    """A runaway loop: one session of one user that calls over and over.

    Attributes
    ----------
    feature, user_id, session_id, step
        What its requests say.
    start, end
        When it ran, the end not included.
    share
        Which share of all requests of the window it made.
    input_factor
        How many times the usual prompt it sends, as it drags its history along.
    """

    feature: str
    user_id: str
    session_id: str
    step: str
    start: datetime
    end: datetime
    share: float
    input_factor: int


@dataclass(frozen=True, slots=True)
class Incident:
    """Some hours in which a provider refused many requests.

    Attributes
    ----------
    provider
        Which.
    start, end
        Whole hours in UTC, the end not included.
    """

    provider: str
    start: datetime
    end: datetime


LAUNCH = Launch("meeting-notes", date(2026, 7, 20), 21)
CUT_OVER = CutOver("summaries", date(2026, 8, 18), "claude-sonnet-4-6", "mistral-large-2512")
LATE_KEY = LateKey(
    "Prompt-Version", date(2026, 7, 31), ("support-chat", "search-answers"),
    ((date(2026, 7, 31), "v7"), (date(2026, 9, 8), "v8")),
)  # fmt: skip
EXPERIMENTS = (
    Experiment(
        "short-prompt", "support-chat", date(2026, 6, 15), date(2026, 7, 27),
        "control", "short", 70,
    ),
    Experiment(
        "ranker-aa", "search-answers", date(2026, 8, 3), date(2026, 8, 31), "a", "b", 100
    ),
)  # fmt: skip
LOOP = Loop(
    "report-builder", "u-loop7f3a", "s-runaway00417", "query",
    datetime(2026, 8, 27, 1, tzinfo=UTC), datetime(2026, 8, 27, 6, tzinfo=UTC), 0.006, 6,
)  # fmt: skip
INCIDENT = Incident(
    "anthropic", datetime(2026, 7, 14, 12, tzinfo=UTC), datetime(2026, 7, 14, 15, tzinfo=UTC)
)
PRICE_CHANGE_MODEL = "gpt-5.6-luna"
"""Its public price fell within the window; when, and how far, is read from the list."""


@dataclass(frozen=True, slots=True)
class Ending:
    """One way in which a request ends, and how often it does in ten thousand.

    Attributes
    ----------
    status_code, outcome, message
        As in the row.
    usual, in_incident
        Of ten thousand requests.
    is_retried
        Whether a client's SDK tries again.
    usage
        Whether its counts are known: all of them, or none.
    """

    status_code: int
    outcome: str
    message: str | None
    usual: int
    in_incident: int
    is_retried: bool = False
    usage: bool = False


COMPLETED, LEFT = range(2)
ENDINGS: tuple[Ending, ...] = (
    Ending(200, "completed", None, 9_740, 6_900, usage=True),
    Ending(200, "client_disconnected", None, 90, 90, usage=True),
    Ending(429, "completed", "Rate limit reached; try again later.", 70, 300, is_retried=True),
    Ending(503, "completed", "The model is overloaded; try again later.", 35, 2_300,
           is_retried=True),
    Ending(500, "completed", "Internal server error.", 20, 300, is_retried=True),
    Ending(400, "completed", "The prompt is too long for this model.", 25, 25),
    Ending(504, "timeout", "the provider sent nothing for 600 seconds", 8, 60),
    Ending(502, "upstream_error", "the provider closed the connection", 12, 25),
)  # fmt: skip
MOST_RETRIES = 2

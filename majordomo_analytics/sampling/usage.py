"""What each request used, what that cost, and how long it took."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, get_args

import numpy as np

from majordomo_analytics.records.usage import Usage
from majordomo_analytics.sampling import story
from majordomo_analytics.sampling.chance import sizes
from majordomo_analytics.sampling.models import MODELS, Caching
from majordomo_analytics.sampling.prices import Counts, costs_of

if TYPE_CHECKING:
    from majordomo_analytics.pricing.pricer import Pricer
    from majordomo_analytics.sampling.chance import Chance, Flags, Ints
    from majordomo_analytics.sampling.traffic import Calls

_CACHING = get_args(Caching)
NEVER, AUTOMATIC, IMPLICIT, MARKED = range(len(_CACHING))
_LATENCY_SPREAD = 0.45
_ERROR_MS = sizes(90, 0.5)
_TIMEOUT_MS = 600_000
_CACHE_STEP = 128
_LEAST_CACHED_PROMPT = 1024
_LEAST_LOOP_FACTOR = 2
_WHOLE = 100
_BYTES_AROUND, _BYTES_OF_ERROR = 420, 160
_BYTES_PER_TOKEN, _BYTES_PER_EVENT = 4, 38
_WRITES_PERCENT = 70
"""Of the calls that mark a prompt and do not find it: the rest is below what is kept."""


@dataclass(frozen=True, slots=True)
class Used:
    """Counts, costs and times of the requests of a chunk.

    Attributes
    ----------
    has_usage
        Whether the counts are known; where not, they are zeros here that mean nothing.
    input_tokens, output_tokens, cached_tokens, written_tokens, reasoning_tokens
        The counts; `written_tokens` are those written to a cache.
    input_cost, output_cost
        In ten-billionths of a dollar; nothing here has a cost of tools.
    priced
        Whether the costs are known.
    flagged
        Which requests have what flags.
    first_byte_ms, response_ms
        How long they took.
    request_bytes, response_bytes
        How long the bodies were.
    """

    has_usage: Flags
    input_tokens: Ints
    output_tokens: Ints
    cached_tokens: Ints
    written_tokens: Ints
    reasoning_tokens: Ints
    input_cost: Ints
    output_cost: Ints
    priced: Flags
    flagged: tuple[tuple[Ints, tuple[str, ...]], ...]
    first_byte_ms: Ints
    response_ms: Ints
    request_bytes: Ints
    response_bytes: Ints

    @property
    def total_cost(self) -> Ints:
        """The whole, in ten-billionths of a dollar."""
        return self.input_cost + self.output_cost

    def says_output(self, calls: Calls) -> Flags:
        """Return which answers say how many tokens they have."""
        says: Flags = self.has_usage & (_tables().answers[calls.model] == 1)
        return says

    def says_cached(self, calls: Calls) -> Flags:
        """Return which answers say how much of the prompt was cached."""
        caching = _tables().caching[calls.model]
        says: Flags = np.where(caching == IMPLICIT, self.cached_tokens > 0, caching != NEVER)
        return self.has_usage & says


def used_by(calls: Calls, chance: Chance, pricer: Pricer) -> Used:
    """Draw what requests used, and price it."""
    tables = _tables()
    size = len(calls)
    feature, model = calls.feature, calls.model
    input_tokens = chance.sized(tables.input_tokens, feature)
    output_tokens = chance.sized(tables.output_tokens, feature)
    input_tokens = np.where(
        calls.looping,
        input_tokens * (_LEAST_LOOP_FACTOR + chance.below(2 * story.LOOP.input_factor - 3, size)),
        input_tokens,
    )
    share = tables.cached[feature] + chance.below(11, size) - 5
    kept = input_tokens * np.maximum(share, 0) // _WHOLE
    is_hit = chance.below(_WHOLE, size) < tables.cache_hits[feature]
    caching = tables.caching[model]
    cached_tokens = np.where(is_hit & (caching != NEVER), kept, 0)
    is_long = input_tokens >= _LEAST_CACHED_PROMPT
    by_steps = cached_tokens // _CACHE_STEP * _CACHE_STEP * is_long
    cached_tokens = np.where(caching == AUTOMATIC, by_steps, cached_tokens)
    writes = ~is_hit & (caching == MARKED) & (chance.below(_WHOLE, size) < _WRITES_PERCENT)
    written_tokens = np.where(writes, kept, 0)
    reasoning_tokens = output_tokens * tables.reasoning[model] // _WHOLE
    # All of a treatment's tokens, so that its cost is the same part of the control's.
    factor = tables.arm_percent[calls.arm]
    input_tokens, output_tokens, cached_tokens, written_tokens, reasoning_tokens = (
        np.where(factor == _WHOLE, count, (count * factor + _WHOLE // 2) // _WHOLE)
        for count in (
            input_tokens, output_tokens, cached_tokens, written_tokens, reasoning_tokens
        )
    )  # fmt: skip
    output_tokens = output_tokens * tables.answers[model]
    has_usage = tables.usage[calls.ending]
    counts = [
        np.where(has_usage, count, 0)
        for count in (
            input_tokens, output_tokens, cached_tokens, written_tokens, reasoning_tokens
        )
    ]  # fmt: skip
    bytes_each = np.where(calls.streamed, _BYTES_PER_EVENT, _BYTES_PER_TOKEN)
    first_byte_ms, response_ms = _times(calls, chance, output_tokens, input_tokens)
    input_cost, output_cost, priced, flagged = _costs(calls, has_usage, counts, pricer)
    return Used(
        has_usage=has_usage,
        input_tokens=counts[0],
        output_tokens=counts[1],
        cached_tokens=counts[2],
        written_tokens=counts[3],
        reasoning_tokens=counts[4],
        input_cost=input_cost,
        output_cost=output_cost,
        priced=priced,
        flagged=flagged,
        first_byte_ms=first_byte_ms,
        response_ms=response_ms,
        request_bytes=_BYTES_AROUND + _BYTES_PER_TOKEN * input_tokens,
        response_bytes=np.where(
            has_usage, _BYTES_AROUND + bytes_each * output_tokens, _BYTES_OF_ERROR
        ),
    )


def _costs(
    calls: Calls, has_usage: Flags, counts: list[Ints], pricer: Pricer
) -> tuple[Ints, Ints, Flags, tuple[tuple[Ints, tuple[str, ...]], ...]]:
    size = len(calls)
    of_input, of_output = np.zeros(size, np.int64), np.zeros(size, np.int64)
    priced = np.zeros(size, np.bool_)
    flagged = []
    for place, model in enumerate(MODELS):
        for stream in (False, True):
            rows = np.flatnonzero((calls.model == place) & has_usage & (calls.streamed == stream))
            if not len(rows):
                continue
            card = pricer.card(
                Usage(service_tier=model.service_tier, inference_geo=model.inference_geo),
                provider=model.provider,
                model=model.name,
                requested_model=model.name,
                request_path=model.stream_path if stream else model.path,
            )
            hours = _tables().cache_hour[calls.feature[rows]]
            costs = costs_of(card, _counts_of(place, rows, counts, hours), calls.at_us[rows])
            of_input[rows], of_output[rows] = costs.input, costs.output
            priced[rows] = costs.priced
            flagged += [(rows[some], odd) for some, odd in costs.flagged]
            if costs.tools.any():
                message = f"{model.name} has a fee for each request, which the sample leaves out"
                raise ValueError(message)
    return of_input, of_output, priced, tuple(flagged)


def _counts_of(place: int, rows: Ints, counts: list[Ints], cache_hour: Flags) -> Counts:
    """Return what a model's answers say; what they never say is unknown."""
    model = MODELS[place]
    input_tokens, output_tokens, cached, written, reasoning = (count[rows] for count in counts)
    marked = model.caching == "marked"
    return Counts(
        input_tokens,
        output_tokens if model.answers else None,
        cached if model.caching != "never" else None,
        written if marked else None,
        np.where(cache_hour, 0, written) if marked else None,
        np.where(cache_hour, written, 0) if marked else None,
        reasoning_tokens=reasoning if model.reasoning_percent is not None else None,
    )


def _times(
    calls: Calls, chance: Chance, output_tokens: Ints, input_tokens: Ints
) -> tuple[Ints, Ints]:
    tables = _tables()
    size = len(calls)
    first = chance.sized(tables.first_byte_ms, calls.model) + input_tokens // 60
    whole = first + output_tokens * tables.output_us[calls.model] // 1000
    whole = whole * (80 + chance.below(60, size)) // 100 + 1
    whole = np.maximum(whole, first)
    failed = chance.sized(_ERROR_MS.reshape(1, -1), np.zeros(size, np.int64))
    has_usage = tables.usage[calls.ending]
    is_timeout = tables.timeouts[calls.ending]
    whole = np.where(has_usage, whole, np.where(is_timeout, _TIMEOUT_MS + failed, failed))
    first = np.where(has_usage & calls.streamed, first, whole)
    return first, whole


@dataclass(frozen=True, slots=True)
class _Tables:
    input_tokens: np.ndarray
    output_tokens: np.ndarray
    cached: Ints
    cache_hits: Ints
    cache_hour: Flags
    caching: Ints
    reasoning: Ints
    answers: Ints
    first_byte_ms: np.ndarray
    output_us: Ints
    usage: Flags
    timeouts: Flags
    arm_percent: Ints


@cache
def _tables() -> _Tables:
    features = story.FEATURES
    return _Tables(
        input_tokens=np.stack([sizes(f.input_tokens, f.spread) for f in features]),
        output_tokens=np.stack([sizes(f.output_tokens, f.spread) for f in features]),
        cached=np.array([f.cached for f in features]),
        cache_hits=np.array([f.cache_hits for f in features]),
        cache_hour=np.array([f.cache_hour for f in features]),
        caching=np.array([_CACHING.index(m.caching) for m in MODELS]),
        reasoning=np.array([m.reasoning_percent or 0 for m in MODELS]),
        answers=np.array([int(m.answers) for m in MODELS]),
        first_byte_ms=np.stack([sizes(m.first_byte_ms, _LATENCY_SPREAD) for m in MODELS]),
        output_us=np.array([m.output_us for m in MODELS]),
        usage=np.array([ending.usage for ending in story.ENDINGS]),
        timeouts=np.array([ending.outcome == "timeout" for ending in story.ENDINGS]),
        arm_percent=np.array(
            [100, *(p for e in story.EXPERIMENTS for p in (100, e.factor_percent))]
        ),
    )

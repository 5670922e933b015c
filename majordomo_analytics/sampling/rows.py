"""From numbers to rows: the table of a chunk under the lake's own schema."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from majordomo_analytics.records.columns import promoted_column
from majordomo_analytics.records.metadata import PROMOTED_FROM_THE_START
from majordomo_analytics.records.schemas import arrow_schema
from majordomo_analytics.sampling import story
from majordomo_analytics.sampling.models import MODELS
from majordomo_analytics.sampling.people import api_key_id
from majordomo_analytics.sampling.texts import joined, uuids
from majordomo_analytics.sampling.traffic import BEGIN_US, ENVIRONMENTS, LOOPING, STEPS, TEAMS
from majordomo_analytics.sampling.volume import day_number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from majordomo_analytics.sampling.chance import Chance, Flags, Ints
    from majordomo_analytics.sampling.people import People
    from majordomo_analytics.sampling.traffic import Calls
    from majordomo_analytics.sampling.usage import Used

SCHEMA: pa.Schema = arrow_schema(PROMOTED_FROM_THE_START)
KEYS = (
    "Feature", "Team", "User-Tier", "User-Id", "Environment", "Experiment", "Arm",
    "Prompt-Version", "Session-Id", "Step", "Request-Id",
)  # fmt: skip
"""The metadata keys of the sample, in the order in which a row has them."""

_DAY_US = 86_400_000_000
_MS_US = 1000
_SESSION_DIGITS, _REQUEST_DIGITS = 12, 16


class Values:
    """Every value that a metadata key can have, in one array; rows hold places in it.

    Parameters
    ----------
    people
        The users of the sample.
    """

    def __init__(self, people: People) -> None:
        self._texts: list[str] = []
        self.features = self._places([feature.name for feature in story.FEATURES])
        self.teams = self._places(TEAMS)
        self.tiers = self._places(story.TIERS)
        self.environments = self._places(ENVIRONMENTS)
        self.steps = self._places(STEPS)
        self.experiments = self._places(
            [None, *(e.name for e in story.EXPERIMENTS for _ in (e.control, e.treatment))]
        )
        self.arms = self._places(
            [None, *(arm for e in story.EXPERIMENTS for arm in (e.control, e.treatment))]
        )
        self.versions = self._places([None, *(value for _, value in story.LATE_KEY.values)])
        self.looping_user, self.looping_session = self._places(
            [story.LOOP.user_id, story.LOOP.session_id]
        )
        self.users = len(self._texts)
        self.fixed: pa.Array = pa.concat_arrays([pa.array(self._texts, pa.string()), people.names])

    def _places(self, texts: Sequence[str | None]) -> Ints:
        """Add texts and return where they are; None is nowhere."""
        places = []
        for text in texts:
            places.append(-1 if text is None else len(self._texts))
            self._texts += [] if text is None else [text]
        return np.array(places, np.int64)


def table_of(
    calls: Calls, used: Used, chance: Chance, people: People, values: Values, price_version: str
) -> pa.Table:
    """Return the rows of a chunk, promoted columns filled."""
    size = len(calls)
    places, texts = _metadata(calls, chance, people, values)
    made: dict[str, pa.Array] = {
        **_calls(calls, used, chance),
        **_counts(calls, used),
        **_costs(used, price_version),
        "raw_metadata": _map_of(places, texts),
        "flags": _flags(used, size),
    }
    for key in PROMOTED_FROM_THE_START:
        column = places[:, KEYS.index(key)]
        made[promoted_column(key)] = texts.take(pa.array(column, mask=column < 0))
    columns = [
        made[field.name] if field.name in made else pa.nulls(size, field.type) for field in SCHEMA
    ]
    return pa.table(columns, schema=SCHEMA)


def _calls(calls: Calls, used: Used, chance: Chance) -> dict[str, pa.Array]:
    size = len(calls)
    responded = calls.at_us + used.response_ms * _MS_US + chance.below(_MS_US, size)
    created = responded + (200 + chance.below(1300, size)) * _MS_US
    each = [(model, stream) for stream in (False, True) for model in MODELS]
    asked = calls.model + calls.streamed * len(MODELS)
    providers = [model.provider for model in MODELS]
    hashes = [hashlib.sha256(f"northwind/{name}".encode()).hexdigest() for name in providers]
    first_day = BEGIN_US // _DAY_US
    answered = used.has_usage
    names = [model.name for model in MODELS]
    endings = story.ENDINGS
    return {
        "id": uuids(calls.at_us, chance.words(size)),
        "requested_at": _instants(calls.at_us),
        "responded_at": _instants(responded),
        "requested_date": pa.array((calls.day + first_day).astype(np.int32)).cast(pa.date32()),
        "response_time_ms": pa.array(used.response_ms),
        "time_to_first_byte_ms": pa.array(used.first_byte_ms),
        "majordomo_api_key_id": _taken([api_key_id(team) for team in TEAMS], calls.team),
        "provider_api_key_hash": _taken(hashes, calls.model),
        "provider": _taken(providers, calls.model),
        "api_flavour": _taken([model.flavour for model in MODELS], calls.model),
        "model": _taken(names, calls.model),
        "requested_model": _taken(names, calls.model),
        "request_method": pa.repeat(pa.scalar("POST"), size),
        "request_path": _taken([m.stream_path if s else m.path for m, s in each], asked),
        "status_code": pa.array(np.array([e.status_code for e in endings])[calls.ending]),
        "outcome": _taken([e.outcome for e in endings], calls.ending),
        "error_message": _taken([e.message for e in endings], calls.ending),
        "is_streamed": pa.array(calls.streamed & answered),
        "retry_attempt": pa.array(calls.attempt, mask=calls.user == -1),
        "request_bytes": pa.array(used.request_bytes),
        "response_bytes": pa.array(used.response_bytes),
        "created_at": _instants(created),
    }


def _counts(calls: Calls, used: Used) -> dict[str, pa.Array]:
    """Return what the answers say, null where such an answer says nothing."""
    model, known = calls.model, used.has_usage
    marked = np.array([m.caching == "marked" for m in MODELS])[model] & known
    hour = np.array([feature.cache_hour for feature in story.FEATURES])[calls.feature]
    thinks = np.array([m.reasoning_percent is not None for m in MODELS])[model] & known
    audio = np.array([m.says_audio for m in MODELS])[model] & known
    nothing = np.zeros(len(calls), np.int64)
    sources = np.where(known, 1 + calls.streamed, 0)
    return {
        "input_tokens": pa.array(used.input_tokens, mask=~known),
        "cached_tokens": pa.array(used.cached_tokens, mask=~used.says_cached(calls)),
        "cache_creation_tokens": pa.array(used.written_tokens, mask=~marked),
        "cache_creation_5m_tokens": pa.array(np.where(hour, 0, used.written_tokens), mask=~marked),
        "cache_creation_1h_tokens": pa.array(np.where(hour, used.written_tokens, 0), mask=~marked),
        "input_audio_tokens": pa.array(nothing, mask=~audio),
        "output_tokens": pa.array(used.output_tokens, mask=~used.says_output(calls)),
        "reasoning_tokens": pa.array(used.reasoning_tokens, mask=~thinks),
        "output_audio_tokens": pa.array(nothing, mask=~audio),
        "usage_status": _taken(["missing", "reported"], known.astype(np.int64)),
        "usage_source": _taken([None, "body", "stream_final"], sources),
        "service_tier": _taken(
            [None, *(m.service_tier for m in MODELS)], np.where(known, model + 1, 0)
        ),
        "inference_geo": _taken(
            [None, *(m.inference_geo for m in MODELS)], np.where(known, model + 1, 0)
        ),
    }


def _costs(used: Used, price_version: str) -> dict[str, pa.Array]:
    status = np.where(used.priced, 2, used.has_usage.astype(np.int64))
    return {
        "input_cost": _money(used.input_cost, used.priced),
        "output_cost": _money(used.output_cost, used.priced),
        "tool_cost": _money(np.zeros(len(used.priced), np.int64), used.priced),
        "total_cost": _money(used.total_cost, used.priced),
        "cost_status": _taken(["no_usage", "unpriced", "priced"], status),
        "price_version": _taken([None, price_version], used.priced.astype(np.int64)),
    }


def _metadata(
    calls: Calls, chance: Chance, people: People, values: Values
) -> tuple[np.ndarray, pa.Array]:
    """Return, for each row and key, a place in an array of texts, or -1; and that array."""
    size = len(calls)
    in_sessions = np.flatnonzero(calls.session)
    wanted = np.array([feature.request_ids for feature in story.FEATURES])
    with_ids = np.flatnonzero(wanted[calls.feature])
    sessions = joined("s-", calls.session[in_sessions].astype(np.uint64), digits=_SESSION_DIGITS)
    requests = joined("req-", chance.words(len(with_ids)), digits=_REQUEST_DIGITS)
    first_session = len(values.fixed)
    first_request = first_session + len(sessions)
    texts = pa.concat_arrays([values.fixed, sessions, requests])

    is_user, is_looping = calls.user >= 0, calls.user == LOOPING
    rank = np.maximum(calls.user, 0)
    tier = np.where(is_user, values.tiers[people.tiers[rank]], -1)
    user = np.where(is_user, values.users + rank, -1)
    user[is_looping] = values.looping_user
    tier[is_looping] = values.tiers[-2]
    session = np.full(size, -1, np.int64)
    session[in_sessions] = first_session + np.arange(len(in_sessions))
    session[is_looping] = values.looping_session
    request = np.full(size, -1, np.int64)
    request[with_ids] = first_request + np.arange(len(with_ids))
    step = np.where(calls.step >= 0, values.steps[np.maximum(calls.step, 0)], -1)
    places = np.empty((size, len(KEYS)), np.int32)
    columns = (
        values.features[calls.feature], values.teams[calls.team], tier, user,
        values.environments[calls.environment], values.experiments[calls.arm],
        values.arms[calls.arm], values.versions[_version(calls)], session, step, request,
    )  # fmt: skip
    for place, column in enumerate(columns):
        places[:, place] = column
    return places, texts


def _version(calls: Calls) -> Ints:
    """Return 0 for requests without the late key, else which of its values they have."""
    key = story.LATE_KEY
    sends = np.array([feature.name in key.features for feature in story.FEATURES])
    days = np.array([day_number(day) for day, _ in key.values])
    version: Ints = np.where(
        sends[calls.feature], np.searchsorted(days, calls.day, side="right"), 0
    )
    return version


def _map_of(places: np.ndarray, texts: pa.Array) -> pa.Array:
    there = places >= 0
    keys = np.broadcast_to(np.arange(len(KEYS), dtype=np.int8), places.shape)[there]
    offsets = np.zeros(len(places) + 1, np.int32)
    np.cumsum(there.sum(axis=1), out=offsets[1:])
    return pa.MapArray.from_arrays(
        pa.array(offsets), pa.array(KEYS).take(pa.array(keys)), texts.take(pa.array(places[there]))
    )


def _flags(used: Used, size: int) -> pa.Array:
    kind = SCHEMA.field("flags").type
    if not used.flagged:
        offsets = pa.array(np.zeros(size + 1, np.int32))
        return pa.ListArray.from_arrays(offsets, pa.array([], pa.string())).cast(kind)
    flags: list[list[str]] = [[] for _ in range(size)]
    for rows, odd in used.flagged:
        for row in rows:
            flags[row] = list(odd)
    return pa.array(flags, kind)


def _instants(microseconds: Ints) -> pa.Array:
    return pa.array(microseconds).cast(pa.timestamp("us", "UTC"))


def _taken(texts: Sequence[str | None], places: Ints) -> pa.Array:
    return pa.array(texts, pa.string()).take(pa.array(places))


def _money(steps: Ints, known: Flags) -> pa.Array:
    """Return ten-billionths of a dollar, none of them below zero, as decimals."""
    words = np.zeros((len(steps), 2), np.int64)
    words[:, 0] = steps
    valid = pa.py_buffer(np.packbits(known, bitorder="little"))
    kind = SCHEMA.field("total_cost").type
    return pa.Array.from_buffers(kind, len(steps), [valid, pa.py_buffer(words)])

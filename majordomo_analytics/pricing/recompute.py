"""Work a cost out again from the columns of a row, as it lies in a lake or a database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from majordomo_analytics.records.usage import (
    Iteration,
    Usage,
    add_counts,
    count_or_none,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from majordomo_analytics.pricing.pricer import Pricer
    from majordomo_analytics.records.money import Cost

_COLUMNS = frozenset(
    name for name in Usage.__struct_fields__ if name not in {"stated_cost", "iterations", "flags"}
)
_RENAMED = {"status": "usage_status", "source": "usage_source", "raw": "usage_raw"}

COLUMNS = (
    "provider",
    "model",
    "requested_model",
    "request_path",
    "requested_at",
    "stated_cost",
    *sorted(_RENAMED.get(name, name) for name in _COLUMNS),
)
"""The columns that a cost is worked out from."""


def recompute(row: Mapping[str, Any], pricer: Pricer) -> Cost:
    """Return what a row costs by `pricer`.

    Where `pricer` has the version that the row's ``price_version`` names, that is the cost
    which the row has.

    Parameters
    ----------
    row
        At least the columns in `COLUMNS`, by name.
    pricer
        Whose prices count.
    """
    fields = {name: row[_RENAMED.get(name, name)] for name in _COLUMNS}
    stated = row["stated_cost"]
    usage = Usage(
        **fields,
        stated_cost=None if stated is None else str(stated),
        iterations=iterations_of(row["usage_raw"]),
    )
    return pricer.price(
        usage,
        provider=row["provider"],
        model=row["model"],
        requested_model=row["requested_model"],
        requested_at=row["requested_at"],
        request_path=row["request_path"],
    )


def iterations_of(usage_raw: str | None) -> tuple[Iteration, ...]:
    """Return the model calls in a provider's usage object, none if it names none.

    >>> [call.model for call in iterations_of('{"iterations": [{"model": "m"}, {}]}')]
    ['m', None]
    """
    if not usage_raw or '"iterations"' not in usage_raw:
        return ()
    try:
        usage = msgspec.json.decode(usage_raw)
    except msgspec.DecodeError:
        return ()
    calls = usage.get("iterations") if isinstance(usage, dict) else None
    if not isinstance(calls, list):
        return ()
    return tuple(_iteration(call) for call in calls if isinstance(call, dict))


def _iteration(call: dict[str, Any]) -> Iteration:
    read = count_or_none(call.get("cache_read_input_tokens"))
    written = count_or_none(call.get("cache_creation_input_tokens"))
    fresh = count_or_none(call.get("input_tokens"))
    by_age = call.get("cache_creation")
    if not isinstance(by_age, dict):
        by_age = {}
    model = call.get("model")
    return Iteration(
        model=model if isinstance(model, str) and model else None,
        # What was read from a cache and written to one comes on top of the fresh tokens.
        input_tokens=None if fresh is None else add_counts(fresh, read, written),
        cached_tokens=read,
        cache_creation_tokens=written,
        cache_creation_5m_tokens=count_or_none(by_age.get("ephemeral_5m_input_tokens")),
        cache_creation_1h_tokens=count_or_none(by_age.get("ephemeral_1h_input_tokens")),
        output_tokens=count_or_none(call.get("output_tokens")),
    )

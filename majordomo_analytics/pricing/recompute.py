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


AGES = ("5m", "1h")


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
        # An answer that was cut has its calls in part; its counts are not known then.
        iterations=iterations_of(row["usage_raw"]) if fields["status"] == "reported" else (),
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

    Anthropic lists them as ``iterations``, traces of Bedrock's agents are kept as
    ``modelInvocations``.

    >>> raw = '{"iterations": [{"model": "m", "output_tokens": 1}, {"output_tokens": 2}]}'
    >>> [(call.model, call.output_tokens) for call in iterations_of(raw)]
    [('m', 1), (None, 2)]
    """
    if not usage_raw or ("iterations" not in usage_raw and "modelInvocations" not in usage_raw):
        return ()
    try:
        usage = msgspec.json.decode(usage_raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ()
    if not isinstance(usage, dict):
        return ()
    calls = _objects(usage.get("iterations"))
    if calls:
        # A list of which one call does not say what it wrote is no list of what is billed.
        if any(call.get("output_tokens") is None for call in calls):
            return ()
        return tuple(_anthropic_call(call) for call in calls)
    return tuple(_bedrock_call(call) for call in _objects(usage.get("modelInvocations")))


def _objects(value: object) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _anthropic_call(call: dict[str, Any]) -> Iteration:
    by_age = call.get("cache_creation")
    ages = by_age if isinstance(by_age, dict) else {}
    return _call(
        call.get("model"),
        fresh=call.get("input_tokens"),
        read=call.get("cache_read_input_tokens"),
        written=call.get("cache_creation_input_tokens"),
        for_5m=ages.get("ephemeral_5m_input_tokens"),
        for_1h=ages.get("ephemeral_1h_input_tokens"),
        output=call.get("output_tokens"),
    )


def _bedrock_call(call: dict[str, Any]) -> Iteration:
    given = call.get("usage")
    usage = given if isinstance(given, dict) else {}
    details = _objects(usage.get("cacheDetails"))
    ages = {
        age: [one.get("inputTokens") for one in details if one.get("ttl") == age] for age in AGES
    }
    return _call(
        call.get("foundationModel"),
        fresh=_first(usage, "inputTokens", "inputTokenCount"),
        read=_first(usage, "cacheReadInputTokens", "cacheReadInputTokenCount"),
        written=_first(usage, "cacheWriteInputTokens", "cacheWriteInputTokenCount"),
        for_5m=add_counts(*map(count_or_none, ages["5m"])),
        for_1h=add_counts(*map(count_or_none, ages["1h"])),
        output=_first(usage, "outputTokens", "outputTokenCount"),
    )


def _first(usage: dict[str, Any], *names: str) -> object:
    return next((usage[name] for name in names if usage.get(name) is not None), None)


def _call(
    model: object,
    *,
    fresh: object,
    read: object,
    written: object,
    for_5m: object,
    for_1h: object,
    output: object,
) -> Iteration:
    """Return one call; what a cache read or kept comes on top of the fresh tokens."""
    beside = [count_or_none(count) for count in (read, written) if count is not None]
    first = count_or_none(fresh)
    is_known = first is not None and None not in beside
    return Iteration(
        model=model if isinstance(model, str) and model else None,
        input_tokens=add_counts(first, *beside) if is_known else None,
        cached_tokens=count_or_none(read),
        cache_creation_tokens=count_or_none(written),
        cache_creation_5m_tokens=count_or_none(for_5m),
        cache_creation_1h_tokens=count_or_none(for_1h),
        output_tokens=count_or_none(output),
    )

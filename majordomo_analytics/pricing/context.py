"""What a price depends on besides the model: how the answer says that it was served."""

from __future__ import annotations

from typing import TypeAlias

Context: TypeAlias = tuple[tuple[str, str], ...]
"""Pairs of what was special and how; empty for the standard price."""

CONTEXT_KEYS: dict[str, str] = {
    "service_tier": "flex, priority, fast or whatever else the provider names",
    "processing": "batch",
    "speed": "fast",
    "inference_geo": "where the model had to run, such as us",
}
"""Every key of a context, and its values."""

# Capacity that is bought by the hour (scale, provisioned, reserved) has no price for each
# token; such a request is put down with what it would have cost without it.
STANDARD = frozenset(
    {
        "auto", "default", "none", "on_demand", "provisioned",
        "provisioned_throughput", "reserved", "scale", "standard", "unspecified",
    }
)  # fmt: skip
ANYWHERE = frozenset({"global", "not_available"})
_PREFIXES = ("service_tier_", "traffic_type_", "on_demand_")


def context_of(
    service_tier: str | None,
    speed: str | None,
    inference_geo: str | None,
    traffic_type: str | None,
) -> Context:
    """Return what was special about how a request was served.

    A request is in a batch or has a service tier, never both.

    Anthropic names ``batch`` as a service tier and has a speed beside it; Vertex has a
    traffic type instead of a tier.

    >>> context_of("priority", None, "global", None)
    (('service_tier', 'priority'),)
    >>> context_of("batch", "fast", None, None)
    (('processing', 'batch'), ('speed', 'fast'))
    >>> context_of(None, None, None, "ON_DEMAND_FLEX")
    (('service_tier', 'flex'),)
    """
    context: dict[str, str] = {}
    for named in (traffic_type, service_tier):
        tier = _plain(named)
        if tier == "batch":
            context = {"processing": tier}
        elif tier and tier not in STANDARD:
            context = {"service_tier": tier}
    if (pace := _plain(speed)) and pace not in STANDARD:
        context["speed"] = pace
    if (geo := _plain(inference_geo)) and geo not in ANYWHERE:
        context["inference_geo"] = geo
    return tuple(context.items())


def context_for(key: str, value: str) -> Context:
    """Return what a price book means by a key and a value, in the words of `context_of`.

    Empty if no request is served so, other than at the standard price.

    >>> context_for("service_tier", "ON_DEMAND_PRIORITY"), context_for("speed", "standard")
    ((('service_tier', 'priority'),), ())
    """
    if key == "processing":
        return ((key, "batch"),) if _plain(value) == "batch" else ()
    named: dict[str, str | None] = dict.fromkeys(("service_tier", "speed", "inference_geo"))
    named[key] = value
    return context_of(named["service_tier"], named["speed"], named["inference_geo"], None)


def can_meet(one: Context, other: Context) -> bool:
    """Return whether a request can be served in both ways.

    >>> can_meet((("processing", "batch"),), (("inference_geo", "us"),))
    True
    >>> can_meet((("processing", "batch"),), (("service_tier", "flex"),))
    False
    """
    both = dict(one) | dict(other)
    agree = all(both[key] == value for key, value in (*one, *other))
    return agree and not {"service_tier", "processing"} <= both.keys()


def _plain(name: str | None) -> str:
    plain = (name or "").strip().lower().replace("-", "_")
    for prefix in _PREFIXES:
        plain = plain.removeprefix(prefix)
    return plain

"""The truth summed up, and held against what a ledger says."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from majordomo_analytics.cli.standins.truth import Call

SUMS = ("requests", "errors", "input_tokens", "cached_tokens", "output_tokens", "total_cost")
"""The measures that the stand-ins can vouch for, by the ledger's names."""

Sums = dict[str, Any]


def sums_of(calls: Iterable[Call]) -> Sums:
    """Return the sums of `calls`, added one by one."""
    sums: Sums = dict.fromkeys(SUMS, 0) | {"total_cost": Decimal(0)}
    for call in calls:
        sums["requests"] += 1
        sums["errors"] += call.status_code >= 400
        sums["input_tokens"] += call.tokens.input
        sums["cached_tokens"] += call.tokens.cached
        sums["output_tokens"] += call.tokens.output
        sums["total_cost"] += call.cost or 0
    return sums


def differences(said: Mapping[str, Mapping[str, Any]], truth: Mapping[str, Sums]) -> list[str]:
    """Return one sentence for each sum of a Feature in which the two differ."""
    found = []
    for feature in sorted({*said, *truth}):
        ours = said.get(feature, {})
        theirs = truth.get(feature) or sums_of(())
        found += [
            f"{feature}: {measure} is {ours.get(measure) or 0} in the lake, the stand-ins "
            f"answered {theirs[measure]}"
            for measure in SUMS
            if (ours.get(measure) or 0) != theirs[measure]
        ]
    return found

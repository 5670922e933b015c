"""What the drain counts: it prices, so it alone knows tokens and costs.

It runs from `mdm drain`, which hands this in where a supervisor gave it a folder to count
in. Rows count once they are in the lake: if the drain dies between the commit and the count
they are missing here, and in nothing but here.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry

from majordomo_proxy.meters import counter, gauge
from majordomo_proxy.scoreboard import board

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Mapping
    from datetime import datetime
    from decimal import Decimal
    from typing import Protocol

    class Spent(Protocol):
        """What the drain says some requests used and cost."""

        requests: int
        tokens: Counter[str]
        parts: Counter[str]
        cost: Decimal

    class Pass(Protocol):
        """What the drain says of one pass over the spools."""

        rows: int
        dead: int
        interrupted: int
        quarantined: int
        is_down: bool

    class Behind(Protocol):
        """What the drain says is on its way."""

        rows: int

        def age_s(self, now: datetime) -> float: ...


MOST_MODELS = 200
OTHER = "(other)"
"""The label of models without a price, and of those beyond so many."""


class DrainMetrics:
    """What a drain counts.

    Parameters
    ----------
    registry
        Where the counters live.
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        own = self.registry = registry or CollectorRegistry()
        self._requests = counter("majordomo_lake_requests_total", own)
        self._tokens = counter("majordomo_tokens_total", own)
        self._parts = counter("majordomo_token_parts_total", own)
        self._cost = counter("majordomo_cost_usd_total", own)
        self._cost_status = counter("majordomo_cost_status_total", own)
        self._rows = counter("majordomo_drained_rows_total", own)
        self._refused = counter("majordomo_set_aside_rows_total", own)
        self._interrupted = counter("majordomo_interrupted_rows_total", own)
        self._damaged = counter("majordomo_damaged_spools_total", own)
        self._sink_up = gauge("majordomo_sink_up", own)
        self._last_pass = gauge("majordomo_drain_last_pass_timestamp_seconds", own)
        self._waiting = gauge("majordomo_drain_waiting_rows", own)
        self._lag = gauge("majordomo_drain_lag_seconds", own)
        self._spool_rows = gauge("majordomo_spool_rows", own)
        self._spool_oldest = gauge("majordomo_spool_oldest_row_seconds", own)
        self._dead_letters = gauge("majordomo_dead_letters", own)
        self._quarantined = gauge("majordomo_quarantined_spools", own)
        self._models = _models_counted()

    def count_spent(self, spent: Mapping[tuple[str, str | None, str], Spent]) -> None:
        """Count what rows used and cost, by provider, model and cost status."""
        for (provider, model, status), one in spent.items():
            name = self._label(provider, model, is_priced=status == "priced")
            self._requests.labels(provider, name).inc(one.requests)
            self._cost_status.labels(status).inc(one.requests)
            for metric, tally in ((self._tokens, one.tokens), (self._parts, one.parts)):
                for kind, count in tally.items():
                    if count > 0:
                        metric.labels(provider, name, kind).inc(count)
            if one.cost > 0:
                self._cost.labels(provider, name).inc(float(one.cost))

    def count_pass(self, sink: str, done: Pass) -> None:
        """Count what a pass over the spools did for a sink."""
        self._rows.labels(sink).inc(done.rows)
        self._refused.labels(sink).inc(done.dead)
        self._interrupted.inc(done.interrupted)
        self._damaged.inc(done.quarantined)
        self._sink_up.labels(sink).set(0 if done.is_down else 1)
        self._last_pass.labels(sink).set(time.time())

    def show_lag(
        self,
        at: datetime,
        sinks: Mapping[str, Behind],
        spool: Behind,
        dead_letters: Mapping[str, int],
        quarantined: int,
    ) -> None:
        """Show what was on its way at an instant."""
        for sink, behind in sinks.items():
            self._waiting.labels(sink).set(behind.rows)
            self._lag.labels(sink).set(behind.age_s(at))
        self._spool_rows.set(spool.rows)
        self._spool_oldest.set(spool.age_s(at))
        for sink, count in dead_letters.items():
            self._dead_letters.labels(sink).set(count)
        self._quarantined.set(quarantined)

    def _label(self, provider: str, model: str | None, *, is_priced: bool) -> str:
        """Return what a model is called.

        Callers choose what they ask for, and some providers answer with what they were
        asked for: a model has a series of its own only if somebody sold it, and the first
        few hundred only.
        """
        if model is None:
            return OTHER
        if (provider, model) not in self._models:
            if not is_priced or len(self._models) >= MOST_MODELS:
                return OTHER
            self._models.add((provider, model))
        return model


def _models_counted() -> set[tuple[str, str]]:
    """Return which models have a series already, from a drain that ran before this one."""
    shown = board()
    if shown is None:
        return set()
    return {
        (sample.labels["provider"], sample.labels["model"])
        for metric in shown.collect()
        if metric.name == "majordomo_lake_requests"
        for sample in metric.samples
        if sample.labels["model"] != OTHER
    }

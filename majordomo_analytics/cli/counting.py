"""Who counts what a drain does: the proxy's metrics, if a supervisor asked for it."""

from __future__ import annotations

import importlib.util
import logging
import os
from typing import TYPE_CHECKING

from majordomo_analytics.drain.observing import Observer, spent_in

if TYPE_CHECKING:
    import pyarrow as pa

    from majordomo_analytics.drain.lag import Lag
    from majordomo_analytics.drain.passes import Pass
    from majordomo_proxy.drain_metrics import DrainMetrics

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"

logger = logging.getLogger("majordomo_analytics.drain")


def observer_for(process: str) -> Observer:
    """Return who is to be told what a drain does.

    Parameters
    ----------
    process
        How the supervisor calls this process; empty if there is no supervisor.
    """
    has_board = bool(process) and FOLDER_VARIABLE in os.environ
    if not has_board or importlib.util.find_spec("prometheus_client") is None:
        return Logging()
    from majordomo_proxy import scoreboard
    from majordomo_proxy.drain_metrics import DrainMetrics

    return Counting(DrainMetrics()) if scoreboard.join(process) else Logging()


class Logging:
    """Writes what was done to the log."""

    def on_appended(self, rows: pa.Table) -> None:
        """Nothing: the pass says it."""

    def on_pass(self, sink: str, done: Pass) -> None:
        """Write a line if there was something to do."""
        if done.rows or done.dead or done.interrupted or done.quarantined:
            fields = {
                "sink": sink,
                "rows": done.rows,
                "dead_letters": done.dead,
                "interrupted": done.interrupted,
                "quarantined": done.quarantined,
            }
            logger.info("rows were drained", extra=fields)

    def on_lag(self, lag: Lag) -> None:
        """Nothing: it is no event."""


class Counting(Logging):
    """Counts it, too.

    Parameters
    ----------
    metrics
        What counts. Whatever goes wrong with it is written to the log and no more: rows are
        drained whether they are counted or not.
    """

    def __init__(self, metrics: DrainMetrics) -> None:
        self._metrics = metrics

    def on_appended(self, rows: pa.Table) -> None:
        """Count what they used and cost."""
        try:
            self._metrics.count_spent(spent_in(rows))
        except Exception:
            logger.exception("rows could not be counted")

    def on_pass(self, sink: str, done: Pass) -> None:
        """Count what was done."""
        super().on_pass(sink, done)
        try:
            self._metrics.count_pass(sink, done)
        except Exception:
            logger.exception("a pass could not be counted")

    def on_lag(self, lag: Lag) -> None:
        """Show how far the sinks are behind."""
        self._metrics.show_lag(lag.at, lag.sinks, lag.spool, lag.dead_letters, lag.quarantined)

"""Counters in Prometheus' text format, over all workers of one data directory.

With `PROMETHEUS_MULTIPROC_DIR` set, which the supervisor does, each process writes its
counts to a file of its own and whoever is asked adds them up. No label value ever comes
from a caller.
"""

from __future__ import annotations

import os
from collections import Counter
from functools import cache
from typing import TYPE_CHECKING

import prometheus_client as prometheus
from prometheus_client import CollectorRegistry, Gauge, Histogram, generate_latest, multiprocess

if TYPE_CHECKING:
    from majordomo_analytics.records.request import RequestRecord

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)


TallyOfRows = Counter[tuple[str, str, str]]
"""Rows by provider, outcome and usage status that were not published yet."""

PUBLISH_EVERY_S = 1.0


class Metrics:
    """What one worker counts.

    Parameters
    ----------
    registry
        Where the counters live; a fresh one for each app, so that tests do not share.
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self._requests = prometheus.Counter(
            "majordomo_requests_total",
            "Requests that reached a provider or failed on the way, one row each",
            ("provider", "outcome"),
            registry=self.registry,
        )
        self._usage = prometheus.Counter(
            "majordomo_usage_total",
            "Rows by how much of their usage is known",
            ("status",),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "majordomo_request_seconds",
            "Wall clock from request to last byte",
            ("provider",),
            buckets=SECONDS,
            registry=self.registry,
        )
        self._refused = prometheus.Counter(
            "majordomo_refused_total",
            "Requests the proxy refused itself; they have no row",
            ("reason",),
            registry=self.registry,
        )
        self._flags = prometheus.Counter(
            "majordomo_flags_total",
            "Rows that carry a flag",
            ("flag",),
            registry=self.registry,
        )
        self.abandoned = prometheus.Counter(
            "majordomo_abandoned_total",
            "Answers whose caller left before their end",
            registry=self.registry,
        )
        self.late_rows = prometheus.Counter(
            "majordomo_spool_late_rows_total",
            "Rows whose caller was released before they were durable",
            registry=self.registry,
        )
        self._lost_rows = prometheus.Counter(
            "majordomo_rows_lost_total",
            "Rows that could not be written at all, by cause",
            ("cause",),
            registry=self.registry,
        )
        self.spool_troubles = prometheus.Counter(
            "majordomo_spool_troubles_total",
            "Commits to the spool that failed",
            registry=self.registry,
        )
        self._cut = prometheus.Counter(
            "majordomo_connections_cut_total",
            "Connections of callers that were cut without an answer, by cause",
            ("cause",),
            registry=self.registry,
        )
        self.open_connections = Gauge(
            "majordomo_open_connections",
            "Connections of callers that are open",
            registry=self.registry,
            multiprocess_mode="livesum",
        )
        self._in_flight = Gauge(
            "majordomo_in_flight_requests",
            "Requests that are being relayed",
            registry=self.registry,
            multiprocess_mode="livesum",
        )
        self._rows = TallyOfRows()
        self._labelled = cache(lambda metric, *labels: metric.labels(*labels))

    def count_row(self, record: RequestRecord) -> None:
        """Count a request that has a row."""
        self._rows[record.provider, record.outcome, record.usage.status] += 1
        if record.response_time_ms is not None:
            seconds = self._labelled(self._seconds, record.provider)
            seconds.observe(record.response_time_ms / 1000)
        for flag in (*record.flags, *record.usage.flags):
            self._labelled(self._flags, flag).inc()

    def count_refused(self, reason: str) -> None:
        """Count a request the proxy refused."""
        self._labelled(self._refused, reason).inc()

    def count_lost_row(self, cause: str) -> None:
        """Count a row that could not be kept; `cause` is one of a few words of ours."""
        self._labelled(self._lost_rows, cause).inc()

    def count_cut_connection(self, cause: str) -> None:
        """Count a connection that was cut; `cause` is one of a few words of ours."""
        self._labelled(self._cut, cause).inc()

    def publish(self, in_flight: int) -> None:
        """Show other processes the counts of rows, and of requests in flight."""
        rows, self._rows = self._rows, TallyOfRows()
        for (provider, outcome, status), count in rows.items():
            self._labelled(self._requests, provider, outcome).inc(count)
            self._labelled(self._usage, status).inc(count)
        self._in_flight.set(in_flight)

    def text(self) -> bytes:
        """Return all counters in Prometheus' text format."""
        if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
            registry = CollectorRegistry()
            multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
            return generate_latest(registry)
        return generate_latest(self.registry)

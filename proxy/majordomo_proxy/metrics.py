"""What one worker counts.

Requests are tallied in memory and handed on once a second: a count that other processes
can read costs more than adding one.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from functools import cache
from typing import TYPE_CHECKING

import prometheus_client as prometheus
from prometheus_client import CollectorRegistry

from majordomo_proxy import scoreboard
from majordomo_proxy.meters import LOST_CAUSES, SECONDS, counter, gauge, histogram

if TYPE_CHECKING:
    from majordomo_analytics.records.request import RequestRecord

TallyOfRows = Counter[tuple[str, str, str]]
"""Rows by provider, outcome and usage status that were not published yet."""

PUBLISH_EVERY_S = 1.0
BOUNDS_MS = tuple(bound * 1000 for bound in SECONDS)


class TallyOfTimes:
    """Times by the bucket of a histogram that they fall in, not published yet."""

    __slots__ = ("_counts", "_total_ms")

    def __init__(self) -> None:
        self._counts = [0] * (len(BOUNDS_MS) + 1)
        self._total_ms = 0

    def add(self, ms: int) -> None:
        """Count a time, in milliseconds."""
        self._counts[bisect_left(BOUNDS_MS, ms)] += 1
        self._total_ms += ms

    def hand_on(self, histogram: prometheus.Histogram) -> None:
        """Add what was counted to a histogram, and begin anew.

        By its parts: it has a method for one time only, which costs as much for each.
        """
        for bucket, count in zip(histogram._buckets, self._counts, strict=True):
            if count:
                bucket.inc(count)
        if any(self._counts):
            histogram._sum.inc(self._total_ms / 1000)
            self._counts = [0] * len(self._counts)
            self._total_ms = 0


class Metrics:
    """What one worker counts.

    Parameters
    ----------
    registry
        Where the counters live; a fresh one for each app, so that tests do not share.
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        own = self.registry
        self._requests = counter("majordomo_requests_total", own)
        self._usage = counter("majordomo_usage_total", own)
        self._seconds = histogram("majordomo_request_seconds", own)
        self._first_byte_seconds = histogram("majordomo_first_byte_seconds", own)
        self._request_bytes = counter("majordomo_request_bytes_total", own)
        self._response_bytes = counter("majordomo_response_bytes_total", own)
        self._refused = counter("majordomo_refused_total", own)
        self._cut = counter("majordomo_connections_cut_total", own)
        self._flags = counter("majordomo_flags_total", own)
        self.abandoned = counter("majordomo_abandoned_total", own)
        self.late_rows = counter("majordomo_spool_late_rows_total", own)
        self._lost_rows = counter("majordomo_rows_lost_total", own)
        self.spool_troubles = counter("majordomo_spool_troubles_total", own)
        self._in_flight = gauge("majordomo_in_flight_requests", own)
        self.open_connections = gauge("majordomo_open_connections", own)
        self._unwritten_rows = gauge("majordomo_spool_unwritten_rows", own)
        self.spool_bytes = gauge("majordomo_spool_bytes", own)
        self.spool_max_bytes = gauge("majordomo_spool_max_bytes", own)
        self._rows = TallyOfRows()
        self._bytes_in = Counter[str]()
        self._bytes_out = Counter[str]()
        self._times = defaultdict[str, TallyOfTimes](TallyOfTimes)
        self._first_byte_times = defaultdict[str, TallyOfTimes](TallyOfTimes)
        self._labelled = cache(lambda metric, *labels: metric.labels(*labels))
        for cause in LOST_CAUSES:
            # There from the start: an alert on its growth would miss the first one else.
            self._labelled(self._lost_rows, cause)

    def count_row(self, record: RequestRecord) -> None:
        """Count a request that has a row."""
        provider = record.provider
        self._rows[provider, record.outcome, record.usage.status] += 1
        if record.request_bytes:
            self._bytes_in[provider] += record.request_bytes
        if record.response_bytes:
            self._bytes_out[provider] += record.response_bytes
        if record.response_time_ms is not None:
            self._times[provider].add(record.response_time_ms)
        if record.time_to_first_byte_ms is not None:
            self._first_byte_times[provider].add(record.time_to_first_byte_ms)
        for flag in (*record.flags, *record.usage.flags):
            self._labelled(self._flags, flag).inc()

    def count_refused(self, reason: str) -> None:
        """Count a request the proxy refused."""
        self._labelled(self._refused, reason).inc()

    def count_lost_row(self, cause: str, rows: int = 1) -> None:
        """Count rows that could not be kept; `cause` is one of a few words of ours."""
        self._labelled(self._lost_rows, cause).inc(rows)

    def count_cut_connection(self, cause: str) -> None:
        """Count a connection that was cut; `cause` is one of a few words of ours."""
        self._labelled(self._cut, cause).inc()

    def publish(self, in_flight: int, *, unwritten: int = 0) -> None:
        """Show other processes the counts of rows, and what is so just now.

        Parameters
        ----------
        in_flight
            Requests that are being relayed.
        unwritten
            Rows that are in memory only.
        """
        rows, self._rows = self._rows, TallyOfRows()
        for (provider, outcome, status), count in rows.items():
            self._labelled(self._requests, provider, outcome).inc(count)
            self._labelled(self._usage, status).inc(count)
        for metric, tally in (
            (self._request_bytes, self._bytes_in),
            (self._response_bytes, self._bytes_out),
        ):
            for provider, count in tally.items():
                self._labelled(metric, provider).inc(count)
            tally.clear()
        for histogram_of, times in (
            (self._seconds, self._times),
            (self._first_byte_seconds, self._first_byte_times),
        ):
            for provider, taken in times.items():
                taken.hand_on(self._labelled(histogram_of, provider))
        self._in_flight.set(in_flight)
        self._unwritten_rows.set(unwritten)

    def text(self) -> bytes:
        """Return all counts, of every process, in Prometheus' text format."""
        return scoreboard.text(self.registry)

"""Every metric there is: one table, which the page on operating shows as well.

No label value ever comes from a caller: they are names of ours, of the providers that are
set, and of models that the drain knows a price for, and of those only so many.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import prometheus_client as prometheus
from prometheus_client import CollectorRegistry

SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
LOST_CAUSES = ("spool_full", "memory_full", "not_made", "not_written")

Kind = Literal["counter", "gauge", "histogram"]
Writer = Literal["worker", "drain", "supervisor"]


@dataclass(frozen=True, slots=True)
class Meter:
    """One metric.

    Attributes
    ----------
    name
        As it is scraped; it ends in its unit, and in ``_total`` if it only goes up.
    kind, labels
        What Prometheus takes it for, and the labels of its series.
    meaning
        One sentence.
    writer
        Which processes write it; any worker shows it.
    mode
        Of a gauge, how the values of several processes are drawn together. One that begins
        with ``live`` goes with its process.
    """

    name: str
    kind: Kind
    writer: Writer
    meaning: str
    labels: tuple[str, ...] = ()
    mode: str = "livesum"


METERS: dict[str, Meter] = {
    meter.name: meter
    for meter in (
        Meter(
            "majordomo_requests_total",
            "counter",
            "worker",
            "Requests that reached a provider or failed on the way, one row each",
            ("provider", "outcome"),
        ),
        Meter(
            "majordomo_usage_total",
            "counter",
            "worker",
            "Rows by how much of their usage is known",
            ("status",),
        ),
        Meter(
            "majordomo_request_seconds",
            "histogram",
            "worker",
            "Wall clock from request to last byte",
            ("provider",),
        ),
        Meter(
            "majordomo_first_byte_seconds",
            "histogram",
            "worker",
            "Wall clock from request to the head of the answer",
            ("provider",),
        ),
        Meter(
            "majordomo_request_bytes_total",
            "counter",
            "worker",
            "Bytes of request bodies, as they came",
            ("provider",),
        ),
        Meter(
            "majordomo_response_bytes_total",
            "counter",
            "worker",
            "Bytes of answers' bodies, as they came",
            ("provider",),
        ),
        Meter(
            "majordomo_refused_total",
            "counter",
            "worker",
            "Requests the proxy refused itself; they have no row",
            ("reason",),
        ),
        Meter(
            "majordomo_connections_cut_total",
            "counter",
            "worker",
            "Connections of callers that were cut without an answer, by cause",
            ("cause",),
        ),
        Meter("majordomo_flags_total", "counter", "worker", "Rows that carry a flag", ("flag",)),
        Meter(
            "majordomo_abandoned_total",
            "counter",
            "worker",
            "Answers whose caller left before their end",
        ),
        Meter(
            "majordomo_spool_late_rows_total",
            "counter",
            "worker",
            "Rows whose caller was released before they were durable",
        ),
        Meter(
            "majordomo_rows_lost_total",
            "counter",
            "worker",
            "Rows that could not be written at all, by cause",
            ("cause",),
        ),
        Meter(
            "majordomo_spool_troubles_total",
            "counter",
            "worker",
            "Commits to the spool that failed",
        ),
        Meter("majordomo_in_flight_requests", "gauge", "worker", "Requests that are being relayed"),
        Meter("majordomo_open_connections", "gauge", "worker", "Connections of callers"),
        Meter(
            "majordomo_spool_unwritten_rows",
            "gauge",
            "worker",
            "Rows that are in memory only, on their way to the disk",
        ),
        Meter(
            "majordomo_spool_bytes",
            "gauge",
            "worker",
            "Room that all spools take on disk",
            mode="livemostrecent",
        ),
        Meter(
            "majordomo_spool_max_bytes",
            "gauge",
            "worker",
            "Room that they may take before the spool is full",
            mode="livemostrecent",
        ),
        Meter(
            "majordomo_lake_requests_total",
            "counter",
            "drain",
            "Requests appended to the lake",
            ("provider", "model"),
        ),
        Meter(
            "majordomo_tokens_total",
            "counter",
            "drain",
            "Tokens of requests appended to the lake; kind is input or output",
            ("provider", "model", "kind"),
        ),
        Meter(
            "majordomo_token_parts_total",
            "counter",
            "drain",
            "Tokens that are part of those: cached, cache_creation, reasoning",
            ("provider", "model", "part"),
        ),
        Meter(
            "majordomo_cost_usd_total",
            "counter",
            "drain",
            "US dollars of requests appended to the lake, as a float: for graphs, not for bills",
            ("provider", "model"),
        ),
        Meter(
            "majordomo_cost_status_total",
            "counter",
            "drain",
            "Requests appended to the lake by how their cost is known",
            ("status",),
        ),
        Meter(
            "majordomo_drained_rows_total",
            "counter",
            "drain",
            "Rows that reached a sink and were new there",
            ("sink",),
        ),
        Meter(
            "majordomo_set_aside_rows_total",
            "counter",
            "drain",
            "Rows that a sink refused, set aside as dead letters",
            ("sink",),
        ),
        Meter(
            "majordomo_interrupted_rows_total",
            "counter",
            "drain",
            "Requests that were cut short with their worker, and got a row that says so",
        ),
        Meter(
            "majordomo_damaged_spools_total",
            "counter",
            "drain",
            "Spools that were damaged and set aside",
        ),
        Meter(
            "majordomo_sink_up",
            "gauge",
            "drain",
            "Whether the last pass could use a sink: 1 or 0",
            ("sink",),
            mode="livemostrecent",
        ),
        Meter(
            "majordomo_drain_last_pass_timestamp_seconds",
            "gauge",
            "drain",
            "When the last pass over the spools ended, in seconds since 1970",
            ("sink",),
            mode="mostrecent",
        ),
        Meter(
            "majordomo_drain_waiting_rows",
            "gauge",
            "drain",
            "Rows in the spools that a sink has not got",
            ("sink",),
            mode="livemostrecent",
        ),
        Meter(
            "majordomo_drain_lag_seconds",
            "gauge",
            "drain",
            "Age of the oldest row that a sink has not got; 0 if it has all",
            ("sink",),
            mode="livemostrecent",
        ),
        Meter(
            "majordomo_spool_rows",
            "gauge",
            "drain",
            "Rows in the spools that some sink has not got",
            mode="livemostrecent",
        ),
        Meter(
            "majordomo_spool_oldest_row_seconds",
            "gauge",
            "drain",
            "Age of the oldest of them; 0 if there is none",
            mode="livemostrecent",
        ),
        Meter(
            "majordomo_dead_letters",
            "gauge",
            "drain",
            "Rows that lie set aside as dead letters now",
            ("sink",),
            mode="livemostrecent",
        ),
        Meter(
            "majordomo_quarantined_spools",
            "gauge",
            "drain",
            "Damaged spools that lie in quarantine now",
            mode="livemostrecent",
        ),
        Meter(
            "majordomo_child_restarts_total",
            "counter",
            "supervisor",
            "Ends of workers and of the drain that nobody had asked for",
            ("child",),
        ),
        Meter(
            "majordomo_children",
            "gauge",
            "supervisor",
            "Workers and drains that run",
            ("child",),
            mode="mostrecent",
        ),
        Meter(
            "majordomo_reloads_total",
            "counter",
            "supervisor",
            "Reloads of the settings; result is done or refused",
            ("result",),
        ),
        Meter(
            "majordomo_build_info",
            "gauge",
            "supervisor",
            "Always 1; the version is in the label",
            ("version",),
            mode="mostrecent",
        ),
    )
}


def counter(name: str, registry: CollectorRegistry) -> prometheus.Counter:
    """Return a counter of the table, in `registry`."""
    meter = METERS[name]
    return prometheus.Counter(name, meter.meaning, meter.labels, registry=registry)


def gauge(name: str, registry: CollectorRegistry) -> prometheus.Gauge:
    """Return a gauge of the table, in `registry`."""
    meter = METERS[name]
    return prometheus.Gauge(
        name,
        meter.meaning,
        meter.labels,
        registry=registry,
        multiprocess_mode=meter.mode,  # type: ignore[arg-type]  # one of its modes, as tested
    )


def histogram(name: str, registry: CollectorRegistry) -> prometheus.Histogram:
    """Return a histogram of the table, in `registry`."""
    meter = METERS[name]
    return prometheus.Histogram(
        name, meter.meaning, meter.labels, registry=registry, buckets=SECONDS
    )

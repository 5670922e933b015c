"""Which metadata keys requests carry: one statement for every SQL, one shape for all.

Should a request have one key in two spellings, it counts once, in the canonical one:
capitals come first.
"""

# ruff: noqa: S608 - compiled by us, every value a literal

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from majordomo_analytics.records.metadata import canonical_name

if TYPE_CHECKING:
    from collections.abc import Collection

MOST_TOP_VALUES = 10


def keys_statement(chosen: str, entries: str, first: str, *, collated: str = "") -> str:
    """Return the statement that finds the most frequent values of each metadata key.

    Parameters
    ----------
    chosen
        The statement that reads the requests.
    entries
        A select of ``row``, ``requested_at``, ``spelling`` and ``value`` from ``chosen``,
        of each entry of the metadata.
    first
        The aggregate that is the ``value`` of the first ``spelling``.
    collated
        What makes text be ordered by code point, behind it.
    """
    return f"""
        WITH chosen AS (
          SELECT ROW_NUMBER() OVER (ORDER BY requested_at) AS row, requested_at, raw_metadata
          FROM ({chosen}) AS requests
        ), entries AS (
          SELECT row, requested_at, spelling, LOWER(REPLACE(spelling, '_', '-')) AS name, value
          FROM ({entries}) AS each_entry WHERE value IS NOT NULL
        ), once AS (
          SELECT name, MIN(requested_at) AS requested_at, {first} AS value
          FROM entries GROUP BY row, name
        ), by_value AS (
          SELECT
            name, value, COUNT(*) AS requests,
            MIN(requested_at) AS first_seen, MAX(requested_at) AS last_seen
          FROM once GROUP BY name, value
        ), ranked AS (
          SELECT
            name, value, requests,
            ROW_NUMBER() OVER (PARTITION BY name ORDER BY requests DESC, value{collated}) AS place,
            SUM(requests) OVER (PARTITION BY name) AS all_requests,
            COUNT(*) OVER (PARTITION BY name) AS distinct_values,
            MIN(first_seen) OVER (PARTITION BY name) AS first_seen,
            MAX(last_seen) OVER (PARTITION BY name) AS last_seen
          FROM by_value
        )
        SELECT
          name, value, requests, place, CAST(all_requests AS BIGINT) AS all_requests,
          distinct_values, first_seen, last_seen, (SELECT COUNT(*) FROM chosen) AS chosen
        FROM ranked WHERE place <= {MOST_TOP_VALUES}
    """


def keys_frame(found: pl.DataFrame, promoted: Collection[str]) -> pl.DataFrame:
    """Return one row for each metadata key, the most used first.

    Parameters
    ----------
    found
        What `keys_statement` gives: one row for each of its most frequent values.
    promoted
        The keys that have a column of their own.
    """
    top = pl.struct(pl.col("value").cast(pl.String), pl.col("requests").cast(pl.Int64))
    keys = (
        found.sort("name", "place")
        .group_by("name", maintain_order=True)
        .agg(
            pl.col("all_requests", "distinct_values", "first_seen", "last_seen", "chosen").first(),
            top.alias("top_values"),
        )
    )
    names = [canonical_name(name) for name in keys["name"]]
    instant = pl.Datetime("us", "UTC")
    named = keys.select(
        pl.Series("name", names, pl.String),
        pl.Series("promoted", [name in promoted for name in names], pl.Boolean),
        pl.col("all_requests").cast(pl.Int64).alias("requests"),
        (pl.col("all_requests").cast(pl.Float64) / pl.col("chosen")).alias("coverage"),
        pl.col("distinct_values").cast(pl.Int64),
        pl.col("first_seen", "last_seen").cast(instant),
        "top_values",
    )
    return named.sort(["requests", "name"], descending=[True, False])

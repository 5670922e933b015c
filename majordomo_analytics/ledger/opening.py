"""`ma.open`: from a path, an address or a frame to a ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

from majordomo_analytics.ledger.completing import offer_completions
from majordomo_analytics.ledger.ledger import Ledger
from majordomo_analytics.ledger.sources import SourceLike, read_source

if TYPE_CHECKING:
    from majordomo_analytics.lake.versions import VersionLike


def open(
    source: SourceLike,
    *,
    version: VersionLike | None = None,
    schema: str | None = None,
    spark: str | None = None,
) -> Ledger:
    """Open requests to ask about them.

    Parameters
    ----------
    source
        A data directory, a Delta table, a Parquet file, folder or glob, a Polars frame or
        an Arrow table. It needs a column ``requested_at``; what else it lacks is unknown.
        A frame's times without a zone are UTC. Or ``postgresql://…``, where our drain, a
        Majordomo gateway or a steward writes its requests; nothing is written there.
    version
        An earlier state of a data directory or Delta table: the number of a version, or
        when the requests were as they are wanted, as a datetime, a date (its first instant
        in UTC) or either as text. They are the newest by default.
    schema
        Where in Postgres; by default where the role's search path finds ``llm_requests``.
    spark
        ``sc://HOST:PORT`` of a Spark Connect server, which finds the files under the same
        paths; ``engine="spark"`` asks it. That of ``SPARK_REMOTE`` by default.

    Raises
    ------
    SourceError
        If it is none of these, or has no versions; or `spark` is no address.
    PostgresUnreachableError
        If Postgres does not answer.
    DataDirectoryError
        If it is a folder, but not a data directory.
    LakeNotFoundError
        If the data directory has no lake yet.
    LakeVersionError
        If there is no such version, or not any more; the error says which there are.

    Examples
    --------
    >>> import polars as pl
    >>> import majordomo_analytics as ma
    >>> rows = pl.DataFrame({"requested_at": ["2026-10-05T09:00Z"], "total_cost": ["1.25"]})
    >>> ma.open(rows)
    Ledger of a frame: 1 request, $1.2500, 2026-10-05 to 2026-10-05 UTC
    """
    ledger = Ledger(read_source(source, version=version, schema=schema, spark=spark))
    ledger.source.engine()
    offer_completions()
    return ledger

"""Polars over Parquet files or a frame: lazy, streaming, and without SQL."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING

import polars as pl
import pyarrow as pa

from majordomo_analytics.engines.base import Selected, select_twice
from majordomo_analytics.engines.keys import MOST_TOP_VALUES, keys_frame
from majordomo_analytics.engines.pinned import ParquetFiles, days_held
from majordomo_analytics.engines.polars.columns import kind_of
from majordomo_analytics.engines.polars.compiler import Answering
from majordomo_analytics.engines.polars.scans import Scans
from majordomo_analytics.errors import (
    LakeError,
    QueryError,
    ResultOverflowError,
    UnsupportedByEngineError,
)
from majordomo_analytics.plan.fields import Catalogue, column_kind
from majordomo_analytics.records.columns import BY_NAME
from majordomo_analytics.records.metadata import canonical_name, lookup_name
from majordomo_analytics.times import TimeRange

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from majordomo_analytics.engines.pinned import Pinned
    from majordomo_analytics.plan.plan import Plan


class PolarsEngine:
    """Answers plans over a snapshot of the lake, Parquet files or an Arrow table."""

    name = "polars"

    def __init__(self, source: Pinned) -> None:
        with _told_plainly():
            self._scans = Scans(source)

    def catalogue(self) -> Catalogue:
        """Return the names that the source knows."""
        return self._catalogue

    def span(self) -> TimeRange:
        """Return a range that holds all requests; open where there are none."""
        return self._span

    def check(self, plan: Plan) -> None:
        """Accept every plan."""

    @contextmanager
    def session(self) -> Iterator[None]:
        """Hold nothing: the files are pinned already, and never change."""
        yield

    def select(self, plan: Plan) -> Selected:
        """Return what answers one plan."""
        with _told_plainly():
            return Selected(self._answering(plan).answer(), None)

    def select_with_total(self, plan: Plan) -> tuple[Selected, pl.DataFrame]:
        """Return what answers a plan and its grand total."""
        return select_twice(self, plan)

    def requests(self, plan: Plan, *, limit: int | None) -> pl.DataFrame:
        """Return the plan's requests themselves, oldest first."""
        promoted = self._scans.promoted
        with _told_plainly():
            chosen = self._answering(plan).limited().sort("requested_at", "id", nulls_last=True)
            chosen = chosen if limit is None else chosen.head(limit)
            held = chosen.collect_schema()
            names = {old: new for old, new in promoted.items() if new not in held}
            return chosen.rename(names).collect(engine="streaming")

    def metadata_keys(self, plan: Plan) -> pl.DataFrame:
        """Return the metadata keys among the plan's requests, most used first."""
        spelling, value = (pl.col("entry").struct.field(name) for name in ("key", "value"))
        name = pl.col("key").str.replace_all("_", "-", literal=True).str.to_lowercase()
        with _told_plainly():
            chosen = self._answering(plan).limited().with_row_index("row")
            count = chosen.select(pl.len()).collect(engine="streaming").item()
            by_value = (
                chosen.select(
                    "row", "requested_at", pl.col("raw_metadata").map.entries().alias("entry")
                )
                .explode("entry", empty_as_null=False, keep_nulls=False)
                .select("row", "requested_at", spelling, value)
                .filter(pl.col("value").is_not_null())
                .with_columns(name.alias("name"))
                .group_by("row", "name")
                .agg(pl.col("requested_at").min(), pl.col("value").sort_by("key").first())
                .group_by("name", "value")
                .agg(
                    pl.len().cast(pl.Int64).alias("requests"),
                    pl.col("requested_at").min().alias("first_seen"),
                    pl.col("requested_at").max().alias("last_seen"),
                )
                .collect(engine="streaming")
            )
        by_value = by_value.sort("name", "requests", "value", descending=[False, True, False])
        found = by_value.with_columns(
            pl.int_range(1, pl.len() + 1).over("name").alias("place"),
            pl.col("requests").sum().over("name").alias("all_requests"),
            pl.len().over("name").cast(pl.Int64).alias("distinct_values"),
            pl.col("first_seen").min().over("name"),
            pl.col("last_seen").max().over("name"),
            pl.lit(count).alias("chosen"),
        )
        found = found.filter(pl.col("place") <= MOST_TOP_VALUES)
        return keys_frame(found, self._catalogue.promoted)

    def sql(self, statement: str) -> pl.DataFrame:
        """Refuse: Polars is asked by expressions."""
        message = (
            f"the Polars engine runs no SQL, such as {statement[:40]!r}; "
            "DuckDB does, or take `ledger.requests()` and ask Polars itself"
        )
        raise UnsupportedByEngineError(message)

    @cached_property
    def _catalogue(self) -> Catalogue:
        stored, promoted = self._scans.stored, self._scans.promoted
        columns = {
            name: column_kind(name) if name in BY_NAME else kind_of(dtype)
            for name, dtype in stored.items()
            if name not in promoted
        }
        columns["requested_date"] = "date"
        return Catalogue(columns, tuple(promoted.values()), lambda: self._stored_keys)

    @cached_property
    def _stored_keys(self) -> Mapping[str, tuple[str, ...]]:
        """The stored spellings of each metadata key, the canonical one first."""
        keys = pl.col("raw_metadata").map.keys().explode(empty_as_null=False, keep_nulls=False)
        with _told_plainly():
            distinct = self._scans.requests(TimeRange()).select(keys).unique()
            names = distinct.collect(engine="streaming").get_column("raw_metadata")
        found: dict[str, list[str]] = {}
        for key in sorted(names, key=lambda key: (key != canonical_name(key), key)):
            found.setdefault(lookup_name(key), []).append(key)
        return {name: tuple(spellings) for name, spellings in found.items()}

    @cached_property
    def _span(self) -> TimeRange:
        source = self._scans.source
        if not isinstance(source, (ParquetFiles, pa.Table)):
            return days_held(source)
        at = pl.col("requested_at")
        with _told_plainly():
            ends = self._scans.requests(TimeRange()).select(at.min(), at.max().alias("last"))
            first, last = ends.collect(engine="streaming").row(0)
        return TimeRange(first, last and last + timedelta(microseconds=1))

    def _answering(self, plan: Plan) -> Answering:
        return Answering(plan, self._scans.requests(plan.time_range))


@contextmanager
def _told_plainly() -> Iterator[None]:
    """Turn Polars' errors into ours."""
    try:
        yield
    except pl.exceptions.PolarsError as error:
        said = str(error).partition("\n")[0]
        if "overflow" in said:
            message = f"a sum leaves the range of its type: {said}"
            raise ResultOverflowError(message) from error
        raise QueryError(said) from error
    except FileNotFoundError as error:
        message = f"the files of the requests cannot be read: {error}"
        raise LakeError(message) from error

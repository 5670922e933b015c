"""Requests themselves: the columns they are shown with, and as a lazy frame of these.

Every engine reads the columns of `llm_requests`, where a promoted metadata key is called
``indexed_Feature``; what is shown calls it ``Feature``, in frames and in SQL alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import polars as pl
from polars.io.plugins import register_io_source

from majordomo_analytics.engines.polars.columns import METADATA, TYPES
from majordomo_analytics.records.columns import BY_NAME, COLUMNS, promoted_column
from majordomo_analytics.records.money import PLACES, PRECISION

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from majordomo_analytics.plan.fields import Catalogue

VIEW = "requests"
"""What the requests of a ledger are called in SQL."""

INDEXED = "indexed_metadata"
"""The promoted metadata keys of a request, and no other."""


@dataclass(frozen=True, slots=True)
class Shown:
    """The columns that requests are shown with.

    Attributes
    ----------
    columns
        Those of our own, and then those that only the source has, as they are stored.
    keys
        Each promoted metadata key, and what its column is called.
    """

    columns: tuple[str, ...]
    keys: Mapping[str, str]

    @property
    def stored(self) -> dict[str, str]:
        """What each column but `INDEXED` is called in `llm_requests`, by its name here."""
        columns = {name: name for name in self.columns}
        return columns | {shown: promoted_column(key) for key, shown in self.keys.items()}

    @property
    def names(self) -> tuple[str, ...]:
        """Every column in its order: the promoted keys behind the metadata."""
        last = self.columns.index("raw_metadata") + 1
        return *self.columns[:last], INDEXED, *self.keys.values(), *self.columns[last:]


def shown(catalogue: Catalogue) -> Shown:
    """Return the columns that the requests of a source are shown with.

    A metadata key that is called as a column is, but for case, keeps the name that it has
    in the lake: SQL has one name for both.
    """
    columns = [column.name for column in COLUMNS]
    columns += [name for name in catalogue.columns if name not in BY_NAME and name != INDEXED]
    taken = {name.lower() for name in (*columns, INDEXED)}
    keys = {
        key: promoted_column(key) if key.lower() in taken else key for key in catalogue.promoted
    }
    return Shown(tuple(columns), keys)


def shown_frame(found: pl.LazyFrame, catalogue: Catalogue) -> pl.LazyFrame:
    """Return lazy requests with the names and dtypes that they are shown with."""
    columns = shown(catalogue)
    held = found.collect_schema()
    values: dict[str, pl.Expr] = {}
    for name, stored in columns.stored.items():
        wanted = _dtype(name, held[stored], known=name in catalogue.columns)
        value = pl.col(stored)
        # One that has the dtype is named and nothing else: filters on it reach the files.
        values[name] = (value if held[stored] == wanted else value.cast(wanted)).alias(name)
    entries = [
        pl.struct(pl.lit(key).alias("key"), pl.col(promoted_column(key)).alias("value"))
        for key in columns.keys
    ]
    values[INDEXED] = _map_of(entries).alias(INDEXED)
    return found.select(values[name] for name in columns.names)


def _dtype(name: str, held: pl.DataType, *, known: bool) -> pl.DataType:
    """Return the dtype of a column; money keeps its own, by which files are filtered."""
    if name not in BY_NAME:
        return held
    kind = BY_NAME[name].type
    if kind != "money":
        return TYPES[kind]
    return held if known else pl.Decimal(PRECISION, PLACES)


def _map_of(entries: list[pl.Expr]) -> pl.Expr:
    if not entries:
        return pl.lit([], dtype=pl.List(pl.Struct({"key": pl.String, "value": pl.String}))).cast(
            METADATA
        )
    known = pl.element().struct.field("value").is_not_null()
    return pl.concat_list(entries).list.filter(known).cast(METADATA)


class Reads(Protocol):
    """Reads requests from a server, some at a time."""

    def __call__(self, columns: list[str], limit: int | None, /) -> Iterator[pl.DataFrame]:
        """Yield frames of these columns, in this order, of at most so many requests."""
        ...


def streamed_frame(schema: pl.Schema, read: Reads) -> pl.LazyFrame:
    """Return a lazy frame that reads from a server what is asked of it, when it is asked.

    Of a Polars query the columns and the number of rows reach the server; conditions are
    looked at here, so that only what holds is kept of each part that comes.
    """

    def requests(
        with_columns: list[str] | None,
        predicate: pl.Expr | None,
        n_rows: int | None,
        batch_size: int | None,
    ) -> Iterator[pl.DataFrame]:
        wanted = list(schema) if with_columns is None else with_columns
        left = n_rows
        needed = wanted
        if predicate is not None:
            roots = [name for name in predicate.meta.root_names() if name not in wanted]
            needed = [*wanted, *dict.fromkeys(roots)]
        for frame in read(needed or ["id"], n_rows if predicate is None else None):
            found = frame if predicate is None else frame.filter(predicate)
            found = found.select(wanted)
            if left is not None:
                found = found.head(left)
                left -= found.height
            yield found
            if left is not None and left <= 0:
                return

    return register_io_source(requests, schema=schema, validate_schema=True, is_pure=False)

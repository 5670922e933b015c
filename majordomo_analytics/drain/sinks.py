"""What a sink is, and the one that always is: the lake.

A sink takes batches of a spool in order and keeps, with the rows and in the same commit,
how far it has come. Sinks know nothing of each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from majordomo_analytics.drain.enrich import table_of
from majordomo_analytics.errors import RowsRefusedError
from majordomo_analytics.lake.responses import responses_with_usage
from majordomo_analytics.lake.table import (
    append_once,
    appended_up_to,
    create_lake,
    ids_held,
    lake_schema,
)
from majordomo_analytics.records.ids import new_request_id

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from datetime import date
    from pathlib import Path

    import pyarrow as pa

    from majordomo_analytics.records.request import RequestRecord


@dataclass(frozen=True, slots=True)
class Place:
    """Where a batch stands: the numbers `first` to `last` of one spool."""

    spool: str
    first: int
    last: int


class Sink(Protocol):
    """A place that requests end in.

    A method raises `LakeError` or `PostgresError` when the sink cannot be used as it is
    now, and `RowsRefusedError` when no repetition will make it take what it was given.
    """

    name: str

    @property
    def place(self) -> str:
        """Which one of its name it is; without secrets."""
        ...

    def open(self) -> bool:
        """Make the sink ready, or find out that it cannot be reached.

        Returns whether it was reached anew: what it had before may be no longer there.
        """
        ...

    def position(self, spool: str) -> int:
        """Return the last number of a spool that the sink has, 0 before the first."""
        ...

    def held(self, records: Collection[RequestRecord]) -> set[str]:
        """Return the ids of those that it has and would take a second time."""
        ...

    def with_usage(
        self, response_ids: Collection[str], *, but: Collection[str], first: date, last: date
    ) -> set[str]:
        """Return the responses whose usage some other row has."""
        ...

    def append(self, records: Sequence[RequestRecord], place: Place | None) -> int:
        """Take `records` and, in the same commit, the place; return how many were new."""
        ...

    def try_out(self, records: Sequence[RequestRecord]) -> None:
        """Do as `append` does, short of keeping anything."""
        ...

    def close(self) -> None:
        """Let go of what `open` took."""
        ...


class LakeSink:
    """The lake of a data directory.

    Parameters
    ----------
    uri
        Where it lies; it is made if need be.
    on_appended
        Called with the rows of each commit, once it is done.
    """

    name = "lake"

    def __init__(
        self, uri: Path, *, on_appended: Callable[[pa.Table], None] = lambda _: None
    ) -> None:
        self._uri = uri
        self._on_appended = on_appended

    @property
    def place(self) -> str:
        """Where it lies."""
        return str(self._uri)

    def open(self) -> bool:
        """Make the lake, or bring its columns up to date."""
        create_lake(self._uri)
        return False  # nothing stands between it and us that could be another one

    def position(self, spool: str) -> int:
        """Return what the last commit for this spool says."""
        return appended_up_to(self._uri, spool)

    def held(self, records: Collection[RequestRecord]) -> set[str]:
        """Return the ids that are in the lake: it takes any row it is given."""
        if not records:
            return set()
        instants = [record.requested_at for record in records]
        ids = [record.id for record in records]
        return ids_held(self._uri, ids, first=min(instants), last=max(instants))

    def with_usage(
        self, response_ids: Collection[str], *, but: Collection[str], first: date, last: date
    ) -> set[str]:
        """Look through the files of some days."""
        return responses_with_usage(self._uri, response_ids, but=but, first=first, last=last)

    def append(self, records: Sequence[RequestRecord], place: Place | None) -> int:
        """Append in one commit; rows without a place get one that is never used again."""
        place = place or Place(new_request_id(), 1, 1)
        table = self._table(records)
        appended = append_once(
            self._uri,
            table,
            application=place.spool,
            first=place.first,
            last=place.last,
        )
        if appended:
            self._on_appended(table)
        return len(records) if appended else 0

    def try_out(self, records: Sequence[RequestRecord]) -> None:
        """Make the rows: a table that has the lake's types can be appended."""
        self._table(records)

    def close(self) -> None:
        """Nothing is held."""

    def _table(self, records: Sequence[RequestRecord]) -> pa.Table:
        schema = lake_schema(self._uri)
        try:
            table = table_of(records, schema, created_at=datetime.now(UTC))
        except Exception as error:  # whatever it is, it comes from a value in a row
            raise RowsRefusedError(type(error).__name__, str(error)) from error
        for field, column in zip(schema, table.columns, strict=True):
            if column.null_count and not field.nullable:
                code, reason = "NullInRequiredColumn", f"{field.name} is null in a row"
                raise RowsRefusedError(code, reason)
        return table

"""Rows that a sink cannot hold, kept in a SQLite file until they are tried again."""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from majordomo_analytics.errors import SpoolError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

MAX_REASON_CHARACTERS = 2000

_SCHEMA = """
create table if not exists dead_letters (
    sink text not null,
    id text not null,
    spool text not null,
    sequence integer not null,
    code text not null,
    reason text not null,
    record blob not null,
    written_at text not null,
    primary key (sink, id)
) strict
"""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One row that one sink refused.

    Attributes
    ----------
    sink
        The sink that refused it; another one may have it.
    id
        The id of the request.
    spool, sequence
        Where it stood.
    code, reason
        The SQLSTATE or the kind of the error, and what was said.
    record
        The bytes of its `RequestRecord`, as they stood in the spool; JSON, without secrets.
    """

    sink: str
    id: str
    spool: str
    sequence: int
    code: str
    reason: str
    record: bytes


@dataclass(frozen=True, slots=True)
class DeadKind:
    """The letters that one sink refused with one code.

    Attributes
    ----------
    sink, code
        Who refused them, with what.
    requests
        How many they are.
    first_written_at, last_written_at
        When they were set aside, in UTC.
    reason
        What was said about one of them.
    """

    sink: str
    code: str
    requests: int
    first_written_at: datetime
    last_written_at: datetime
    reason: str


class DeadLetters:
    """The dead letters of one data directory.

    Parameters
    ----------
    path
        The SQLite file; it is made, readable by its owner only, with the first letter.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, letters: Iterable[DeadLetter]) -> None:
        """Keep `letters` durably; one that is there already is written anew.

        Raises
        ------
        SpoolError
            If the file cannot be written: then the rows must stay in the spool.
        """
        now = datetime.now(UTC).isoformat(timespec="microseconds")
        rows = [
            (
                letter.sink,
                letter.id,
                letter.spool,
                letter.sequence,
                letter.code,
                letter.reason[:MAX_REASON_CHARACTERS],
                letter.record,
                now,
            )
            for letter in letters
        ]
        with self._transaction() as connection:
            connection.executemany(
                "insert or replace into dead_letters values (?, ?, ?, ?, ?, ?, ?, ?)", rows
            )

    def of(
        self, sink: str, *, after: DeadLetter | None = None, most: int | None = None
    ) -> list[DeadLetter]:
        """Return the letters of one sink, oldest first, from the one behind `after` on."""
        if not self._path.exists():
            return []
        place = (after.spool, after.sequence, after.id) if after else ("", -1, "")
        with self._transaction() as connection:
            rows = connection.execute(
                "select sink, id, spool, sequence, code, reason, record from dead_letters "
                "where sink = ? and (spool, sequence, id) > (?, ?, ?) "
                "order by spool, sequence, id limit ?",
                (sink, *place, -1 if most is None else most),
            ).fetchall()
        return [DeadLetter(*row) for row in rows]

    def kinds(self) -> list[DeadKind]:
        """Return what letters there are, by sink and code."""
        if not self._path.exists():
            return []
        with self._transaction() as connection:
            rows = connection.execute(
                "select sink, code, count(*), min(written_at), max(written_at), max(reason) "
                "from dead_letters group by sink, code order by sink, count(*) desc, code"
            ).fetchall()
        return [
            DeadKind(
                sink, code, count, datetime.fromisoformat(first), datetime.fromisoformat(last), why
            )
            for sink, code, count, first, last, why in rows
        ]

    def remove(self, sink: str, ids: Iterable[str]) -> None:
        """Remove letters whose rows the sink has taken."""
        with self._transaction() as connection:
            connection.executemany(
                "delete from dead_letters where sink = ? and id = ?",
                [(sink, request_id) for request_id in ids],
            )

    def revise(self, change: Callable[[bytes], bytes | None]) -> int:
        """Change what is kept; return of how many letters.

        Parameters
        ----------
        change
            Returns what is to be kept in the place of a record: the same bytes, others, or
            None to remove the letter.

        Raises
        ------
        SpoolError
            If the file cannot be written; nothing was changed then.
        """
        if not self._path.exists():
            return 0
        changed = 0
        with self._transaction() as connection:
            connection.execute("pragma secure_delete = on")
            letters = connection.execute("select sink, id, record from dead_letters").fetchall()
            for sink, request_id, record in letters:
                revised = change(bytes(record))
                if revised == record:
                    continue
                changed += 1
                place = (sink, request_id)
                if revised is None:
                    connection.execute("delete from dead_letters where sink = ? and id = ?", place)
                else:
                    # What the sink said may repeat what it refused.
                    connection.execute(
                        "update dead_letters set record = ?, reason = code "
                        "where sink = ? and id = ?",
                        (revised, *place),
                    )
        return changed

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        try:
            self._path.touch(mode=0o600)
            with closing(sqlite3.connect(self._path, timeout=10)) as connection, connection:
                connection.execute("pragma synchronous = full")
                connection.execute(_SCHEMA)
                yield connection
        except (sqlite3.Error, OSError) as error:
            message = f"the dead letters in {str(self._path)!r} cannot be kept: {error}"
            raise SpoolError(message) from error

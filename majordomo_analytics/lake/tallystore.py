"""A SQLite file of tallies beside the lake: a cache, which may be removed at any time.

What is damaged, missing or of another layout is no error: it is made anew from the lake.
One that cannot be written, as by whoever may only read the directory, is done without.
"""

from __future__ import annotations

import sqlite3
import zlib
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import msgspec

from majordomo_analytics.lake.tallies import FileTally

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

LAYOUT = 1
BUSY_TIMEOUT_S = 5.0
SUFFIXES = ("", "-journal")

_SCHEMA = """
create table if not exists tallies (
    file text primary key,
    tally blob not null,
    checksum integer not null
) strict, without rowid
"""
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(FileTally)


class TallyStore:
    """The tallies of files of one lake.

    Parameters
    ----------
    path
        The SQLite file; None keeps nothing.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path

    def read(self) -> dict[str, FileTally]:
        """Return what is kept, by file; what cannot be read is left out."""
        if self._path is None or not self._path.exists():
            return {}
        try:
            with self._open() as connection:
                rows = connection.execute("select file, tally, checksum from tallies").fetchall()
        except sqlite3.DatabaseError:
            return {}
        found = {}
        for file, tally, checksum in rows:
            if zlib.crc32(tally) != checksum:
                continue
            try:
                found[file] = _decoder.decode(tally)
            except msgspec.MsgspecError:
                continue
        return found

    def keep(self, file: str, tally: FileTally) -> None:
        """Keep the tally of one more file."""
        encoded = _encoder.encode(tally)
        row = (file, encoded, zlib.crc32(encoded))
        self._write("insert or replace into tallies values (?, ?, ?)", [row])

    def remove(self, files: Collection[str]) -> None:
        """Remove the tallies of files that the lake has no more."""
        if files:
            self._write("delete from tallies where file = ?", [(file,) for file in files])

    def _write(self, statement: str, rows: list[tuple[object, ...]]) -> None:
        if self._path is None:
            return
        for _ in range(2):
            try:
                with self._open() as connection, connection:
                    connection.executemany(statement, rows)
            except sqlite3.OperationalError:
                return  # not ours to write, or another process is at it
            except sqlite3.DatabaseError:  # it is no sound database
                for suffix in SUFFIXES:
                    self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
            else:
                return

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        path = self._path
        if path is None:
            raise sqlite3.OperationalError
        try:
            path.touch(mode=0o600)
        except OSError as error:
            if not path.exists():
                raise sqlite3.OperationalError from error
        with closing(sqlite3.connect(path, timeout=BUSY_TIMEOUT_S)) as connection:
            (layout,) = connection.execute("pragma user_version").fetchone()
            if layout not in (0, LAYOUT):
                message = "another version wrote it"
                raise sqlite3.DatabaseError(message)
            # A cache may be lost with the power. What an erasure removes of it is
            # overwritten: values of metadata stand in it.
            connection.execute("pragma synchronous = off")
            connection.execute("pragma secure_delete = on")
            if layout == 0:
                connection.execute(_SCHEMA)
                connection.execute(f"pragma user_version = {LAYOUT}")
            yield connection

"""The SQLite database of one spool: its tables, and how it is made durable."""

from __future__ import annotations

import os
import sqlite3
from typing import TYPE_CHECKING

from majordomo_analytics.errors import SpoolError

if TYPE_CHECKING:
    from pathlib import Path

SPOOL_VERSION = 2
"""Version 1 had no table of begun requests."""

ADOPTED = 1
"""The ``user_version`` of a spool without a worker whose begun requests all have rows."""

BUSY_TIMEOUT_MS = 60_000
WAL_LIMIT_BYTES = 16 * 2**20
CACHED_STATEMENTS = 768

SCHEMA = (
    "create table spool (uuid text not null, version integer not null) strict",
    # The row a request has if its worker dies before it could write another one.
    "create table begun (id text primary key, record blob not null) strict, without rowid",
    """create table finished (
        sequence integer primary key autoincrement,
        id text not null,
        record blob not null,
        rewritten integer not null
    ) strict""",
    # In the statement that inserts: one of its own would make four of most commits.
    """create trigger ended after insert on finished begin
        delete from begun where id = new.id;
    end""",
)


def create_database(path: Path, spool_uuid: str) -> sqlite3.Connection:
    """Make the database of a new spool, and return the connection that writes it.

    Raises
    ------
    SpoolError
        If the file system cannot hold a database in WAL mode.
    """
    # Made by us first, so that it is readable by its owner only; SQLite gives the WAL the
    # same mode.
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    connection = sqlite3.connect(
        path,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=CACHED_STATEMENTS,
    )
    try:
        mode = connection.execute("pragma journal_mode = wal").fetchone()[0]
        if mode != "wal":
            message = f"SQLite refused WAL mode for {str(path)!r} (it answered {mode!r})"
            raise SpoolError(message)
        connection.execute("pragma synchronous = full")
        connection.execute(f"pragma busy_timeout = {BUSY_TIMEOUT_MS}")
        connection.execute(f"pragma journal_size_limit = {WAL_LIMIT_BYTES}")
        connection.execute("begin immediate")
        for statement in SCHEMA:
            connection.execute(statement)
        connection.execute("insert into spool values (?, ?)", (spool_uuid, SPOOL_VERSION))
        connection.execute("commit")
    except BaseException:
        connection.close()
        raise
    return connection

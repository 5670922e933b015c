"""Erase a value from the spools that no worker writes, and see what is in the others.

A spool that a worker writes is its alone: nobody else may write to it. What stands there
goes once the worker begins a new one, as it does when the proxy is reloaded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from majordomo_analytics.errors import SpoolError
from majordomo_analytics.lake.erasure import path_without
from majordomo_analytics.records.flags import ERASED
from majordomo_analytics.records.request import decode_record, encode_record
from majordomo_analytics.spool.database import BUSY_TIMEOUT_MS
from majordomo_analytics.spool.files import spool_files

if TYPE_CHECKING:
    from pathlib import Path

    from majordomo_analytics.lake.erasure import Erasure
    from majordomo_analytics.spool.files import SpoolFile


def is_readable(data: bytes) -> bool:
    """Return whether a record can be decoded, so that it is known whose it is."""
    try:
        decode_record(data)
    except SpoolError:
        return False
    return True


def erased_record(data: bytes, erasure: Erasure) -> bytes | None:
    """Return what is left of a record: all of it, all but what identifies, or None."""
    try:
        record = decode_record(data)
    except SpoolError:  # nobody can say whose it is
        return data
    if not erasure.concerns(record.metadata):
        return data
    if erasure.rows:
        return None
    return encode_record(
        msgspec.structs.replace(
            record,
            metadata=erasure.leaves(record.metadata),
            request_path=path_without(record.request_path, record.response_id),
            provider_request_id=None,
            response_id=None,
            error_message=None,
            flags=tuple(dict.fromkeys((*record.flags, ERASED))),
        )
    )


def erase_from_spools(folder: Path, erasure: Erasure) -> tuple[int, int]:
    """Erase a value from the spools without a worker.

    Returns
    -------
    tuple
        How many records were meant there, and how many stand in spools that are written.

    Raises
    ------
    SpoolError
        If a spool cannot be read or written.
    """
    erased = left = 0
    for spool in spool_files(folder):
        lock = spool.writer_lock
        is_orphan = lock.acquire()
        try:
            if not spool.path.exists():  # a drain has removed it just now
                spool.unlink()
            elif spool.was_never_begun():
                continue
            elif is_orphan:
                erased += _erase(spool, erasure)
            else:
                left += _meant(spool, erasure)
        except SpoolError:
            if spool.path.exists():
                raise
        finally:
            lock.release()
    return erased, left


def _erase(spool: SpoolFile, erasure: Erasure) -> int:
    erased = 0
    with spool.told_plainly(), spool.open() as connection:
        tables = ("finished", "begun")[: spool.version(connection)]
        connection.execute(f"pragma busy_timeout = {BUSY_TIMEOUT_MS}")
        connection.execute("pragma synchronous = full")
        connection.execute("pragma secure_delete = on")
        connection.execute("begin immediate")
        for table in tables:
            rows = connection.execute(f"select id, record from {table}").fetchall()  # noqa: S608
            for request_id, record in rows:
                revised = erased_record(record, erasure)
                if revised == record:
                    continue
                erased += 1
                if revised is None:
                    connection.execute(f"delete from {table} where id = ?", (request_id,))  # noqa: S608
                else:
                    connection.execute(
                        f"update {table} set record = ? where id = ?",  # noqa: S608
                        (revised, request_id),
                    )
        connection.execute("commit")
        connection.execute("pragma wal_checkpoint(truncate)")
    return erased


def _meant(spool: SpoolFile, erasure: Erasure) -> int:
    with spool.told_plainly(), spool.open() as connection:
        connection.execute("pragma query_only = on")
        tables = ("finished", "begun")[: spool.version(connection)]
        return sum(
            erased_record(record, erasure) != record
            for table in tables
            for (record,) in connection.execute(f"select record from {table}")  # noqa: S608
        )

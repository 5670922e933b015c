"""Spools with rows, made by the writer that the proxy uses."""

from __future__ import annotations

import asyncio

from majordomo_analytics.datadir import DataDirectory
from majordomo_analytics.records.request import RequestRecord, encode_record
from majordomo_analytics.spool.writer import SpoolWriter


def spool(data: DataDirectory, *records: RequestRecord, close: bool = True) -> SpoolWriter:
    """Write records to a new spool; one that is not closed has a living worker."""
    return spool_bytes(data, *((r.id, encode_record(r)) for r in records), close=close)


def spool_bytes(data: DataDirectory, *rows: tuple[str, bytes], close: bool = True) -> SpoolWriter:
    """Write rows of any bytes to a new spool."""

    async def run() -> SpoolWriter:
        writer = SpoolWriter(data.spool)
        for request_id, record in rows:
            await writer.append(request_id, record)
        return writer

    writer = asyncio.run(run())
    if close:
        writer.close()
    return writer


def spool_many(data: DataDirectory, records: list[RequestRecord]) -> None:
    """Write many records to a new spool, in few commits."""

    async def run() -> None:
        writer = SpoolWriter(data.spool)
        await asyncio.gather(*(writer.append(r.id, encode_record(r)) for r in records))
        writer.close()

    asyncio.run(run())

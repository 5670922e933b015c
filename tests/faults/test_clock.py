"""A wall clock that is set back: ids stay unique, order and durations hold."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from majordomo_analytics.datadir import DataDirectory
from majordomo_analytics.drain.loop import drain_once
from majordomo_analytics.records.request import encode_record
from majordomo_analytics.spool.files import spool_files
from majordomo_analytics.spool.writer import SpoolWriter
from tests.faults.ledger import check, rows_in
from tests.faults.load import Load
from tests.faults.provider import Provider
from tests.faults.seams import Seams
from tests.faults.test_full_disk import until
from tests.support.proxy import lake_rows, mdm, running_proxy
from tests.support.records import a_record
from tests.support.upstream import Upstream

HOUR_S = 3600.0
RIGHT_TIME_NS = time.time_ns


def set_clock(monkeypatch: pytest.MonkeyPatch, *, by_s: float) -> None:
    """Let the wall clock of this process be off by so many seconds."""
    monkeypatch.setattr(time, "time_ns", lambda: RIGHT_TIME_NS() + int(by_s * 1e9))


def test_a_clock_that_is_set_back_and_forth_under_load_costs_no_row(tmp_path: Path) -> None:
    """By an hour, with a new spool every few rows; the drain's clock goes back as well."""
    seams, provider = Seams.make(tmp_path / "orders"), Provider()
    with (
        Upstream(provider) as upstream,
        running_proxy(
            tmp_path / "data",
            openai_base_url=upstream.url,
            spool_rotate_bytes="12000",
            environment=seams.environment,
        ) as proxy,
    ):
        load = Load(proxy.key, proxy.port)
        with load.running():
            load.wait_for(25)
            with seams.clock_is_off(-HOUR_S):
                load.wait_for(25)
            load.wait_for(25)
        proxy.stop()
    mdm("drain", "--data", str(proxy.data), "--once")

    rows = rows_in(proxy.data)
    check(load.calls, rows, provider)
    newest = max(row["requested_at"] for row in rows)
    ages_s = [(newest - row["requested_at"]).total_seconds() for row in rows]
    assert sum(age > HOUR_S / 2 for age in ages_s) > 10, "no row has the time of the other clock"
    assert all(row["responded_at"] >= row["requested_at"] for row in rows)
    assert spool_files(proxy.data / "spool") == []


def test_spools_of_a_worker_sort_by_age_also_after_its_clock_was_set_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The drain goes by their names: rows written again come after the first ones."""
    begun: list[str] = []

    async def run() -> None:
        writer = SpoolWriter(tmp_path, rotate_bytes=1)
        for number in range(6):
            begun.append(writer.uuid)
            set_clock(monkeypatch, by_s=-HOUR_S * number)
            await writer.append(str(number), b"a row")
            await asyncio.to_thread(until, lambda: writer.uuid != begun[-1])
        writer.close()

    asyncio.run(run())

    assert [file.uuid for file in spool_files(tmp_path)][:6] == begun
    assert len(set(begun)) == 6


def test_a_commit_that_failed_but_reached_the_disk_counts_once_when_the_clock_is_set_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its rows are in two spools, and only the newer one says so: it must come second."""
    data = DataDirectory.create(tmp_path / "data")
    insert: Callable[..., None] = SpoolWriter._insert
    failures = iter([True])

    def insert_and_fail_once(self: SpoolWriter, *rows: Any, **named: Any) -> None:
        insert(self, *rows, **named)
        if next(failures, False):
            set_clock(monkeypatch, by_s=-HOUR_S)
            raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(SpoolWriter, "_insert", insert_and_fail_once)
    record = a_record()

    async def run() -> None:
        writer = SpoolWriter(data.spool)
        await writer.append(record.id, encode_record(record))
        writer.close()

    asyncio.run(run())
    assert len(spool_files(data.spool)) == 2

    drain_once(data)
    assert [row["id"] for row in lake_rows(data.root)] == [record.id]

"""A full disk: requests go on by the rule that was set, and nothing is lost in silence."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from majordomo_analytics.datadir import DataDirectory
from majordomo_analytics.spool.files import spool_files
from tests.drain.spools import spool_many
from tests.faults.ledger import check, rows_in
from tests.faults.load import Load
from tests.faults.provider import Provider
from tests.faults.seams import Seams
from tests.support.proxy import MDM, RunningProxy, clean_environment, mdm, running_proxy
from tests.support.records import a_record
from tests.support.upstream import Upstream

CALM = ("json", "chunked", "stream", "long")


def until(what: Callable[[], bool], within_s: float = 30.0) -> None:
    """Wait for something to become true."""
    deadline = time.monotonic() + within_s
    while not what():
        assert time.monotonic() < deadline, f"it did not become true within {within_s:g} s"
        time.sleep(0.05)


def ready(proxy: RunningProxy) -> tuple[int, str]:
    answer = httpx.get(f"{proxy.url}/readyz", timeout=10)
    return answer.status_code, answer.json().get("reason", "")


def counted(proxy: RunningProxy, name: str) -> float:
    """Return the sum of a counter over its labels."""
    lines = httpx.get(f"{proxy.url}/metrics", timeout=10).text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


@contextmanager
def small_disk(place: Path, mib: int) -> Iterator[Path]:
    """Mount a file system of its own at `place`; yield a file that can fill it."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a file system")
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={mib}m,mode=0700", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting a file system is not allowed here")
    try:
        yield place / "ballast"
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill(ballast: Path) -> None:
    """Write until there is no room for another byte."""
    with ballast.open("ab", buffering=0) as file:
        for size in (65_536, 4096, 1):
            try:
                while file.write(b"x" * size):
                    pass
            except OSError:
                continue


def test_requests_go_on_while_the_disk_is_full_and_every_row_is_there_once_it_is_not(
    tmp_path: Path,
) -> None:
    """SQLite itself says that it is full; what waits in memory is written afterwards."""
    seams, provider = Seams.make(tmp_path / "orders"), Provider()
    with (
        Upstream(provider) as upstream,
        running_proxy(
            tmp_path / "data",
            openai_base_url=upstream.url,
            spool_wait_s="0.2",
            environment=seams.environment,
        ) as proxy,
    ):
        load = Load(proxy.key, proxy.port, kinds=CALM)
        with load.running():
            load.wait_for(10)
            with seams.disk_is_full():
                until(lambda: ready(proxy)[0] == 503)
                load.wait_for(20)
                status, reason = ready(proxy)
                alive = httpx.get(f"{proxy.url}/health").status_code
                late = counted(proxy, "majordomo_spool_late_rows_total")
            until(lambda: ready(proxy) == (200, ""))
            load.wait_for(10)
        lost = counted(proxy, "majordomo_rows_lost_total")
        proxy.stop()
    mdm("drain", "--data", str(proxy.data), "--once")

    assert (status, alive) == (503, 200)
    assert "database or disk is full" in reason
    assert late > 10
    assert lost == 0
    assert {call.status for call in load.calls} == {200}
    assert all(call.has_ended for call in load.calls)
    check(load.calls, rows_in(proxy.data), provider)


@pytest.mark.parametrize("policy", ["refuse", pytest.param("serve", marks=pytest.mark.slow)])
def test_what_memory_cannot_hold_either_is_refused_or_counted_as_lost(
    tmp_path: Path, policy: str
) -> None:
    """As the setting says: no call is answered and uncounted, none refused and charged."""
    seams, provider = Seams.make(tmp_path / "orders"), Provider()
    counter = f"majordomo_{'refused' if policy == 'refuse' else 'rows_lost'}_total"
    with (
        Upstream(provider) as upstream,
        running_proxy(
            tmp_path / "data",
            openai_base_url=upstream.url,
            spool_wait_s="0.1",
            spool_memory_bytes="20000",
            when_spool_full=policy,
            environment=seams.environment,
        ) as proxy,
    ):
        load = Load(proxy.key, proxy.port, kinds=CALM)
        with load.running():
            load.wait_for(5)
            with seams.disk_is_full():
                until(lambda: counted(proxy, counter) > 5)
                load.wait_for(30)
            until(lambda: ready(proxy) == (200, ""))
            load.wait_for(5)
        lost = counted(proxy, "majordomo_rows_lost_total")
        refused = counted(proxy, "majordomo_refused_total")
        proxy.stop()
    mdm("drain", "--data", str(proxy.data), "--once")

    rows = rows_in(proxy.data)
    statuses = {call.status for call in load.calls}
    # Where the last row was lost the first may be left, which says that it was cut short.
    whole = {row["raw_metadata"]["Call"] for row in rows if row["outcome"] == "completed"}
    missing = {call.name for call in load.calls if call.status == 200} - whole
    asked, _ = provider.known()
    if policy == "refuse":
        assert statuses == {200, 503}
        turned_away = [call for call in load.calls if call.status == 503]
        assert refused == len(turned_away) > 5
        assert not asked & {call.name for call in turned_away}
        assert all(call.id is None for call in turned_away)
    else:
        assert statuses == {200}
        assert lost > 5
    assert len(missing) == lost
    check([call for call in load.calls if call.id], rows, provider, lost=missing)


@pytest.mark.slow
def test_a_spools_file_system_that_runs_full_and_empty_again_loses_nothing(tmp_path: Path) -> None:
    """A real one, three times: files that were cut off in mid-write are drained as well."""
    provider, data = Provider(), DataDirectory.create(tmp_path / "data")
    with (
        small_disk(data.spool, 4) as ballast,
        Upstream(provider) as upstream,
        running_proxy(
            data.root, openai_base_url=upstream.url, spool_wait_s="0.2", spool_rotate_bytes="50000"
        ) as proxy,
    ):
        load = Load(proxy.key, proxy.port, kinds=CALM)
        with load.running():
            for _ in range(3):
                load.wait_for(15)
                fill(ballast)
                until(lambda: ready(proxy)[0] == 503)
                reason = ready(proxy)[1]
                load.wait_for(15)
                ballast.unlink()
                until(lambda: ready(proxy) == (200, ""))
            load.wait_for(15)
        lost = counted(proxy, "majordomo_rows_lost_total")
        proxy.stop()
        mdm("drain", "--data", str(data.root), "--once")
        left = spool_files(data.spool)

    assert "full" in reason or "disk I/O error" in reason
    assert lost == 0
    assert {call.status for call in load.calls} == {200}
    assert left == []
    check(load.calls, rows_in(data.root), provider)


def test_a_proxy_that_has_to_end_on_a_full_disk_says_what_it_loses(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """By its exit status, too; what was durable before is there."""
    seams, provider = Seams.make(tmp_path / "orders"), Provider()
    with (
        Upstream(provider) as upstream,
        running_proxy(
            tmp_path / "data",
            openai_base_url=upstream.url,
            spool_wait_s="0.2",
            environment=seams.environment,
        ) as proxy,
    ):
        kept = proxy.post().headers["x-majordomo-log-id"]
        with seams.disk_is_full():
            until(lambda: proxy.post().status_code == 200 and ready(proxy)[0] == 503)
            lost = proxy.post().headers["x-majordomo-log-id"]
            status = proxy.stop()
    said = capfd.readouterr().err

    assert status == 1
    assert "rows could not be written to the spool" in said
    assert "worker 1 ended with rows that the disk did not take" in said
    assert "Traceback" not in said
    ids = {row["id"] for row in proxy.rows()}
    assert kept in ids
    assert lost not in ids


def test_a_worker_that_dies_on_a_full_disk_is_replaced_by_one_that_serves(
    tmp_path: Path,
) -> None:
    """It has no file to write to, says so, and makes one as soon as there is room."""
    seams, provider = Seams.make(tmp_path / "orders"), Provider()
    with (
        small_disk(tmp_path / "data", mib=24) as ballast,
        Upstream(provider) as upstream,
        running_proxy(
            tmp_path / "data",
            openai_base_url=upstream.url,
            spool_wait_s="0.2",
            spool_rotate_bytes="1000000",
            spool_max_bytes="8000000",
            environment=seams.environment,
        ) as proxy,
    ):
        (first,) = proxy.workers()
        assert proxy.post().status_code == 200
        fill(ballast)
        os.kill(first, signal.SIGKILL)
        until(lambda: proxy.workers() not in ([], [first]))
        until(lambda: _answers(proxy))
        status, reason = ready(proxy)
        answer = proxy.post()
        ballast.unlink()
        until(lambda: ready(proxy)[0] == 200)
        assert proxy.post().status_code == 200
        proxy.stop()
        ids = [row["id"] for row in proxy.rows()]

    assert status == 503
    assert "no spool file could be made" in reason
    assert answer.status_code == 200
    assert answer.headers["x-majordomo-log-id"] in ids
    assert len(ids) == len(set(ids)) == 3


def _answers(proxy: RunningProxy) -> bool:
    try:
        return httpx.get(f"{proxy.url}/health", timeout=2).status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.slow
def test_a_lakes_file_system_that_is_full_keeps_the_rows_in_the_spool(tmp_path: Path) -> None:
    """No caller notices; the drain goes on trying, and then the lake has each row once."""
    provider, data = Provider(), DataDirectory.create(tmp_path / "data")
    with (
        small_disk(data.lake.parent, 2) as ballast,
        Upstream(provider) as upstream,
        running_proxy(data.root, openai_base_url=upstream.url) as proxy,
    ):
        load = Load(proxy.key, proxy.port, kinds=CALM)
        with load.running():
            until(lambda: len(rows_in(data.root)) > 0)
            fill(ballast)
            load.wait_for(60)
            time.sleep(5)  # two passes of the drain, at least
            before = len(rows_in(data.root))
            answers = (ready(proxy)[0], httpx.get(f"{proxy.url}/health").status_code)
            seen = len(load.completed)
            ballast.unlink()
            until(lambda: len(rows_in(data.root)) >= seen)
        proxy.stop()
        mdm("drain", "--data", str(data.root), "--once")
        rows = rows_in(data.root)

    assert answers == (200, 200)
    assert before < seen
    assert {call.status for call in load.calls} == {200}
    check(load.calls, rows, provider)


def test_a_drain_that_may_write_no_more_leaves_the_rows_in_the_spool(tmp_path: Path) -> None:
    """A limit of the process is met as a full disk is; the next drain finds each row."""
    data = DataDirectory.create(tmp_path / "data")
    spool_many(data, [a_record(request_path=f"/{os.urandom(400).hex()}") for _ in range(200)])
    limited = subprocess.run(
        [*MDM, "drain", "--data", str(data.root), "--once"],
        env=clean_environment(),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000)),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    rows_then = len(rows_in(data.root))
    ended = mdm("drain", "--data", str(data.root), "--once")

    assert limited.returncode == 3
    assert "File too large" in limited.stderr
    assert rows_then == 0
    assert ended.returncode == 0
    assert len(rows_in(data.root)) == 200
    assert spool_files(data.spool) == []

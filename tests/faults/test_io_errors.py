"""A disk that reports errors: no file that failed is trusted again, and nobody notices."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from majordomo_analytics.spool.files import spool_files
from tests.faults.ledger import check, rows_in
from tests.faults.load import Load
from tests.faults.provider import Provider
from tests.faults.test_full_disk import CALM, counted
from tests.support.proxy import mdm, running_proxy
from tests.support.upstream import Upstream

needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")


@needs_strace
@pytest.mark.parametrize(
    ("call", "when"),
    [
        ("fdatasync", "10+23"),
        pytest.param("pwrite64", "150+60", marks=pytest.mark.slow),
    ],
)
def test_errors_of_the_disk_cost_no_row_and_no_caller(tmp_path: Path, call: str, when: str) -> None:
    """Of each thread of each process, in the middle of its work, again and again."""
    trace = tmp_path / "trace"
    provider = Provider()
    strace = ("strace", "-ff", "--seccomp-bpf", "-o", str(trace), "-e", f"trace={call}")
    with (
        Upstream(provider) as upstream,
        running_proxy(
            tmp_path / "data",
            openai_base_url=upstream.url,
            prefix=(*strace, "-e", f"inject={call}:error=EIO:when={when}"),
        ) as proxy,
    ):
        load = Load(proxy.key, proxy.port, kinds=CALM)
        with load.running():
            load.wait_for(80)
        troubles = counted(proxy, "majordomo_spool_troubles_total")
        lost = counted(proxy, "majordomo_rows_lost_total")
        files = len(spool_files(proxy.data / "spool"))
        proxy.stop()
    mdm("drain", "--data", str(proxy.data), "--once")

    injected = sum(file.read_text().count("(INJECTED)") for file in tmp_path.glob("trace.*"))
    assert injected >= 3
    assert troubles >= 2
    assert files >= 1
    assert lost == 0
    assert {one.status for one in load.calls} == {200}
    assert all(one.has_ended for one in load.calls)
    check(load.calls, rows_in(proxy.data), provider)

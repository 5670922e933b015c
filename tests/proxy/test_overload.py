"""More callers than the machine can serve: each is served whole or told so at once."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.support.proxy import running_proxy
from tests.support.raw import CHAT
from tests.support.upstream import Received, Upstream, answer_json

PER_SECOND = 1000
SECONDS = 8
DELAYS_S = (0.0, 0.05, 0.3, 2.0)
REFUSED = {"503", "ConnectionRefusedError", "ConnectionResetError"}


async def answer_after(request: Received, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(float(request.target.partition("delay=")[2] or 0))
    await answer_json(request, writer)


def memory_mb(pid: int, name: str) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith(f"{name}:")]
    return int(line.split()[1]) / 1024


@pytest.mark.slow
@pytest.mark.parametrize(("connections", "requests"), [(10_000, 5_000), (400, 200)])
def test_a_thousand_requests_a_second_lose_no_row_and_fill_no_memory(
    tmp_path: Path, connections: int, requests: int
) -> None:
    """They come whether or not they are answered; who is not served gets a clear 503."""
    with (
        Upstream(answer_after) as upstream,
        running_proxy(
            tmp_path / "data",
            openai_base_url=upstream.url,
            max_connections=str(connections),
            max_requests_in_flight=str(requests),
            spool_wait_s="60",
        ) as proxy,
    ):
        (worker,) = proxy.workers()
        before_mb = memory_mb(worker, "VmRSS")
        command = [sys.executable, "-m", "tests.support.load", str(proxy.port), proxy.key]
        command += [str(PER_SECOND), str(SECONDS)]
        command += [f"{CHAT}?delay={delay}" for delay in DELAYS_S]
        offered = subprocess.run(
            command, cwd=Path(__file__).parents[2], capture_output=True, check=True, timeout=400
        )
        outcomes: list[tuple[str, str | None]] = json.loads(offered.stdout)
        most_mb = memory_mb(worker, "VmHWM")
        began = time.monotonic()
        after = proxy.post(f"{CHAT}?delay=0")
        seconds = time.monotonic() - began
        assert proxy.workers() == [worker]
        rows = proxy.rows()

    counts = Counter(status for status, _ in outcomes)
    served = {log_id for status, log_id in outcomes if status == "200"}
    assert sum(counts.values()) == PER_SECOND * SECONDS
    assert set(counts) <= {"200", *REFUSED}
    assert counts["200"] > 200
    assert len(served) == counts["200"]
    ids = [row["id"] for row in rows]
    assert len(ids) == len(set(ids))
    assert served | {after.headers["x-majordomo-log-id"]} == set(ids)
    assert most_mb - before_mb < 250, counts
    assert after.status_code == 200
    assert seconds < 5
    if requests < 1000:
        assert counts["503"] > 0
        assert most_mb - before_mb < 80

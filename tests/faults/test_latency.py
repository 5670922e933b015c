"""How soon a row is in the lake at default settings."""

from __future__ import annotations

import time
from pathlib import Path

from tests.faults.ledger import rows_in
from tests.support.proxy import running_proxy
from tests.support.upstream import Upstream, answer_json

PROMISED_S = 10.0
BUSY_MACHINE_S = 30.0


def test_a_row_is_in_the_lake_ten_seconds_after_its_answer_at_the_latest(tmp_path: Path) -> None:
    """By the row's own times; also the first one, for which the lake has to be made."""
    with (
        Upstream(answer_json) as upstream,
        running_proxy(tmp_path / "data", openai_base_url=upstream.url) as proxy,
    ):
        ids = set()
        for _ in range(2):
            ids.add(proxy.post().headers["x-majordomo-log-id"])
            time.sleep(0.7)
        deadline = time.monotonic() + PROMISED_S + BUSY_MACHINE_S
        rows = rows_in(proxy.data)
        while {row["id"] for row in rows} < ids and time.monotonic() < deadline:
            time.sleep(0.2)
            rows = rows_in(proxy.data)

    assert {row["id"] for row in rows} == ids
    took_s = [(row["created_at"] - row["responded_at"]).total_seconds() for row in rows]
    assert 0 <= max(took_s) <= PROMISED_S

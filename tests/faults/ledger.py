"""Compare what the callers saw with the rows: none lost, none doubled, none made up."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from tests.faults.load import KINDS, Call
from tests.faults.provider import Provider
from tests.support.proxy import lake_rows

TOKENS = {"json", "chunked", "stream", "long", "slow-head", "document"}
"""Scripts whose answer states 120 and 30 tokens."""

CUT = {"interrupted", "client_disconnected", "upstream_error", "timeout"}


def rows_in(data: Path) -> list[dict[str, Any]]:
    """Return the lake's rows; none if there is no lake yet."""
    log = data / "lake" / "llm_requests" / "_delta_log"
    return lake_rows(data) if log.exists() else []


def check(
    calls: Sequence[Call],
    rows: Sequence[dict[str, Any]],
    provider: Provider,
    *,
    lost: Collection[str] = (),
) -> Counter[str]:
    """Check every promise; return how many rows there are of each outcome.

    Parameters
    ----------
    calls
        The callers' ledger.
    rows
        What is in the sink once everything was recovered and drained.
    provider
        Who was called.
    lost
        Names of calls whose rows may be missing, as the proxy said so.
    """
    asked, answered = provider.known()
    wrong: list[str] = []
    ids = Counter(row["id"] for row in rows)
    wrong += [f"{n} rows have the id {i}" for i, n in ids.items() if n > 1]
    by_id = {row["id"]: row for row in rows}
    by_call = defaultdict(list)
    for row in rows:
        by_call[row["raw_metadata"].get("Call")].append(row)
    wrong += [f"{len(r)} rows are of the call {c}" for c, r in by_call.items() if len(r) > 1]

    for call in calls:
        if call.id is None or call.name in lost:
            continue
        if call.id not in by_id:
            wrong.append(f"no row: {call}")
            continue
        row = by_id[call.id]
        if row["raw_metadata"].get("Call") != call.name:
            wrong.append(f"another call's row: {call}: {row}")
        elif call.has_ended:
            wrong += [f"{what}: {call}: {row}" for what in _wrong_of_ended(call, row)]
    names = {call.name: call for call in calls}
    for name, (row, *_) in by_call.items():
        if name not in names:
            wrong.append(f"nobody made this call: {row}")
        elif row["outcome"] == "completed" and name not in answered:
            wrong.append(f"the answer had no end, but the row says completed: {row}")
        elif row["outcome"] not in {*CUT, "completed"}:
            wrong.append(f"an outcome that is none: {row}")
        elif name not in asked and row["outcome"] not in CUT:
            wrong.append(f"the provider never saw it: {row}")
        if (row["response_time_ms"] or 0) < 0 or (row["time_to_first_byte_ms"] or 0) < 0:
            wrong.append(f"it took less than no time: {row}")
    assert not wrong, "\n".join([f"{len(wrong)} promises are broken:", *wrong[:20]])
    return Counter(row["outcome"] for row in rows)


PROXY_STOPS = 503


def _wrong_of_ended(call: Call, row: dict[str, Any]) -> list[str]:
    script = KINDS[call.kind].script
    expected = "upstream_error" if script == "reset" else "completed"
    has_tokens = script in TOKENS
    if call.status == PROXY_STOPS:  # before the answer came; nobody else says that here
        expected, has_tokens = "interrupted", False
    wrong = []
    if row["outcome"] != expected:
        wrong.append(f"its outcome is not {expected}")
    if row["status_code"] != call.status:
        wrong.append("its status is another one")
    tokens = (row["input_tokens"], row["output_tokens"])
    if tokens != ((120, 30) if has_tokens else (None, None)):
        wrong.append("its tokens are others")
    return wrong

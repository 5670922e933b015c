"""The twenty users who cost most, and all others, of a million users in one query.

A lake of requests over some days is asked by each engine that reads files, each time in a
process of its own: how long the question takes, and the most memory that the process ever
held. The answers have to be equal, and their rows to add up to the total.

    python benchmarks/many_users.py [--rows 10000000] [--users 1000000]

Time grows with the requests; memory with the users, of whom each is a group until it is
known who is first.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import majordomo_analytics as ma
from benchmarks.promoted import DAYS, fill
from majordomo_analytics.lake.promotion import promote

ENGINES = ("duckdb", "polars")
MIB = 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--users", type=int, default=1_000_000)
    parser.add_argument("--lake", type=Path, help="one that an earlier run has left")
    parser.add_argument("--ask", choices=ENGINES, help="only ask it, in this process")
    given = parser.parse_args()
    if given.ask:
        print(json.dumps(ask(given.lake, given.ask)))
        return
    with tempfile.TemporaryDirectory() as folder:
        lake = given.lake or Path(folder) / "llm_requests"
        if not lake.exists():
            fill(lake, given.rows, days=DAYS, users=given.users)
            promote(lake, ["User-Id"])
        answers = {engine: in_a_process(lake, engine) for engine in ENGINES}
    if len({json.dumps(answer["rows"]) for answer in answers.values()}) != 1:
        raise RuntimeError(answers)
    for engine, answer in answers.items():
        print(
            f"{engine}: {answer['seconds']:.1f} s, at most {answer['bytes'] / MIB:,.0f} MiB; "
            f"{answer['users']:,} users of {answer['requests']:,} requests"
        )


def in_a_process(lake: Path, engine: str) -> dict[str, float]:
    command = [sys.executable, __file__, "--lake", str(lake), "--ask", engine]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    answer: dict[str, float] = json.loads(done.stdout)
    return answer


def ask(lake: Path, engine: str) -> dict[str, object]:
    """Ask once, and say what it took; what `getrusage` says may be the parent's."""
    ledger = ma.open(lake)
    begun = time.perf_counter()
    result = ledger.query(
        ["total_cost", "requests", "users"], dimensions="User-Id", limit=20, engine=engine
    )
    seconds = time.perf_counter() - begun
    status = Path("/proc/self/status").read_text()
    peak = int(status.partition("VmHWM:")[2].split()[0]) * 1024
    rows = result.to_polars()
    if rows["total_cost"].sum() != result.total["total_cost"]:
        raise RuntimeError(rows, result.total)
    return {
        "seconds": seconds,
        "bytes": peak,
        "users": result.total["users"],
        "requests": result.total["requests"],
        "rows": [[str(value) for value in row] for row in rows.rows()],
    }


if __name__ == "__main__":
    main()

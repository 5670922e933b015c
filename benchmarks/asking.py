"""What asking through the ledger adds to the same SQL written by hand, over the same files.

A question is asked of the shipped sample in turns: as `Ledger.query` with its totals and
coverage, and as a statement that an analyst would write for the rows alone, over the same
file with DuckDB and into a Polars frame. Both give the same rows.

    python benchmarks/asking.py [--rounds 200]

Its end says whether the ledger adds five milliseconds at most, at the median. What it adds
grows with the plan and the number of files; with the requests only as far as coverage,
which is read in the same pass, needs two columns more.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from typing import TYPE_CHECKING

import duckdb

import majordomo_analytics as ma
from majordomo_analytics.sampling.shipped import REQUESTS

if TYPE_CHECKING:
    from collections.abc import Callable

    import polars as pl

MOST_MS = 5.0
QUESTIONS: dict[str, tuple[dict[str, object], str]] = {
    "cost by Feature": (
        {"measures": ["total_cost", "requests"], "dimensions": "Feature"},
        """
        SELECT
          COALESCE("indexed_Feature", '(untagged)') AS "Feature",
          CAST(SUM(total_cost) AS DECIMAL(38, 10)) AS total_cost,
          COUNT(*) AS requests
        FROM read_parquet($path)
        GROUP BY 1
        ORDER BY total_cost DESC, "Feature"
        """,
    ),
    "cost by day and Team": (
        {"measures": "total_cost", "dimensions": "Team", "time_grain": "day", "fill_gaps": False},
        """
        SELECT
          CAST(requested_at AT TIME ZONE 'UTC' AS DATE) AS day,
          COALESCE("indexed_Team", '(untagged)') AS "Team",
          CAST(SUM(total_cost) AS DECIMAL(38, 10)) AS total_cost
        FROM read_parquet($path)
        GROUP BY 1, 2
        ORDER BY day, total_cost DESC, "Team"
        """,
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=200)
    rounds: int = parser.parse_args().rounds
    path = str(REQUESTS)
    ledger, connection = ma.open(path), duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    is_enough = True
    for name, (asked, statement) in QUESTIONS.items():

        def by_ledger(asked: dict[str, object] = asked) -> pl.DataFrame:
            return ledger.query(**asked).to_polars()  # type: ignore[arg-type]

        def by_hand(statement: str = statement) -> pl.DataFrame:
            found: pl.DataFrame = connection.sql(statement, params={"path": path}).pl()
            return found

        if by_ledger().rows() != by_hand().rows():
            raise RuntimeError(name, by_ledger(), by_hand())
        ours, theirs = in_turns(by_ledger, by_hand, rounds)
        is_enough &= ours - theirs <= MOST_MS
        print(
            f"{name}: {ours:.1f} ms through the ledger, {theirs:.1f} ms by hand: "
            f"{ours - theirs:+.1f} ms (at most {MOST_MS:g})"
        )
    sys.exit(0 if is_enough else 1)


def in_turns(
    one: Callable[[], object], other: Callable[[], object], rounds: int
) -> tuple[float, float]:
    """Return the medians of milliseconds; what disturbs the machine disturbs both."""
    taken: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for ask, seconds in zip((one, other), taken, strict=True):
            begun = time.perf_counter()
            ask()
            seconds.append(time.perf_counter() - begun)
    medians = [statistics.median(seconds) * 1000 for seconds in taken]
    return medians[0], medians[1]


if __name__ == "__main__":
    main()

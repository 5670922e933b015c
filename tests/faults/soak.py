"""Do worker and drain grow under mixed traffic? `python -m tests.faults.soak` tells.

Streams, errors, hang-ups and large bodies go through a proxy at default settings; in a
short form its drain commits more often. After a warm-up of a minute and a half the resident
memory of worker and drain is sampled, and a line is fitted; descriptors are counted while
nothing is under way, before and after.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

from deltalake import DeltaTable

from majordomo_analytics.datadir import DataDirectory
from majordomo_analytics.drain.sinks import LakeSink
from tests.faults.ledger import check, rows_in
from tests.faults.load import Load
from tests.faults.provider import Provider
from tests.faults.seams import Seams
from tests.support.proxy import RunningProxy, children, mdm, running_proxy
from tests.support.records import a_record
from tests.support.upstream import Upstream

MIB = 2**20
SAMPLE_EVERY_S = 1.0
MOST_SAMPLES = 300
"""Pairs of them are compared: many more would only take long."""

IDLE_S = 32.0
WARM_UP_S = 90.0
COMMITS_BEFORE = 95
LOG_CYCLE_S = 600.0
"""The drain commits every six seconds or so, and the log gets a checkpoint at every
twentieth commit: what it takes to read the log rises until then, and falls."""

SHORT_CYCLE_COMMITS = 10
SHORT_PAUSES = {
    "majordomo_analytics.drain.loop:PAUSE_S": 0.5,
    "majordomo_analytics.drain.loop:REST_S": 1.0,
    "majordomo_analytics.drain.upkeep:EVERY_S": 30.0,
    "majordomo_analytics.drain.upkeep:MANY": 10,
    "majordomo_analytics.lake.compaction:MANY": 10,
}
SHORT_PACE = 5.0
"""What is short has to hold several cycles, of the log as of the upkeep that makes one file
of many: commits come five times as often then, and what each leaves behind in the drain
counts five times as much."""


@dataclass(slots=True)
class Process:
    """What was seen of one process.

    Attributes
    ----------
    name, pid
        Which one.
    memory
        Pairs of seconds and resident bytes, after the warm-up.
    descriptors
        How many were open while nothing was under way, before and after.
    """

    name: str
    pid: int
    memory: list[tuple[float, int]] = field(default_factory=list)
    descriptors: list[int] = field(default_factory=list)

    @property
    def growth_mib_per_minute(self) -> float:
        """The slope of the line through the samples of memory."""
        return slope(self.memory) * 60 / MIB

    def told(self) -> str:
        first, last = (statistics.median(m for _, m in part) for part in halves(self.memory))
        before, after = self.descriptors
        return (
            f"{self.name}: {self.growth_mib_per_minute:+.2f} MiB a minute "
            f"({first / MIB:.1f} MiB in the first half, {last / MIB:.1f} in the second), "
            f"descriptors {before}, then {after}"
        )


@dataclass(frozen=True, slots=True)
class Soak:
    """What a soak has shown.

    Attributes
    ----------
    processes
        What was seen of each.
    calls, rows
        How many calls were made, and how many rows there are.
    pace
        How many times as often as usual the drain committed.
    """

    processes: tuple[Process, ...]
    calls: int
    rows: int
    pace: float

    def told(self) -> str:
        """Say it in a few lines."""
        lines = [process.told() for process in self.processes]
        return "\n".join(
            [f"{self.calls:,} calls, {self.rows:,} rows, each as it has to be", *lines]
        )


def slope(samples: Sequence[tuple[float, float]]) -> float:
    """Return the median slope between all pairs (Theil, Sen): peaks do not move it."""
    step = -(-len(samples) // MOST_SAMPLES)
    pairs = combinations(samples[::step], 2)
    return statistics.median((b - a) / (t - s) for (s, a), (t, b) in pairs)


def halves(samples: list[tuple[float, int]]) -> tuple[list[tuple[float, int]], ...]:
    middle = len(samples) // 2
    return samples[:middle], samples[middle:]


def soak(folder: Path, seconds: float, *, callers: int = 8, seed: int = 0) -> Soak:
    """Run for so many seconds after the warm-up, in a new data directory."""
    provider = Provider()
    data = DataDirectory.create(folder / "data")
    _make_a_used_lake(data)
    seams = Seams.make(folder / "orders", {} if seconds >= LOG_CYCLE_S else SHORT_PAUSES)
    if seconds < LOG_CYCLE_S:  # the line would be that of a part of a cycle
        interval = {"delta.checkpointInterval": str(SHORT_CYCLE_COMMITS)}
        DeltaTable(str(data.lake)).alter.set_table_properties(interval)
    with (
        Upstream(provider) as upstream,
        running_proxy(
            data.root, openai_base_url=upstream.url, environment=seams.environment
        ) as proxy,
    ):
        processes = _processes(proxy)
        load = Load(proxy.key, proxy.port, callers=callers, seed=seed, pause_s=0.1)
        with load.running():
            time.sleep(WARM_UP_S)
        _count_descriptors(processes)
        begun = time.monotonic()
        with load.running():
            while (now := time.monotonic() - begun) < seconds:
                for process in processes:
                    process.memory.append((now, _resident_bytes(process.pid)))
                upstream.received.clear()
                time.sleep(SAMPLE_EVERY_S)
        _count_descriptors(processes)
        assert _processes(proxy) == [Process(p.name, p.pid) for p in processes], "one died"
        proxy.stop()
    mdm("drain", "--data", str(proxy.data), "--once")
    rows = [row for row in rows_in(proxy.data) if "Call" in row["raw_metadata"]]
    check(load.calls, rows, provider)
    pace = 1.0 if seconds >= LOG_CYCLE_S else SHORT_PACE
    return Soak(tuple(processes), len(load.calls), len(rows), pace)


def _make_a_used_lake(data: DataDirectory) -> None:
    """Make a lake that has a long log since its last checkpoint, as it has now and then.

    What it takes to read one is a part of the warm-up, and would be minutes of it.
    """
    sink = LakeSink(data.lake)
    sink.open()
    for _ in range(COMMITS_BEFORE):
        sink.append([a_record()], None)


def _processes(proxy: RunningProxy) -> list[Process]:
    workers = proxy.workers()
    (drain,) = set(children(proxy.supervisor)) - set(workers)
    return [*(Process("worker", pid) for pid in workers), Process("drain", drain)]


def _resident_bytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024


def _count_descriptors(processes: list[Process]) -> None:
    """Wait until idle connections are closed; the drain opens files at times."""
    time.sleep(IDLE_S)
    counts: list[list[int]] = []
    for _ in range(25):
        counts.append([len(list(Path(f"/proc/{p.pid}/fd").iterdir())) for p in processes])
        time.sleep(0.2)
    for process, seen in zip(processes, zip(*counts, strict=True), strict=True):
        process.descriptors.append(min(seen))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--callers", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        seen = soak(Path(folder), given.seconds, callers=given.callers, seed=given.seed)
    print(seen.told())


if __name__ == "__main__":
    main()

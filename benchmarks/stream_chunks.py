"""CPU per streamed chunk: the whole proxy beside a bare pass-through, in one run.

The streams are long, so that what a request costs by itself vanishes, and the provider
sends each chunk alone and not too fast, as models do: chunks that pile up on the way would
be relayed as one. Both are asked in turns for the same answers, and only the CPU time of
the relaying process counts.

Another process on the machine makes both dearer, in caches and in clocks: the least of
many rounds says more than their median then.

In the second case the caller does not ask for usage. The proxy may then ask in its place,
and take the usage out of every chunk again; the floor relays a stream without any.

    python benchmarks/stream_chunks.py [--chunks 2000] [--connections 16] [--rounds 3]
"""

from __future__ import annotations

import argparse
import json
import statistics

from benchmarks.relaying import CONTENDERS, Stand, stand

CASES = {
    "usage asked by the caller": {"stream_options": {"include_usage": True}},
    "usage not asked by the caller": {},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--chunks", type=int, default=2000, help="of each stream")
    parser.add_argument("--connections", type=int, default=16, help="streams at a time")
    parser.add_argument("--interval-ms", type=float, default=5.0, help="between two chunks")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    pace = {"chunks": arguments.chunks, "interval_ms": arguments.interval_ms}
    with stand() as processes:
        for case, options in CASES.items():
            request = {"model": "gpt-4o-mini", "stream": True, "messages": [], "benchmark": pace}
            body = json.dumps({**request, **options}, separators=(",", ":")).encode()
            compare(processes, case, body, arguments.connections, arguments.rounds)


def compare(processes: Stand, case: str, body: bytes, connections: int, rounds: int) -> None:
    spent: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    relayed: dict[str, int] = {}
    for turn in range(rounds + 1):
        for name in CONTENDERS:
            seconds, relayed[name] = processes.spent(
                name, body, connections=connections, requests=connections
            )
            if turn:  # the first round warms up
                spent[name].append(seconds / relayed[name] * 1e6)
    middle = {name: statistics.median(spent[name]) for name in CONTENDERS}
    least = {name: min(spent[name]) for name in CONTENDERS}
    ratios = [p / f for f, p in zip(spent["floor"], spent["proxy"], strict=True)]
    print(
        f"{case}: floor {middle['floor']:.1f} µs, proxy {middle['proxy']:.1f} µs CPU per chunk, "
        f"ratio {statistics.median(ratios):.2f}; "
        f"least {least['floor']:.1f} and {least['proxy']:.1f} µs, "
        f"ratio {least['proxy'] / least['floor']:.2f} "
        f"({rounds} rounds of {relayed['floor']} and {relayed['proxy']} chunks)"
    )


if __name__ == "__main__":
    main()

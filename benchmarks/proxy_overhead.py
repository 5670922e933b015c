"""CPU per relayed request: the whole proxy beside a bare pass-through, in one run.

The floor (see `relaying`) does no work of its own. The proxy does all of its: key,
provider, headers, usage, a durable row awaited before the end, metrics. Both relay the
same answers of one local provider to the same client, in turns, and only the CPU time of
the relaying process counts. Cost does not grow with the number of stored rows; it grows
with the number of chunks of an answer, which `stream_chunks.py` measures by itself.

    python benchmarks/proxy_overhead.py [--requests 4000] [--rounds 5]
"""

from __future__ import annotations

import argparse
import statistics

from benchmarks.relaying import CONTENDERS, Stand, stand

CONNECTIONS = 32
CASES = {
    "JSON answer": (1, b'{"model":"gpt-4o-mini","messages":[]}'),
    "stream of 42 events": (
        4,  # takes so many times as long
        b'{"model":"gpt-4o-mini","stream":true,"stream_options":{"include_usage":true},'
        b'"messages":[],"benchmark":{"chunks":40,"interval_ms":0}}',
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with stand() as processes:
        for case, (share, body) in CASES.items():
            requests = max(1, arguments.requests // share // CONNECTIONS) * CONNECTIONS
            compare(processes, case, body, requests, arguments.rounds)


def compare(processes: Stand, case: str, body: bytes, requests: int, rounds: int) -> None:
    spent: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    for turn in range(rounds + 1):
        for name in CONTENDERS:
            seconds, _ = processes.spent(name, body, connections=CONNECTIONS, requests=requests)
            if turn:  # the first round warms up
                spent[name].append(seconds / requests * 1e6)
    ratios = [p / f for f, p in zip(spent["floor"], spent["proxy"], strict=True)]
    print(
        f"{case}: floor {statistics.median(spent['floor']):.0f} µs, "
        f"proxy {statistics.median(spent['proxy']):.0f} µs CPU per request; "
        f"ratio {statistics.median(ratios):.2f} "
        f"(min {min(ratios):.2f}, max {max(ratios):.2f}, {rounds} rounds of {requests} requests)"
    )


if __name__ == "__main__":
    main()

"""Fuzz the parsers, guided by coverage: `make fuzz`, with atheris.

    python -m tests.fuzz [--seconds 1200] [--corpus FOLDER] [TARGET ...]

Each target runs in a process of its own for its share of the time. An input that breaks
something is left as `crash-…` in the corpus folder, and the exit status is 1.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from tests.fuzz.seeds import seeds
from tests.fuzz.targets import TARGETS, bounded

MEMORY_EVERY = 64
"""Memory is measured for one input of so many, as that is slow."""


def fuzz(name: str, folder: Path, seconds: int) -> None:
    import atheris

    target = TARGETS[name]
    runs = [0]

    def one_input(data: bytes) -> None:
        runs[0] += 1
        bounded(target, data, with_memory=runs[0] % MEMORY_EVERY == 0)

    atheris.instrument_all()
    options = [
        f"-max_total_time={seconds}",
        "-max_len=8192",
        "-timeout=10",
        "-rss_limit_mb=2048",
        "-print_final_stats=1",
        f"-artifact_prefix={folder}/",
    ]
    atheris.Setup([sys.argv[0], *options, str(folder)], one_input)
    atheris.Fuzz()


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("targets", nargs="*", default=list(TARGETS))
    parser.add_argument("--seconds", type=int, default=1200, help="for all targets together")
    parser.add_argument("--corpus", type=Path, default=Path("build/fuzz"))
    parser.add_argument("--run", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run:
        fuzz(arguments.run, arguments.corpus, arguments.seconds)
        return 0
    share = max(1, arguments.seconds // len(arguments.targets))
    broken = []
    for name in arguments.targets:
        folder = arguments.corpus / name
        folder.mkdir(parents=True, exist_ok=True)
        for number, seed in enumerate(seeds(name)):
            (folder / f"seed-{number}").write_bytes(seed)
        print(f"fuzzing {name} for {share} s", flush=True)
        command = [sys.executable, "-m", "tests.fuzz", "--run", name]
        command += ["--seconds", str(share), "--corpus", str(folder)]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        told = [line for line in done.stderr.splitlines() if line.startswith("stat::")]
        print("\n".join(told[:3]), flush=True)
        if done.returncode:
            broken.append(name)
            print(done.stderr[-4000:], flush=True)
    print(f"broken: {', '.join(broken)}" if broken else "nothing broke")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())

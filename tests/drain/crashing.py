"""A drain that is killed at a named point: `crashing DATA DSN POINT NTH`.

The points are made here, by putting something before or after a step of the product; the
product knows nothing of them. SIGKILL leaves no time for anything to be put in order.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from majordomo_analytics.datadir import DataDirectory
from majordomo_analytics.drain import loop, sinks
from majordomo_analytics.drain.dead_letters import DeadLetters
from majordomo_analytics.drain.postgres import PostgresSink
from majordomo_analytics.drain.sinks import LakeSink
from majordomo_analytics.spool.files import SpoolFile

ROWS_PER_COMMIT = 3

POINTS: dict[str, tuple[Any, str, bool]] = {
    "before-lake-commit": (sinks, "append_once", False),
    "after-lake-commit": (sinks, "append_once", True),
    "before-postgres-transaction": (PostgresSink, "append", False),
    "before-postgres-commit": (PostgresSink, "_insert", True),
    "after-postgres-commit": (PostgresSink, "append", True),
    "before-dead-letters": (DeadLetters, "write", False),
    "after-dead-letters": (DeadLetters, "write", True),
    "before-unlink": (SpoolFile, "unlink", False),
    "amid-unlink": (Path, "unlink", True),
    "after-unlink": (SpoolFile, "unlink", True),
}
"""Where a step is found, and whether the process dies after it or before."""


def die_at(point: str, nth: int) -> None:
    """Kill this process at a point, the nth time it gets there."""
    owner, name, after = POINTS[point]
    step: Callable[..., Any] = getattr(owner, name)
    left = nth

    def step_and_die(*arguments: Any, **named: Any) -> Any:
        nonlocal left
        result = step(*arguments, **named) if after else None
        left -= 1  # a step that raised does not count
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return result if after else step(*arguments, **named)

    setattr(owner, name, step_and_die)


def main() -> None:
    root, dsn, point, nth = sys.argv[1:]
    data = DataDirectory.open(root)
    loop.ROWS_PER_COMMIT = ROWS_PER_COMMIT
    die_at(point, int(nth))
    loop.drain_once(data, (LakeSink(data.lake), PostgresSink(dsn, lake=data.lake)))


if __name__ == "__main__":
    main()

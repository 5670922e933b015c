"""Let signals, or the end of a supervisor, set an event."""

from __future__ import annotations

import os
import select
import signal
import threading
from contextlib import suppress

END = b"!"


def stop_on_signals(
    stop: threading.Event,
    *,
    lifeline: int | None = None,
    numbers: tuple[signal.Signals, ...] = (signal.SIGTERM, signal.SIGINT),
) -> None:
    """Set `stop` once a signal comes, or the lifeline ends.

    Not in the signal's handler: that runs amid whatever the main thread does, and if it is
    just about to wait for `stop` it holds the lock that setting it takes, for ever.

    Parameters
    ----------
    stop
        What is to be set.
    lifeline
        A descriptor whose end says that the supervisor is gone.
    numbers
        The signals.
    """
    reading, writing = os.pipe()
    os.set_blocking(writing, False)

    def wake(*_: object) -> None:
        with suppress(BlockingIOError):  # it was told so often that it knows
            os.write(writing, END)

    for number in numbers:
        signal.signal(number, wake)

    def wait() -> None:
        # Nothing is ever written to a lifeline: it becomes readable when its other end
        # closes. It is shared with the workers, whose event loop made it non-blocking.
        select.select([reading] if lifeline is None else [reading, lifeline], [], [])
        stop.set()

    threading.Thread(target=wait, name="signals", daemon=True).start()

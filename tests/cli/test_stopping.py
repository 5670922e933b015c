"""A signal ends what waits for it, at whichever moment it comes."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

from majordomo_analytics.cli.stopping import stop_on_signals

AT_ANY_MOMENT = """
import random, signal, threading
from majordomo_analytics.cli.stopping import stop_on_signals

for _ in range(200):
    stop = threading.Event()
    stop_on_signals(stop, numbers=(signal.SIGALRM,))
    signal.setitimer(signal.ITIMER_REAL, random.uniform(0.00001, 0.001))
    while not stop.wait(0.000001):
        pass
print("ended")
"""


def test_a_signal_never_finds_a_moment_that_it_hangs_at() -> None:
    """Setting the event in the handler itself deadlocks within a few of these."""
    done = subprocess.run(
        [sys.executable, "-c", AT_ANY_MOMENT],
        check=False,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.stdout == "ended\n", done.stderr


def test_the_end_of_the_lifeline_is_as_good_as_a_signal() -> None:
    reading, writing = os.pipe()
    stop = threading.Event()
    stop_on_signals(stop, lifeline=reading, numbers=())
    assert not stop.wait(0.1)
    os.close(writing)
    assert stop.wait(30)
    os.close(reading)

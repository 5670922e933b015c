"""The supervisor: workers and the drain as processes, restarted when they die."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from majordomo_analytics.datadir import DataDirectory
from majordomo_analytics.errors import SettingsError
from majordomo_proxy.worker import SETTINGS_VARIABLE, settings_to_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from majordomo_proxy.settings import Settings

LOOK_S = 0.1
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
STEADY_S = 60.0
"""A child that lived this long starts with the shortest pause again."""

LAST_DRAIN_S = 60.0


@dataclass(slots=True)
class Child:
    """A process the supervisor keeps alive.

    Attributes
    ----------
    name
        What messages call it.
    command
        How it is started.
    """

    name: str
    command: list[str]
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    start_at: float = 0.0
    pause_s: float = field(default=FIRST_PAUSE_S)


class Supervisor:
    """Runs `mdm proxy`: one listening socket, the workers on it, and the drain.

    Parameters
    ----------
    settings
        What to run.
    say
        Called with a sentence about what happens.
    """

    def __init__(self, settings: Settings, say: Callable[[str], None]) -> None:
        self._settings = settings
        self._say = say
        self._stop = threading.Event()
        self._children: list[Child] = []
        self._inherited: tuple[int, ...] = ()
        self._environment: dict[str, str] = {}

    def run(self) -> int:
        """Serve until SIGTERM or SIGINT; return the exit status.

        Raises
        ------
        DataDirectoryError
            If the data directory cannot be used.
        SettingsError
            If the address cannot be listened on.
        """
        data = DataDirectory.create(self._settings.data)
        shutil.rmtree(data.metrics, ignore_errors=True)
        data.metrics.mkdir(mode=0o700, parents=True)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stop.set())
        with _listen(self._settings) as listener:
            lifeline_read, lifeline_write = os.pipe()
            host, port = listener.getsockname()[:2]
            self._inherited = (listener.fileno(), lifeline_read)
            self._environment = {
                **os.environ,
                SETTINGS_VARIABLE: settings_to_text(self._settings),
                "PROMETHEUS_MULTIPROC_DIR": str(data.metrics.absolute()),
            }
            fds = [str(descriptor) for descriptor in self._inherited]
            worker = [sys.executable, "-m", "majordomo_proxy.worker", *fds]
            drain = [sys.executable, "-m", "majordomo_analytics", "drain"]
            drain += ["--data", str(data.root), "--lifeline", fds[1]]
            self._children = [
                *(Child(f"worker {n}", worker) for n in range(1, self._settings.workers + 1)),
                Child("drain", drain),
            ]
            try:
                for child in self._children:
                    self._start(child)
                self._say(f"majordomo proxy on http://{host}:{port}, data in {data.root}")
                while not self._stop.wait(LOOK_S):
                    for child in self._children:
                        self._look_after(child)
            finally:
                self._end()
                os.close(lifeline_write)
                os.close(lifeline_read)
        return 0

    def _start(self, child: Child) -> None:
        child.started_at = time.monotonic()
        child.process = subprocess.Popen(
            child.command,
            env=self._environment,
            pass_fds=self._inherited,
            stdin=subprocess.DEVNULL,
        )

    def _look_after(self, child: Child) -> None:
        now = time.monotonic()
        if child.process is None:
            if now >= child.start_at:
                self._start(child)
            return
        status = child.process.poll()
        if status is None:
            return
        if now - child.started_at > STEADY_S:
            child.pause_s = FIRST_PAUSE_S
        self._say(f"{child.name} ended with status {status}; again in {child.pause_s:g} s")
        child.process = None
        child.start_at = now + child.pause_s
        child.pause_s = min(child.pause_s * 2, LONGEST_PAUSE_S)

    def _end(self) -> None:
        """End the workers first, then the drain, so that their last rows are drained."""
        *workers, drain = self._children
        grace_s = self._settings.stop_timeout_s + self._settings.spool_wait_s + 10
        _end_all(workers, grace_s)
        _end_all([drain], LAST_DRAIN_S)


def _end_all(children: list[Child], grace_s: float) -> None:
    processes = [child.process for child in children if child.process is not None]
    for process in processes:
        process.terminate()
    deadline = time.monotonic() + grace_s
    for process in processes:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
        listener.listen(2048)
    except OSError as error:
        listener.close()
        message = (
            f"cannot listen on {settings.host}:{settings.port}: {error.strerror or error}; "
            "choose another --host or --port"
        )
        raise SettingsError(message) from error
    listener.set_inheritable(True)
    return listener

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

from prometheus_client.multiprocess import mark_process_dead

from majordomo_analytics.datadir import DataDirectory
from majordomo_analytics.errors import SettingsError
from majordomo_proxy.settings import SETTINGS_VARIABLE, settings_to_text

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

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
    inherits
        The descriptors it is given. Only workers get the listening socket: whoever holds it
        keeps the port.
    """

    name: str
    command: list[str]
    inherits: tuple[int, ...]
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
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stop.set())
        with _listen(self._settings) as listener:
            lifeline_read, lifeline_write = os.pipe()
            host, port = listener.getsockname()[:2]
            metrics = _fresh_metrics(data.metrics)
            self._environment = {
                **os.environ,
                SETTINGS_VARIABLE: settings_to_text(self._settings),
                "PROMETHEUS_MULTIPROC_DIR": str(metrics.absolute()),
            }
            sockets = (listener.fileno(), lifeline_read)
            worker = [sys.executable, "-m", "majordomo_proxy.worker", *map(str, sockets)]
            drain = [sys.executable, "-m", "majordomo_analytics", "drain"]
            drain += ["--data", str(data.root), "--lifeline", str(lifeline_read)]
            numbers = range(1, self._settings.workers + 1)
            self._children = [
                *(Child(f"worker {n}", worker, sockets) for n in numbers),
                Child("drain", drain, (lifeline_read,)),
            ]
            try:
                for child in self._children:
                    self._start(child)
                self._say(f"majordomo proxy on http://{host}:{port}, data in {data.root}")
                while not self._stop.wait(LOOK_S):
                    for child in self._children:
                        self._look_after(child)
            finally:
                listener.close()  # who calls now is refused, and does not wait in vain
                self._end()
                shutil.rmtree(metrics, ignore_errors=True)
                os.close(lifeline_write)
                os.close(lifeline_read)
        return 0

    def _start(self, child: Child) -> None:
        child.started_at = time.monotonic()
        child.process = subprocess.Popen(
            child.command,
            env=self._environment,
            pass_fds=child.inherits,
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
        mark_process_dead(  # type: ignore[no-untyped-call]
            child.process.pid, self._environment["PROMETHEUS_MULTIPROC_DIR"]
        )
        child.process = None
        child.start_at = now + child.pause_s
        child.pause_s = min(child.pause_s * 2, LONGEST_PAUSE_S)

    def _end(self) -> None:
        """End the workers first, then the drain, so that their last rows are drained."""
        *workers, drain = self._children
        grace_s = self._settings.stop_timeout_s + self._settings.spool_wait_s + 10
        _end_all(workers, grace_s)
        _end_all([drain], LAST_DRAIN_S)
        if drain.process is None or drain.process.returncode == -signal.SIGTERM:
            # It was between two lives, or was told before it could listen.
            last = Child(drain.name, [*drain.command, "--once"], drain.inherits)
            self._start(last)
            _wait_for([last], LAST_DRAIN_S)


def _end_all(children: list[Child], grace_s: float) -> None:
    for child in children:
        if child.process is not None:
            child.process.terminate()
    _wait_for(children, grace_s)


def _wait_for(children: list[Child], grace_s: float) -> None:
    processes = [child.process for child in children if child.process is not None]
    deadline = time.monotonic() + grace_s
    for process in processes:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _fresh_metrics(folder: Path) -> Path:
    """Return a folder for the counters of this run; those of runs that are over go."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for old in folder.iterdir():
        try:
            os.kill(int(old.name), 0)
        except (ValueError, ProcessLookupError):
            shutil.rmtree(old, ignore_errors=True)
        except PermissionError:
            continue  # it lives, under another user
    fresh = folder / str(os.getpid())
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    return fresh


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

"""The supervisor's children: started as processes of their own, never forked."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from majordomo_analytics.logs import PROCESS_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Iterable

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
ROWS_LOST = 4
"""The status of a worker that had to end while rows were in its memory only."""

STEADY_S = 60.0
"""A child that lived this long starts with the shortest pause again."""


@dataclass(slots=True, eq=False)
class Child:
    """A process the supervisor keeps alive.

    Attributes
    ----------
    kind, name
        What it does, and what messages call it; it counts under this name, so no two that
        run at once may share it.
    command
        How it is started. A worker gets one argument more: where to say that it serves.
    inherits
        The descriptors it is given. Only workers get the listening socket: whoever holds it
        keeps the port.
    environment
        What it is told; secrets stand here, as everybody on the machine can read a command.
    is_ready
        Whether it has said that it serves.
    is_told_to_end
        Whether its end is no accident.
    """

    kind: Literal["worker", "drain"]
    name: str
    command: list[str]
    inherits: tuple[int, ...]
    environment: dict[str, str] = field(repr=False)
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    start_at: float = 0.0
    pause_s: float = field(default=FIRST_PAUSE_S)
    is_ready: bool = False
    is_told_to_end: bool = False
    end_by: float | None = None
    _ready_fd: int | None = None

    def start(self) -> None:
        """Start it now.

        Raises
        ------
        OSError
            If there are no descriptors, no processes or no memory left; nothing is held.
        """
        command, inherits, writing = self.command, self.inherits, None
        self.is_ready = False
        self.started_at = time.monotonic()
        if self.kind == "worker":
            self._ready_fd, writing = os.pipe()
            command, inherits = [*command, str(writing)], (*inherits, writing)
        # It inherits what is blocked: a terminal that hangs up tells the whole group, and
        # the supervisor alone is to say what that means.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
        try:
            self.process = subprocess.Popen(
                command,
                env=self.environment | {PROCESS_VARIABLE: self.name},
                pass_fds=inherits,
                stdin=subprocess.DEVNULL,
            )
        except OSError:
            self._close_pipe()
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            if writing is not None:
                os.close(writing)

    @property
    def is_running(self) -> bool:
        """Whether it was started and has not been seen to end."""
        return self.process is not None and self.process.returncode is None

    def look(self) -> int | None:
        """Return the status it has ended with, None while it lives; see if it is ready."""
        if self._ready_fd is not None and select.select([self._ready_fd], [], [], 0)[0]:
            self.is_ready = bool(os.read(self._ready_fd, 16))  # nothing, if it died
            self._close_pipe()
        status = self.process.poll() if self.process is not None else None
        if status is not None:
            self._close_pipe()
        return status

    def pause(self) -> float:
        """Let it be started again after a pause, which grows; return it, in seconds."""
        now = time.monotonic()
        if now - self.started_at > STEADY_S:
            self.pause_s = FIRST_PAUSE_S
        pause_s = self.pause_s
        self.process = None
        self.start_at = now + pause_s
        self.pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
        return pause_s

    def tell(self, number: signal.Signals, grace_s: float) -> None:
        """Tell it to end, within a time after which it is killed."""
        self.is_told_to_end = True
        self.end_by = time.monotonic() + grace_s
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)

    def is_overdue(self) -> bool:
        """Whether it was told to end and takes too long."""
        return self.end_by is not None and time.monotonic() > self.end_by

    def kill(self) -> None:
        """End it at once."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        self._close_pipe()

    def wait(self) -> bool:
        """Wait for the end it was told of; return whether it came by itself."""
        if self.process is None:
            return True
        left = None if self.end_by is None else max(0.0, self.end_by - time.monotonic())
        try:
            self.process.wait(left)
        except subprocess.TimeoutExpired:
            self.kill()
            return False
        finally:
            self._close_pipe()
        return True

    def _close_pipe(self) -> None:
        if self._ready_fd is not None:
            os.close(self._ready_fd)
            self._ready_fd = None


def free_name(taken: Iterable[Child]) -> str:
    """Return the first name of a worker that none of these has."""
    names = {child.name for child in taken}
    number = 1
    while f"worker {number}" in names:
        number += 1
    return f"worker {number}"

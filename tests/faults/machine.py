"""A proxy that dies in every way and is started again, on one data directory."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Self

from majordomo_analytics.apikeys import ApiKeyStore
from majordomo_analytics.datadir import DataDirectory
from tests.faults.seams import Seams
from tests.support.proxy import (
    MDM,
    RunningProxy,
    children,
    clean_environment,
    free_port,
    mdm,
    wait_until_ready,
)

START_WITHIN_S = 90.0
GONE_WITHIN_S = 120.0


class Machine:
    """Starts `mdm proxy` again and again; its children may outlive it for a while.

    Parameters
    ----------
    data
        The data directory.
    seams
        Orders for the processes.
    settings
        As `MAJORDOMO_*` variables.
    """

    def __init__(self, data: Path, seams: Seams, **settings: str) -> None:
        self.data = data
        self.key = ApiKeyStore(DataDirectory.create(data).api_keys).create("test").key
        self.seams = seams
        self.port = 0
        self._settings = settings
        self._groups: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._groups:
            for pid in in_group(process.pid):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            process.wait(30)

    @property
    def proxy(self) -> RunningProxy:
        """The proxy that was started last."""
        return RunningProxy(self.data, self.port, self.key, self._groups[-1])

    def start(self, *, wait: bool = True) -> None:
        """Start another one, on a port that no child of the last one holds."""
        deadline = time.monotonic() + START_WITHIN_S
        while True:
            self.port = free_port()
            self._groups.append(self._spawn())
            if not wait:
                return None
            try:
                return wait_until_ready(self.port, self._groups[-1])
            except RuntimeError:
                # One that finds its predecessor's children may refuse to start.
                if self._groups[-1].poll() in {None, 0} or time.monotonic() > deadline:
                    raise
                time.sleep(0.2)

    def _spawn(self) -> subprocess.Popen[bytes]:
        variables = {f"MAJORDOMO_{name.upper()}": v for name, v in self._settings.items()}
        return subprocess.Popen(
            [*MDM, "proxy", "--data", str(self.data), "--port", str(self.port)],
            env=clean_environment(**variables, **self.seams.environment),
            start_new_session=True,
            stderr=subprocess.DEVNULL,
        )

    def kill_worker(self, chance: random.Random) -> None:
        """SIGKILL one of the workers."""
        self._kill_one(chance, b"majordomo_proxy.worker")

    def kill_drain(self, chance: random.Random) -> None:
        """SIGKILL the drain."""
        self._kill_one(chance, b"\0drain\0")

    def _kill_one(self, chance: random.Random, marked: bytes) -> None:
        with suppress(FileNotFoundError, ProcessLookupError):  # it is between two lives
            pids = children(self.proxy.supervisor)
            pids = [pid for pid in pids if marked in Path(f"/proc/{pid}/cmdline").read_bytes()]
            if pids:
                os.kill(chance.choice(pids), signal.SIGKILL)

    def kill_supervisor(self) -> None:
        """SIGKILL the supervisor alone: its children notice, and end."""
        self._groups[-1].kill()
        self._groups[-1].wait(30)

    def kill_all(self) -> None:
        """SIGKILL all of them at once."""
        self.proxy.kill()

    def stop(self) -> int:
        """SIGTERM the supervisor and return its exit status."""
        return self.proxy.stop()

    def recover(self, *arguments: str) -> None:
        """Wait until nothing runs any more, then drain once."""
        deadline = time.monotonic() + GONE_WITHIN_S
        for process in self._groups:
            while in_group(process.pid):
                assert time.monotonic() < deadline, f"of {process.pid} something runs on"
                time.sleep(0.05)
        mdm("drain", "--data", str(self.data), "--once", *arguments)


def in_group(group: int) -> list[int]:
    """Return the processes of a group that are alive."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(FileNotFoundError, ProcessLookupError):
            state, _, its_group = (folder / "stat").read_text().rpartition(")")[2].split()[:3]
            if int(its_group) == group and state != "Z":
                found.append(int(folder.name))
    return found

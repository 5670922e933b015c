"""Child processes of a command: started here, ended here, whatever happens between."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING

from majordomo_analytics.errors import MajordomoError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

SECONDS_TO_END = 60
SECONDS_TO_START = 30
TAIL_BYTES = 2000


@contextmanager
def ended_with_the_block(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Ask `process` to end when the block does, and make it if it will not."""
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def sigterm_raises() -> Iterator[None]:
    """Let SIGTERM unwind the stack, as Ctrl-C does, so that blocks are left in order."""

    def leave(number: int, _: object) -> None:
        sys.exit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def running_proxy(
    data: Path, environment: Mapping[str, str], *, config: Path | None = None
) -> Iterator[str]:
    """Run `mdm proxy` on a free port, yield its address; it ends, drained, with the block.

    Raises
    ------
    MajordomoError
        If it does not become ready; the message says what it said.
    """
    port = _free_port()
    # Traffic of a demonstration has no place in the Postgres of earnest traffic.
    inherited = {n: v for n, v in os.environ.items() if n != "MAJORDOMO_POSTGRES"}
    command = [sys.executable, "-m", "majordomo_analytics", "proxy"]
    command += ["--data", str(data), "--host", "127.0.0.1", "--port", str(port)]
    command += [] if config is None else ["--config", str(config)]
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            env={**inherited, **environment},
        )
        with ended_with_the_block(process):
            url = f"http://127.0.0.1:{port}"
            if not _becomes_ready(url, process):
                size = said.seek(0, os.SEEK_END)
                said.seek(max(0, size - TAIL_BYTES))
                message = f"the proxy did not start: {said.read().decode(errors='replace')}"
                raise MajordomoError(message)
            yield url


def _becomes_ready(url: str, process: subprocess.Popen[bytes]) -> bool:
    deadline = time.monotonic() + SECONDS_TO_START
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=5):  # noqa: S310
                return True
        except (urllib.error.URLError, OSError):  # not listening yet, or a 503 with a reason
            time.sleep(0.05)
    return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port

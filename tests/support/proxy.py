"""A proxy that really runs: its own processes, its own port, its own data directory."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import polars as pl

from majordomo_analytics.apikeys import ApiKeyStore
from majordomo_analytics.datadir import DataDirectory

MDM = [sys.executable, "-m", "majordomo_analytics"]


def mdm(
    *arguments: str, check: bool = True, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run `mdm` to its end."""
    return subprocess.run(
        [*MDM, *arguments],
        check=check,
        capture_output=True,
        text=True,
        timeout=120,
        env=clean_environment(**environment),
    )


def clean_environment(**environment: str) -> dict[str, str]:
    """Return this process's environment without settings of a developer's own."""
    kept = {n: v for n, v in os.environ.items() if not n.startswith("MAJORDOMO_")}
    return {**kept, "NO_COLOR": "1", "COLUMNS": "120", **environment}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class RunningProxy:
    """A supervisor with its workers and drain; its process group is its own."""

    data: Path
    port: int
    key: str
    process: subprocess.Popen[bytes]
    is_wrapped: bool = False
    log: Path | None = None

    @property
    def said(self) -> str:
        """Return what it wrote to its stderr, if that goes to a file."""
        return self.log.read_text("utf-8") if self.log else ""

    def wait_until_said(self, sentence: str, times: int = 1) -> None:
        """Wait until it has written something."""
        deadline = time.monotonic() + 60
        while self.said.count(sentence) < times:
            assert time.monotonic() < deadline, f"it did not say {sentence!r}:\n{self.said}"
            time.sleep(0.05)

    @property
    def supervisor(self) -> int:
        """Return its process id: under a tracer it is that one's only child."""
        return children(self.process.pid)[0] if self.is_wrapped else self.process.pid

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def headers(self, **metadata: str) -> dict[str, str]:
        """Return headers of a call: the API key, and metadata with `_` for `-`."""
        named = {f"X-Majordomo-{n.replace('_', '-')}": v for n, v in metadata.items()}
        return {"X-Majordomo-Key": self.key, "Authorization": "Bearer sk-upstream", **named}

    def post(self, path: str = "/v1/chat/completions", **arguments: Any) -> httpx.Response:
        arguments.setdefault("headers", self.headers())
        arguments.setdefault("json", {"model": "gpt-4o-mini", "messages": []})
        return httpx.post(self.url + path, timeout=60, **arguments)

    def drains(self) -> list[int]:
        """Return the process ids of the drain: one, but while it is replaced."""
        return [
            pid
            for pid in children(self.supervisor)
            if b"\0drain\0" in Path(f"/proc/{pid}/cmdline").read_bytes()
        ]

    def workers(self) -> list[int]:
        """Return the process ids of the workers."""
        return [
            pid
            for pid in children(self.supervisor)
            if b"majordomo_proxy.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()
        ]

    def kill(self) -> None:
        """SIGKILL the supervisor, the workers and the drain at once."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)

    def stop(self) -> int:
        """SIGTERM the supervisor and return its exit status."""
        os.kill(self.supervisor, signal.SIGTERM)
        return self.process.wait(60)

    def rows(self) -> list[dict[str, Any]]:
        """Drain, and return the lake's rows, oldest first."""
        mdm("drain", "--data", str(self.data), "--once")
        return lake_rows(self.data)


def children(pid: int) -> list[int]:
    """Return the process ids of the children of `pid`."""
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in listed.split()]


def lake_rows(data: Path) -> list[dict[str, Any]]:
    lake = pl.scan_delta(str(data / "lake" / "llm_requests"))
    rows = lake.sort("requested_at", "id").collect().to_dicts()
    for row in rows:
        row["raw_metadata"] = dict(row["raw_metadata"].items())
    return rows


@contextmanager
def running_proxy(
    data: Path,
    *,
    key: str | None = None,
    prefix: tuple[str, ...] = (),
    arguments: tuple[str, ...] = (),
    environment: Mapping[str, str] = {},
    port: int | None = None,
    log: Path | None = None,
    **settings: str,
) -> Iterator[RunningProxy]:
    """Run `mdm proxy` on `data`; settings become `MAJORDOMO_*` variables.

    With `log` its stderr goes to that file.
    """
    key = key or ApiKeyStore(DataDirectory.create(data).api_keys).create("test").key
    port = port or free_port()
    variables = {f"MAJORDOMO_{name.upper()}": value for name, value in settings.items()}
    with log.open("ab") if log else nullcontext() as stderr:
        process = subprocess.Popen(
            [*prefix, *MDM, "proxy", "--data", str(data), "--port", str(port), *arguments],
            env=clean_environment(**variables, **environment),
            start_new_session=True,
            stderr=stderr,
        )
    running = RunningProxy(data, port, key, process, is_wrapped=bool(prefix), log=log)
    try:
        wait_until_ready(port, process)
        yield running
        if process.poll() is None:
            running.stop()
    finally:
        if process.poll() is None:
            running.kill()


def wait_until_ready(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the proxy ended with status {process.returncode}")
        try:
            if httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=2).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise RuntimeError("the proxy was not ready within 30 s")

"""A real Spark Connect server for tests: Sail, from a wheel, in a process of its own.

`MAJORDOMO_TEST_SPARK` names another one instead, which has to see the files of the tests.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

VARIABLE = "MAJORDOMO_TEST_SPARK"
SERVE = """
import sys
from pysail.spark import SparkConnectServer

server = SparkConnectServer("127.0.0.1", 0)
server.start(background=True)
print(server.listening_address[1], flush=True)
sys.stdin.read()
server.stop()
"""


@contextmanager
def running_sail(**variables: str) -> Iterator[str]:
    """Yield the address of a server that ends with its standard input."""
    quiet = {"RUST_LOG": "error", "OTEL_SDK_DISABLED": "true"}
    with subprocess.Popen(
        [sys.executable, "-c", SERVE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | quiet | variables,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        assert port, "Sail did not start"
        try:
            yield f"sc://127.0.0.1:{port}"
        finally:
            process.stdin.close()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


@pytest.fixture(scope="session")
def spark() -> Iterator[str]:
    """Yield the address of a Spark Connect server."""
    if os.environ.get(VARIABLE):
        yield os.environ[VARIABLE]
        return
    with running_sail() as address:
        yield address

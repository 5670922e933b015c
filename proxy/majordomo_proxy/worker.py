"""One worker process: uvicorn on a listening socket that the supervisor made."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from typing import TYPE_CHECKING

import uvicorn

from majordomo_analytics.datadir import keep_private
from majordomo_analytics.logs import process_name, set_up
from majordomo_analytics.redaction import redact_logs
from majordomo_proxy import scoreboard
from majordomo_proxy.app import create_app
from majordomo_proxy.children import ROWS_LOST
from majordomo_proxy.connections import Guard, guarded_protocol
from majordomo_proxy.descriptors import make_room
from majordomo_proxy.server import Server
from majordomo_proxy.settings import SETTINGS_VARIABLE, settings_from_text
from majordomo_proxy.targets import credentials_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from majordomo_proxy.settings import Settings

READY = b"ready"
"""What a worker writes to its supervisor once it serves."""


def serve(
    settings: Settings,
    listener: socket.socket,
    lifeline: int | None = None,
    *,
    on_started: Callable[[], None] = lambda: None,
) -> int:
    """Serve until SIGTERM, SIGINT or the end of the lifeline, then finish what is open.

    SIGUSR1 says that another worker has taken over: then connections end as their callers
    go on, and the worker with the last of them.

    Parameters
    ----------
    settings
        What to serve.
    listener
        A bound socket.
    lifeline
        The reading end of a pipe whose other end the supervisor holds: at its end the
        supervisor is gone, and this worker must not keep the port.
    on_started
        Called once callers can be served.

    Returns
    -------
    int
        The exit status: `ROWS_LOST` if rows were still in memory at the end.
    """
    keep_private()
    process = process_name("worker")
    set_up(process, log_format=settings.log_format, log_level=settings.log_level)
    redact_logs(credentials_of(settings).values())
    logging.getLogger("uvicorn.error").addFilter(_is_news)
    scoreboard.join(process)
    room = make_room(settings.max_connections, settings.max_requests_in_flight)
    app = create_app(settings)
    guard = Guard(
        settings, app.metrics, most_connections=room.connections, most_requests=room.requests
    )
    config = uvicorn.Config(
        app,
        log_config=None,
        # What it tells at the level info is when it begins and ends: the supervisor knows.
        log_level="warning" if settings.log_level == "info" else settings.log_level,
        access_log=False,
        http=guarded_protocol(guard),
        ws="none",
        lifespan="on",
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_graceful_shutdown=max(1, round(settings.stop_timeout_s)),
    )
    server = Server(config, app.metrics, on_started=on_started)

    def end(*_: object) -> None:
        server.should_exit = True

    # Until uvicorn takes signals itself, and again once it has stopped.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    signal.signal(signal.SIGUSR1, lambda *_: server.retire())
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(_serve(server, guard, listener, lifeline))
    return ROWS_LOST if app.has_lost_rows else 0


def _is_news(record: logging.LogRecord) -> bool:
    """Return whether uvicorn says more than what the relay did on purpose.

    A stream that its provider broke off has no end to be passed on. The row says so.
    """
    return record.getMessage() != "ASGI callable returned without completing response."


async def _serve(
    server: Server, guard: Guard, listener: socket.socket, lifeline: int | None
) -> None:
    if lifeline is not None:
        loop = asyncio.get_running_loop()

        def supervisor_gone() -> None:
            loop.remove_reader(lifeline)
            server.should_exit = True

        loop.add_reader(lifeline, supervisor_gone)
    looking_after = asyncio.create_task(guard.run())
    try:
        await server.serve(sockets=[listener])
    finally:
        looking_after.cancel()


def main(environment: Mapping[str, str] = os.environ) -> int:
    """Run a worker as the supervisor does: `worker LISTENER_FD LIFELINE_FD READY_FD`."""
    listener_fd, lifeline_fd, ready_fd = (int(argument) for argument in sys.argv[1:4])
    settings = settings_from_text(environment[SETTINGS_VARIABLE])

    def tell() -> None:
        # A supervisor that died while this worker started hears nothing any more. That must
        # not break off the start: the lifeline ends this worker in order, with its callers.
        with contextlib.suppress(BrokenPipeError):
            os.write(ready_fd, READY)
        os.close(ready_fd)

    return serve(settings, socket.socket(fileno=listener_fd), lifeline_fd, on_started=tell)


if __name__ == "__main__":
    sys.exit(main())

"""One worker process: uvicorn on a listening socket that the supervisor made."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from typing import TYPE_CHECKING

import uvicorn

from majordomo_analytics.datadir import keep_private
from majordomo_analytics.redaction import redact_logs
from majordomo_proxy.app import create_app
from majordomo_proxy.connections import Guard, guarded_protocol
from majordomo_proxy.descriptors import make_room
from majordomo_proxy.settings import SETTINGS_VARIABLE, settings_from_text
from majordomo_proxy.targets import credentials_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from majordomo_proxy.settings import Settings


def serve(settings: Settings, listener: socket.socket, lifeline: int | None = None) -> None:
    """Serve until SIGTERM, SIGINT or the end of the lifeline, then finish what is open.

    Parameters
    ----------
    settings
        What to serve.
    listener
        A bound socket.
    lifeline
        The reading end of a pipe whose other end the supervisor holds: at its end the
        supervisor is gone, and this worker must not keep the port.
    """
    keep_private()
    logging.basicConfig(
        level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
    redact_logs(credentials_of(settings).values())
    room = make_room(settings.max_connections, settings.max_requests_in_flight)
    app = create_app(settings)
    guard = Guard(
        settings, app.metrics, most_connections=room.connections, most_requests=room.requests
    )
    config = uvicorn.Config(
        app,
        log_config=None,
        log_level=settings.log_level,
        access_log=False,
        http=guarded_protocol(guard),
        ws="none",
        lifespan="on",
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_graceful_shutdown=max(1, round(settings.stop_timeout_s)),
    )
    server = uvicorn.Server(config)

    def end(*_: object) -> None:
        server.should_exit = True

    # Until uvicorn takes signals itself, and again once it has stopped and raises them
    # anew: then this makes it the ordinary end of a process that did what it was told.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(_serve(server, guard, listener, lifeline))


async def _serve(
    server: uvicorn.Server, guard: Guard, listener: socket.socket, lifeline: int | None
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
    """Run a worker as the supervisor starts it: `worker LISTENER_FD LIFELINE_FD`."""
    listener_fd, lifeline_fd = (int(argument) for argument in sys.argv[1:3])
    settings = settings_from_text(environment[SETTINGS_VARIABLE])
    serve(settings, socket.socket(fileno=listener_fd), lifeline_fd)
    return 0


if __name__ == "__main__":
    sys.exit(main())

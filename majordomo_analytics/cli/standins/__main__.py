"""Serve the stand-ins: ``python -m majordomo_analytics.cli.standins --port 9100``."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import sys
from typing import TYPE_CHECKING

import uvicorn

from majordomo_analytics.cli.standins.app import make_app

if TYPE_CHECKING:
    import socket


class Server(uvicorn.Server):
    """A server that says where it listens, as one line of JSON, as soon as it does."""

    def __init__(self, config: uvicorn.Config, *, with_stdin: bool) -> None:
        super().__init__(config)
        self._with_stdin = with_stdin

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then say where."""
        await super().startup(sockets)
        if self._with_stdin:
            asyncio.get_running_loop().add_reader(sys.stdin.fileno(), self._stop_at_end_of_input)
        port = self.servers[0].sockets[0].getsockname()[1]
        sys.stdout.write(json.dumps({"url": f"http://{self.config.host}:{port}"}) + "\n")
        sys.stdout.flush()

    def _stop_at_end_of_input(self) -> None:
        if not os.read(sys.stdin.fileno(), 1024):
            asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
            self.should_exit = True


def main() -> None:
    """Read the arguments and serve."""
    parser = argparse.ArgumentParser(
        prog="python -m majordomo_analytics.cli.standins",
        description="Local stand-ins for the providers, on 127.0.0.1 only.",
    )
    parser.add_argument("--port", type=int, default=0, help="0, the default, takes a free one")
    parser.add_argument("--error-share", type=float, default=0.0, help="share of 429 and 500")
    parser.add_argument(
        "--with-stdin", action="store_true", help="stop when standard input is closed"
    )
    given = parser.parse_args()
    app = make_app(error_share=given.error_share)
    config = uvicorn.Config(
        app, host="127.0.0.1", port=given.port, log_level="warning", access_log=False
    )
    with contextlib.suppress(KeyboardInterrupt):
        Server(config, with_stdin=given.with_stdin).run()


if __name__ == "__main__":
    main()

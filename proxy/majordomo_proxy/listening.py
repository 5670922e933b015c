"""The socket that all workers listen on."""

from __future__ import annotations

import errno
import socket
import time

from majordomo_analytics.errors import SettingsError

PATIENCE_S = 5.0
"""How long an address may be in use at the start: workers whose supervisor was killed let
go of it within moments."""

BACKLOG = 2048


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens, and that children can be given.

    Raises
    ------
    SettingsError
        If the address cannot be listened on.
    """
    deadline = time.monotonic() + PATIENCE_S
    while True:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.socket(family)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
            listener.listen(BACKLOG)
        except OSError as error:
            listener.close()
            if error.errno == errno.EADDRINUSE and time.monotonic() < deadline:
                time.sleep(0.1)
                continue
            message = (
                f"cannot listen on {host}:{port}: {error.strerror or error}; "
                "choose another --host or --port"
            )
            raise SettingsError(message) from error
        listener.set_inheritable(True)
        return listener

"""uvicorn's server, which can also make room for another one without a caller noticing."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import uvicorn

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from types import FrameType

    from majordomo_proxy.metrics import Metrics

IDLE_MOST_S = 8.0
"""How long one that makes room leaves connections open on which nothing happens."""

CLOSE = (b"connection", b"close")


class Server(uvicorn.Server):
    """Serves one worker's callers.

    Parameters
    ----------
    config
        As uvicorn has it.
    metrics
        Where the open connections are counted.
    on_started
        Called once callers can be served.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        metrics: Metrics,
        *,
        on_started: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(config)
        self._metrics = metrics
        self._on_started = on_started
        self._is_to_retire = False
        self._retired_at: float | None = None

    def retire(self) -> None:
        """Take no more connections, let those that are open end by themselves, then end.

        A connection that waits for its next request is not cut: the request may be on its
        way. Each answer from now on says that it is the last on its connection. Answers
        take the time they take. To be called from a signal's handler, too.
        """
        self._is_to_retire = True

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """End in order, however often it is said: uvicorn drops all the second time."""
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to serve."""
        await super().startup(sockets)
        if self.started:
            self._on_started()

    async def on_tick(self, counter: int) -> bool:
        """Return whether to end now; asked ten times a second."""
        is_over = await super().on_tick(counter)
        self._metrics.open_connections.set(len(self.server_state.connections))
        if not self._is_to_retire:
            return is_over
        if self._retired_at is None:
            self._retired_at = time.monotonic()
            for server in self.servers:
                server.close()
            self._say_goodbye()
            return is_over  # what was just accepted is not among the connections yet
        self._say_goodbye()  # uvicorn makes these headers anew now and then
        connections = tuple(self.server_state.connections)
        if time.monotonic() - self._retired_at > IDLE_MOST_S:
            for connection in filter(_is_idle, connections):
                connection.shutdown()
        return is_over or not connections

    def _say_goodbye(self) -> None:
        headers = self.server_state.default_headers
        if CLOSE not in headers:
            self.server_state.default_headers = [*headers, CLOSE]


def _is_idle(connection: Any) -> bool:
    cycle = connection.cycle
    return cycle is None or cycle.response_complete

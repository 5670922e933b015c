"""The proxy as an ASGI application: Starlette for its own pages, the relay for the rest."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import time
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from majordomo_analytics.apikeys import ApiKeyCache, ApiKeyStore
from majordomo_analytics.datadir import DataDirectory
from majordomo_analytics.errors import ApiKeyStoreError, SpoolError
from majordomo_analytics.spool.writer import SpoolWriter
from majordomo_proxy.metrics import PUBLISH_EVERY_S, Metrics
from majordomo_proxy.relay import Relay
from majordomo_proxy.scoreboard import CONTENT_TYPE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

    from majordomo_proxy.settings import Settings

logger = logging.getLogger("majordomo_proxy")

MEASURE_EVERY_S = 1.0
TELL_AGAIN_S = 60.0
"""How long a disk that fails again and again, for one reason, is told of once."""

OWN_PATHS = frozenset({"/health", "/readyz", "/metrics"})


class ProxyApp:
    """What uvicorn serves.

    Parameters
    ----------
    settings
        The settings of this worker; its data directory is made when it is not there.

    Attributes
    ----------
    metrics
        What this worker counts.
    has_lost_rows
        Whether rows were still in memory when it had to end.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.metrics = Metrics()
        self._relay: Relay | None = None
        self._spool: SpoolWriter | None = None
        self._told, self._told_at = "", 0.0
        self.has_lost_rows = False
        routes = [
            Route("/health", self._health),
            Route("/readyz", self._ready),
            Route("/metrics", self._show_metrics),
        ]
        self._pages = Starlette(routes=routes, lifespan=self._lifespan)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI scope.

        Relayed requests go past Starlette's routing and middleware: its error middleware
        would send bodies of its own, and its work is a good part of a relayed request's.
        """
        if scope["type"] == "http" and scope["path"] not in OWN_PATHS and self._relay:
            await self._relay(scope, receive, send)
        else:
            await self._pages(scope, receive, send)

    @contextlib.asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        data = DataDirectory.create(self._settings.data)
        try:
            ApiKeyStore(data.api_keys)
        except ApiKeyStoreError as error:
            if not data.api_keys.exists():
                raise
            logger.error("%s", error)
        keys = ApiKeyCache(data.api_keys)
        self._spool = SpoolWriter(
            data.spool,
            rotate_bytes=self._settings.spool_rotate_bytes,
            most_bytes=self._settings.spool_max_bytes,
            most_waiting_bytes=self._settings.spool_memory_bytes,
            on_trouble=self._on_spool_trouble,
        )
        self._relay = Relay(self._settings, keys, self._spool, self.metrics)
        await self._relay.start()
        chores = [
            asyncio.create_task(self._publish_now_and_then()),
            asyncio.create_task(self._measure(self._spool)),
        ]
        # What was loaded until now stays: the collector need not go over it again.
        gc.collect()
        gc.freeze()
        try:
            yield
        finally:
            for chore in chores:
                chore.cancel()
            # The server ends the lifespan before cancelled requests have written their
            # rows; the spool may close only when the last of them has.
            await self._relay.stop(timeout_s=self._settings.spool_wait_s + 5)
            try:
                # In a thread, as it may take long: the loop has what waits to settle.
                await asyncio.to_thread(self._spool.close)
            except SpoolError as error:
                logger.error("rows are lost: %s", error)
                self.metrics.count_lost_row("not_written", self._spool.unwritten)
                self.has_lost_rows = True
            keys.close()
            self._publish()

    async def _publish_now_and_then(self) -> None:
        while True:
            self._publish()
            await asyncio.sleep(PUBLISH_EVERY_S)

    def _publish(self) -> None:
        self.metrics.publish(
            self._relay.in_flight if self._relay else 0,
            unwritten=self._spool.unwritten if self._spool else 0,
        )

    async def _measure(self, spool: SpoolWriter) -> None:
        while True:
            with contextlib.suppress(OSError):
                # In a thread: a disk that hangs must not hold up what is relayed.
                self.metrics.spool_bytes.set(await asyncio.to_thread(spool.measure))
                self.metrics.spool_max_bytes.set(self._settings.spool_max_bytes)
            await asyncio.sleep(MEASURE_EVERY_S)

    def _on_spool_trouble(self, sentence: str) -> None:
        self.metrics.spool_troubles.inc()
        now = time.monotonic()
        if sentence != self._told or now - self._told_at > TELL_AGAIN_S:
            self._told, self._told_at = sentence, now
            logger.error(sentence)

    async def _health(self, _: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def _ready(self, _: Request) -> Response:
        spool = self._spool
        trouble = (spool.trouble or spool.full) if spool else "the proxy is starting"
        if trouble is None:
            return JSONResponse({"status": "ready"})
        return JSONResponse({"status": "not ready", "reason": trouble}, status_code=503)

    async def _show_metrics(self, _: Request) -> Response:
        self._publish()
        return PlainTextResponse(self.metrics.text(), media_type=CONTENT_TYPE)


def create_app(settings: Settings) -> ProxyApp:
    """Return the proxy as an ASGI application."""
    return ProxyApp(settings)

"""The hot road's entrance: who calls, which provider is meant, what may not pass.

A plain ASGI callable. What passes goes on in a `Passage`; what does not is answered here,
before anything was sent to a provider, and has no row.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import aiohttp

from majordomo_analytics.capture.asking import asking_for_usage
from majordomo_analytics.capture.encodings import decoded_whole
from majordomo_analytics.capture.flavours import flavour_of, model_in_path
from majordomo_analytics.capture.requests import RequestReader
from majordomo_analytics.capture.routing import with_model
from majordomo_analytics.records.metadata import KeyNameQuota, read_metadata
from majordomo_proxy.callers import CallerLeftError, body_part
from majordomo_proxy.exchange import Exchange
from majordomo_proxy.headers import (
    HeaderError,
    credential_hash,
    credential_in_query,
    query_without_credentials,
    sort_request_headers,
)
from majordomo_proxy.passage import Passage, Shared
from majordomo_proxy.refusals import RefusedError, send_error
from majordomo_proxy.targets import TO_BE_ROUTED, Targets

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send
    from yarl import URL

    from majordomo_analytics.apikeys import ApiKeyCache
    from majordomo_analytics.records.providers import Provider
    from majordomo_analytics.spool.writer import SpoolWriter
    from majordomo_proxy.headers import RequestHeaders
    from majordomo_proxy.metrics import Metrics
    from majordomo_proxy.settings import Settings

BUFFERED_REQUEST_BYTES = 256 * 1024
"""A request body up to this size is read before the provider is called, a larger one
streams through."""

ASKABLE = frozenset({"chat", "completions"})
"""Flavours whose streams state usage if `stream_options` ask for it."""

RETRY_AFTER_S = 5
"""When a caller may try again who came while the spool or the memory was full."""

AUTOMATIC_HEADERS = frozenset({"Accept", "Accept-Encoding", "Content-Type", "User-Agent"})


class Relay:
    """Relays requests for one worker.

    Parameters
    ----------
    settings
        Time limits, sizes and addresses.
    keys, spool, metrics
        Whom to believe, where rows go, and what is counted.
    """

    def __init__(
        self, settings: Settings, keys: ApiKeyCache, spool: SpoolWriter, metrics: Metrics
    ) -> None:
        self._settings = settings
        self._keys = keys
        self._metrics = metrics
        self._shared = Shared(settings, spool, metrics)
        self._quota = KeyNameQuota()
        self._targets = Targets(settings)
        self.in_flight = 0

    async def start(self) -> None:
        """Open the connections' pool; inside the running loop."""
        settings = self._settings
        self._shared.session = aiohttp.ClientSession(
            auto_decompress=False,
            connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=60),
            # A jar would hand one caller's Set-Cookie to the next caller's request.
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=AUTOMATIC_HEADERS,
            timeout=aiohttp.ClientTimeout(
                # The sweep notices silence: aiohttp would set a timer anew for each chunk.
                total=None,
                sock_connect=settings.connect_timeout_s,
            ),
            max_field_size=64 * 1024,
            max_line_size=64 * 1024,
        )
        self._shared.sweep.start()

    async def stop(self, timeout_s: float) -> None:
        """Wait until no request is in flight, then close the connections."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while self.in_flight:  # noqa: ASYNC110 - an Event would cost every request
                    await asyncio.sleep(0.02)
        self._shared.sweep.stop()
        await self._shared.session.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Relay one request."""
        self.in_flight += 1
        exchange: Exchange | None = None
        try:
            try:
                headers, exchange = self._accept(scope)
                body, more = await self._read_body(receive, headers, exchange)
                if exchange.asks_for_usage or exchange.provider is TO_BE_ROUTED:
                    body = [self._edit(body.pop(), scope, headers, exchange, more=more)]
                url = self._address(scope, headers, exchange)
            except RefusedError as refused:
                self._metrics.count_refused(refused.reason)
                await send_error(
                    send,
                    refused.status,
                    refused.reason,
                    str(refused),
                    retry_after_s=refused.retry_after_s,
                )
            except CallerLeftError:
                self._metrics.count_refused("caller_left")
            else:
                passage = Passage(self._shared, exchange, receive, send)
                await passage.run(url, headers, body, more=more)
        finally:
            self.in_flight -= 1
            if exchange is not None:
                self._shared.let_go(exchange)

    def _accept(self, scope: Scope) -> tuple[RequestHeaders, Exchange]:
        """Check the API key, find the provider, and begin the exchange."""
        try:
            headers = sort_request_headers(scope["headers"])
        except HeaderError as error:
            raise RefusedError(400, "bad_header", str(error)) from None
        if headers.api_key is None:
            raise RefusedError(
                401, "missing_api_key", "the header X-Majordomo-Key with an API key is missing"
            )
        api_key_id = self._keys.find(headers.api_key)
        if api_key_id is None:
            raise RefusedError(
                401, "invalid_api_key", "the API key in X-Majordomo-Key is unknown or revoked"
            )
        is_recorded = self._has_room()
        raw_path: bytes = scope.get("raw_path") or scope["path"].encode("utf-8")
        path = raw_path.decode("ascii", "replace")
        provider = self._targets.find(headers.provider, path)
        credential = headers.credential
        if credential is None:
            credential = credential_in_query(scope["query_string"])
        exchange = Exchange(
            api_key_id=api_key_id,
            provider=provider,
            flavour=flavour_of(provider.dialect, scope["method"], path),
            method=scope["method"],
            path=path,
            metadata=self._quota.admit(api_key_id, read_metadata(headers.majordomo)),
            alias=headers.alias.decode("utf-8", "replace") if headers.alias else None,
            credential=credential,
            credential_hash=credential_hash(credential),
            retry_attempt=headers.retry_attempt,
            request=RequestReader(
                content_encoding=headers.content_encoding, content_type=headers.content_type
            ),
            model_in_path=model_in_path(path),
            is_recorded=is_recorded,
        )
        if exchange.flavour in ASKABLE:
            exchange.asks_for_usage = provider is TO_BE_ROUTED or self._targets.asks_for_usage(
                provider, path, scope["query_string"]
            )
        return headers, exchange

    def _has_room(self) -> bool:
        """Return whether the spool can take the row of one more request.

        Raises
        ------
        RefusedError
            503 if it cannot and the settings do not say to go on without.
        """
        reason = self._shared.spool.full
        if reason is None:
            return True
        if self._settings.when_spool_full == "refuse":
            message = f"no row could be kept of this request: {reason}"
            raise RefusedError(503, "spool_full", message, retry_after_s=RETRY_AFTER_S)
        return False

    def _edit(
        self,
        body: bytes,
        scope: Scope,
        headers: RequestHeaders,
        exchange: Exchange,
        *,
        more: bool,
    ) -> bytes:
        """Return the body as the provider gets it: asked for usage, its model routed."""
        asks, exchange.asks_for_usage = exchange.asks_for_usage, False
        most = self._settings.edited_request_bytes
        text = None if more else decoded_whole(body, headers.content_encoding, most)
        if exchange.provider is TO_BE_ROUTED:
            if more:
                raise _too_large(most)
            if text is None:
                message = "the request body cannot be decompressed, which routing it needs"
                raise RefusedError(400, "no_route", message)
            provider, route = self._targets.route(exchange.request.finish().model)
            text = with_model(text, route.model)
            if text is None:
                raise RefusedError(400, "no_route", "the request body is no JSON object")
            exchange.provider, exchange.routed_model = provider, route.model
            exchange.flavour = flavour_of(provider.dialect, exchange.method, exchange.path)
            asks &= self._targets.asks_for_usage(provider, exchange.path, scope["query_string"])
            self._take_credential(provider, headers, exchange)
            body = headers.replace_body(text)
        if asks and text is not None and (asking := asking_for_usage(text)) is not None:
            exchange.asks_for_usage = True
            body = headers.replace_body(asking)
            # What is taken out again must be readable: no provider may compress it.
            headers.set("Accept-Encoding", "identity")
        return body

    def _take_credential(
        self, provider: Provider, headers: RequestHeaders, exchange: Exchange
    ) -> None:
        # The caller's own, if any, is for somebody else: the table says who is called.
        headers.drop_credentials()
        exchange.credential = exchange.credential_hash = None
        credential = self._targets.credential(provider)
        if credential is not None:
            headers.set(*credential)
            exchange.credential = credential[1].encode("utf-8")
            exchange.credential_hash = credential_hash(exchange.credential)

    def _address(self, scope: Scope, headers: RequestHeaders, exchange: Exchange) -> URL:
        query: bytes = scope["query_string"]
        query = query_without_credentials(query, also_key=exchange.routed_model is not None)
        return self._targets.url(exchange.provider, exchange.path, query, headers)

    async def _read_body(
        self, receive: Receive, headers: RequestHeaders, exchange: Exchange
    ) -> tuple[list[bytes], bool]:
        """Return the body, or its beginning if it is large, and whether more comes.

        In a list, out of which it is taken when it is sent: it may be large.
        """
        shared, limit = self._shared, self._settings.max_request_bytes
        most_memory = self._settings.request_memory_bytes
        held = BUFFERED_REQUEST_BYTES
        if exchange.asks_for_usage or exchange.provider is TO_BE_ROUTED:
            held = max(held, self._settings.edited_request_bytes)
        if (headers.content_length or 0) > limit:
            raise _too_large(limit)
        parts: list[bytes] = []
        while True:
            chunk, more = body_part(await receive())
            if not exchange.take_request_bytes(chunk, limit):
                raise _too_large(limit)
            parts.append(chunk)
            # Until its provider has taken it: one that does not fills the memory, too.
            exchange.held_bytes += len(chunk)
            shared.held_bytes += len(chunk)
            if shared.held_bytes > most_memory:
                message = (
                    "the request bodies that this worker holds for their providers take more "
                    "memory than they may (request_memory_bytes)"
                )
                raise RefusedError(503, "too_many_bytes", message, retry_after_s=RETRY_AFTER_S)
            if not more or exchange.request_bytes > held:
                return [b"".join(parts) if len(parts) > 1 else chunk], more


def _too_large(limit: int) -> RefusedError:
    return RefusedError(
        413, "request_too_large", f"the request body is larger than {limit:,} bytes"
    )

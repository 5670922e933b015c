"""The hot road's entrance: who calls, which provider is meant, what may not pass.

A plain ASGI callable. What passes goes on in a `Passage`; what does not is answered here,
before anything was sent to a provider, and has no row.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from majordomo_analytics.capture.flavours import flavour_of, model_in_path
from majordomo_analytics.capture.requests import RequestReader
from majordomo_analytics.records.metadata import KeyNameQuota, read_metadata
from majordomo_proxy.exchange import Exchange
from majordomo_proxy.headers import HeaderError, credential_hash, sort_request_headers
from majordomo_proxy.passage import CallerLeftError, Passage, Shared, body_part, send_error
from majordomo_analytics.records.providers import PROVIDERS, infer_provider, upstream_path

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from majordomo_analytics.apikeys import ApiKeyCache
    from majordomo_analytics.spool.writer import SpoolWriter
    from majordomo_proxy.headers import RequestHeaders
    from majordomo_proxy.metrics import Metrics
    from majordomo_analytics.records.providers import Provider
    from majordomo_proxy.settings import Settings

BUFFERED_REQUEST_BYTES = 256 * 1024
"""A request body up to this size is read before the provider is called, a larger one
streams through."""

AUTOMATIC_HEADERS = frozenset({"Accept", "Accept-Encoding", "Content-Type", "User-Agent"})


class RefusedError(Exception):
    """Raised when the proxy answers by itself: nothing was sent to a provider."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


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
        self._addresses = {
            name: (settings.base_url(name), urlsplit(settings.base_url(name)).path)
            for name in PROVIDERS
        }
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
                total=None,
                sock_connect=settings.connect_timeout_s,
                sock_read=settings.read_timeout_s,
            ),
            max_field_size=64 * 1024,
            max_line_size=64 * 1024,
        )

    async def stop(self, timeout_s: float) -> None:
        """Wait until no request is in flight, then close the connections."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while self.in_flight:  # noqa: ASYNC110 - an Event would cost every request
                    await asyncio.sleep(0.02)
        await self._shared.session.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Relay one request."""
        self.in_flight += 1
        try:
            try:
                headers, exchange, url = self._accept(scope)
                body, more = await self._read_body(receive, headers, exchange)
            except RefusedError as refused:
                self._metrics.count_refused(refused.reason)
                await send_error(send, refused.status, refused.reason, str(refused))
            except CallerLeftError:
                self._metrics.count_refused("caller_left")
            else:
                passage = Passage(self._shared, exchange, receive, send)
                await passage.run(url, headers, body, more=more)
        finally:
            self.in_flight -= 1

    def _accept(self, scope: Scope) -> tuple[RequestHeaders, Exchange, URL]:
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
        raw_path: bytes = scope.get("raw_path") or scope["path"].encode("utf-8")
        path = raw_path.decode("ascii", "replace")
        provider = _provider_of(headers.provider, path)
        base_url, base_path = self._addresses[provider.name]
        query: bytes = scope["query_string"]
        exchange = Exchange(
            api_key_id=api_key_id,
            provider=provider.name,
            flavour=flavour_of(provider.dialect, scope["method"], path),
            method=scope["method"],
            path=path,
            metadata=self._quota.admit(api_key_id, read_metadata(headers.majordomo)),
            alias=headers.alias.decode("utf-8", "replace") if headers.alias else None,
            credential_hash=credential_hash(headers.credential, query),
            retry_attempt=headers.retry_attempt,
            request=RequestReader(content_encoding=headers.content_encoding),
            model_in_path=model_in_path(path),
        )
        target = base_url + upstream_path(provider, base_path, path)
        if query:
            target = f"{target}?{query.decode('latin-1')}"
        return headers, exchange, URL(target, encoded=True)

    async def _read_body(
        self, receive: Receive, headers: RequestHeaders, exchange: Exchange
    ) -> tuple[bytes, bool]:
        """Return the body, or its beginning if it is large, and whether more comes."""
        limit = self._settings.max_request_bytes
        if (headers.content_length or 0) > limit:
            raise _too_large(limit)
        parts: list[bytes] = []
        while True:
            chunk, more = body_part(await receive())
            if not exchange.take_request_bytes(chunk, limit):
                raise _too_large(limit)
            parts.append(chunk)
            if not more or exchange.request_bytes > BUFFERED_REQUEST_BYTES:
                return b"".join(parts) if len(parts) > 1 else chunk, more


def _provider_of(named: bytes | None, path: str) -> Provider:
    known = ", ".join(PROVIDERS)
    if not path.startswith("/"):
        raise RefusedError(400, "bad_path", "the request target must begin with '/'")
    if named is not None:
        name = named.decode("latin-1").strip().lower()
        if name not in PROVIDERS:
            raise RefusedError(
                400,
                "unknown_provider",
                f"X-Majordomo-Provider names {name[:100]!r}, which is no provider; known: {known}",
            )
        return PROVIDERS[name]
    inferred = infer_provider(path)
    if inferred is None:
        raise RefusedError(
            400,
            "unknown_provider",
            f"the path {path[:200]!r} belongs to no provider; name one in X-Majordomo-Provider: "
            f"{known}",
        )
    return PROVIDERS[inferred]


def _too_large(limit: int) -> RefusedError:
    return RefusedError(
        413, "request_too_large", f"the request body is larger than {limit:,} bytes"
    )

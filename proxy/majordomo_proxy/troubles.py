"""What went wrong with a provider, in words that carry no address and no credential."""

from __future__ import annotations

import aiohttp

from majordomo_proxy.callers import CallerLeftError


def described(error: Exception) -> str:
    """Say what went wrong with the provider, without a URL: one may carry a credential."""
    match error:
        case CallerLeftError() | aiohttp.ClientConnectionError(__cause__=CallerLeftError()):
            return "the caller left before the whole request was there"
        case aiohttp.ConnectionTimeoutError():
            return "no connection to the provider within the time set"
        case aiohttp.ClientConnectorDNSError():
            return "the provider's host name cannot be resolved"
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientConnectorSSLError():
            return "the provider's TLS certificate or handshake was refused"
        case aiohttp.ClientConnectorError():
            return f"cannot connect to the provider: {error.os_error.strerror or 'refused'}"
        case aiohttp.ServerDisconnectedError():
            return "the provider closed the connection before it answered"
        case aiohttp.ClientPayloadError():
            return "the provider's answer broke off before its end"
        case OSError(strerror=str(reason)):
            return f"the connection to the provider broke: {reason}"
        case _:
            return f"the provider's answer could not be relayed ({type(error).__name__})"

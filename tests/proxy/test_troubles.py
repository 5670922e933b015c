"""What went wrong with a provider is said in words, by what was the reason."""

from __future__ import annotations

import aiohttp

from majordomo_proxy.callers import CallerLeftError
from majordomo_proxy.troubles import described


def test_a_caller_who_left_is_no_trouble_of_the_provider() -> None:
    """The HTTP client wraps what ended the body that it was sending."""
    wrapped = aiohttp.ClientConnectionError("Failed to send bytes into the connection")
    wrapped.__cause__ = CallerLeftError()

    assert described(wrapped) == described(CallerLeftError())
    assert "caller left" in described(wrapped)
    assert "provider closed" in described(aiohttp.ServerDisconnectedError())

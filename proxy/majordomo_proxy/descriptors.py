"""How many files and sockets a worker may open, and for how many callers that will do."""

from __future__ import annotations

import logging
import resource
from typing import NamedTuple

RESERVED = 320
"""Spools, API keys, counters, libraries, connections that are being turned away, and
connections to providers that are kept for the next request."""

logger = logging.getLogger("majordomo_proxy")


class Room(NamedTuple):
    """What a process has descriptors for.

    Attributes
    ----------
    connections
        Connections of callers.
    requests
        Requests in flight, each of which needs a connection to a provider.
    """

    connections: int
    requests: int


def make_room(connections: int, requests: int) -> Room:
    """Raise this process's limit of open files as far as it is needed and may be raised.

    Parameters
    ----------
    connections, requests
        How many there should be room for.
    """
    needed = connections + requests + RESERVED
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    room = room_within(soft if soft != resource.RLIM_INFINITY else needed, connections, requests)
    if room != (connections, requests):
        logger.warning(
            "this process may open %s files: max_connections is %s and max_requests_in_flight "
            "%s here; raise the limit (ulimit -Hn, LimitNOFILE=) for more",
            soft,
            *room,
        )
    return room


def room_within(limit: int, connections: int, requests: int) -> Room:
    """Return how many of each there is room for with `limit` descriptors.

    >>> room_within(1024, 10_000, 5_000)
    Room(connections=352, requests=352)
    >>> room_within(20_000, 10_000, 5_000)
    Room(connections=10000, requests=5000)
    """
    free = max(2, limit - RESERVED)
    requests = min(requests, max(free // 2, free - connections))
    return Room(min(connections, free - requests), requests)

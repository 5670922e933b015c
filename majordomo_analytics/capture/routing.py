"""Names another model in a request body, for a request that is routed."""

from __future__ import annotations

import msgspec

from majordomo_analytics.capture.places import are_all, members_in
from majordomo_analytics.capture.values import members, repaired


def with_model(body: bytes, model: str) -> bytes | None:
    """Return a JSON request body with another model, as it was otherwise.

    None if it is no object, or names no model.

    >>> with_model(b'{"model": "fast", "n": 1.0}', "gpt-4o-mini")
    b'{"model": "gpt-4o-mini", "n": 1.0}'
    """
    if "model" not in members(repaired(body)):
        return None
    found = members_in(body)
    if not are_all(body, found):
        return None
    native = msgspec.json.encode(model)
    for member in reversed(found):
        if member.name == b"model":
            body = body[: member.value_start] + native + body[member.end :]
    return body

"""What the proxy answers by itself, as JSON, when it does not relay."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import Send

LOG_ID = b"X-Majordomo-Log-Id"


class RefusedError(Exception):
    """Raised when the proxy answers by itself: nothing was sent to a provider."""

    def __init__(
        self, status: int, reason: str, message: str, *, retry_after_s: int | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.retry_after_s = retry_after_s


def error_response(
    status: int, kind: str, message: str, *, retry_after_s: int | None = None
) -> bytes:
    """Return such an answer as it goes over the wire, the last one of its connection."""
    body = _body(kind, message)
    lines = [
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        "content-type: application/json",
        f"content-length: {len(body)}",
        "connection: close",
    ]
    if retry_after_s is not None:
        lines.append(f"retry-after: {retry_after_s}")
    return "\r\n".join([*lines, "", ""]).encode("ascii") + body


def _body(kind: str, message: str) -> bytes:
    return json.dumps({"error": {"type": kind, "message": message}}).encode("utf-8")


async def send_error(
    send: Send,
    status: int,
    kind: str,
    message: str,
    *,
    log_id: str | None = None,
    retry_after_s: int | None = None,
) -> None:
    """Answer with an error of the proxy's own, as JSON."""
    body = _body(kind, message)
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode("ascii")),
    ]
    if retry_after_s is not None:
        headers.append((b"retry-after", str(retry_after_s).encode("ascii")))
    if log_id is not None:
        headers.append((LOG_ID, log_id.encode("ascii")))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})

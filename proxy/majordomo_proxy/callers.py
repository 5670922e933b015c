"""What an ASGI server says of a caller: the bytes he sends, and that he is gone."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import Message, Receive


class CallerLeftError(Exception):
    """Raised when the caller hangs up before the whole request was read."""


def body_part(message: Message) -> tuple[bytes, bool]:
    """Return the bytes of an ASGI request message, and whether more come.

    Raises
    ------
    CallerLeftError
        If the caller hung up instead.
    """
    if message["type"] == "http.disconnect":
        raise CallerLeftError
    return message.get("body", b""), message.get("more_body", False)


def has_left(receive: Receive) -> bool:
    """Return whether a message waits that says the caller hung up; never waits itself.

    Runs the server's `receive` up to the point where it would wait, and no further.
    """
    waiting = receive()
    if not isinstance(waiting, Coroutine):
        return False
    try:
        waiting.send(None)
    except StopIteration as done:
        return bool(done.value["type"] == "http.disconnect")
    waiting.close()
    return False

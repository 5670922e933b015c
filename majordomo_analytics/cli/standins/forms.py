"""Bodies sent as a form with files, as SDKs do that upload images."""

from __future__ import annotations

from email import message_from_bytes
from typing import Any


def read_form(content_type: str, body: bytes) -> dict[str, Any]:
    """Return a form's fields: text, the bytes of a file, or a list of a repeated name's.

    Raises
    ------
    ValueError
        If the body is no such form.
    """
    head = f"content-type: {content_type}\r\n\r\n".encode("latin-1")
    message = message_from_bytes(head + body)
    if not message.is_multipart():
        error = "the body is no multipart form"
        raise ValueError(error)
    fields: dict[str, Any] = {}
    for part in message.walk():
        if part.is_multipart():
            continue  # the form itself
        name = str(part.get_param("name", "", "content-disposition")).removesuffix("[]")
        content: Any = part.get_payload(decode=True)
        value = content if part.get_filename() else content.decode()
        if name in fields:
            before = fields[name]
            value = [*(before if isinstance(before, list) else [before]), value]
        fields[name] = value
    return fields

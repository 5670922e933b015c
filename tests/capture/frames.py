"""Frames of AWS event streams, made from the description of their bytes."""

from __future__ import annotations

import base64
import json
import struct
import zlib


def header(name: str, value: str | bytes | int | bool) -> bytes:
    """Return one header: text, bytes, a truth value, or a number of four bytes."""
    start = bytes([len(name)]) + name.encode()
    if isinstance(value, bool):
        return start + bytes([not value])
    if isinstance(value, int):
        return start + b"\x04" + struct.pack(">i", value)
    if isinstance(value, bytes):
        return start + b"\x06" + struct.pack(">H", len(value)) + value
    text = value.encode()
    return start + b"\x07" + struct.pack(">H", len(text)) + text


def raw_frame(headers: bytes, payload: bytes) -> bytes:
    """Return a frame of these headers and this payload."""
    prelude = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    message = prelude + struct.pack(">I", zlib.crc32(prelude)) + headers + payload
    return message + struct.pack(">I", zlib.crc32(message))


def frame(event: str, payload: object) -> bytes:
    """Return the frame of an event, its payload as JSON."""
    headers = header(":event-type", event) + header(":content-type", "application/json")
    text = json.dumps(payload, ensure_ascii=False, separators=(",", ":"))
    return raw_frame(headers + header(":message-type", "event"), text.encode())


def nested(document: object) -> bytes:
    """Return the frame of a chunk of InvokeModel, which holds a document in base64."""
    inside = json.dumps(document, ensure_ascii=False).encode()
    return frame("chunk", {"bytes": base64.b64encode(inside).decode(), "p": "abcdefghijkl"})


def exception(kind: str, payload: object) -> bytes:
    """Return the frame of an exception."""
    headers = header(":exception-type", kind) + header(":content-type", "application/json")
    headers += header(":message-type", "exception")
    return raw_frame(headers, json.dumps(payload).encode())

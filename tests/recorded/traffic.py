"""Recorded traffic with real providers, which is not part of this repository.

The recordings lie beside the checkout, or where ``MAJORDOMO_RECORDED`` says. Tests that
need them skip where they are absent.
"""

from __future__ import annotations

import base64
import gzip
import json
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PLACE = Path(__file__).resolve().parents[3] / "shared" / "recorded" / "traffic.jsonl.gz"


@dataclass(frozen=True, slots=True)
class Exchange:
    """One recorded request and the response to it.

    Attributes
    ----------
    line
        Line of the recordings, counted from 1: the name of this exchange.
    provider, host
        Who was called.
    method, path
        As they were sent, the path with its query.
    request_body
        The body that was sent, empty if there was none.
    status
        HTTP status of the response.
    content_type, content_encoding
        Headers of the response, None where the recorder kept none.
    response_body
        The bytes as they were received, compressed if they were.
    form
        `json`, `json-array`, `ndjson`, `sse`, or something binary.
    """

    line: int
    provider: str
    host: str
    method: str
    path: str
    request_body: bytes
    status: int
    content_type: str | None
    content_encoding: str | None
    response_body: bytes
    form: str

    def __str__(self) -> str:
        return f"#{self.line} {self.provider} {self.path.partition('?')[0]}"

    @property
    def text(self) -> bytes:
        """The response without its compression."""
        if self.response_body.startswith(b"\x1f\x8b"):
            return gzip.decompress(self.response_body)
        return self.response_body


def place() -> Path:
    """Return where the recordings are, or would be."""
    return Path(os.environ.get("MAJORDOMO_RECORDED") or PLACE)


def are_absent() -> bool:
    """Return whether there are no recordings to read."""
    return not place().is_file()


WHY_ABSENT = "no recorded traffic here; set MAJORDOMO_RECORDED to a traffic.jsonl.gz"


@cache
def exchanges() -> tuple[Exchange, ...]:
    """Return every recorded exchange, in order; none if the recordings are absent."""
    if are_absent():
        return ()
    with gzip.open(place(), "rt", encoding="utf-8") as lines:
        return tuple(_exchange(number, json.loads(line)) for number, line in enumerate(lines, 1))


def _exchange(number: int, row: dict[str, str | int | None]) -> Exchange:
    return Exchange(
        line=number,
        provider=str(row["provider"]),
        host=str(row["host"]),
        method=str(row["method"]).upper(),
        path=str(row["path"]),
        request_body=str(row["request_body"] or "").encode("utf-8"),
        status=int(row["status"] or 0),
        content_type=_text(row["response_content_type"]),
        content_encoding=_text(row["response_content_encoding"]),
        response_body=base64.b64decode(str(row["response_body"])),
        form=str(row["form"]),
    )


def _text(value: str | int | None) -> str | None:
    return None if value is None else str(value)

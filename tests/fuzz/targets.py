"""What the fuzzer feeds with made-up bytes, and what must hold whatever they are.

A target takes any bytes. It raises if a parser lets an exception out, says what cannot be,
or takes longer or holds more than the length of its input explains.
"""

from __future__ import annotations

import json
import time
import tracemalloc
from collections.abc import Callable
from typing import Any, get_args

from majordomo_analytics.capture.asking import asking_for_usage
from majordomo_analytics.capture.encodings import Decoder
from majordomo_analytics.capture.flavours import Flavour, flavour_of, model_in_path
from majordomo_analytics.capture.reader import UsageReader
from majordomo_analytics.capture.requests import RequestReader
from majordomo_analytics.capture.routing import with_model
from majordomo_analytics.capture.taking import UsageTaker
from majordomo_analytics.records.request import RequestRecord, decode_record, encode_record
from majordomo_analytics.records.usage import MAX_COUNT, WHOLE_OF
from tests.support.records import a_record

FLAVOURS: tuple[Flavour, ...] = get_args(Flavour)
ENCODINGS = (None, "gzip", "deflate", "br", "zstd", "gzip, br", "identity", "nonsense")
MOST_CPU_S = 0.05
CPU_PER_BYTE_S = 50e-6
MOST_BYTES = 8 * 2**20
BYTES_PER_BYTE = 64

Target = Callable[[bytes], None]


def cut(body: bytes, seed: int) -> list[bytes]:
    """Return the body in pieces whose sizes follow from `seed`."""
    sizes = (len(body) + 1, 1, 7, 64, 1024)
    size = sizes[seed % len(sizes)]
    return [body[at : at + size] for at in range(0, len(body), size)]


def answers(data: bytes) -> None:
    """Read bytes as an answer of some flavour in some encoding, cut somehow."""
    if len(data) < 3:
        return
    flavour = FLAVOURS[data[0] % len(FLAVOURS)]
    encoding = ENCODINGS[data[1] % len(ENCODINGS)]
    reader = UsageReader(
        flavour,
        content_encoding=encoding,
        headers={"x-amzn-bedrock-input-token-count": data[3:9].decode("latin-1")},
        adds_reasoning=bool(data[2] & 1),
    )
    for chunk in cut(data[3:], data[2]):
        reader.feed(chunk)
    captured = reader.finish(complete=bool(data[2] & 2))
    usage = captured.usage
    for name in (*WHOLE_OF, "input_tokens", "output_tokens"):
        count = getattr(usage, name)
        assert count is None or (type(count) is int and 0 <= count <= MAX_COUNT), name
    if usage.status == "missing":
        assert usage.input_tokens is None or usage.output_tokens is None
    record = a_record(
        usage=usage,
        model=captured.model,
        response_id=captured.response_id,
        error_message=captured.error_message,
        flags=captured.flags,
    )
    again: RequestRecord = decode_record(encode_record(record))
    assert again == record


def requests(data: bytes) -> None:
    """Read bytes as a request body of some encoding and content type."""
    if len(data) < 3:
        return
    content_types = (None, "application/json", "multipart/form-data; boundary=b", "text/plain")
    reader = RequestReader(
        content_encoding=ENCODINGS[data[1] % len(ENCODINGS)],
        content_type=content_types[data[0] % len(content_types)],
    )
    for chunk in cut(data[3:], data[2]):
        reader.feed(chunk)
    facts = reader.finish()
    assert facts.model is None or "\x00" not in facts.model


def loaded(body: bytes) -> dict[str, Any]:
    """Return a JSON body as Python reads it, bad UTF-8 and control characters let pass."""
    read: dict[str, Any] = json.loads(body.decode("utf-8", "replace"), strict=False)
    return read


def edits(data: bytes) -> None:
    """Edit bytes as a request body; what can be edited was JSON and still is."""
    asking = asking_for_usage(data)
    if asking is not None:
        assert loaded(asking)["stream_options"]["include_usage"] is True
        assert asking_for_usage(asking) is None
    routed = with_model(data, "other")
    if routed is not None:
        assert loaded(routed)["model"] == "other"


def streams(data: bytes) -> None:
    """Take usage out of bytes as a stream; cuts change nothing, and nothing is added."""
    if not data:
        return
    whole = UsageTaker()
    expected = whole.feed(data[1:]) + whole.finish()
    taker = UsageTaker()
    taken = b"".join(taker.feed(chunk) for chunk in cut(data[1:], data[0])) + taker.finish()
    assert taken == expected
    assert len(taken) <= len(data) - 1


def encodings(data: bytes) -> None:
    """Undo an encoding; what comes out is bounded."""
    if len(data) < 2:
        return
    sizes = [0]

    def take(piece: bytes) -> None:
        sizes[0] += len(piece)

    decoder = Decoder(ENCODINGS[data[0] % len(ENCODINGS)], take)
    for chunk in cut(data[2:], data[1]):
        decoder.feed(chunk)
    decoder.finish()
    assert sizes[0] <= 512 * 2**20


def paths(data: bytes) -> None:
    """Read bytes as the path of a request."""
    path = data.decode("ascii", "replace")
    for dialect in ("openai", "anthropic", "gemini", "cohere", "bedrock"):
        flavour_of(dialect, "POST", path)
    model_in_path(path)


TARGETS: dict[str, Target] = {
    target.__name__: target for target in (answers, requests, edits, streams, encodings, paths)
}


def bounded(target: Target, data: bytes, *, with_memory: bool) -> None:
    """Run a target; raise if time or memory are out of proportion to the input.

    Time is measured again before it is held against a parser: the machine may have been
    busy with something else.
    """
    most_s = MOST_CPU_S + CPU_PER_BYTE_S * len(data)
    for _ in range(3):
        began = time.process_time()
        target(data)
        took_s = time.process_time() - began
        if took_s <= most_s:
            break
    else:
        message = f"{target.__name__} took {took_s:.3f} s for {len(data)} bytes"
        raise AssertionError(message)
    if with_memory:
        tracemalloc.start()
        target(data)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak <= MOST_BYTES + BYTES_PER_BYTE * len(data), (target.__name__, peak)

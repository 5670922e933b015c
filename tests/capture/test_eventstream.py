"""AWS event streams: frames are checked, and say the same however they are cut."""

from __future__ import annotations

import base64
import json
import random
import struct
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from majordomo_analytics.capture.eventstream import Frames, is_prelude
from majordomo_analytics.capture.flavours import Flavour
from majordomo_analytics.capture.reader import UsageReader
from majordomo_analytics.records import flags
from tests.capture.bodies import known, read
from tests.capture.bodies_clouds import (
    CONVERSE_COUNTS,
    CONVERSE_EVENTS,
    CONVERSE_METADATA,
    NOVA_LAST,
)
from tests.capture.frames import exception, frame, header, nested, raw_frame

MEGABYTE = 1024 * 1024
KEPT = {b"metadata": {b"usage": None}, b"chunk": {b"usage": None}, b"error": None}
STREAM = b"".join((*CONVERSE_EVENTS, CONVERSE_METADATA))


def documents(*chunks: bytes, held: int = 65_536) -> tuple[list[object], Frames]:
    """Return the documents of a stream that comes in these chunks, and its reader."""
    found: list[object] = []

    def take(document: bytes) -> bool:
        try:
            found.append(json.loads(document))
        except ValueError:
            return False
        return True

    frames = Frames(KEPT, take, held)
    for chunk in chunks:
        frames.feed(chunk)
    frames.finish()
    return found, frames


def test_layout_is_that_of_the_published_example() -> None:
    """A frame is four bytes each of length, header length and checksum, then the rest.

    The bytes are written out, so that the tests do not agree with themselves alone.
    """
    expected = bytes.fromhex("0000003d 00000020 07fd8396") + b"\x0ccontent-type\x07\x00\x10"
    expected += b"application/json" + b"{'foo':'bar'}" + bytes.fromhex("8d9c08b1")

    assert raw_frame(header("content-type", "application/json"), b"{'foo':'bar'}") == expected
    assert is_prelude(expected)
    assert documents(expected)[1].is_whole


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (STREAM[:12], True),
        (STREAM[:11], False),
        (b"\0" * 12, False),
        (struct.pack(">III", 15, 0, zlib.crc32(struct.pack(">II", 15, 0))), False),
        (struct.pack(">III", 16, 0, zlib.crc32(struct.pack(">II", 16, 0))), True),
        (struct.pack(">III", 20, 5, zlib.crc32(struct.pack(">II", 20, 5))), False),
        (struct.pack(">III", 2**30, 2**20, zlib.crc32(struct.pack(">II", 2**30, 2**20))), False),
        (b'{"usage": {}}', False),
    ],
)
def test_prelude_is_known_by_its_checksum(head: bytes, *, expected: bool) -> None:
    """A frame begins where the checksum is right and the lengths leave room for it."""
    assert is_prelude(head) is expected


def test_events_are_documents_by_their_names() -> None:
    """An event that is wanted is its payload under its name; others are empty documents."""
    stream = frame("messageStart", {"role": "assistant"}) + frame("metadata", {"usage": {"a": 1}})
    expected = [{}, {"metadata": {"usage": {"a": 1}}}]

    assert documents(stream)[0] == expected
    for cut in range(len(stream) + 1):
        assert documents(stream[:cut], stream[cut:])[0] == expected, cut


@pytest.mark.parametrize("held", [8, 100, 65_536])
def test_document_in_base64_is_taken_out(held: int) -> None:
    """The payload of a chunk is the document inside, be the frame held or scanned."""
    stream = nested({"usage": {"a": 1}, "text": "Grüße ⚓"}) + nested({"usage": {"a": 2}})

    found, frames = documents(stream, held=held)

    assert [one["chunk"]["usage"] for one in found] == [{"a": 1}, {"a": 2}]  # type: ignore[index]
    assert frames.is_whole
    for size in (1, 3, 7):
        pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
        assert documents(*pieces, held=held)[0] == found


@pytest.mark.parametrize(
    "payload",
    [
        '{"p": "ab", "bytes": "%s"}',
        '{"bytes":"%s","p":"ab"}',
        '{ "bytes" :\n"%s" }',
    ],
)
@pytest.mark.parametrize("held", [8, 65_536])
def test_members_of_a_chunk_come_in_any_order(payload: str, held: int) -> None:
    """Padding before or after the document, and slashes written escaped, change nothing."""
    inside = base64.b64encode('{"usage": {"a": "ÿÿÿ?"}}'.encode()).decode().replace("/", "\\/")
    headers = header(":event-type", "chunk") + header(":message-type", "event")
    stream = raw_frame(headers, (payload % inside).encode())

    assert "\\/" in inside
    assert documents(stream, held=held)[0] == [{"chunk": {"usage": {"a": "ÿÿÿ?"}}}]


@pytest.mark.parametrize("held", [8, 65_536])
@pytest.mark.parametrize("text", ["a===", "=", "AAAA====", "e30", "\\u0065", ""])
def test_chunk_that_is_no_base64_is_passed_over(text: str, held: int) -> None:
    """A chunk with nonsense inside says nothing, and the one after it is read."""
    headers = header(":event-type", "chunk") + header(":message-type", "event")
    odd = raw_frame(headers, b'{"bytes":"%b"}' % text.encode())

    found, frames = documents(odd + nested({"usage": {"a": 1}}), held=held)

    assert found[-1] == {"chunk": {"usage": {"a": 1}}}
    assert frames.is_whole


@pytest.mark.parametrize(
    "headers",
    [
        header("zone", "eu") + header("flag", True) + header("off", False),
        header("number", -7) + header("blob", b"\x07\x00\xff"),
        b"\x02at\x08" + bytes(8) + b"\x02id\x09" + bytes(16),
        b"\x01b\x02\x01" + b"\x01s\x03\x00\x01" + b"\x01l\x05" + bytes(8),
    ],
)
def test_headers_of_every_type_are_passed_over(headers: bytes) -> None:
    """What stands before the name of an event, of any type, does not hide it."""
    stream = raw_frame(headers + header(":event-type", "metadata"), b'{"usage":{"a":1}}')

    assert documents(stream)[0] == [{"metadata": {"usage": {"a": 1}}}]


@pytest.mark.parametrize("headers", [b"\xff", b"\x03ab", b"\x01a\x07", b"\x01a\x63\x00", b""])
def test_headers_that_cannot_be_read_name_nothing(headers: bytes) -> None:
    """Sound frames with headers of nonsense are empty documents and no damage."""
    found, frames = documents(raw_frame(headers, b'{"usage":{"a":1}}'))

    assert found == [{}]
    assert frames.is_whole


@pytest.mark.parametrize("held", [8, 65_536])
def test_damage_anywhere_stops_the_reading(held: int) -> None:
    """One wrong bit in a frame, wherever it is, loses that frame and all after it."""
    first, second = frame("metadata", {"usage": {"a": 1}}), frame("metadata", {"usage": {"a": 2}})
    stream = first + second + first
    for at in range(len(first), len(first) + len(second)):
        damaged = bytearray(stream)
        damaged[at] ^= 0x20

        found, frames = documents(bytes(damaged), held=held)

        assert found == [{"metadata": {"usage": {"a": 1}}}], at
        # A length that grew waits for bytes that never come: cut, or damaged.
        assert not frames.is_whole
        assert frames.is_damaged


def test_damage_is_flagged_and_makes_usage_partial() -> None:
    """Usage before the damage is kept; the row says that not all could be read."""
    usage = frame("metadata", {"usage": {"inputTokens": 3, "outputTokens": 4}})
    damaged = usage[:-1] + bytes([usage[-1] ^ 1])

    captured = read("converse", usage + damaged)
    assert known(captured) == {"input_tokens": 3, "output_tokens": 4}
    assert captured.flags == (flags.BODY_NOT_READ,)

    captured = read("converse", damaged, usage)
    assert captured.usage.status == "missing"
    assert captured.flags == (flags.BODY_NOT_READ,)


@pytest.mark.parametrize(
    ("last", "message"),
    [
        (exception("throttlingException", {"message": "Too many requests"}), "Too many requests"),
        (exception("throttlingException", {"Message": "Too many"}), "Too many"),
        (exception("modelTimeoutException", {}), "modelTimeoutException"),
        (exception("modelTimeoutException", {"message": None}), "modelTimeoutException"),
        (
            raw_frame(
                header(":message-type", "error")
                + header(":error-code", "InternalError")
                + header(":error-message", "It broke"),
                b"",
            ),
            "It broke",
        ),
        (
            raw_frame(header(":message-type", "error") + header(":error-code", "Internal"), b""),
            "Internal",
        ),
        (raw_frame(header(":message-type", "exception"), b"5"), "unknown"),
    ],
)
@pytest.mark.parametrize("flavour", ["converse", "invoke", "invoke_agent"])
def test_exception_after_a_success_is_an_error(flavour: Flavour, last: bytes, message: str) -> None:
    """A stream that is or ends in an exception says so, whatever the status was."""
    for stream in (last, b"".join(CONVERSE_EVENTS) + last):
        captured = read(flavour, stream)

        assert captured.error_message == message
        assert captured.flags == (flags.ERROR_IN_STREAM,)
        assert captured.usage.status == "missing"
        assert captured.is_streamed


def test_exception_after_usage_keeps_it() -> None:
    """Counts that were stated before an exception stand."""
    captured = read("converse", STREAM + exception("internalServerException", {"message": "Late"}))

    assert captured.error_message == "Late"
    assert captured.usage.input_tokens == CONVERSE_COUNTS["input_tokens"]


def test_stream_without_its_last_event_is_missing() -> None:
    """A stream that ended before its usage has none, and nothing is odd about its bytes."""
    captured = read("converse", b"".join(CONVERSE_EVENTS))

    assert captured.usage.status == "missing"
    assert captured.flags == ()
    assert captured.is_streamed


def test_frame_cut_short_is_dropped() -> None:
    """A frame without its checksum is not believed, and no damage."""
    captured = read("converse", STREAM[:-1], complete=False)

    assert captured.usage.status == "missing"
    assert captured.flags == ()


@given(data=st.data(), held=st.sampled_from([8, 60, 65_536]))
def test_cuts_of_any_size_change_nothing(data: st.DataObject, held: int) -> None:
    """A stream says the same in one piece and in any others, small frames or large."""
    stream = STREAM + nested(NOVA_LAST) + exception("x", {"message": "no"}) + CONVERSE_METADATA
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=30)))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]

    assert documents(*pieces, held=held)[0] == documents(stream, held=held)[0]


NAMES = (
    *("usage", "metadata", "message", "type", "inputTokens", "outputTokens", "cacheDetails"),
    *("choices", "meta", "billed_units", "results", "tokenCount", "trace", "traceId", "error"),
    *("orchestrationTrace", "modelInvocationOutput", "modelInvocationInput", "embedding"),
    *("foundationModel", "amazon-bedrock-invocationMetrics", "inputTokenCount", "serviceTier"),
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 9) | st.floats() | st.sampled_from(NAMES),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(
    payloads=st.lists(ANYTHING, min_size=1, max_size=4),
    event=st.sampled_from(["metadata", "trace", "usage", "nested"]),
    flavour=st.sampled_from(["converse", "invoke", "invoke_agent"]),
    data=st.data(),
)
def test_events_of_any_kind_say_the_same_at_every_cut(
    payloads: list[object], event: str, flavour: Flavour, data: st.DataObject
) -> None:
    """Whatever JSON is in an event, the reader does not raise and no cut is seen."""
    parts = [nested(one) if event == "nested" else frame(event, one) for one in payloads]
    stream = b"".join(parts)
    cut = data.draw(st.integers(0, len(stream)))

    assert read(flavour, stream[:cut], stream[cut:]) == read(flavour, stream)


@given(noise=st.binary(max_size=300), at=st.integers(0, len(STREAM)))
def test_noise_is_survived(noise: bytes, at: int) -> None:
    """Any bytes after any part of a stream never make the reader raise."""
    read("converse", STREAM[:at] + noise)
    read("invoke", STREAM[:at], noise)
    read("invoke_agent", noise, STREAM[at:])


@given(payload=st.binary(max_size=200), event=st.sampled_from(["metadata", "chunk", "trace"]))
def test_sound_frames_of_any_payload_are_survived(payload: bytes, event: str) -> None:
    """A frame whose checksums are right may hold anything."""
    headers = header(":event-type", event) + header(":message-type", "event")
    inside = json.dumps({"bytes": base64.b64encode(payload).decode()}).encode()
    for body in (raw_frame(headers, payload), raw_frame(headers, inside)):
        for held in (8, 65_536):
            documents(body + STREAM, held=held)
        for flavour in ("converse", "invoke", "invoke_agent"):
            read(flavour, body)


def test_text_of_an_agent_is_no_document() -> None:
    """What an agent answers is text, and is not read as if the provider had said it."""
    text = b'1, "trace": {"trace": {"orchestrationTrace": {"modelInvocationOutput": {"metadata": '
    text += b'{"usage": {"inputTokens": 9, "outputTokens": 9}}}}}}, "x": 1'
    stream = frame("chunk", {"bytes": base64.b64encode(text).decode()})

    assert read("invoke_agent", stream).usage.status == "missing"


@pytest.mark.parametrize("is_nested", [False, True])
def test_frame_of_many_megabytes_is_scanned(*, is_nested: bool) -> None:
    """A frame far larger than what is held is read to its end in little memory."""
    usage = {"inputTokens": 3, "outputTokens": 4}
    noise = base64.b64encode(random.Random(5).randbytes(12 * MEGABYTE)).decode()
    if is_nested:
        stream = nested({"noise": noise, "metadata": {"usage": usage}})
    else:
        stream = frame("metadata", {"noise": noise, "usage": usage})
    pieces = [stream[at : at + 65_536] for at in range(0, len(stream), 65_536)]
    reader = UsageReader("invoke" if is_nested else "converse")
    tracemalloc.start()
    try:
        for piece in pieces:
            reader.feed(piece)
        captured = reader.finish(complete=True)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert known(captured) == {"input_tokens": 3, "output_tokens": 4}
    assert captured.flags == ()
    assert peak < 2 * MEGABYTE


def test_chunk_without_a_document_is_flagged_if_it_is_large() -> None:
    """A large chunk in which no document begins is dropped, and the row says so."""
    stream = frame("chunk", {"noise": "x" * 100_000, "bytes": "e30="}) + nested(NOVA_LAST)

    for size in (1000, 65_536, len(stream)):
        pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
        captured = read("invoke", *pieces)
        assert captured.flags == (flags.BODY_TOO_LARGE,)
        assert captured.usage.output_tokens == 55


def test_stream_is_found_inside_gzip() -> None:
    """The form is known by its first bytes, compressed or not."""
    compressor = zlib.compressobj(wbits=31)
    body = compressor.compress(STREAM) + compressor.flush()

    assert read("converse", body) == read("converse", STREAM)

"""Memory stays small however large an answer is and whatever its form."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator

import pytest

from majordomo_analytics.capture.reader import UsageReader

MEGABYTE = 1024 * 1024
PIECE = 64 * 1024
USAGE = b'"usage": {"prompt_tokens": 3, "completion_tokens": 4}, "model": "m"}'


def long_text(pieces: int) -> Iterator[bytes]:
    yield b'{"choices": [{"message": {"content": "'
    for _ in range(pieces):
        yield b"lorem ip" * (PIECE // 8)
    yield b'"}}], ' + USAGE


def numbers(pieces: int) -> Iterator[bytes]:
    yield b'{"data": [{"embedding": ['
    for _ in range(pieces):
        yield b"0.01562," * (PIECE // 8)
    yield b"0]}], " + USAGE


def one_line_of_events(pieces: int) -> Iterator[bytes]:
    yield b"data: "
    yield from long_text(pieces)
    yield b"\n\n"


def comment(pieces: int) -> Iterator[bytes]:
    yield b": "
    for _ in range(pieces):
        yield b"keep on " * (PIECE // 8)
    yield b"\n\ndata: {" + USAGE + b"\n\n"


def empty_data_lines(pieces: int) -> Iterator[bytes]:
    for _ in range(pieces // 50):
        yield b"data:\n" * (PIECE // 6)
    yield b"data: {" + USAGE + b"\n\n"


def spaces(pieces: int) -> Iterator[bytes]:
    for _ in range(pieces):
        yield b"\n" * PIECE
    yield b"{" + USAGE


def items(pieces: int) -> Iterator[bytes]:
    yield b'{"object": "response", "output": ['
    for _ in range(pieces):
        yield b'{"type": "message", "content": "' + b"lorem ip" * (PIECE // 8) + b'"}, '
    yield b'{"type": "web_search_call", "action": {"type": "search"}}], '
    yield b'"usage": {"input_tokens": 3, "output_tokens": 4}, "model": "m"}'


def test_response_of_two_hundred_megabytes_needs_a_few() -> None:
    """What is counted in a long output is found, and the output is not held."""
    reader = UsageReader("responses")
    tracemalloc.start()
    try:
        for chunk in items(200 * MEGABYTE // PIECE):
            reader.feed(chunk)
        captured = reader.finish(complete=True)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (captured.usage.input_tokens, captured.usage.web_searches) == (3, 1)
    assert peak < 8 * MEGABYTE


@pytest.mark.parametrize(
    "answer", [long_text, numbers, one_line_of_events, comment, empty_data_lines, spaces]
)
def test_two_hundred_megabytes_need_a_few(answer: Callable[[int], Iterator[bytes]]) -> None:
    """An answer of 200 MB is read to its end, and only a little of it is ever held."""
    reader = UsageReader("chat")
    tracemalloc.start()
    try:
        for chunk in answer(200 * MEGABYTE // PIECE):
            reader.feed(chunk)
        captured = reader.finish(complete=True)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (captured.usage.input_tokens, captured.usage.output_tokens) == (3, 4)
    assert captured.model == "m"
    assert peak < 8 * MEGABYTE

"""Columns of text made from numbers, without a Python string for each of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from majordomo_analytics.sampling.chance import Ints, Words

_DIGITS = np.frombuffer(b"0123456789abcdef", np.uint8)
_PAIRS = np.stack([_DIGITS[np.arange(256) >> 4], _DIGITS[np.arange(256) & 15]], axis=1)
_DASHES = (8, 13, 18, 23)
_UUID_CHARACTERS = 36


def joined(prefix: str, words: Words, *, digits: int) -> pa.Array:
    """Return texts of a prefix and the last hexadecimal digits of each word.

    >>> joined("s-", np.array([0x1F, 0xABC], np.uint64), digits=4).to_pylist()
    ['s-001f', 's-0abc']
    """
    head = np.frombuffer(prefix.encode(), np.uint8)
    text = np.empty((len(words), len(head) + digits), np.uint8)
    text[:, : len(head)] = head
    text[:, len(head) :] = _hexadecimal(words)[:, 16 - digits :]
    return _texts(text)


def uuids(instants_us: Ints, words: Words) -> pa.Array:
    """Return UUIDv7 of instants, in microseconds since 1970, and of random words.

    The 12 bits after the version hold the part of the millisecond (RFC 9562, section 6.2),
    so that ids sort as their instants do.

    >>> uuids(np.array([1_780_272_000_123_500]), np.array([7], np.uint64)).to_pylist()
    ['019e807a-ec7b-7800-8000-000000000007']
    """
    milliseconds, rest = np.divmod(instants_us, 1000)
    high = milliseconds << 16 | 0x7000 | rest * 4096 // 1000
    low = words & np.uint64(2**62 - 1) | np.uint64(2**63)
    digits = np.concatenate([_hexadecimal(high.astype(np.uint64)), _hexadecimal(low)], axis=1)
    text = np.full((len(words), _UUID_CHARACTERS), ord("-"), np.uint8)
    text[:, [n for n in range(_UUID_CHARACTERS) if n not in _DASHES]] = digits
    return _texts(text)


def _hexadecimal(words: Words) -> np.ndarray:
    """Return the 16 digits of each word."""
    octets = words.astype(">u8").view(np.uint8).reshape(-1, 8)
    return _PAIRS[octets].reshape(-1, 16)


def _texts(text: np.ndarray) -> pa.Array:
    """Return rows of equally many ASCII characters as texts."""
    rows, width = text.shape
    offsets = np.arange(0, rows * width + 1, max(width, 1), dtype=np.int32)
    return pa.StringArray.from_buffers(rows, pa.py_buffer(offsets), pa.py_buffer(text.copy()))

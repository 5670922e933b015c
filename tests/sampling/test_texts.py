"""Texts made from numbers are those that Python makes of them."""

from __future__ import annotations

import uuid
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from majordomo_analytics.sampling.texts import joined, uuids

WORDS = st.lists(st.integers(0, 2**64 - 1), max_size=20)


@given(words=WORDS, digits=st.integers(1, 16), prefix=st.text("abc-", max_size=4))
def test_a_word_is_written_in_hexadecimal(words: list[int], digits: int, prefix: str) -> None:
    made = joined(prefix, np.array(words, np.uint64), digits=digits)

    made.validate(full=True)
    assert made.to_pylist() == [prefix + f"{word:016x}"[16 - digits :] for word in words]


@given(data=st.lists(st.tuples(st.integers(0, 2**47 * 1000), st.integers(0, 2**64 - 1))))
def test_ids_are_uuids_of_version_7_with_their_millisecond(data: list[Any]) -> None:
    made = uuids(
        np.array([at for at, _ in data], np.int64), np.array([word for _, word in data], np.uint64)
    )

    made.validate(full=True)
    for text, (at, _) in zip(made.to_pylist(), data, strict=True):
        read = uuid.UUID(text)
        assert str(read) == text
        assert read.version == 7
        assert read.variant == uuid.RFC_4122
        assert read.int >> 80 == at // 1000


@given(at=st.lists(st.integers(0, 2**45), min_size=2, unique=True), word=st.integers(0, 2**64 - 1))
def test_ids_sort_as_their_microseconds_do(at: list[int], word: int) -> None:
    at = sorted(at)
    rng = np.random.default_rng(word)
    words = rng.integers(0, 2**63, len(at)).astype(np.uint64)
    made = uuids(np.array(at, np.int64), words).to_pylist()

    # 4096 steps a millisecond are finer than a microsecond.
    assert made == sorted(made)
    assert len(set(made)) == len(made)

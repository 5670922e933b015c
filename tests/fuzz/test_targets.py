"""What the fuzzer demands holds for the bodies it begins with, and for random bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.seeds import seeds
from tests.fuzz.targets import TARGETS, bounded


@pytest.mark.parametrize("name", TARGETS)
def test_first_inputs_hold(name: str) -> None:
    """Time and memory stay in proportion, and nothing escapes."""
    inputs = seeds(name)
    assert inputs
    for data in inputs:
        bounded(TARGETS[name], data, with_memory=True)


@pytest.mark.parametrize("name", TARGETS)
def test_random_bytes_hold(name: str) -> None:
    @given(st.binary(max_size=2000))
    def holds(data: bytes) -> None:
        TARGETS[name](data)

    holds()


@pytest.mark.parametrize("name", ["answers", "streams", "requests"])
def test_cut_and_changed_bodies_hold(name: str) -> None:
    """A real body with a piece taken out and another put in is no reason to raise."""
    inputs = seeds(name)

    @given(st.sampled_from(inputs), st.data())
    def holds(body: bytes, data: st.DataObject) -> None:
        start = data.draw(st.integers(0, len(body)))
        end = data.draw(st.integers(start, len(body)))
        TARGETS[name](body[:start] + data.draw(st.binary(max_size=40)) + body[end:])

    holds()

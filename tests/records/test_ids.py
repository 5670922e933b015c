"""Row ids are UUIDv7: unique, and sorted by the time they were made."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING

from majordomo_analytics.records.ids import new_request_id

if TYPE_CHECKING:
    import pytest


def test_an_id_is_a_uuid_of_version_7_in_canonical_text() -> None:
    text = new_request_id()
    parsed = uuid.UUID(text)

    assert str(parsed) == text
    assert (parsed.version, parsed.variant) == (7, uuid.RFC_4122)


def test_the_first_48_bits_are_the_unix_time_in_milliseconds() -> None:
    before = time.time_ns() // 1_000_000
    stamp = int(new_request_id().replace("-", "")[:12], 16)
    after = time.time_ns() // 1_000_000

    assert before <= stamp <= after


def test_ids_of_later_milliseconds_sort_after_earlier_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As text, so that the lake, Postgres and a file name all agree."""
    instants = [1, 255, 256, 1_700_000_000_000, 1_700_000_000_001, 2**48 - 1]
    made = []
    for instant in instants:
        monkeypatch.setattr(time, "time_ns", lambda ms=instant: ms * 1_000_000)
        made.append(new_request_id())

    assert made == sorted(made)


def test_ids_of_one_millisecond_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: 1_700_000_000_000_000_000)

    assert len({new_request_id() for _ in range(20_000)}) == 20_000

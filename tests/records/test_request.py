"""The record of a request and its bytes in the spool."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from majordomo_analytics.errors import SpoolError
from majordomo_analytics.records.request import (
    RECORD_VERSION,
    Outcome,
    RequestRecord,
    decode_record,
    encode_record,
)
from majordomo_analytics.records.usage import MAX_COUNT, Usage

texts = st.text(st.characters(codec="utf-8"), max_size=40)
instants = st.datetimes(timezones=st.just(UTC))
counts = st.integers(0, MAX_COUNT)
usages = st.builds(
    Usage,
    input_tokens=st.none() | counts,
    cached_tokens=st.none() | counts,
    output_tokens=st.none() | counts,
    stated_cost=st.none() | texts,
    status=st.sampled_from(["reported", "partial", "estimated", "missing"]),
    source=st.none() | st.sampled_from(["body", "stream_final", "stream_partial", "header"]),
    raw=st.none() | texts,
    flags=st.lists(texts).map(tuple),
)
records = st.builds(
    RequestRecord,
    id=texts,
    requested_at=instants,
    responded_at=st.none() | instants,
    response_time_ms=st.none() | counts,
    provider=texts,
    model=st.none() | texts,
    request_method=texts,
    request_path=texts,
    status_code=st.none() | st.integers(100, 599),
    outcome=st.sampled_from(get_args(Outcome)),
    error_message=st.none() | texts,
    is_streamed=st.none() | st.booleans(),
    usage=usages,
    metadata=st.dictionaries(texts, texts),
    flags=st.lists(texts).map(tuple),
)
RECORD = RequestRecord(
    id="018f3f5e-0000-7000-8000-000000000000",
    requested_at=datetime(2026, 11, 1, 12, 30, 0, 123456, tzinfo=UTC),
    provider="openai",
    request_method="POST",
    request_path="/v1/chat/completions",
    outcome="completed",
)


@given(record=records)
def test_a_record_comes_back_from_its_bytes_as_it_was(record: RequestRecord) -> None:
    assert decode_record(encode_record(record)) == record


def test_an_instant_keeps_its_microseconds_and_stays_utc() -> None:
    again = decode_record(encode_record(RECORD)).requested_at

    assert again == RECORD.requested_at
    assert again.utcoffset() == timedelta(0)


def test_the_bytes_are_json_that_leaves_out_what_is_not_known() -> None:
    """A row that waits can be read by eye, and null costs no space."""
    assert json.loads(encode_record(RECORD)) == {
        "id": "018f3f5e-0000-7000-8000-000000000000",
        "requested_at": "2026-11-01T12:30:00.123456Z",
        "provider": "openai",
        "request_method": "POST",
        "request_path": "/v1/chat/completions",
        "outcome": "completed",
    }


def test_a_field_of_an_older_record_that_is_gone_by_now_is_ignored() -> None:
    """A newer drain reads older spools."""
    older = json.loads(encode_record(RECORD)) | {"no_longer_known": 1}

    assert decode_record(json.dumps(older).encode()) == RECORD


@pytest.mark.parametrize(
    ("stored", "attempt"),
    [
        ({"attempt": 2}, 2),
        ({"attempt": 0}, 0),
        ({"attempt": 2, "retry_attempt": 1}, 1),
        ({"attempt": "often"}, None),
        ({"attempt": None}, None),
        ({"metadata": {"attempt": "3"}}, None),
    ],
)
def test_the_attempt_of_a_spool_that_an_earlier_version_wrote_is_not_lost(
    stored: dict[str, object], attempt: int | None
) -> None:
    """The field has another name by now; the new one goes first where both are."""
    older = json.loads(encode_record(RECORD)) | stored

    assert decode_record(json.dumps(older).encode()).retry_attempt == attempt


@pytest.mark.parametrize(
    "changed", [{}, {"outcome": "paused"}, {"requested_at": 17}, {"usage": [1, 2]}]
)
def test_a_record_of_a_newer_version_is_refused_by_name(changed: dict[str, object]) -> None:
    """Whatever the newer version changed: the way out is an upgrade, not a repair."""
    newer = json.loads(encode_record(RECORD)) | {"version": RECORD_VERSION + 1} | changed

    with pytest.raises(SpoolError, match=r"has version 2, .* up to 1; upgrade"):
        decode_record(json.dumps(newer).encode())


@given(data=st.binary())
def test_bytes_that_are_no_record_are_refused(data: bytes) -> None:
    with pytest.raises(SpoolError, match="cannot be read"):
        decode_record(data)


@pytest.mark.parametrize("missing", ["id", "requested_at", "provider", "outcome"])
def test_a_record_without_a_required_field_is_refused_by_its_name(missing: str) -> None:
    fields = json.loads(encode_record(RECORD))
    del fields[missing]

    with pytest.raises(SpoolError, match=missing):
        decode_record(json.dumps(fields).encode())


@pytest.mark.parametrize("cut", range(1, 40, 7))
def test_a_record_cut_short_is_refused(cut: int) -> None:
    with pytest.raises(SpoolError):
        decode_record(encode_record(RECORD)[:-cut])

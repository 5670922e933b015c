"""The record of one request as the proxy writes it: captured facts, no prices yet."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - msgspec reads the annotation at run time
from typing import Literal

import msgspec

from majordomo_analytics.errors import NewerRecordError, SpoolError
from majordomo_analytics.records.usage import MISSING, Usage

Outcome = Literal["completed", "client_disconnected", "upstream_error", "timeout", "interrupted"]

RECORD_VERSION = 1
"""Version of the bytes in the spool; a newer drain reads older ones."""

MAX_MESSAGE_CHARACTERS = 2000


class RequestRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One request as captured; every field but `usage` and `metadata` is a column.

    Attributes
    ----------
    usage
        Token counts and how much of them is known.
    metadata
        Canonical metadata key to value, the column `raw_metadata`.
    """

    version: int = RECORD_VERSION
    id: str
    requested_at: datetime
    responded_at: datetime | None = None
    response_time_ms: int | None = None
    time_to_first_byte_ms: int | None = None
    majordomo_api_key_id: str | None = None
    provider_api_key_hash: str | None = None
    provider_api_key_alias: str | None = None
    provider: str
    api_flavour: str | None = None
    model: str | None = None
    requested_model: str | None = None
    request_method: str
    request_path: str
    status_code: int | None = None
    outcome: Outcome
    error_message: str | None = None
    is_streamed: bool | None = None
    retry_attempt: int | None = None
    provider_request_id: str | None = None
    response_id: str | None = None
    request_bytes: int | None = None
    response_bytes: int | None = None
    usage: Usage = MISSING
    metadata: dict[str, str] = {}
    flags: tuple[str, ...] = ()


class _Version(msgspec.Struct):
    version: int = RECORD_VERSION


class _Older(msgspec.Struct):
    """Fields that have another name by now."""

    attempt: int | None = None


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(RequestRecord)
_older_decoder = msgspec.json.Decoder(_Older)
_version_decoder = msgspec.json.Decoder(_Version)


def encode_record(record: RequestRecord) -> bytes:
    """Return the spool bytes of `record`: one JSON object, readable by eye."""
    return _encoder.encode(record)


def decode_record(data: bytes) -> RequestRecord:
    """Return the record in spool bytes.

    Raises
    ------
    NewerRecordError
        If a newer version of this package wrote the record.
    SpoolError
        If the bytes are no record.
    """
    try:
        record = _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        _check_version(data)
        message = f"a spool record cannot be read: {error}"
        raise SpoolError(message) from error
    if record.version > RECORD_VERSION:
        _check_version(data)
    if record.retry_attempt is None and b'"attempt"' in data:
        return _with_older_fields(record, data)
    return record


def _with_older_fields(record: RequestRecord, data: bytes) -> RequestRecord:
    """Return `record` with what stands in its bytes under an older name."""
    try:
        attempt = _older_decoder.decode(data).attempt
    except msgspec.MsgspecError:  # a field that is no longer known, with anything in it
        return record
    return msgspec.structs.replace(record, retry_attempt=attempt)


def _check_version(data: bytes) -> None:
    """Raise for a newer record, also for one in which today's fields cannot be read."""
    try:
        version = _version_decoder.decode(data).version
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return
    if version > RECORD_VERSION:
        message = (
            f"a spool record has version {version}, this package reads up to "
            f"{RECORD_VERSION}; upgrade majordomo-analytics"
        )
        raise NewerRecordError(message)

"""Which column of a file is which of ours: said, guessed where obvious, or left out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from majordomo_analytics.errors import SettingsError, SourceError, did_you_mean, nearest
from majordomo_analytics.records.columns import BY_NAME, PROMOTED_PREFIX
from majordomo_analytics.records.metadata import (
    PROMOTED_FROM_THE_START,
    canonical_name,
    lookup_name,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SYNONYMS: dict[str, tuple[str, ...]] = {
    "id": ("request_id", "uuid"),
    "requested_at": (
        "timestamp", "time", "datetime", "request_time", "requested", "start_time", "started_at",
        "ts", "date", "created_at", "created",
    ),
    "responded_at": ("end_time", "ended_at", "finished_at", "completed_at"),
    "response_time_ms": ("latency_ms", "duration_ms", "latency_in_ms", "response_ms"),
    "time_to_first_byte_ms": ("ttft_ms", "time_to_first_token_ms", "ttfb_ms"),
    "provider": ("vendor", "model_provider", "llm_provider", "custom_llm_provider"),
    "model": ("model_name", "model_id", "llm_model"),
    "requested_model": ("model_group", "original_model"),
    "request_path": ("path", "endpoint"),
    "request_method": ("method", "http_method"),
    "status_code": ("http_status", "response_status", "response_status_code"),
    "error_message": ("error",),
    "is_streamed": ("stream", "streaming", "is_stream", "streamed"),
    "input_tokens": ("prompt_tokens", "tokens_in", "tokens_prompt", "num_input_tokens"),
    "output_tokens": ("completion_tokens", "tokens_out", "tokens_completion", "num_output_tokens"),
    "cached_tokens": (
        "cache_read_tokens", "cache_read_input_tokens", "cached_input_tokens",
        "input_cached_tokens",
    ),
    "cache_creation_tokens": (
        "cache_write_tokens", "cache_creation_input_tokens", "cache_write_input_tokens",
    ),
    "reasoning_tokens": ("thinking_tokens", "thoughts_tokens", "tokens_reasoning"),
    "input_cost": ("prompt_cost", "input_cost_usd"),
    "output_cost": ("completion_cost", "output_cost_usd"),
    "total_cost": ("cost", "cost_usd", "total_cost_usd", "spend", "cost_in_usd"),
    "raw_metadata": ("metadata", "tags", "labels"),
}  # fmt: skip
"""What others call our columns; the first that a file has counts."""

IN_SECONDS: dict[str, tuple[str, ...]] = {
    "response_time_ms": (
        "latency_s", "latency_seconds", "duration_s", "duration_seconds", "response_time_s",
    ),
    "time_to_first_byte_ms": ("ttft_s", "time_to_first_token_s"),
}  # fmt: skip

KNOWN_KEYS = (*PROMOTED_FROM_THE_START, "User-Id")
OURS = frozenset({"id", "requested_at", "usage_status", "cost_status", "raw_metadata"})
"""Columns that only rows of ours have together."""


@dataclass(frozen=True, slots=True)
class ColumnMap:
    """Where each of our columns, and each metadata key, stands in a file.

    Attributes
    ----------
    columns
        Our column to the file's.
    keys
        Canonical metadata key to the file's column.
    in_seconds
        Those of our columns that the file has in seconds instead of milliseconds.
    left_out
        Columns of the file that are not read.
    is_ours
        Whether the rows are our own, as an export writes them.
    """

    columns: Mapping[str, str]
    keys: Mapping[str, str] = field(default_factory=dict)
    in_seconds: frozenset[str] = frozenset()
    left_out: tuple[str, ...] = ()
    is_ours: bool = False


def map_columns(
    held: Iterable[str], said: Mapping[str, str], constants: Iterable[str]
) -> ColumnMap:
    """Return where our columns stand among those that a file holds.

    Parameters
    ----------
    held
        The columns of the file.
    said
        Our column, or a metadata key with a capital, to a column of the file.
    constants
        Our columns that are the same for every row.

    Raises
    ------
    SettingsError
        If one is named that is not there.
    SourceError
        If nothing says when the requests were made.
    """
    names = tuple(held)
    if set(names) >= OURS and not said:
        return _of_our_own(names)
    columns: dict[str, str] = {}
    keys: dict[str, str] = {}
    for ours, theirs in said.items():
        if theirs not in names:
            tail = did_you_mean(nearest(theirs, names), names)
            message = f"--map {ours}={theirs}: the source has no column {theirs!r}{tail}"
            raise SettingsError(message)
        (columns if check_name(ours, "--map") else keys)[ours] = theirs
    in_seconds = _guess(names, columns, keys, set(constants))
    if "requested_at" not in columns:
        message = (
            "nothing says when the requests were made; say --map requested_at=COLUMN"
            f"{did_you_mean((), names)}"
        )
        raise SourceError(message)
    used = {*columns.values(), *keys.values()}
    left_out = tuple(name for name in names if name not in used)
    return ColumnMap(columns, keys, in_seconds, left_out)


def check_name(ours: str, option: str) -> bool:
    """Return whether a name is one of our columns; else it is a metadata key.

    Raises
    ------
    SettingsError
        If it is neither: a metadata key is written with capitals.
    """
    if ours in BY_NAME and ours != "requested_date":
        return True
    if ours and ours == canonical_name(ours) and ours[0].isupper():
        return False
    close = nearest(ours, BY_NAME)
    tail = did_you_mean(close, ()) or ""
    message = (
        f"{option} {ours}=…: there is no column {ours!r}{tail}; "
        f"a metadata key is written {canonical_name(ours)!r}"
    )
    raise SettingsError(message)


def _of_our_own(names: tuple[str, ...]) -> ColumnMap:
    columns = {name: name for name in names if name in BY_NAME and name != "requested_date"}
    # Columns of promoted keys repeat what is in the metadata.
    return ColumnMap(columns, is_ours=True)


def _guess(
    names: tuple[str, ...], columns: dict[str, str], keys: dict[str, str], settled: set[str]
) -> frozenset[str]:
    """Add what is obvious; return which of it is in seconds."""
    taken = {*columns.values(), *keys.values()}
    spelled: dict[str, str] = {}
    for name in names:
        if name not in taken:
            spelled.setdefault(_plain(name), name)
    in_seconds = set()
    settled |= columns.keys()
    for ours in BY_NAME:
        if ours in settled or ours in ("requested_date", "created_at"):
            continue
        for theirs in (ours, *SYNONYMS.get(ours, ())):
            if theirs in spelled and spelled[theirs] not in columns.values():
                columns[ours] = spelled[theirs]
                break
        else:
            for theirs in IN_SECONDS.get(ours, ()):
                if theirs in spelled:
                    columns[ours] = spelled[theirs]
                    in_seconds.add(ours)
                    break
    used = set(columns.values())
    for name in names:
        if name in taken | used:
            continue
        bare = name.removeprefix(PROMOTED_PREFIX)
        for key in KNOWN_KEYS:
            if lookup_name(bare.replace(" ", "-")) == lookup_name(key) and key not in keys:
                keys[key] = name
    return frozenset(in_seconds)


def _plain(name: str) -> str:
    return "_".join(name.strip().lower().replace("-", " ").replace(".", " ").split())

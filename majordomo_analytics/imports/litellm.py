"""Rows of LiteLLM's spend logs, from its Postgres or an export of the table.

Prompts are counted with cache reads and writes, as ours are. A spend of 0 means that it
knew no price, unless it says how the cost came about or its own cache answered.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any

from majordomo_analytics.errors import BadValueError, SourceError
from majordomo_analytics.imports.rows import milliseconds, row_id, sum_of, tokens_or_none
from majordomo_analytics.imports.values import (
    add_metadata,
    as_text,
    read_count,
    read_instant,
    read_json,
    read_money,
    read_number,
    read_object,
    read_text,
)
from majordomo_analytics.records.metadata import canonical_name
from majordomo_analytics.records.usage import count_or_none

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from decimal import Decimal

    from majordomo_analytics.imports.rows import Fields

KIND = "litellm"
MARK = "litellm"
TABLE = "LiteLLM_SpendLogs"

NEEDED = ("request_id", "startTime", "model", "spend")
NOT_READ = frozenset({"messages", "response", "proxy_server_request", "requester_ip_address"})
"""What was said, and from where."""

PROVIDERS = {
    "azure_ai": "azure",
    "azure_text": "azure",
    "text-completion-openai": "openai",
    "anthropic_text": "anthropic",
    "vertex_ai": "vertex",
    "vertex_ai_beta": "vertex",
    "cohere_chat": "cohere",
    "together_ai": "together",
    "fireworks_ai": "fireworks",
    "codestral": "mistral",
}
"""Its names for providers that we call otherwise."""

CALLS = {
    "completion": ("/v1/chat/completions", "chat"),
    "text_completion": ("/v1/completions", "completions"),
    "embedding": ("/v1/embeddings", "embeddings"),
    "responses": ("/v1/responses", "responses"),
    "anthropic_messages": ("/v1/messages", "messages"),
    "image_generation": ("/v1/images/generations", "images"),
    "image_edit": ("/v1/images/edits", "images"),
    "transcription": ("/v1/audio/transcriptions", "transcriptions"),
    "speech": ("/v1/audio/speech", "speech"),
    "rerank": ("/v1/rerank", "rerank"),
}
"""LiteLLM's path, and the flavour, of each kind of call; one with an ``a`` is async."""

COUNTED = {
    "cached_tokens": (("prompt_tokens_details", "cached_tokens"), ("cache_read_input_tokens",)),
    "cache_creation_tokens": (
        ("cache_creation_input_tokens",),
        ("prompt_tokens_details", "cache_creation_tokens"),
        ("prompt_tokens_details", "cache_write_tokens"),
    ),
    "input_audio_tokens": (("prompt_tokens_details", "audio_tokens"),),
    "input_image_tokens": (("prompt_tokens_details", "image_tokens"),),
    "reasoning_tokens": (("completion_tokens_details", "reasoning_tokens"),),
    "output_audio_tokens": (("completion_tokens_details", "audio_tokens"),),
    "output_image_tokens": (("completion_tokens_details", "image_tokens"),),
}
"""Where the usage object has our columns, the first that is there."""

_CACHE_HIT = re.compile(r"_cache_hit[\d.]+$")
_TAG = re.compile(r"(?P<key>[A-Za-z][\w-]*)\s*[:=]\s*(?P<value>.+)", re.DOTALL)


def is_spend_log(columns: Iterable[str]) -> bool:
    """Return whether a table is LiteLLM's spend logs."""
    return {"request_id", "startTime", "spend"} <= set(columns)


class SpendLogReader:
    """Reads rows of the spend logs; older tables lack some of the columns.

    Raises
    ------
    SourceError
        If the table lacks what every one has.
    """

    kind = KIND
    mark = MARK
    label = "spend logs of LiteLLM"

    def __init__(self, columns: Iterable[str]) -> None:
        held = tuple(columns)
        if missing := [name for name in NEEDED if name not in held]:
            message = f"no spend logs of LiteLLM: there is no column {', '.join(missing)}"
            raise SourceError(message)
        self.wanted = tuple(name for name in held if name not in NOT_READ)

    def read(self, values: Mapping[str, Any]) -> Fields:
        """Return what a row says.

        Raises
        ------
        BadValueError
            If a value is none of its column.
        """
        found: list[str] = []

        def text(name: str) -> str | None:
            return read_text(values.get(name), found) or None

        def instant(name: str) -> Any:
            return read_instant(name, values.get(name))

        metadata = read_object("metadata", values.get("metadata"))
        request_id = text("request_id")
        if request_id is None:
            column = "request_id"
            raise BadValueError(column, None, "is missing")
        first, last = instant("startTime"), instant("endTime")
        began = instant("completionStartTime")
        took = read_count("request_duration_ms", values.get("request_duration_ms"))
        provider, model = _provider_and_model(text("custom_llm_provider"), text("model"))
        path, flavour = CALLS.get(_sync(text("call_type") or ""), (None, None))
        error = metadata.get("error_information")
        error = error if isinstance(error, dict) else {}
        has_failed = (text("status") or text_of(metadata.get("status"))) == "failure"
        is_hit = (text("cache_hit") or "").lower() == "true"
        fields: Fields = {
            "id": row_id(KIND, request_id),
            "response_id": _CACHE_HIT.sub("", request_id),
            "requested_at": first,
            "responded_at": last,
            "response_time_ms": milliseconds(first, last) if took is None else took,
            # What is not streamed begins, in its eyes, when it ends.
            "time_to_first_byte_ms": None if began == last else milliseconds(first, began),
            "provider": provider,
            "model": model,
            "requested_model": text("model_group"),
            "request_path": path,
            "api_flavour": flavour,
            "outcome": "upstream_error" if has_failed else "completed",
            "status_code": _status_code(error.get("error_code")),
            "error_message": read_text(error.get("error_message") or None, found),
            "retry_attempt": count_or_none(metadata.get("attempted_retries")),
            "raw_metadata": _metadata(values, metadata, is_hit=is_hit, found=found),
            **self._used(values, metadata),
            **self._cost(values, metadata, is_known=is_hit),
        }
        fields["flags"] = list(dict.fromkeys(found))
        return fields

    def _used(self, values: Mapping[str, Any], metadata: Mapping[str, Any]) -> Fields:
        given, said = tokens_or_none(
            read_count("prompt_tokens", values.get("prompt_tokens")),
            read_count("completion_tokens", values.get("completion_tokens")),
        )
        if given is None and said is None:
            return {}
        usage = metadata.get("usage_object") or metadata.get("additional_usage_values")
        if not isinstance(usage, dict):
            return {"input_tokens": given, "output_tokens": said}
        parts = {
            name: next((n for road in roads if (n := _count_at(usage, road)) is not None), None)
            for name, roads in COUNTED.items()
        }
        return {
            "input_tokens": given,
            "output_tokens": said,
            **parts,
            "usage_raw": as_text(usage),
            "service_tier": text_of(usage.get("service_tier")),
        }

    def _cost(
        self, values: Mapping[str, Any], metadata: Mapping[str, Any], *, is_known: bool
    ) -> Fields:
        total = read_money("spend", values.get("spend"))
        parts = metadata.get("cost_breakdown")
        if not isinstance(parts, dict) or parts.get("total_cost") is None:
            is_stated = bool(read_number("spend", values.get("spend")))
            return {"total_cost": total if is_stated or is_known else None}

        def money(name: str) -> Decimal | None:
            return read_money(f"cost_breakdown.{name}", parts.get(name))

        return {
            "input_cost": sum_of(
                *map(money, ("input_cost", "cache_read_cost", "cache_creation_cost"))
            ),
            "output_cost": money("output_cost"),
            "tool_cost": money("tool_usage_cost"),
            "total_cost": total,
        }


def text_of(value: object) -> str | None:
    """Return a value if it is a text with something in it."""
    return value if isinstance(value, str) and value else None


def _metadata(
    values: Mapping[str, Any], metadata: Mapping[str, Any], *, is_hit: bool, found: list[str]
) -> dict[str, str]:
    """Return what is known of who called: what callers said, then what LiteLLM knows."""
    said: dict[str, str] = {}
    of_caller = metadata.get("spend_logs_metadata")
    if isinstance(of_caller, dict):
        add_metadata(said, of_caller, found)
    plain: list[str] = []
    tags = read_json("request_tags", values.get("request_tags")) or []
    for tag in tags if isinstance(tags, list) else []:
        if match := _TAG.fullmatch(str(tag)):
            _fill(said, match["key"], match["value"], found)
        else:
            plain.append(str(tag))
    _fill(said, "Tags", ",".join(plain), found)
    api_key = values.get("api_key")
    if isinstance(api_key, str) and api_key.startswith("sk-"):  # it was not hashed there
        api_key = hashlib.sha256(api_key.encode()).hexdigest()
    for name, value in (
        ("Team", metadata.get("user_api_key_team_alias") or values.get("team_id")),
        ("User-Id", values.get("end_user") or values.get("user")),
        ("Organization", values.get("organization_id")),
        ("Api-Key-Alias", metadata.get("user_api_key_alias")),
        ("Api-Key-Hash", api_key),
        ("Session-Id", values.get("session_id")),
        ("Cache-Hit", "true" if is_hit else None),
    ):
        _fill(said, name, value, found)
    return said


def _fill(said: dict[str, str], name: str, value: object, found: list[str]) -> None:
    if value and canonical_name(name) not in said:
        add_metadata(said, {name: value}, found)


def _provider_and_model(provider: str | None, model: str | None) -> tuple[str, str | None]:
    head, slash, rest = (model or "").partition("/")
    if not provider:
        provider = head if slash else "unknown"
    if slash and head == provider:
        model = rest
    return PROVIDERS.get(provider, provider), model


def _sync(call: str) -> str:
    return call[1:] if call.startswith("a") and call[1:] in CALLS else call


def _status_code(code: object) -> int | None:
    text = str(code)
    return int(text) if re.fullmatch(r"[1-5]\d\d", text) else None


def _count_at(usage: Mapping[str, Any], road: tuple[str, ...]) -> int | None:
    value: Any = usage
    for name in road:
        value = value.get(name) if isinstance(value, dict) else None
    return count_or_none(value)

"""Rows of a real Majordomo gateway or steward, of each version by the columns it has.

They have no null for unknown: 0 input and 0 output tokens mean that nothing was read, and
`model_alias_found = false` that no price was found. Only raw metadata is read, as the
indexed part has holes; bodies are never read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from majordomo_analytics.capture.flavours import flavour_of
from majordomo_analytics.errors import SourceError
from majordomo_analytics.imports.rows import milliseconds, row_id, sum_of, tokens_or_none
from majordomo_analytics.imports.values import (
    add_metadata,
    read_boolean,
    read_count,
    read_instant,
    read_metadata_map,
    read_money,
    read_text,
    read_uuid,
)
from majordomo_analytics.records.providers import PROVIDERS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from majordomo_analytics.imports.rows import Fields

KIND = "gateway"
MARK = "majordomo-gateway"

Version = Literal["sgw", "sgw+", "stw", "ogw"]

NEEDED = ("id", "provider", "model", "requested_at", "raw_metadata", "status_code", "total_cost")
NEVER_READ = frozenset({"request_body", "response_body", "indexed_metadata"})
"""Bodies hold secrets; the indexed metadata is a part of the raw."""

AS_METADATA = {
    "proxy_key_id": "Proxy-Key-Id",
    "org_id": "Org-Id",
    "user_id": "Account-User-Id",
    "experiment_id": "Experiment-Id",
    "experiment_arm_id": "Experiment-Arm-Id",
    "trace_id": "Trace-Id",
    "span_path": "Span-Path",
    "span_name": "Span-Name",
    "span_id": "Span-Id",
    "parent_span_id": "Parent-Span-Id",
    "routing_reason": "Routing-Reason",
}
"""What is a column in some versions, and a header and so metadata in the others."""


def version_of(columns: Iterable[str]) -> Version:
    """Return which version made a table with these columns.

    >>> version_of(["synced_to_butler", "request_body"])
    'stw'
    """
    held = set(columns)
    if {"routed_provider", "trace_id"} & held:
        return "ogw"
    if "synced_to_butler" in held:
        return "stw"
    return "sgw+" if "org_id" in held else "sgw"


def is_gateway(columns: Iterable[str]) -> bool:
    """Return whether a table is the requests of a gateway."""
    return {"majordomo_api_key_id", "requested_at", "model_alias_found"} <= set(columns)


class GatewayReader:
    """Reads rows of one version.

    Parameters
    ----------
    columns
        The columns that the table has.

    Raises
    ------
    SourceError
        If one is missing that every version has.
    """

    kind = KIND
    mark = MARK

    def __init__(self, columns: Iterable[str]) -> None:
        held = tuple(columns)
        if missing := [name for name in NEEDED if name not in held]:
            message = f"no table of a Majordomo gateway: it has no column {', '.join(missing)}"
            raise SourceError(message)
        self.version = version_of(held)
        self.wanted = tuple(name for name in held if name not in NEVER_READ)

    @property
    def label(self) -> str:
        """What is read, for a person."""
        return f"a Majordomo gateway ({self.version})"

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

        def count(name: str) -> int | None:
            return read_count(name, values.get(name))

        def money(name: str) -> Any:
            return read_money(name, values.get(name))

        requested_at = read_instant("requested_at", values.get("requested_at"))
        responded_at = read_instant("responded_at", values.get("responded_at"))
        metadata = read_metadata_map("raw_metadata", values.get("raw_metadata"), found)
        more = {name: text(column) for column, name in AS_METADATA.items()}
        add_metadata(metadata, {k: v for k, v in more.items() if k not in metadata}, found)
        provider, method, path = text("provider"), text("request_method"), text("request_path")
        model = text("model")
        fields: Fields = {
            "id": row_id(KIND, str(values.get("id"))),
            "requested_at": requested_at,
            "responded_at": responded_at,
            "majordomo_api_key_id": read_uuid(
                "majordomo_api_key_id", values.get("majordomo_api_key_id")
            ),
            "provider_api_key_hash": text("provider_api_key_hash"),
            "provider_api_key_alias": text("provider_api_key_alias"),
            "provider": provider,
            "api_flavour": _flavour(provider, method, path),
            "model": None if model == "unknown" else model,
            "requested_model": text("original_model") or text("routing_original_model"),
            "request_method": method,
            "request_path": path,
            "status_code": count("status_code"),
            "error_message": text("error_message"),
            "raw_metadata": metadata,
            **self._durations(count("response_time_ms"), requested_at, responded_at),
        }
        given, said = tokens_or_none(count("input_tokens"), count("output_tokens"))
        if given is not None or said is not None:
            five, hour = tokens_or_none(
                count("cache_creation_5m_tokens"), count("cache_creation_1h_tokens")
            )
            fields |= {
                "input_tokens": given,
                "output_tokens": said,
                "cached_tokens": count("cached_tokens"),
                "cache_creation_tokens": count("cache_creation_tokens"),
                "cache_creation_5m_tokens": five,
                "cache_creation_1h_tokens": hour,
            }
            if read_boolean("model_alias_found", values.get("model_alias_found")) is not False:
                # Only ogw has the two parts; in the others they are in the input already.
                parts = ("input_cost", "cached_cost", "cache_creation_cost")
                fields["input_cost"] = sum_of(*map(money, parts))
                fields["output_cost"] = money("output_cost")
                fields["total_cost"] = money("total_cost")
        fields["flags"] = list(dict.fromkeys(found))
        return fields

    def _durations(self, stored: int | None, first: Any, last: Any) -> Fields:
        """Return both times: what newer versions call response time ends at the headers."""
        if self.version in ("stw", "ogw"):
            return {
                "time_to_first_byte_ms": stored,
                "response_time_ms": milliseconds(first, last),
            }
        return {"response_time_ms": stored}


def _flavour(provider: str | None, method: str | None, path: str | None) -> str | None:
    known = PROVIDERS.get(provider or "")
    return flavour_of(known.dialect, method or "POST", path) if known and path else None

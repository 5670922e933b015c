"""Rows of the log that the Python client majordomo_llm keeps in SQLite or Postgres.

Its time is that of the answer. Its input leaves cache reads and writes out for providers
with Anthropic's way of counting, so they are added; Gemini's thoughts are nowhere in it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from majordomo_analytics.errors import SourceError
from majordomo_analytics.imports.rows import row_id
from majordomo_analytics.imports.values import read_count, read_instant, read_money, read_text
from majordomo_analytics.records.usage import add_counts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from majordomo_analytics.imports.rows import Fields

KIND = "majordomo-llm"
MARK = "majordomo-llm"

LEAVES_OUT_THE_CACHE = frozenset({"anthropic", "bedrock", "bedrock-mantle"})
NEEDED = ("request_id", "provider", "model", "timestamp", "status")
NOT_READ = frozenset(
    {"s3_request_key", "s3_response_key", "storage_request_key", "storage_response_key"}
)


def is_client_log(columns: Iterable[str]) -> bool:
    """Return whether a table is the client's own log, and not a gateway's requests."""
    return {"request_id", "timestamp", "response_time", "status"} <= set(columns)


class ClientLogReader:
    """Reads rows of the client's log; older tables lack some of the columns.

    Raises
    ------
    SourceError
        If the table lacks what every one has.
    """

    kind = KIND
    mark = MARK
    label = "a log of majordomo_llm"

    def __init__(self, columns: Iterable[str]) -> None:
        held = tuple(columns)
        if missing := [name for name in NEEDED if name not in held]:
            message = f"no log of majordomo_llm: it has no column {', '.join(missing)}"
            raise SourceError(message)
        self.wanted = tuple(name for name in held if name not in NOT_READ)
        self._has_writes = "cache_creation_tokens" in held

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

        provider = (text("provider") or "").replace("_", "-") or None
        responded_at = read_instant("timestamp", values.get("timestamp"))
        response_ms = read_count("response_time", values.get("response_time"), scale=1000)
        requested_at = responded_at
        if responded_at is not None and response_ms is not None:
            requested_at = responded_at - timedelta(milliseconds=response_ms)
        fields: Fields = {
            "id": row_id(KIND, str(values.get("request_id"))),
            "requested_at": requested_at,
            "responded_at": responded_at,
            "response_time_ms": response_ms,
            "provider": provider,
            "provider_api_key_hash": text("api_key_hash"),
            "provider_api_key_alias": text("api_key_alias"),
            "model": text("model"),
            "outcome": "completed" if text("status") == "success" else "upstream_error",
            "error_message": text("error_message"),
            "raw_metadata": {},
        }
        given, cached = count("input_tokens"), count("cached_tokens")
        written, said = count("cache_creation_tokens"), count("output_tokens")
        if provider in LEAVES_OUT_THE_CACHE and given is not None:
            given = add_counts(given, cached, written)
            if not self._has_writes:  # what was written is missing from the whole
                fields["usage_status"] = "partial"
        fields |= {
            "input_tokens": given,
            "cached_tokens": cached,
            "cache_creation_tokens": written,
            "output_tokens": said,
            "flags": list(dict.fromkeys(found)),
        }
        for name in ("input_cost", "output_cost", "total_cost"):
            fields[name] = read_money(name, values.get(name))
        return fields

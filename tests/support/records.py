"""Records as the proxy writes them, for tests that begin at the spool."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from majordomo_analytics.records.ids import new_request_id
from majordomo_analytics.records.request import RequestRecord
from majordomo_analytics.records.usage import Usage


def a_record(**fields: Any) -> RequestRecord:
    """Return a completed gpt-4o-mini request, changed as `fields` say."""
    values: dict[str, Any] = {
        "id": new_request_id(),
        "requested_at": datetime(2026, 11, 20, 12, tzinfo=UTC),
        "provider": "openai",
        "model": "gpt-4o-mini",
        "request_method": "POST",
        "request_path": "/v1/chat/completions",
        "status_code": 200,
        "outcome": "completed",
        "usage": Usage(input_tokens=1000, output_tokens=100, status="reported", source="body"),
        "metadata": {"Feature": "search"},
        **fields,
    }
    return RequestRecord(**values)

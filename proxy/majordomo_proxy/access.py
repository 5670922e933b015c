"""The access log: a line for each request that has a row, if it is asked for."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from majordomo_analytics.records.request import RequestRecord

logger = logging.getLogger("majordomo_proxy.access")


def log_access(record: RequestRecord) -> None:
    """Write the line of a request; a query string is in no record, and so in no line."""
    fields = {
        "id": record.id,
        "provider": record.provider,
        "method": record.request_method,
        "path": record.request_path,
        "status": record.status_code,
        "outcome": record.outcome,
        "ms": record.response_time_ms,
    }
    logger.info("request", extra=fields)

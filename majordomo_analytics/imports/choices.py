"""What whoever imports can choose from; light, as the command line always reads it."""

from __future__ import annotations

from enum import StrEnum

ROWS_PER_COMMIT = 20_000


class Kind(StrEnum):
    """What made a source."""

    AUTO = "auto"
    CLIENT_LOG = "majordomo-llm"
    LITELLM = "litellm"
    GATEWAY = "gateway"
    CSV = "csv"
    PARQUET = "parquet"
    JSON = "json"


class Price(StrEnum):
    """Whose cost a row gets."""

    MISSING = "missing"
    ALL = "all"
    NONE = "none"

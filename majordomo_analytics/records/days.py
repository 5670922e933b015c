"""What is added up of the requests of a day that is over: by which columns, and which sums.

A group has one value of each column that it is grouped by, and of each that is added up
either only known values or none: what holds for a group holds for each request in it.
"""

from __future__ import annotations

GROUPED = ("cost_status", "usage_status", "status_code", "outcome")
"""Columns that a group has one value of, beside that of a metadata key."""

SUMMED = (
    "total_cost",
    "input_cost",
    "output_cost",
    "tool_cost",
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "cache_creation_tokens",
    "reasoning_tokens",
    "response_time_ms",
)
"""Columns that are added up."""

NO_KEY = ""
"""Stands for the metadata key where requests are grouped by none."""

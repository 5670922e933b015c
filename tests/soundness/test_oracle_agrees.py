"""Any question over any requests is answered as the plain Python oracle answers it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import oracle
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import majordomo_analytics as ma

if TYPE_CHECKING:
    from majordomo_analytics.ledger.result import QueryResult

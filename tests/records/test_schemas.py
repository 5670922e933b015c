"""From the table of columns to Arrow, and from a lake's schema back to promoted keys."""

from __future__ import annotations

from typing import get_args

import pyarrow as pa
import pytest

from majordomo_analytics.records.columns import COLUMNS, ColumnType
from majordomo_analytics.records.schemas import ARROW_TYPES, arrow_schema, promoted_keys


@pytest.mark.parametrize(
    ("column", "arrow"),
    [
        ("id", "string"),
        ("requested_at", "timestamp[us, tz=UTC]"),
        ("requested_date", "date32[day]"),
        ("input_tokens", "int64"),
        ("total_cost", "decimal128(20, 10)"),
        ("is_streamed", "bool"),
        ("flags", "list<element: string>"),
        ("raw_metadata", "map<string, string>"),
    ],
)
def test_a_column_has_this_arrow_type(column: str, arrow: str) -> None:
    """Written out by hand: these are the types other Delta readers meet."""
    assert str(arrow_schema().field(column).type) == arrow


def test_every_kind_of_column_has_an_arrow_type() -> None:
    assert set(ARROW_TYPES) == set(get_args(ColumnType))


def test_a_required_column_is_not_nullable() -> None:
    schema = arrow_schema()

    assert [schema.field(c.name).nullable for c in COLUMNS] == [not c.required for c in COLUMNS]


def test_promoted_keys_follow_our_columns_in_the_order_given() -> None:
    schema = arrow_schema(["User-Tier", "Plan"])

    assert schema.names[: len(COLUMNS)] == [column.name for column in COLUMNS]
    assert schema.names[len(COLUMNS) :] == ["indexed_User-Tier", "indexed_Plan"]
    assert schema.field("indexed_Plan").type == pa.string()


def test_promoted_keys_are_read_back_from_a_schema() -> None:
    assert promoted_keys(arrow_schema(["Team", "User-Tier"])) == ("Team", "User-Tier")
    assert promoted_keys(arrow_schema()) == ()

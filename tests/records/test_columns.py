"""The table of columns, the captured record and the documentation page are one thing."""

from __future__ import annotations

import re
import types
import typing
from datetime import datetime
from pathlib import Path

import msgspec
import pytest

from majordomo_analytics.records.columns import (
    BY_NAME,
    COLUMNS,
    PROMOTED_PREFIX,
    columns_markdown,
    promoted_column,
)
from majordomo_analytics.records.money import Cost
from majordomo_analytics.records.request import RequestRecord
from majordomo_analytics.records.usage import WHOLE_OF, Usage

NOT_A_COLUMN = {"version", "usage", "metadata"}
"""Fields of the record that are no column: what they hold has columns of its own."""

RENAMED_FROM_USAGE = {"status": "usage_status", "source": "usage_source", "raw": "usage_raw"}
RENAMED_FROM_COST = {"status": "cost_status"}
FROM_THE_DRAIN = {"requested_date", "created_at"}
FROM_METADATA = {"raw_metadata"}

RECORD_FIELDS = {field.name: field for field in msgspec.structs.fields(RequestRecord)}
USAGE_COLUMNS = {
    RENAMED_FROM_USAGE.get(name, name)
    for name in Usage.__struct_fields__
    if name not in {"flags", "iterations"}
}
COST_COLUMNS = {
    RENAMED_FROM_COST.get(name, name) for name in Cost.__struct_fields__ if name != "flags"
}


def plain_type(annotation: object) -> str:
    """Return the column type that a Python annotation asks for, written out by hand."""
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union:
        (annotation,) = (a for a in typing.get_args(annotation) if a is not type(None))
    if typing.get_origin(annotation) is typing.Literal:
        return "text"
    if annotation == tuple[str, ...]:
        return "text_list"
    return {str: "text", int: "integer", bool: "boolean", datetime: "instant"}[annotation]  # type: ignore[index]


@pytest.mark.parametrize("name", sorted(set(RECORD_FIELDS) - NOT_A_COLUMN))
def test_every_field_of_the_record_is_a_column_of_its_type(name: str) -> None:
    """What the proxy captures is stored, and stored as what it is."""
    annotation = typing.get_type_hints(RequestRecord)[name]

    assert BY_NAME[name].type == plain_type(annotation)


@pytest.mark.parametrize("name", sorted(set(RECORD_FIELDS) - NOT_A_COLUMN - {"flags"}))
def test_a_column_is_required_where_the_record_cannot_be_made_without_it(name: str) -> None:
    """Flags have a default and are never null: no oddity is an empty list."""
    assert BY_NAME[name].required is RECORD_FIELDS[name].required


def test_every_column_has_exactly_one_origin() -> None:
    """A column comes from the record, its usage, its cost, its metadata or the drain."""
    origins = [
        set(RECORD_FIELDS) - NOT_A_COLUMN,
        USAGE_COLUMNS,
        COST_COLUMNS,
        FROM_METADATA,
        FROM_THE_DRAIN,
    ]

    assert sorted(BY_NAME) == sorted(name for origin in origins for name in origin)


def test_no_two_columns_share_a_name_in_any_case() -> None:
    """Delta refuses names that differ only in case."""
    assert len({column.name.casefold() for column in COLUMNS}) == len(COLUMNS)


def test_names_are_snake_case_and_leave_the_prefix_of_promoted_keys_free() -> None:
    for column in COLUMNS:
        assert re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", column.name)
        assert not column.name.startswith(PROMOTED_PREFIX)


def test_a_number_says_its_unit() -> None:
    """By its name for durations, in the table for everything that is counted or paid."""
    without_unit = {"status_code", "retry_attempt"}
    for column in COLUMNS:
        if column.type in {"integer", "money", "instant", "date"}:
            assert bool(column.unit) is (column.name not in without_unit), column.name
        if column.unit == "ms":
            assert column.name.endswith("_ms")
        if column.type == "money":
            assert (column.unit, column.name[-5:]) == ("USD", "_cost")


@pytest.mark.parametrize(("part", "whole"), WHOLE_OF.items())
def test_a_part_names_its_whole(part: str, whole: str) -> None:
    """Whoever sums columns must be able to read what contains what."""
    assert BY_NAME[part].meaning.startswith(f"part of {whole} ")


def test_a_promoted_key_is_its_canonical_name_behind_the_prefix() -> None:
    assert promoted_column("User-Tier") == "indexed_User-Tier"


def test_the_markdown_has_one_line_for_each_column_in_order() -> None:
    lines = columns_markdown().splitlines()[2:]

    assert [re.findall(r"`(\w+)`", line)[0] for line in lines] == [c.name for c in COLUMNS]
    assert all(line.count("|") == 6 for line in lines)


def test_the_docs_page_holds_the_table_as_it_is() -> None:
    """`docs/row.md` is made from the table; `make docs` writes it anew."""
    page = Path(__file__).parents[2] / "docs" / "row.md"

    assert columns_markdown() in page.read_text("utf-8")

"""The public API is a list, and everything on it resolves."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import majordomo_analytics as ma

PUBLIC = [
    "MEASURES",
    "Calendar",
    "DataDirectoryError",
    "FilterError",
    "LakeBusyError",
    "LakeError",
    "LakeNotFoundError",
    "LakeVersionError",
    "Ledger",
    "MajordomoError",
    "Measure",
    "MissingExtraError",
    "NewerLayoutError",
    "PostgresUnreachableError",
    "QueryError",
    "QueryResult",
    "ReadOnlyError",
    "ResultOverflowError",
    "SourceError",
    "SparkUnreachableError",
    "TimeRange",
    "TimeRangeError",
    "UnknownNameError",
    "UnsupportedByEngineError",
    "dimension",
    "measure",
    "metadata",
    "open",
    "plots",
    "sample",
    "where",
]


def test_the_list_is_this_one() -> None:
    """A name is added or dropped here, on purpose."""
    assert ma.__all__ == PUBLIC


@pytest.mark.parametrize("name", PUBLIC)
def test_each_name_resolves(name: str) -> None:
    """Every public name can be had, is named so, and has a docstring."""
    value = getattr(ma, name)

    assert name in dir(ma)
    assert value.__doc__
    assert name == "MEASURES" or value.__name__.rpartition(".")[2] == name


def test_checkers_see_the_same_names() -> None:
    """What a type checker imports is what the lazy look-up finds."""
    tree = ast.parse(Path(str(ma.__file__)).read_text("utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = [
        alias.name
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    ]

    assert sorted(seen) == sorted(PUBLIC)


def test_an_unknown_name_is_an_attribute_error() -> None:
    """`hasattr` and tab completion keep working."""
    assert not hasattr(ma, "opne")

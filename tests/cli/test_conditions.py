"""Conditions as they are typed in a shell become those of the query API."""

from __future__ import annotations

import pytest

import majordomo_analytics as ma
from majordomo_analytics.cli.query import read_conditions
from majordomo_analytics.plan.filters import read_filters


@pytest.mark.parametrize(
    ("typed", "name", "condition"),
    [
        ("Team=legal", "Team", ("=", "legal")),
        ("Team!=legal", "Team", ("!=", "legal")),
        ("status_code<=399", "status_code", ("<=", "399")),
        ("model=~^gpt", "model", ("matches", "^gpt")),
        ("model !~ mini$", "model", ("not matches", " mini$")),
        ("Team==~x", "Team", ("=", "~x")),
        ("Team=(untagged)", "Team", ("=", "(untagged)")),
    ],
)
def test_a_condition_is_read(typed: str, name: str, condition: tuple[str, str]) -> None:
    assert read_filters(read_conditions([typed])) == read_filters({name: condition})


def test_what_is_none_is_refused() -> None:
    """The message shows the forms."""
    with pytest.raises(ma.FilterError, match="NAME=~PATTERN"):
        read_conditions(["Team"])

"""Conditions are read into filters, or refused with what would be right."""

from __future__ import annotations

from typing import Any

import pytest

import majordomo_analytics as ma
from majordomo_analytics.plan.filters import (
    OPERATORS,
    All,
    Compared,
    Like,
    Matches,
    Not,
    OneOf,
    Some,
    read_filters,
)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (("ends with", "x"), Like("a", "ends with", "x")),
        (("Ends_With", "x"), Like("a", "ends with", "x")),
        (("not contains", "x"), Not(Like("a", "contains", "x"))),
        (("not starts with", "x"), Not(Like("a", "starts with", "x"))),
        (("matches", r"^\d"), Matches("a", "^[0-9]")),
        (("not matches", "x$"), Not(Matches("a", r"x\z"))),
        (("between", 1, 5), All((Compared("a", ">=", 1), Compared("a", "<=", 5)))),
        (("between", [1, 5]), All((Compared("a", ">=", 1), Compared("a", "<=", 5)))),
        (("not between", 1, 5), Not(All((Compared("a", ">=", 1), Compared("a", "<=", 5))))),
        (("in", range(2)), OneOf("a", (0, 1))),
    ],
)
def test_an_operator_is_read(given: Any, meant: Any) -> None:
    assert read_filters({"a": given}) == All((meant,))


@pytest.mark.parametrize("operator", OPERATORS)
def test_every_operator_that_a_message_names_is_known(operator: str) -> None:
    value = {"in": ["x"], "between": ("x", "y")}.get(operator.removeprefix("not "), "x")

    assert read_filters({"a": (operator, value)}) != All(())


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (("begins with", "x"), "did you mean 'not ends with' or 'ends with'|no operator"),
        (("between", 1), "needs two values"),
        (("between", 1, 2, 3), "no pair"),
        (("between", 1, None), "needs a value, not None"),
        (("in", "legal"), "needs a list"),
        (("matches", 5), "needs a pattern"),
        (("matches", "(?i)x"), "filter on 'a': pattern"),
        (("ends with", None), "needs a value"),
    ],
)
def test_a_condition_that_cannot_be_read_is_refused(given: Any, why: str) -> None:
    with pytest.raises(ma.FilterError, match=why):
        read_filters({"a": given})


def test_filters_are_joined_by_signs() -> None:
    """Ands and conditions of one call are flat; a dict may stand on the right."""
    one, other = ma.where(a=1), ma.where({"b": 2}, c=3)

    assert one & other == All((OneOf("a", (1,)), OneOf("b", (2,)), OneOf("c", (3,))))
    assert one | {"b": 2} == Some((one, ma.where(b=2)))
    assert ~one == Not(one)
    assert ma.where() & one == one == one & None
    assert ma.where(one | other) == one | other
    with pytest.raises(ma.FilterError):
        one & "b"  # type: ignore[operator]  # what a user may try

"""The error tree is as drawn, each error is what it refines, and messages help."""

from __future__ import annotations

import builtins
import copy
import pickle
import re

import pytest

from majordomo_analytics import errors
from majordomo_analytics.errors import (
    MajordomoError,
    MissingExtraError,
    UnknownNameError,
    did_you_mean,
    nearest,
)

DRAWN = re.compile(r"^    (?P<indent>[│ ├└─]*)(?P<name>\w+Error)\b.*?(?:\((?P<refines>\w+)\))?$")


def drawn_tree() -> dict[str, tuple[str | None, str | None]]:
    """Return class name to (parent, stdlib error named beside it), from the drawing."""
    tree: dict[str, tuple[str | None, str | None]] = {}
    line_of_parents: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        if match := DRAWN.match(line):
            depth = len(match["indent"]) // 4
            line_of_parents[depth:] = [match["name"]]
            tree[match["name"]] = (line_of_parents[depth - 1] if depth else None, match["refines"])
    return tree


TREE = drawn_tree()
CLASSES = {
    name: value
    for name, value in vars(errors).items()
    if isinstance(value, type) and issubclass(value, BaseException)
}


def test_every_class_is_drawn_and_every_drawn_class_exists() -> None:
    assert set(TREE) == set(CLASSES)


@pytest.mark.parametrize("name", sorted(TREE))
def test_a_class_stands_where_it_is_drawn(name: str) -> None:
    parent, _ = TREE[name]

    assert CLASSES[name].__bases__[0] is (CLASSES[parent] if parent else Exception)


@pytest.mark.parametrize("name", sorted(TREE))
def test_a_class_refines_the_standard_error_named_beside_it(name: str) -> None:
    """Whoever catches ValueError or OSError catches ours as well."""
    _, refines = TREE[name]
    others = [base.__name__ for base in CLASSES[name].__bases__[1:]]

    assert others == ([refines] if refines else [])
    assert refines is None or issubclass(CLASSES[name], getattr(builtins, refines))


@pytest.mark.parametrize("name", sorted(set(TREE) - {"MajordomoError"}))
def test_every_error_says_when_it_is_raised(name: str) -> None:
    assert (CLASSES[name].__doc__ or "").startswith("Raised")


def test_a_missing_extra_is_named_with_the_command_that_brings_it() -> None:
    error = MissingExtraError("`mdm proxy`", "proxy")

    assert str(error) == (
        "`mdm proxy` needs packages that are not installed: "
        "pip install 'majordomo-analytics[proxy]'"
    )
    assert (error.feature, error.extra) == ("`mdm proxy`", "proxy")


@pytest.mark.parametrize(
    ("asked", "message", "suggestions"),
    [
        (
            "total_csot",
            "no measure is named 'total_csot'; did you mean 'total_cost'?",
            ("total_cost",),
        ),
        ("TOTAL-COST", "no measure is named 'TOTAL-COST'; did you mean 'total_cost'?", None),
        ("zzz", "no measure is named 'zzz'; known: errors, requests, total_cost", ()),
    ],
)
def test_an_unknown_name_comes_with_the_nearest_or_all_there_are(
    asked: str, message: str, suggestions: tuple[str, ...] | None
) -> None:
    error = UnknownNameError("measure", asked, ["total_cost", "requests", "errors"])

    assert str(error) == message
    assert (error.kind, error.name) == ("measure", asked)
    assert suggestions is None or error.suggestions == suggestions


def test_a_name_among_nothing_has_no_suggestion() -> None:
    assert str(UnknownNameError("engine", "x", [])) == "no engine is named 'x'"


def test_a_hint_ends_the_message() -> None:
    error = UnknownNameError("engine", "x", [], hint="; engines come with extras")

    assert str(error) == "no engine is named 'x'; engines come with extras"


def test_suggestions_ignore_case_and_take_an_underscore_for_a_hyphen() -> None:
    assert nearest("user_teir", ["User-Tier", "Team", "Feature"]) == ("User-Tier",)


def test_a_long_list_of_known_names_is_shortened() -> None:
    names = [f"n{i:02}" for i in range(40)]

    assert did_you_mean((), names) == f"; known: {', '.join(names[:30])} …"


@pytest.mark.parametrize(
    "error",
    [
        MissingExtraError("plots", "notebook"),
        UnknownNameError("measure", "total_csot", ["total_cost"], hint="; see the docs"),
        MajordomoError("plain"),
    ],
)
def test_an_error_crosses_a_process_boundary_with_its_facts(error: MajordomoError) -> None:
    """Process pools, Dask and pytest-xdist pickle what is raised."""
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(again) is type(error)
        assert str(again) == str(error)
        assert vars(again) == vars(error)

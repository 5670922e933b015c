"""A question is checked when its plan is made, before anything runs."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

import majordomo_analytics as ma
from majordomo_analytics.plan.fields import Catalogue, Field
from majordomo_analytics.plan.filters import All, Compared, Not, OneOf, read_filters
from majordomo_analytics.plan.measures import MEASURES
from majordomo_analytics.plan.plan import Plan, Query, make_plan
from majordomo_analytics.times import TimeRange

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
CATALOGUE = Catalogue(
    {"requested_at": "instant", "model": "text", "status_code": "integer", "total_cost": "money",
     "is_streamed": "boolean", "raw_metadata": "nested", "input_tokens": "integer"},
    promoted=("Team", "User-Tier"),
    stored_keys=lambda: {"plan": ("Plan", "plan"), "model": ("Model",)},
)  # fmt: skip


def plan(**asked: Any) -> Plan:
    return make_plan(Query(**asked), CATALOGUE, span=TimeRange, now=NOW)


@pytest.mark.parametrize("spelling", ["User-Tier", "user_tier", "USER-TIER", "User_tier"])
def test_spellings_of_a_metadata_key_are_one_dimension(spelling: str) -> None:
    """Case does not count, and an underscore is a hyphen."""
    assert plan(dimensions=(spelling,)).columns[0] == "User-Tier"


def test_a_column_wins_over_a_metadata_key() -> None:
    """`model` is the column; `metadata["Model"]` says the key."""
    key = Field("Model", "text", ("Model",))

    assert CATALOGUE.field("Model") == Field("model", "text")
    assert CATALOGUE.field('metadata["model"]') == key
    assert CATALOGUE.field("metadata['Model']") == key
    assert CATALOGUE.field(ma.metadata("Model")) == key


def test_every_stored_spelling_of_a_key_is_known() -> None:
    """Rows written in lower case answer to the same name."""
    assert CATALOGUE.field("PLAN") == Field("Plan", "text", ("Plan", "plan"))


@pytest.mark.parametrize(
    ("asked", "nearest"),
    [
        ({"measures": ("total_costs",)}, "total_cost"),
        ({"dimensions": ("Taem",)}, "Team"),
        ({"dimensions": ("staus_code",)}, "status_code"),
        ({"filters": read_filters({"Plann": "x"})}, "Plan"),
        ({"order_by": ("-requets",)}, "requests"),
        ({"dimensions": (ma.metadata("Modle"),)}, "Model"),
    ],
)
def test_an_unknown_name_names_the_nearest(asked: dict[str, Any], nearest: str) -> None:
    """Whatever was misspelled, the message has what would be right."""
    with pytest.raises(ma.UnknownNameError) as caught:
        plan(**asked)

    assert nearest in caught.value.suggestions
    assert repr(nearest) in str(caught.value)


@pytest.mark.parametrize(
    "asked",
    [
        {"measures": ()},
        {"dimensions": ("requested_at",)},
        {"dimensions": ("raw_metadata",)},
        {"dimensions": ("Team", "team")},
        {"dimensions": ("input_tokens",), "measures": ("input_tokens",)},
        {"limit": 0},
        {"limit": True},
        {"order_by": ("-model",)},
        {"order_by": (3,)},
        {"time_grain": "fortnight"},
        {"timezone": "Mars/Olympus"},
    ],
)
def test_a_question_without_an_answer_is_refused(asked: dict[str, Any]) -> None:
    """One clear error of ours, not one of the engine's."""
    with pytest.raises(ma.QueryError):
        plan(**asked)


def test_filters_are_read_into_nodes() -> None:
    """A value, None, a list, a pair, or a list of pairs of which all must hold."""
    given = {"a": "x", "b": None, "c": [1, None], "d": ("!=", 2), "e": [(">=", 1), ("<", 3)]}

    assert read_filters(given) == All(
        (
            OneOf("a", ("x",)),
            OneOf("b", (None,)),
            OneOf("c", (1, None)),
            Not(OneOf("d", (2,))),
            Compared("e", ">=", 1),
            Compared("e", "<", 3),
        )
    )


@pytest.mark.parametrize(
    "given",
    [
        {"Team": ("legal", "sales")},
        {"Team": ("=>", 1)},
        {"Team": 5},
        {"Team": "\0"},
        {"Team": "\ud800"},
        {"Team": object()},
        {"Team": ("in", "legal")},
        {"status_code": "many"},
        {"status_code": ("<", None)},
        {"status_code": True},
        {"status_code": float("nan")},
        {"status_code": ("contains", "4")},
        {"is_streamed": ("<", True)},
        {"is_streamed": "maybe"},
        {"raw_metadata": "x"},
        {"requested_at": "soon"},
        "Team=legal",
    ],
)
def test_a_filter_that_cannot_be_read_is_refused(given: Any) -> None:
    """Also one whose value the column can never hold."""
    with pytest.raises(ma.FilterError):
        plan(filters=read_filters(given))


def test_values_become_the_kind_of_their_column() -> None:
    """Text from a shell is read; a float of money is the decimal that was typed."""
    filters = read_filters({"status_code": "404", "total_cost": (">", 0.1), "is_streamed": "true"})

    assert plan(filters=filters).filters == All(
        (
            OneOf("status_code", (404,)),
            Compared("total_cost", ">", Decimal("0.1")),
            OneOf("is_streamed", (True,)),
        )
    )


def test_a_plan_does_not_change() -> None:
    """Question and plan are frozen."""
    with pytest.raises(FrozenInstanceError):
        plan().limit = 3  # type: ignore[misc]


@pytest.mark.parametrize("name", MEASURES)
def test_every_measure_says_what_it_is(name: str) -> None:
    """Each has a unit and a meaning, and its name is how it is asked for."""
    measure = MEASURES[name]

    assert measure.name == name
    assert measure.unit
    assert measure.meaning
    assert plan(measures=(name,)).columns == (name,)


def test_own_measures_are_checked_when_made() -> None:
    """They cannot hide one of ours, and ratios are not divided again."""
    for name, of, per in (
        ("total_cost", "requests", None),
        ("x", "error_rate", "requests"),
        ("x", "requests", "error_rate"),
        ("x", "costs", None),
    ):
        with pytest.raises(ma.QueryError):
            ma.measure(name, of, per=per)


def test_what_is_no_name_and_no_calendar_is_refused() -> None:
    """By errors of ours that name the value, the rule and the way out."""
    ledger = ma.open(pl.DataFrame({"requested_at": ["2026-10-05T09:00Z"]}))
    nonsense: Any

    for nonsense in (5, 1.5, object):
        with pytest.raises(ma.QueryError, match=r"dimensions=.+write 'Feature' or \['Feature'"):
            ledger.query(dimensions=nonsense)
    for nonsense in ("iso", 5, {}):
        with pytest.raises(ma.TimeRangeError, match=r"calendar=.+ is no calendar; leave it out"):
            ledger.query(calendar=nonsense)
        with pytest.raises(ma.TimeRangeError, match="is no calendar"):
            ledger.query(time_range="this month", compare="previous year", calendar=nonsense)


def test_two_of_one_name_are_not_defined_in_one_call() -> None:
    """One after the other, the later measure counts; the same one twice is one."""
    ledger = ma.open(pl.DataFrame({"requested_at": ["2026-10-05T09:00Z"], "output_tokens": [3]}))
    one = ma.measure("own", sum="output_tokens")
    other = ma.measure("own", distinct="model")

    with pytest.raises(ma.QueryError, match="two different things are called 'own'"):
        ledger.define(one, other)
    with pytest.raises(ma.QueryError, match="'own'"):
        ledger.define(one, ma.dimension("own", "model", split="-"))
    assert ledger.define(one, one).query("own").total == {"own": 3}
    assert ledger.define(other).define(one).query("own").total == {"own": 3}

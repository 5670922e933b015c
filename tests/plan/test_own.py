"""Dimensions and measures of a user's own are checked when they are made, or asked by."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import pandas as pd  # type: ignore[import-untyped]
import polars as pl
import pyarrow as pa
import pytest

import majordomo_analytics as ma
from majordomo_analytics.plan.dimensions import Bucketed, Mapped

ROWS = {
    "requested_at": ["2026-10-05T09:00Z", "2026-10-05T10:00Z", "2026-10-10T11:00Z", "2026-10-06"],
    "model": ["gpt-5", "gpt-5-mini", "o3", None],
    "input_tokens": [10, 2000, 50_000, None],
    "output_tokens": [1, 2, 3, 4],
    "total_cost": ["0.10", "0.20", "0.40", None],
    "raw_metadata": ['{"Plan": "p1", "Weekday": "x"}', '{"plan": "p2"}', "{}", "{}"],
}
LEDGER = ma.open(pl.DataFrame(ROWS))


def rows(*asked: Any, **more: Any) -> list[tuple[Any, ...]]:
    return LEDGER.query(*asked, **more).to_polars().rows()


@pytest.mark.parametrize(
    "table",
    [
        {"u1": "pro", "7": "free"},
        [("u1", "pro"), ("7", "free")],
        pl.DataFrame({"user": ["u1", "7", None], "plan": ["pro", "free", "x"]}),
        pl.LazyFrame({"user": ["u1", "7"], "plan": ["pro", "free"]}),
        pd.DataFrame({"user": ["u1", "7", None], "plan": ["pro", "free", "x"]}),
        pa.table({"user": ["u1", "7"], "plan": ["pro", "free"]}),
        {"u1": "pro", 7: "free"},
        [("u1", "pro"), ("u1", "pro"), ("7", "free")],
    ],
    ids=["dict", "pairs", "polars", "lazy", "pandas", "arrow", "numbers", "doubles"],
)
def test_a_table_is_a_dict_or_a_frame_of_two_columns(table: Any) -> None:
    """What has no key has no row; numbers are the texts that headers hold."""
    made = ma.dimension("plan", "User-Id", mapping=table)

    assert made == Mapped("plan", "User-Id", ("u1", "7"), ("pro", "free"))


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({}, "one of"),
        ({"mapping": {}, "edges": [1]}, "one of"),
        ({"edges": [1], "default": "x"}, "'default' goes with"),
        ({"split": "-", "labels": ["a"]}, "'labels' goes with"),
        ({"mapping": [("a", "x"), ("a", "y")]}, "'a' is both 'x' and 'y'"),
        ({"mapping": pl.DataFrame({"a": ["x"]})}, "two columns"),
        ({"mapping": "ab"}, "no dict"),
        ({"mapping": ["a"]}, "no pair"),
        ({"mapping": {"a": 1.5}}, "1.5 is no text"),
        ({"mapping": {"a": "\0"}}, "no text"),
        ({"patterns": {"a(": "x"}}, "never closed"),
        ({"patterns": ["a"]}, "are a dict"),
        ({"edges": []}, "not ascending"),
        ({"edges": 5}, "edges=5 is no list of numbers; write edges=[5]"),
        ({"edges": "12"}, "edges='12' is no list of numbers; write edges=[12]"),
        ({"edges": object}, "is no list of numbers, such as"),
        ({"edges": [1], "labels": "ab"}, "labels='ab' is no list of texts"),
        ({"edges": [1], "labels": 5}, "labels=5 is no list of texts"),
        ({"edges": [2, 1]}, "not ascending"),
        ({"edges": [1, 1.0]}, "not ascending"),
        ({"edges": ["many"]}, "no number"),
        ({"edges": [True]}, "no number"),
        ({"edges": [float("inf")]}, "no number"),
        ({"edges": [1], "labels": ["a"]}, "2 intervals"),
        ({"edges": [1], "labels": ["a", "a"]}, "label of its own"),
        ({"edges": [1], "labels": ["a", "(other)"]}, "calls something else"),
        ({"split": ""}, "is none"),
        ({"split": "-", "part": "first"}, "is none"),
        ({"calendar": "weekdy"}, "did you mean 'weekday'"),
    ],
)
def test_a_dimension_that_makes_no_sense_is_refused(given: dict[str, Any], why: str) -> None:
    with pytest.raises(ma.QueryError, match=re.escape(why)):
        ma.dimension("own", "model", **given)


def test_edges_are_exact_and_intervals_named_by_them() -> None:
    """A float is the decimal that was typed."""
    made = ma.dimension("size", "total_cost", edges=[0.1, "0.25", 1])

    assert isinstance(made, Bucketed)
    assert made.edges == (Decimal("0.1"), Decimal("0.25"), 1)
    assert made.labels == ("< 0.1", "0.1 to < 0.25", "0.25 to < 1", "≥ 1")


def test_intervals_are_ordered_by_where_they_begin() -> None:
    """Not by their names, falling as well; what is missing and the rest come last."""
    size = ma.dimension("size", "input_tokens", edges=[1000, 20_000], labels=["s", "m", "l"])
    for order, shown in (("size", ["s", "m", "l"]), ("-size", ["l", "m", "s"])):
        assert rows("requests", size, order_by=order) == [
            *((label, 1) for label in shown), ("(untagged)", 1),
        ]  # fmt: skip
    assert rows("requests", size, order_by="-size", limit=1) == [("l", 1), ("(other)", 3)]
    whole = LEDGER.query("requests", ma.dimension("size", "output_tokens", edges=[3])).to_polars()
    assert whole.schema == {"size": pl.String, "requests": pl.Int64}


def test_labels_of_intervals_can_be_filtered_by() -> None:
    """By a label, and by an order of labels; another label is named."""
    size = ma.dimension("size", "input_tokens", edges=[1000, 20_000], labels=["s", "m", "l"])
    ledger = LEDGER.define(size)

    assert ledger.query("requests", filters={"size": ["s", "l"]}).total == {"requests": 2}
    assert ledger.query("requests", filters={"size": (">=", "m")}).total == {"requests": 2}
    assert ledger.query("requests", filters={"size": None}).total == {"requests": 1}
    with pytest.raises(ma.FilterError, match="'xl' is none of its labels"):
        ledger.query("requests", filters={"size": "xl"})
    with pytest.raises(ma.FilterError, match="holds intervals"):
        ledger.query("requests", filters={"size": ("contains", "s")})


def test_every_ledger_has_parts_of_the_calendar() -> None:
    """They win over a metadata key of the same name, which can still be said."""
    assert rows("requests", "weekday", order_by="weekday") == [(1, 2), (2, 1), (6, 1)]
    hours = LEDGER.query("requests", "hour_of_day", timezone="Asia/Kolkata", limit=1)
    assert hours.to_polars().rows() == [("(other)", 3), ("5", 1)]
    assert rows("requests", ma.metadata("weekday"))[1] == ("x", 1)
    night = ma.dimension("shift", "hour_of_day", edges=[10], labels=["early", "late"])
    assert rows("requests", night, {"weekday": ("<", 6)}) == [("early", 2), ("late", 1)]


def test_a_dimension_may_take_the_name_of_the_key_it_is_made_of() -> None:
    """It cleans the key up, and hides it."""
    plan = ma.dimension("Plan", "Plan", mapping={"p1": "pro", "p2": "pro"})

    assert rows("requests", plan) == [("(untagged)", 2), ("pro", 2)]
    assert LEDGER.define(plan).query("requests", filters={"plan": "pro"}).total == {"requests": 2}


@pytest.mark.parametrize(
    ("own", "why"),
    [
        ([ma.dimension("model", "Plan", mapping={})], "cannot hide the column 'model'"),
        ([ma.dimension("own", "input_tokens", mapping={})], "made of a text"),
        ([ma.dimension("own", "model", edges=[1])], "made of a number"),
        ([ma.dimension("own", "nothing", mapping={})], "no column is named 'nothing'"),
        ([ma.dimension("own", "model", calendar="weekday")], "requested_at"),
        ([ma.dimension("own", "b", split="-"), ma.dimension("b", "own", split="-")], "of itself"),
        ([ma.dimension("own", "model", split="-"), ma.dimension("Own", "model", split="+")],
         "two different"),
        ([ma.dimension("own", "b", edges=[1]), ma.dimension("b", "input_tokens", edges=[1])],
         "holds intervals"),
    ],
)  # fmt: skip
def test_a_dimension_that_cannot_be_is_refused_when_asked_by(own: list[Any], why: str) -> None:
    with pytest.raises(ma.QueryError, match=why):
        LEDGER.define(*own).query("requests", "own")


def test_an_unknown_name_may_be_one_that_was_defined() -> None:
    """A suggestion names it."""
    ledger = LEDGER.define(ma.dimension("family", "model", split="-"))

    with pytest.raises(ma.UnknownNameError) as caught:
        ledger.query("requests", "famly")
    assert "family" in caught.value.suggestions
    with pytest.raises(ma.QueryError, match="made neither by"):
        LEDGER.define("family")  # type: ignore[arg-type]  # what a user may try


def test_requests_can_be_read_by_a_dimension_of_ones_own() -> None:
    """Also through a table that is joined with, whose columns are not shown."""
    table = {f"m{n}": "x" for n in range(50)} | {"gpt-5": "big"}
    ledger = LEDGER.define(ma.dimension("size", "model", mapping=table))

    found = ledger.filter(size="big").requests().collect()

    assert found["model"].to_list() == ["gpt-5"]
    assert found.columns == LEDGER.requests().collect_schema().names()


def test_columns_can_be_measured() -> None:
    """Sum, mean, quantile and number of values, each of the known ones."""
    asked = [
        ma.measure("tokens", sum=["input_tokens", "output_tokens"]),
        ma.measure("cost", sum="total_cost"),
        ma.measure("mean_cost", mean="total_cost"),
        ma.measure("median", quantile="input_tokens"),
        ma.measure("p75_cost", quantile="total_cost", level=0.75),
        ma.measure("most", quantile="input_tokens", level=1),
        ma.measure("models", distinct="model"),
        ma.measure("plans", distinct=ma.metadata("Plan")),
        ma.measure("weekdays", distinct="weekday", where={"model": ("starts with", "gpt")}),
        ma.measure("per_token", "total_cost", per="output_tokens", scale=1000),
    ]

    total = LEDGER.query(asked).total

    assert total == {
        "tokens": 52_020, "cost": Decimal("0.7"), "mean_cost": pytest.approx(0.7 / 3),
        "median": 2000.0, "p75_cost": pytest.approx(0.3), "most": 50_000.0, "models": 3,
        "plans": 2, "weekdays": 1, "per_token": pytest.approx(70),
    }  # fmt: skip
    assert LEDGER.query(asked[1]).to_polars().schema == {"cost": pl.Decimal(38, 10)}


def test_ratios_of_the_rest_and_the_total_are_of_their_requests() -> None:
    """They are worked out after adding up, and never added."""
    ratio = ma.measure("per_request", sum="total_cost", per="requests")
    ledger = LEDGER.define(ratio)

    found = ledger.query(["per_request", "requests"], "model", order_by="model", limit=1)

    assert found.to_polars().rows() == [
        ("(other)", pytest.approx(0.7 / 3), 3),
        ("(untagged)", None, 1),
    ]
    assert found.total["per_request"] == pytest.approx(0.175)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({}, "not 0 of them"),
        ({"of": "requests", "sum": "total_cost"}, "not 2 of them"),
        ({"sum": []}, "no list of columns"),
        ({"mean": ["a", "b"]}, "of one column"),
        ({"quantile": "input_tokens", "level": 1.5}, "no share"),
        ({"sum": "total_cost", "scale": 1000}, "goes with 'per'"),
        ({"sum": "total_cost", "per": "requests", "scale": 0.5}, "no whole number"),
    ],
)
def test_a_measure_that_makes_no_sense_is_refused(given: dict[str, Any], why: str) -> None:
    with pytest.raises(ma.QueryError, match=why):
        ma.measure("own", **given)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"sum": "model"}, "cannot be a sum of 'model'"),
        ({"sum": ["total_cost", "input_tokens"]}, "cannot add integer and money"),
        ({"sum": "Plan"}, "metadata values are text"),
        ({"quantile": "requested_at"}, "cannot be a quantile"),
        ({"distinct": "raw_metadata"}, "cannot be a distinct"),
        ({"sum": "weekdays"}, "no column is named"),
    ],
)
def test_what_cannot_be_measured_is_refused(given: dict[str, Any], why: str) -> None:
    with pytest.raises(ma.QueryError, match=why):
        LEDGER.query(ma.measure("own", **given))

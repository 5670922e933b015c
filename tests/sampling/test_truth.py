"""What was added up while the rows were made is what the query API answers."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from majordomo_analytics.ledger.ledger import Ledger
from majordomo_analytics.plan.plan import UNTAGGED
from majordomo_analytics.sampling.truth import MEASURES, money

MONEY = {"input_cost", "output_cost", "total_cost"}
DIMENSIONS = ("Feature", "Team", "User-Tier", "Environment", "provider", "model")


def exactly(sums: dict[str, Any]) -> dict[str, Any]:
    """Return sums of the truth with money as decimals."""
    return {
        name: Decimal(value) if name in MONEY and value is not None else value
        for name, value in sums.items()
    }


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_sums_by_a_dimension_are_those_of_the_truth(
    ledger: Ledger, truth: Any, dimension: str
) -> None:
    rows = ledger.query(MEASURES, dimension).to_polars().to_dicts()
    said = {row.pop(dimension): row for row in rows}

    assert said == {name: exactly(sums) for name, sums in truth["by"][dimension].items()}


def test_sums_by_day_are_those_of_the_truth(ledger: Ledger, truth: Any) -> None:
    rows = ledger.query(MEASURES, time_grain="day").to_polars().to_dicts()
    said = {str(row.pop("day")): row for row in rows}

    assert len(said) == 120
    assert said == {day: exactly(sums) for day, sums in truth["by"]["day"].items()}


def test_sums_by_arm_are_those_of_the_truth(ledger: Ledger, truth: Any) -> None:
    rows = ledger.query(MEASURES, ["Experiment", "Arm"]).to_polars().to_dicts()
    said = {(row.pop("Experiment"), row.pop("Arm")): row for row in rows}
    del said[UNTAGGED, UNTAGGED]

    assert {"/".join(arm): sums for arm, sums in said.items()} == {
        arm: exactly(sums) for arm, sums in truth["by"]["Experiment/Arm"].items()
    }


def test_the_whole_is_that_of_the_truth(ledger: Ledger, truth: Any) -> None:
    total = ledger.query([*MEASURES, "users"]).total

    assert total == exactly(truth["total"])


def test_the_parts_of_the_truth_are_its_whole(truth: Any) -> None:
    """By addition, without any query."""
    for name in (*DIMENSIONS, "day"):
        for measure in MEASURES:
            parts = [sums[measure] for sums in truth["by"][name].values()]
            whole = exactly({measure: truth["total"][measure]})[measure]
            assert sum(Decimal(part) for part in parts if part is not None) == whole


@pytest.mark.parametrize(
    ("steps", "text"), [(0, "0.0000000000"), (1, "0.0000000001"), (10**10, "1.0000000000")]
)
def test_money_is_text_with_ten_places(steps: int, text: str) -> None:
    assert money(steps) == text

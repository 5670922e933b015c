"""Every claim of the story is seen by asking, in a made sample and in the shipped one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from majordomo_analytics.ledger.ledger import Ledger
from majordomo_analytics.ledger.sample import sample
from majordomo_analytics.sampling.shipped import shipped_truth

TOLERANCE = {150_000: 0.06, 40_000: 0.10}
"""How far a measured effect may be from the one that was made: four standard errors."""


@pytest.fixture(params=["made", "shipped"])
def told(request: pytest.FixtureRequest) -> tuple[Ledger, Any]:
    if request.param == "shipped":
        return sample(), shipped_truth()
    return request.getfixturevalue("ledger"), request.getfixturevalue("truth")


@pytest.fixture
def asked(told: tuple[Ledger, Any]) -> Ledger:
    return told[0]


@pytest.fixture
def story(told: tuple[Ledger, Any]) -> Any:
    return told[1]["story"]


@pytest.fixture
def near(told: tuple[Ledger, Any]) -> Callable[[float], Any]:
    tolerance = TOLERANCE[told[1]["generator"]["rows"]]
    return lambda expected: pytest.approx(expected, rel=tolerance)


def rows(ledger: Ledger, *arguments: Any, **named: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = ledger.query(*arguments, **named).to_polars().to_dicts()
    return found


def number(ledger: Ledger, measure: str) -> Any:
    return ledger.query(measure).total[measure]


def arms_of(asked: Ledger, experiment: Any) -> dict[str, dict[str, Any]]:
    tried = asked.filter(Experiment=experiment["name"])
    found = rows(tried, ["cost_per_request", "error_rate", "requests", "users"], "Arm")
    return {row["Arm"]: row for row in found}


def test_the_short_prompt_costs_seven_tenths(asked: Ledger, story: Any, near: Any) -> None:
    experiment = story["experiments"][0]
    arms = arms_of(asked, experiment)
    control, treatment = arms["control"], arms["short"]

    assert experiment["factor_percent"] == 70
    assert treatment["cost_per_request"] / control["cost_per_request"] == near(0.70)
    assert abs(treatment["error_rate"] - control["error_rate"]) < 0.02
    assert treatment["requests"] / control["requests"] == pytest.approx(1, abs=0.35)


def test_the_arms_of_the_a_a_test_are_the_same(asked: Ledger, story: Any, near: Any) -> None:
    arms = arms_of(asked, story["experiments"][1])

    assert arms["b"]["cost_per_request"] / arms["a"]["cost_per_request"] == near(1)


@pytest.mark.parametrize("place", [0, 1])
def test_an_experiment_runs_on_its_days_in_its_feature(
    asked: Ledger, story: Any, place: int
) -> None:
    experiment = story["experiments"][place]
    tried = asked.filter(Experiment=experiment["name"])
    days = [row["day"] for row in rows(tried, "requests", time_grain="day")]

    assert {row["Feature"] for row in rows(tried, "requests", "Feature")} == {experiment["feature"]}
    assert str(min(days)) == experiment["first_day"]
    assert str(max(days) + timedelta(days=1)) == experiment["end_day"]


def test_a_user_has_one_arm_only(asked: Ledger) -> None:
    arms = rows(asked.filter(Experiment="short-prompt"), "requests", ["User-Id", "Arm"])

    assert len({row["User-Id"] for row in arms}) == len(arms) > 100


def test_the_price_of_luna_falls_to_a_fifth(asked: Ledger, story: Any, near: Any) -> None:
    """With nothing else changed in the feature that calls it."""
    change = story["price_change"]
    called = asked.filter(model=change["model"])
    before, after = (
        number(called.during(span), "cost_per_request")
        for span in (("2026-06-01", change["day"]), (change["day"], "2026-09-29"))
    )
    cut = [float(change[f"usd_per_million_tokens_{side}"]["input"]) for side in ("before", "after")]

    assert change["day"] == "2026-07-30"
    assert cut == [1, 0.2]
    assert after / before == near(0.2)


def test_summaries_change_their_model_on_a_day(asked: Ledger, story: Any) -> None:
    cut = story["cut_over"]
    summaries = asked.filter(Feature=cut["feature"])
    halves = [("2026-06-01", cut["day"]), (cut["day"], "2026-09-29")]
    models = [rows(summaries.during(half), "requests", "model") for half in halves]
    costs = [number(summaries.during(half), "cost_per_request") for half in halves]

    assert [[row["model"] for row in half] for half in models] == [[cut["before"]], [cut["after"]]]
    assert costs[1] < costs[0] / 4


def test_meeting_notes_begin_with_their_launch(asked: Ledger, story: Any) -> None:
    days = rows(asked.filter(Feature=story["launch"]["feature"]), "requests", time_grain="day")

    assert date.fromisoformat(story["launch"]["day"]) <= days[0]["day"] <= date(2026, 7, 21)


def test_the_late_key_is_not_there_before_its_day(asked: Ledger, story: Any) -> None:
    key = story["late_key"]
    (seen,) = asked.metadata_keys().filter(name=key["name"]).to_dicts()
    early = asked.during(("2026-06-01", key["day"]))
    late = asked.during((key["day"], "2026-09-29"))
    tagged = rows(late.filter(Feature=key["features"][0]), "requests", key["name"])

    assert seen["first_seen"].date().isoformat() == key["day"]
    assert key["name"] not in early.metadata_keys()["name"].to_list()
    assert {row[key["name"]] for row in tagged} == {value for _, value in key["values"]}


def test_the_loop_is_the_dearest_hours_and_has_its_extent(asked: Ledger, story: Any) -> None:
    loop = story["anomaly"]
    caught = asked.filter({"User-Id": loop["user_id"]})
    hours = rows(caught, ["requests", "total_cost"], time_grain="hour")
    total = caught.query(["requests", "errors", "total_cost"]).total
    by_hour = rows(asked, "total_cost", time_grain="hour")
    dearest = sorted(by_hour, key=lambda row: row["total_cost"] or 0, reverse=True)[:4]
    start, end = (datetime.fromisoformat(loop[side]) for side in ("start", "end"))

    assert hours[0]["hour"] == start
    assert hours[-1]["hour"] + timedelta(hours=1) == end
    assert total["requests"] == loop["requests"]
    assert total["errors"] == loop["errors"]
    assert str(total["total_cost"]) == loop["total_cost"]
    assert {start <= row["hour"] < end for row in dearest} == {True}
    assert {row["Session-Id"] for row in rows(caught, "requests", "Session-Id")} == {
        loop["session_id"]
    }


def test_the_day_of_the_loop_is_the_dearest(asked: Ledger) -> None:
    days = rows(asked, "total_cost", time_grain="day")

    assert max(days, key=lambda row: row["total_cost"])["day"] == date(2026, 8, 27)


def test_the_incident_is_seen_in_its_provider_alone(asked: Ledger, story: Any) -> None:
    incident = story["incident"]
    start, end = (datetime.fromisoformat(incident[side]) for side in ("start", "end"))
    during = rows(asked.during((start, end)), ["error_rate", "requests"], "provider")
    rate = {row["provider"]: row["error_rate"] for row in during}

    assert rate.pop(incident["provider"]) > 0.15
    assert max(rate.values()) < 0.15
    assert number(asked.filter(provider=incident["provider"]), "error_rate") < 0.05


def test_the_fine_tuned_model_has_no_price(asked: Ledger, story: Any) -> None:
    (model,) = story["unpriced_models"]
    total = asked.filter(model=model).query(["requests", "unpriced_requests", "total_cost"]).total

    assert total["requests"]
    assert total["requests"] == total["unpriced_requests"]
    assert total["total_cost"] is None


def test_shares_are_those_that_were_promised(asked: Ledger) -> None:
    every = number(asked, "requests")

    def share(**conditions: Any) -> float:
        return float(number(asked.filter(**conditions), "requests") / every)

    assert 0.02 < share(Feature=None) < 0.05
    assert 0.03 < share(Team=None) < 0.07
    assert 0.015 < number(asked, "error_rate") < 0.035
    assert 0.02 < number(asked, "unpriced_requests") / every < 0.06
    assert 0.002 < share(outcome="client_disconnected") < 0.01
    assert 0.003 < share(retry_attempt=(">", 0)) < 0.02
    assert 0.3 < share(is_streamed=True) < 0.5
    assert 0.8 < share(Environment="production") < 0.95


def test_few_users_are_heavy_and_many_light(asked: Ledger) -> None:
    users = rows(asked.filter(User_Id=("!=", None)), "requests", "User-Id", order_by="-requests")
    counts = [row["requests"] for row in users]
    top = len(counts) // 100

    assert sum(counts[:top]) > 0.25 * sum(counts)
    assert counts[len(counts) // 2] <= 12
    assert counts[0] < 0.12 * sum(counts)


def test_a_session_is_one_user_and_some_minutes(asked: Ledger) -> None:
    sessions: Any = asked.sql(
        "select count(distinct raw_metadata['User-Id']) as users, count(*) as calls, "
        "epoch(max(requested_at) - min(requested_at)) as span_s from llm_requests "
        "where raw_metadata['Session-Id'] like 's-%' and "
        "raw_metadata['Session-Id'] <> 's-runaway00417' group by raw_metadata['Session-Id']"
    )

    assert sessions["users"].max() == 1
    assert sessions["calls"].max() > 3
    assert sessions["span_s"].max() < 300


def test_four_providers_and_more_than_six_models_are_called(asked: Ledger) -> None:
    priced = rows(asked, "total_cost", ["provider", "model"])

    assert len({row["provider"] for row in priced}) == 4
    assert len([row for row in priced if row["total_cost"]]) >= 12


def test_the_window_is_the_one_that_is_documented(asked: Ledger) -> None:
    days = [row["day"] for row in rows(asked, "requests", time_grain="day")]

    assert (days[0], days[-1], len(days)) == (date(2026, 6, 1), date(2026, 9, 28), 120)
    assert datetime(2026, 9, 29, tzinfo=UTC) < datetime.now(UTC)

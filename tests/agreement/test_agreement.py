"""Every engine gives the answer that plain Python works out, to any question.

`MAJORDOMO_AGREEMENT_PLANS` says how many questions are asked in all, 500 unless told
otherwise; ``5000`` is for a change of an engine. Each question goes to every engine, in
turn to one of the sources that it reads. No engine may leave a question out: one that
refuses to answer fails the test.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any
from zlib import crc32

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from polars.testing import assert_frame_equal

import majordomo_analytics as ma
from majordomo_analytics.engines.base import measure_type
from majordomo_analytics.ledger.result import QueryResult
from majordomo_analytics.plan.filters import Compared, Not, OneOf, names_in
from majordomo_analytics.records.columns import BY_NAME
from tests.agreement import oracle
from tests.agreement.ledgers import SHAPES, Row, make_rows
from tests.agreement.own import CALENDAR_PARTS, OwnMeasure
from tests.agreement.questions import Question, keys_in, questions
from tests.agreement.sources import ROADS, Servers

PLANS = int(os.environ.get("MAJORDOMO_AGREEMENT_PLANS", "500"))
QUICK = ("keys in two spellings", "a quarter hour apart, Lord Howe")
HARD = (
    Question(("requests", "total_cost"), ("status_code",), limit=3),
    Question(("total_cost",), ("is_streamed", "Team"), limit=2, other=False),
    Question(("requests",), ("total_cost", "Team"), limit=4, order_by=("total_cost",)),
    Question(("users", "error_rate"), ("Team",), time_grain="day", limit=1, order_by=("-users",)),
    Question(("cache_hit_rate",), ("Team", "Plan"), limit=2, order_by=("cache_hit_rate",)),
    Question(("cost_per_request", "requests"), time_grain="hour", timezone="Australia/Lord_Howe"),
    Question(("requests",), time_grain="day", timezone="America/Santiago"),
    Question(("requests",), time_grain="week", timezone="America/Havana", order_by=("-week",)),
    Question(("requests",), filters=Not(Compared("status_code", "<", 400))),
    Question(("requests",), filters=Compared("input_tokens", "<", Decimal("1000.5"))),
    Question(("requests",), filters=Not(OneOf("model", ("gpt-5", None)))),
    Question(("requests",), ("weekday",)),
    Question(("requests",), filters=OneOf("Plan", ("pro",))),
    Question(("requests",), filters=Compared("requested_date", ">", date(2026, 4, 4))),
    Question(
        (OwnMeasure("q", "quantile", ("total_cost",), per="requests", scale=1000),), ("model",)
    ),
)
"""Missing values within a limit and in filters, clocks that go back, parts of a number,
days of a file that has fewer, a quantile that is divided, Sundays, and a key by which older
files are filtered, which have it in their metadata."""


@dataclass(frozen=True)
class Opened:
    """One ledger, open on every road."""

    name: str
    rows: list[Row]
    ledgers: dict[str, ma.Ledger]

    def ask(self, question: Question) -> dict[str, QueryResult | None]:
        """Return an answer of each engine, None where a sum is out of range."""
        answers: dict[str, QueryResult | None] = {}
        for road in self._roads_for(question):
            try:
                answers[road] = question.asked_of(self.ledgers[road]).query(
                    **question.asked(), fill_gaps=False, engine=ROADS[road][1]
                )
            except ma.ResultOverflowError:
                answers[road] = None
        return answers

    def _roads_for(self, question: Question) -> list[str]:
        """Return a road for each engine, the same whenever it is asked again."""
        turn = crc32(repr(question).encode())
        by_engine: dict[str, list[str]] = {}
        for road in self.ledgers:
            by_engine.setdefault(ROADS[road][1], []).append(road)
        return [roads[turn % len(roads)] for roads in by_engine.values()]


def open_all(name: str, folder: Path, servers: Servers) -> Opened:
    rows = make_rows(name)
    made: dict[object, ma.Ledger] = {}
    for make, _ in ROADS.values():
        if make not in made:
            (folder / make.__name__).mkdir()
            made[make] = make(rows, folder / make.__name__, servers)
    return Opened(name, rows, {road: made[make] for road, (make, _) in ROADS.items()})


@pytest.fixture(scope="module", params=SHAPES)
def opened(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, servers: Servers
) -> Opened:
    return open_all(request.param, tmp_path_factory.mktemp("ledger"), servers)


@pytest.fixture(scope="module", params=QUICK)
def quick(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, servers: Servers
) -> Opened:
    return open_all(request.param, tmp_path_factory.mktemp("ledger"), servers)


def agree(opened: Opened, question: Question) -> None:
    """Assert that every road gives the answer of the oracle, and that its books balance."""
    rows: list[tuple[Any, ...]] | None
    try:
        rows, total = oracle.answer(question, opened.rows)
    except oracle.AmbiguousError:
        agree(opened, replace(question, limit=None))
        return
    except oracle.OutOfRangeError:
        rows, total = None, {}
    for road, result in opened.ask(question).items():
        if rows is None or result is None:
            assert result is None, f"{road} gives a sum that is out of range"
            assert rows is None, f"{road} finds a sum out of range"
            continue
        frame = result.to_polars()
        expected = pl.DataFrame(rows, schema=schema_of(result), orient="row")
        assert_frame_equal(frame, expected, check_exact=True)
        assert result.total == total, road
        balances(result)


def schema_of(result: QueryResult) -> pl.Schema:
    """Return the dtypes that a result is described with; labels of dimensions are text."""
    plan, frame = result.plan, result.to_polars()
    measures = {measure.name: measure_type(measure, plan) for measure in plan.measures}
    return pl.Schema({name: measures.get(name, frame.schema[name]) for name in frame.columns})


def balances(result: QueryResult) -> None:
    """Assert that the rows of every additive measure add up to its total, exactly."""
    if result.plan.limit is not None and not result.plan.other:
        return
    for measure in result.plan.measures:
        if measure.additive:
            known = [value for value in result.to_polars()[measure.name] if value is not None]
            total = result.total[measure.name]
            assert exact_sum(known) == (total or 0), measure.name
            assert (total is None) == (not known) or not len(result), measure.name


def exact_sum(values: list[Decimal | int]) -> Decimal | int:
    steps = sum(int(value.scaleb(10)) if isinstance(value, Decimal) else value for value in values)
    money = bool(values) and isinstance(values[0], Decimal)
    return Decimal((int(steps < 0), tuple(map(int, str(abs(steps)))), -10)) if money else steps


def ask_anything(opened: Opened, plans: int) -> None:
    """Ask what has gone wrong elsewhere, and then random questions."""
    for question in HARD:
        known = {*BY_NAME, *CALENDAR_PARTS, *keys_in(opened.rows)}
        if {*question.dimensions, *map(str, names_in(question.filters))} <= known:
            agree(opened, question)

    @settings(
        max_examples=plans,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        derandomize="MAJORDOMO_AGREEMENT_PLANS" not in os.environ,
        database=None,
    )
    @given(questions(opened.name))
    def ask(question: Question) -> None:
        agree(opened, question)

    ask()


def test_engines_agree_on_a_few_questions(quick: Opened) -> None:
    """On ledgers with odd keys, and with clocks that go back."""
    ask_anything(quick, 4)


@pytest.mark.slow
def test_engines_agree_on_any_question(opened: Opened) -> None:
    """The same rows, dtypes, order and totals, and parts that add up to the whole."""
    ask_anything(opened, -(-PLANS // len(SHAPES)))

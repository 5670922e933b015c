"""From a question to its answer: plans, one session of the engine, gaps and comparison."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from majordomo_analytics.engines.base import read
from majordomo_analytics.ledger.comparing import (
    Side,
    check_names,
    combinations,
    compared_columns,
    most_changed,
    side_by_side,
)
from majordomo_analytics.ledger.gaps import buckets_in, buckets_of, fill_gaps, of_nothing
from majordomo_analytics.ledger.result import QueryResult
from majordomo_analytics.plan.buckets import incomplete_buckets
from majordomo_analytics.plan.comparing import read_comparison
from majordomo_analytics.plan.measures import Measure, read_measure
from majordomo_analytics.plan.plan import Ordering, make_plan
from majordomo_analytics.times import utc_now

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from majordomo_analytics.engines.base import Answer, Engine
    from majordomo_analytics.plan.plan import Plan, Query


def plan_for(question: Query, engine: Engine, now: datetime | None = None) -> Plan:
    """Return the plan of a question for what an engine reads, as it is asked at `now`."""
    return make_plan(question, engine.catalogue(), span=engine.span, now=now or utc_now())


def ask(question: Query, engine: Engine) -> QueryResult:
    """Return the answer to a question; all of it from one state of the source."""
    now = utc_now()
    if question.compare is not None:
        return _compare(question, engine, now)
    plan = plan_for(question, engine, now)
    engine.check(plan)
    with engine.session():
        answer = read(engine, plan)
    if question.fill_gaps:
        side = _side(answer, plan, engine, now, fill=True)
    else:
        side = Side(answer.rows, buckets_in(answer.rows, plan), answer.total)
    has_rows_of_time = plan.grain is not None and side.rows.height > 0
    return QueryResult(
        plan,
        side.rows,
        side.total if has_rows_of_time else answer.total,
        answer.coverage,
        answer.selected.sql,
        incomplete=incomplete_buckets(plan, list(side.buckets), now),
    )


def _side(answer: Answer, plan: Plan, engine: Engine, now: datetime, *, fill: bool) -> Side:
    buckets = buckets_of(answer.rows, plan, engine.span(), now)
    rows = fill_gaps(answer.rows, plan, buckets) if fill else answer.rows
    return Side(rows, buckets, of_nothing(answer, plan))


def _compare(question: Query, engine: Engine, now: datetime) -> QueryResult:
    """Return the answer with that of an earlier period beside it."""
    own = {one.name: one for one in question.own if isinstance(one, Measure)}
    added = compared_columns([read_measure(given, own) for given in question.measures])
    asked = question.order_by
    plain = tuple(given for given in asked if _named(given) not in added)
    question = replace(question, order_by=plain)
    plan = plan_for(question, engine, now)
    check_names(plan)
    found = read_comparison(
        question.compare,
        plan.time_range,
        zone=plan.zone,
        now=now,
        calendar=plan.calendar,
        said=question.time_range,
    )
    question = replace(question, time_range=found.earlier)
    before = plan_for(question, engine, now)
    order = _order(asked, plan, added)
    by_change = any(one.name in added for one in order)
    engine.check(plan)
    with engine.session():
        if plan.limit is not None and plan.dimensions and by_change:
            kept = most_changed(engine, plan, before, order)
            plan, before = replace(plan, kept=kept), replace(before, kept=kept)
        here = read(engine, plan)
        if plan.limit is not None and plan.dimensions and plan.kept is None:
            before = replace(before, kept=combinations(here.selected, plan))
        there = read(engine, before)
    one, other = (
        _side(answer, period, engine, now, fill=question.fill_gaps)
        for answer, period in ((here, plan), (there, before))
    )
    rows, total = side_by_side(one, other, plan, order)
    return QueryResult(
        plan,
        rows,
        total,
        here.coverage,
        here.selected.sql,
        incomplete=incomplete_buckets(plan, list(one.buckets), now),
        compared=found,
    )


def _order(asked: Sequence[str], plan: Plan, added: Sequence[str]) -> list[Ordering]:
    """Return the order asked for, in which columns of the comparison may be named."""
    if not asked:
        return list(plan.order)
    settled = iter(plan.order)
    return [
        Ordering(_named(given), descending=given.startswith("-"))
        if _named(given) in added
        else next(settled)
        for given in asked
    ]


def _named(given: object) -> str:
    return str(given).removeprefix("-")

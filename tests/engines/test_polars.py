"""Polars answers without SQL and without DuckDB, and what the other engines answer."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import deltalake
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

import majordomo_analytics as ma
from majordomo_analytics.engines.polars.buckets import start_of
from majordomo_analytics.engines.polars.engine import PolarsEngine
from majordomo_analytics.lake.table import take_snapshot
from majordomo_analytics.plan.dimensions import (
    Bucketed,
    CalendarPart,
    Derived,
    Dimension,
    Mapped,
    Part,
    Ruled,
)
from majordomo_analytics.plan.fields import Name
from majordomo_analytics.plan.filters import All, Compared, Filter, Like, Matches, Not, OneOf, Some
from majordomo_analytics.plan.plan import Ordering, Plan, Query, make_plan
from majordomo_analytics.times import Calendar, offsets_between, utc_now
from tests.agreement.oracle import bucket
from tests.agreement.questions import Question
from tests.support.requests import REQUESTS, write_lake

AT = datetime(2026, 10, 5, 9, tzinfo=UTC)
MOST_MONEY = Decimal("9" * 28 + "." + "9" * 10)


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    return write_lake(tmp_path / "lake")


def engine_over(values: Sequence[object], column: str = "model", **dtypes: Any) -> PolarsEngine:
    """Return an engine over one request for each value of a column."""
    frame = pl.DataFrame(
        {"requested_at": [AT] * len(values), column: values}, schema_overrides=dtypes, strict=False
    )
    return PolarsEngine(frame.to_arrow())


def amounts(places: int) -> st.SearchStrategy[Decimal]:
    return st.decimals(-(10**9), 10**9, places=places)


def plan_of(engine: PolarsEngine, **asked: Any) -> Plan:
    asked = {"measures": ("requests",)} | asked
    return make_plan(Query(**asked), engine.catalogue(), span=engine.span, now=utc_now())


def counted(engine: PolarsEngine, *derived: Derived) -> dict[Any, int]:
    """Return how many requests have each value of the last of some derived dimensions."""
    plan = plan_of(engine)
    fields: dict[Name, Dimension] = dict(plan.fields)
    fields[derived[0].of] = engine.catalogue().field(derived[0].of)
    fields |= {one.name: one for one in derived}
    made = replace(plan, dimensions=(derived[-1],), fields=fields)
    return dict(engine.select(made).frame.rows())


def matching(engine: PolarsEngine, node: Filter, column: str = "model") -> list[Any]:
    """Return the values of a column among the requests that a filter keeps."""
    found = engine.requests(plan_of(engine, filters=node)).collect()
    return found[column].to_list()


def test_it_runs_where_duckdb_cannot_be_imported(lake: Path) -> None:
    """Every question, the requests, the keys and what the ledger says of itself."""
    code = f"""
import sys
sys.modules["duckdb"] = None  # an import of it fails
import polars as pl, majordomo_analytics as ma
for source in ({str(lake)!r}, ma.open({str(lake)!r}).requests()):
    ledger = ma.open(source)
    print(ledger)
    print(ledger.query(list(ma.MEASURES), ["Team", "model"], time_grain="week", limit=2).total)
    print(ledger.query(engine="polars").total, ledger.metadata_keys().height)
assert not [name for name in sys.modules if name.split(".")[0] in ("_duckdb", "sqlglot")]
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count("5 requests, $13.76") == 2


def test_it_has_no_sql(lake: Path) -> None:
    """A result says so, and a statement is refused before anything runs."""
    engine = PolarsEngine(take_snapshot(lake))

    assert ma.open(lake).query(engine="polars").sql is None
    with pytest.raises(ma.UnsupportedByEngineError, match="runs no SQL, such as 'select 1'"):
        engine.sql(plan_of(engine), "select 1")


def test_requests_keys_and_names_are_those_of_duckdb(lake: Path) -> None:
    """The same frames, dtypes included, and the same catalogue."""
    source = ma.open(lake).source
    duckdb, own = source.engine("duckdb"), source.engine("polars")
    for asked in (Query(), Query(filters=OneOf("Feature", ("chat",)), time_range="2026-10-02")):
        plan = make_plan(asked, duckdb.catalogue(), span=duckdb.span, now=utc_now())

        assert_frame_equal(own.requests(plan), duckdb.requests(plan))
        assert_frame_equal(own.metadata_keys(plan), duckdb.metadata_keys(plan))
    assert own.span() == duckdb.span()
    assert own.catalogue().columns == duckdb.catalogue().columns
    assert own.catalogue().keys() == duckdb.catalogue().keys()


def test_only_files_of_the_range_are_read(lake: Path) -> None:
    """A question about two days opens no file of another day."""
    for file in take_snapshot(lake).files:
        if file.requested_date == date(2026, 10, 31):
            Path(file.uri).unlink()
    ledger = ma.open(lake)
    days = ("2026-10-01", "2026-10-03")

    assert ledger.query("requests", time_range=days, engine="polars").total == {"requests": 3}
    with pytest.raises(ma.LakeError, match="cannot be read"):
        ledger.query("requests", engine="polars")


def test_filters_reach_the_files(lake: Path) -> None:
    """Time and a promoted key are asked of the Parquet reader, which skips row groups."""
    from majordomo_analytics.engines.polars.compiler import Answering
    from majordomo_analytics.engines.polars.scans import Scans

    engine = PolarsEngine(take_snapshot(lake))
    plan = plan_of(
        engine, filters=OneOf("Team", ("legal",)), time_range=("2026-10-01", "2026-10-02")
    )
    explained = (
        Answering(plan, Scans(take_snapshot(lake)).requests(plan.time_range))
        .limited()
        .select("total_cost")
        .explain()
    )

    selection = explained.partition("SELECTION:")[2].partition("\n")[0]
    assert 'col("indexed_Team")' in selection
    assert selection.count('col("requested_at")') == 2
    assert "PROJECT 3/" in explained


def test_a_file_older_than_a_promotion_still_answers(tmp_path: Path) -> None:
    """Its rows have the key in their metadata only, and are not untagged."""
    path = write_lake(tmp_path / "lake")
    newer = REQUESTS[0] | {"raw_metadata": [("Plan", "pro")], "indexed_Plan": "pro"}
    schema = take_snapshot(path).schema.append(pa.field("indexed_Plan", pa.string()))
    deltalake.write_deltalake(
        path, pa.Table.from_pylist([newer], schema=schema), mode="append", schema_mode="merge"
    )

    found = ma.open(path).query("requests", "Plan", order_by="Plan", engine="polars").to_polars()

    assert found.rows() == [("(untagged)", 3), ("free", 1), ("pro", 2)]


def test_files_of_different_columns_and_types_are_one_ledger(tmp_path: Path) -> None:
    """What a file lacks is null there; text and floats are read as numbers."""
    days = [datetime(2026, 10, day, tzinfo=UTC) for day in (1, 2)]
    first = pl.DataFrame({"requested_at": days, "total_cost": ["0.1", None], "Team": ["a", "b"]})
    second = pl.DataFrame(
        {"requested_at": [at.replace(tzinfo=None) for at in days], "input_tokens": [1.0, 2.0]}
    )
    first.write_parquet(tmp_path / "[1].parquet")
    second.write_parquet(tmp_path / "it's.parquet")
    asked: dict[str, Any] = {
        "measures": ["requests", "total_cost", "input_tokens"], "dimensions": "Team",
    }  # fmt: skip

    found = ma.open(tmp_path).query(**asked, engine="polars")

    assert found.to_polars().rows() == [
        ("(untagged)", 2, None, 3), ("a", 1, Decimal("0.1"), None), ("b", 1, None, None),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "metadata",
    [
        pytest.param(['{"user-tier": "pro", "N": 1}', "{}"], id="json text"),
        pytest.param([{"user-tier": "pro"}, {"user-tier": None}], id="structs"),
        pytest.param([[{"key": "user-tier", "value": "pro"}], []], id="entries"),
    ],
)
def test_metadata_is_read_however_a_frame_holds_it(metadata: list[Any]) -> None:
    """What other gateways export: JSON text, lower-case keys, floats of money."""
    frame = pl.DataFrame(
        {"requested_at": [AT, AT], "raw_metadata": metadata, "total_cost": [0.1, 0.2]}
    )

    result = ma.open(frame).query(dimensions="User_Tier", engine="polars")

    assert result.to_polars().rows() == [
        ("(untagged)", Decimal("0.2"), 1),
        ("pro", Decimal("0.1"), 1),
    ]
    assert result.total["total_cost"] == Decimal("0.3")


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("raw_metadata", "[1]", "no JSON object"),
        ("raw_metadata", "{", "no JSON object"),
        ("responded_at", "soon", "'soon' is no instant"),
        ("input_tokens", "many", "many"),
    ],
)
def test_what_cannot_be_read_is_told_plainly(column: str, value: str, said: str) -> None:
    """The message has the value, and the error is one of a question."""
    frame = pl.DataFrame({"requested_at": [AT], column: [value]})

    with pytest.raises(ma.QueryError, match=said):
        ma.open(frame).query("input_tokens", filters={column: None}, engine="polars")


@given(
    st.lists(st.none() | st.integers(-(2**63) + 1, 2**63 - 1), min_size=1, max_size=6),
    st.data(),
)
def test_whole_numbers_are_compared_exactly(values: list[int | None], data: st.DataObject) -> None:
    """Also with fractions, and with what no column could hold."""
    near = data.draw(st.sampled_from([value or 0 for value in values]))
    shift = data.draw(st.sampled_from([Decimal(text) for text in ("0", "0.5", "-0.5", "1e21")]))
    than = Decimal(near) + shift
    engine = engine_over(values, "input_tokens", input_tokens=pl.Int64)
    known = [value for value in values if value is not None]

    same = matching(engine, OneOf("input_tokens", (than,)), "input_tokens")
    below = matching(engine, Compared("input_tokens", "<", than), "input_tokens")
    from_it_on = matching(engine, Not(Compared("input_tokens", "<", than)), "input_tokens")

    assert sorted(same) == sorted(value for value in known if value == than)
    assert sorted(below) == sorted(value for value in known if value < than)
    assert len(from_it_on) == len(values) - len(below)


@given(amounts(10), amounts(13), st.data())
def test_money_is_compared_exactly(amount: Decimal, other: Decimal, data: st.DataObject) -> None:
    """With more places than money has, too."""
    than = data.draw(st.sampled_from([amount, other, amount + Decimal("1e-12")]))
    engine = engine_over([amount], "total_cost", total_cost=pl.Decimal(20, 10))

    for order, holds in (("<", amount < than), ("<=", amount <= than), (">", amount > than),
                         (">=", amount >= than)):  # fmt: skip
        assert bool(matching(engine, Compared("total_cost", order, than))) == holds  # type: ignore[arg-type]
    assert bool(matching(engine, OneOf("total_cost", (than, Decimal("0.5"))))) == (
        than == amount or amount == Decimal("0.5")
    )


def test_text_is_searched_as_it_is() -> None:
    """Nothing in it is a wildcard; a pattern is found anywhere, unless it is anchored."""
    names = ["gpt-5", "gpt-5\n", "a.b", "aXb", "100%", None]
    engine = engine_over(names)

    assert matching(engine, Like("model", "ends with", "-5")) == ["gpt-5"]
    assert matching(engine, Like("model", "contains", "a.b")) == ["a.b"]
    assert matching(engine, Like("model", "starts with", "%")) == []
    assert matching(engine, Matches("model", r"^gpt-[0-9]\z")) == ["gpt-5"]
    assert matching(engine, Matches("model", r"a[^\n]b")) == ["a.b", "aXb"]
    assert matching(engine, Matches("model", r"(?:[0-9]{3}|X)")) == ["aXb", "100%"]
    assert matching(engine, Not(Matches("model", "[a-z]"))) == ["100%", None]


def test_no_conditions_are_all_met_and_none_of_none_is() -> None:
    """As `all` and `any` have it, also where it is negated."""
    engine = engine_over(["a", None])

    for node, kept in ((All(()), 2), (Some(()), 0), (Not(All(())), 0), (Not(Some(())), 2),
                       (Some((All(()), OneOf("model", ("a",)))), 2)):  # fmt: skip
        assert len(matching(engine, node)) == kept


def test_a_table_gives_names_and_what_is_not_in_it_a_default() -> None:
    """What is missing stays missing, and is untagged; a table may be empty."""
    engine = engine_over(["u1", "u2", "u3", None])
    plans = Mapped("Plan", "model", ("u1", "u2"), ("pro", "pro"))

    assert counted(engine, plans) == {"pro": 2, "(untagged)": 2}
    assert counted(engine, replace(plans, default="free")) == {"pro": 2, "free": 1, "(untagged)": 1}
    assert counted(engine, replace(plans, keys=(), values=(), default="x")) == {
        "x": 3, "(untagged)": 1,
    }  # fmt: skip


def test_the_first_rule_that_is_found_gives_the_label() -> None:
    """As an `if` with many branches."""
    engine = engine_over(["gpt-5-mini", "gpt-5", "claude", None])
    family = Ruled("Family", "model", (("mini", "small"), ("^gpt", "large")))

    assert counted(engine, family) == {"small": 1, "large": 1, "(untagged)": 2}
    assert counted(engine, replace(family, default="rest")) == {
        "small": 1, "large": 1, "rest": 1, "(untagged)": 1,
    }  # fmt: skip


def test_a_number_lies_in_the_interval_that_begins_with_its_edge() -> None:
    """Engines give the number of the interval; edges may be fractions."""
    engine = engine_over([0, 9, 10, 99, 100, None], "input_tokens", input_tokens=pl.Int64)
    edges = Bucketed("Size", "input_tokens", (10, Decimal("99.5")), ("small", "middle", "large"))

    assert counted(engine, edges) == {0: 2, 1: 2, 2: 1, None: 1}


def test_a_part_of_a_text_is_counted_from_either_end() -> None:
    """Missing where there are fewer; the separator is no pattern."""
    engine = engine_over(["a.b.c", "a", "", None])

    assert counted(engine, Part("P", "model", ".", 1)) == {"b": 1, "(untagged)": 3}
    assert counted(engine, Part("P", "model", ".", -1)) == {"c": 1, "a": 1, "": 1, "(untagged)": 1}
    assert counted(engine, Part("P", "model", ".", -3)) == {"a": 1, "(untagged)": 3}


def test_a_derived_dimension_can_be_made_of_another_one() -> None:
    """The provider is a part of the model's name, and has a label of its own."""
    engine = engine_over(["openai/gpt-5", "anthropic/claude", "local"])
    maker = Part("Maker", "model", "/", 0)
    label = Mapped("Label", "Maker", ("openai",), ("OpenAI",), default="others")

    assert counted(engine, maker, label) == {"OpenAI": 1, "others": 2}


def test_a_filter_can_speak_of_a_derived_dimension() -> None:
    """Under its name among the plan's fields."""
    engine = engine_over(["a/x", "b/y", None])
    plan = plan_of(engine, filters=OneOf("model", ("a/x",)))
    fields = {**plan.fields, "Maker": Part("Maker", "model", "/", 0)}
    of_maker = replace(plan, fields=fields, filters=Not(OneOf("Maker", ("a",))))

    assert engine.requests(of_maker).collect()["model"].to_list() == ["b/y", None]


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Australia/Lord_Howe", "America/St_Johns"])
def test_parts_of_the_calendar_are_those_of_the_zone(zone: str) -> None:
    """Hour, ISO weekday, day and month, through both changes of the clocks."""
    start = datetime(2026, 3, 1, tzinfo=UTC)
    instants = [start + timedelta(minutes=90 * n) for n in range(4500)]
    engine = PolarsEngine(pl.DataFrame({"requested_at": instants}).to_arrow())
    offsets = offsets_between(ZoneInfo(zone), instants[0], instants[-1])
    local = [instant.astimezone(ZoneInfo(zone)) for instant in instants]
    expected = {
        "hour of day": [at.hour for at in local],
        "weekday": [at.isoweekday() for at in local],
        "day of month": [at.day for at in local],
        "month of year": [at.month for at in local],
    }
    for unit, values in expected.items():
        part = CalendarPart("part", "requested_at", unit)  # type: ignore[arg-type]
        plan = plan_of(engine)
        fields = {**plan.fields, "requested_at": engine.catalogue().field("requested_at")}
        found = engine.select(
            replace(plan, dimensions=(part,), fields=fields, offsets=offsets)
        ).frame

        assert dict(found.rows()) == {value: values.count(value) for value in {*values}}


def test_many_changes_of_clocks_make_no_larger_a_plan() -> None:
    """In St. John's they went back over midnight each autumn for twenty years."""
    instants = [datetime(1985, 1, 1, tzinfo=UTC) + timedelta(hours=7) * n for n in range(30_000)]
    question = Question(("requests",), time_grain="day", timezone="America/St_Johns")

    rows = ma.open(pl.DataFrame({"requested_at": instants})).query(
        **question.asked(), engine="polars"
    )

    assert dict(rows.to_polars().rows()) == Counter(bucket(at, question) for at in instants)


@given(
    st.dates(date(1990, 1, 1), date(2040, 12, 31)),
    st.integers(1, 7), st.integers(1, 28), st.integers(1, 12),
)  # fmt: skip
def test_books_that_begin_on_other_days(day: date, week: int, month: int, year: int) -> None:
    """A week, month, quarter or year begins on the last such first day up to a date."""
    calendar = Calendar(week_starts_on=week, month_starts_on=month, year_starts_in=year)
    back = [day - timedelta(days=n) for n in range(400)]
    firsts = [one for one in back if one.day == month]
    expected = {
        "day": day,
        "week": next(one for one in back if one.isoweekday() == week),
        "month": firsts[0],
        "quarter": next(one for one in firsts if (one.month - year) % 3 == 0),
        "year": next(one for one in firsts if one.month == year),
    }

    found = pl.select(
        start_of(grain, pl.lit(day), calendar).alias(grain)  # type: ignore[arg-type]
        for grain in expected
    )

    assert found.row(0, named=True) == expected


def test_combinations_can_be_kept_instead_of_a_ranking(lake: Path) -> None:
    """Those of another period, of which some may not occur in this one."""
    engine = PolarsEngine(take_snapshot(lake))
    plan = plan_of(engine, dimensions=("Team", "status_code"), limit=1)
    kept = (("legal", 200), ("(untagged)", 429), ("nobody", None))

    rows = engine.select(replace(plan, kept=kept)).frame.rows()
    without = engine.select(replace(plan, kept=kept, other=False)).frame.rows()
    none = engine.select(replace(plan, kept=())).frame.rows()

    assert sorted(rows, key=str) == [
        ("(other)", None, True, 2), ("(untagged)", 429, False, 1), ("legal", 200, False, 2),
    ]  # fmt: skip
    assert sorted(without) == [("(untagged)", 429, 1), ("legal", 200, 2)]
    assert none == [("(other)", None, True, 5)]


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"dimensions": "requested_date"},
        {"dimensions": "requested_date", "limit": 1},
        {"measures": ["total_cost", "p50_response_time_ms"], "dimensions": "requested_date"},
        {"measures": [ma.measure("some", "total_cost", where={"requested_date": AT.date()})]},
        {"measures": "cost_per_request", "time_grain": "hour"},
    ],
)
def test_a_sum_out_of_range_is_an_error(asked: dict[str, Any]) -> None:
    """It never wraps, in whatever way Polars goes; what just fits is exact."""
    asked = {"measures": "total_cost"} | asked
    step = Decimal("0.0000000001")

    def ledger(*amounts: Decimal) -> ma.Ledger:
        table = pl.DataFrame(
            {"requested_at": [AT] * len(amounts), "total_cost": amounts},
            schema_overrides={"total_cost": pl.Decimal(38, 10)},
        )
        return ma.open(table)

    for amounts in ([MOST_MONEY, step], [MOST_MONEY] * 2, [MOST_MONEY] * 5, [MOST_MONEY] * 7):
        with pytest.raises(ma.ResultOverflowError):
            ledger(*amounts).query(**asked, engine="polars")
    fits = ledger(MOST_MONEY, -step, step).query(**asked, engine="polars").total
    assert fits.get("total_cost", MOST_MONEY) == MOST_MONEY


def test_counts_out_of_range_are_an_error() -> None:
    """Beyond 64 bits, in one column or in the sum of two."""
    most = 2**63 - 1
    frame = pl.DataFrame(
        {"requested_at": [AT] * 2, "input_tokens": [most, None], "output_tokens": [None, 1]}
    )

    assert ma.open(frame).query("input_tokens", engine="polars").total == {"input_tokens": most}
    with pytest.raises(ma.ResultOverflowError, match=r"input_tokens \+ output_tokens"):
        ma.open(frame).query("total_tokens", engine="polars")


def test_the_order_of_a_ranking_is_asked_once_for_all_time(lake: Path) -> None:
    """A limit keeps the same combinations in every bucket."""
    engine = PolarsEngine(take_snapshot(lake))
    plan = replace(
        plan_of(engine, dimensions=("Team",), time_grain="day", limit=1),
        order=(Ordering("day", descending=True), Ordering("Team", descending=True)),
    )

    assert sorted(engine.select(plan).frame.select("bucket", "by 0").rows()) == [
        (date(2026, 10, 1), "(other)"), (date(2026, 10, 1), "sales"),
        (date(2026, 10, 2), "(other)"), (date(2026, 10, 3), "(other)"),
        (date(2026, 10, 31), "(other)"),
    ]  # fmt: skip
